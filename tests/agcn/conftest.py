"""A small run, and a clip with absent frames, which several tests of this folder share."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from one_clip import M, T, V
from small_runs import MODEL, write_clips
from torch import Tensor

from agcn.settings import Config


@pytest.fixture
def clip() -> Tensor:
    """One clip whose frames 3 to 14 are there, the second body only in some of them: (3, T, V, M)."""
    x = torch.zeros(3, T, V, M)
    x[:, 3:15, :, 0] = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 12, V))).float()
    x[:, 6:9, :, 1] = 2.0
    return x


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        work_dir=str(tmp_path / "work"),
        model_saved_name="./runs/tiny",
        config="tiny.yaml",
        train_feeder_args=replace(write_clips(tmp_path, "train", 18), random_shift=True),
        test_feeder_args=write_clips(tmp_path, "val", 7),
        model_args={**MODEL, "drop_out": 0.2},
        batch_size=4,
        test_batch_size=4,
        num_epoch=2,
        base_lr=0.0002,
        nesterov=True,
        save_interval=1,
    )
