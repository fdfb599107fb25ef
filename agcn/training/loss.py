"""What a training step makes smaller: cross entropy, in which classes may have weights."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from agcn.data.clips import Clips
from agcn.settings import Config
from agcn.training.distributed import DistributedContext


def class_weights(config: Config, clips: Clips, num_class: int) -> Tensor | None:
    """The weights of the classes as `config.class_weight` asks for them, float32 (num_class,); None for "none".

    Args:
        clips: the training split, whose labels "balanced" counts.
        num_class: of the model.

    Raises:
        ValueError: a list of another length; classes without a training clip, of which "balanced" knows no weight.
    """
    wanted = config.class_weight
    if wanted == "none":
        return None
    if wanted == "balanced":
        counts = np.bincount(clips.labels, minlength=num_class)
        absent = np.flatnonzero(counts == 0)
        if len(absent):
            raise ValueError(
                f"{clips.path}: class_weight balanced: {len(absent)} of the model's {num_class} classes have no clip, "
                f"{absent[0]} first (counted from 0): set model_args.num_class, or list {num_class} weights"
            )
        return torch.from_numpy(len(clips) / (num_class * counts)).float()
    if len(wanted) != num_class:
        raise ValueError(
            f"{config.config}: class_weight has {len(wanted)} numbers, the model {num_class} classes: give one for each"
        )
    return torch.tensor(wanted, dtype=torch.float32)


def mean_part_weight(weights: Tensor, labels: Sequence[Tensor], context: DistributedContext) -> Tensor:
    """The weights of a batch's clips, summed over a part of it, as a mean over all parts of all processes.

    Args:
        weights: (num_class,).
        labels: of the parts of this process, (B,) each.
    """
    total = context.total(weights[torch.cat(list(labels))].sum())
    return total / (len(labels) * context.world_size)


def cross_entropy(
    logits: Tensor, labels: Tensor, smoothing: float, weights: Tensor | None = None, part_weight: Tensor | None = None
) -> Tensor:
    """The loss of a part of a batch; its mean over all parts of all processes is the weighted mean over the batch.

    PyTorch's own weighted mean divides by the weights of the part alone, so that clips would count more in parts of
    light classes.

    Args:
        logits: (B, num_class).
        labels: (B,).
        smoothing: see `Config.label_smoothing`.
        weights: (num_class,); None for clips that count the same.
        part_weight: with them, what `mean_part_weight` returns.
    """
    if weights is None or part_weight is None:
        return nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    summed = nn.functional.cross_entropy(logits, labels, weight=weights, label_smoothing=smoothing, reduction="sum")
    return summed / part_weight
