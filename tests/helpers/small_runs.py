"""Small made clips and runs on them, which several tests of training use."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from agcn.config import FeederArgs
from agcn.model.network import Model, build_model
from native_prep.io.pickles import save_pickle

MODEL = {"num_class": 3, "num_point": 4, "num_person": 1, "graph": "mine", "graph_args": {"edges": [[1, 0], [3, 1]]}}


def write_clips(folder: Path, part: str, clips: int) -> FeederArgs:
    """Clips whose class shows in where they are."""
    rng = np.random.default_rng(clips)
    labels = [int(label) for label in rng.integers(0, 3, clips)]
    data = rng.standard_normal((clips, 3, 16, 4, 1)).astype(np.float32)
    data += np.asarray(labels, np.float32)[:, None, None, None, None]
    np.save(folder / f"{part}_data_joint.npy", data)
    save_pickle(folder / f"{part}_label.pkl", ([f"{part}{i}.json" for i in range(clips)], labels))
    return FeederArgs(str(folder / f"{part}_data_joint.npy"), str(folder / f"{part}_label.pkl"))


def build_double(*args: Any) -> Model:
    """`build_model`'s network in float64; it takes clips as they come, in float32."""
    model = build_model(*args).double()
    model.register_forward_pre_hook(lambda module, given: (given[0].double(), *given[1:]))
    return model


def weights(path: str | Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)


def equal(one: str | Path, other: str | Path) -> bool:
    theirs = weights(other)
    return all(torch.equal(value, theirs[name]) for name, value in weights(one).items())
