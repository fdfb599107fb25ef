"""One clip with absent frames, changed many times."""

import torch
from torch import Tensor

from agcn.data.augment import augment, numbers_per_clip
from agcn.data.augment_rng import draw
from agcn.settings import FeederArgs
from native_prep.skeletons.layouts import layout_from_edges

T, V, M = 20, 5, 2


SKELETON = layout_from_edges([(0, 1), (2, 1), (3, 2), (4, 2)], V, 1)


def many(clip: Tensor, count: int, **args: object) -> Tensor:
    settings = FeederArgs(**args)  # type: ignore[arg-type]
    uniform = torch.from_numpy(draw(7, 0, 0, count, numbers_per_clip(settings)))
    return augment(clip.expand(count, *clip.shape), settings, uniform, SKELETON)
