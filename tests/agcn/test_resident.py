"""Clips that live on the device: the batches that are read from disk, to the bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pose_files import write_array_folder
from prep_files import AWKWARD, awkward_ntu

from agcn.data import resident
from agcn.data.clips import Clips, open_clips
from agcn.data.loader import BatchLoader, batches_in_order
from agcn.data.resident import keep_resident
from agcn.settings import FeederArgs
from native_prep.datasets.catalog import get_dataset
from native_prep.pipeline.prepare import prepare
from native_prep.poses.custom import prepare_custom
from native_prep.skeletons.layouts import COCO17, NTU, Layout
from native_prep.skeletons.streams import STREAMS

CPU = torch.device("cpu")


def batches(args: FeederArgs, layout: Layout, kept: bool) -> list[tuple]:
    """Every batch of a random order, as bytes: of the clips, the labels, and of joints which bodies are computed."""
    clips = open_clips(args)
    feed = BatchLoader(clips, replace(args, resident=kept), layout, CPU, seed=3, share_absent=True)
    assert (feed.resident is not None) == kept
    order = np.random.default_rng(1).integers(0, len(clips), 11)
    found = [batch for epoch in (None, 2) for batch in feed.batches(batches_in_order(order, 4), epoch)]
    # A store's index says which bodies are there; bones and motions of one that is may be all zero.
    rows = [batch.rows and batch.rows.inverse_index.tolist() if "joint." in args.data_path else None for batch in found]
    same = [(batch.clips.shape, batch.clips.numpy().tobytes(), batch.labels.tolist()) for batch in found]
    return [*same, *rows]


@pytest.mark.parametrize("dataset", AWKWARD)
def test_equal_to_what_is_read(tmp_path: Path, dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("native_prep.store.shards.SHARD_CLIPS", 3)
    monkeypatch.setattr(resident, "_PIECE", 5000)
    raw, about = AWKWARD[dataset](tmp_path / "raw"), get_dataset(dataset)
    frames = None if dataset == "nw-ucla" else 50
    prepare(dataset, raw, tmp_path / "npy", streams=STREAMS, max_frames=frames)
    prepare(dataset, raw, tmp_path / "data", max_frames=frames, formats=["packed"])
    below = about.benchmarks[0] if about.benchmarks else ""
    moved = {"random_shift": True, "random_choose": True, "window_size": 40}
    for split in ("train", "val"):
        for stream in STREAMS:
            label = f"{split}_label.pkl"
            for folder in ("npy", "data"):
                place = tmp_path / folder / below
                args = FeederArgs(str(place / f"{split}_data_{stream}.npy"), str(place / label))
                for one in (args, replace(args, **moved)):
                    assert batches(one, about.layout, True) == batches(one, about.layout, False), (split, stream)


@pytest.mark.parametrize("changes", ({"random_move": True}, {"sample": "uniform", "window_size": 16}))
def test_equal_for_ones_own(tmp_path: Path, changes: dict) -> None:
    raw = write_array_folder(tmp_path / "raw")
    prepare_custom(raw, tmp_path, layout="coco17", image_size="640x480", formats=["packed"])
    label = str(tmp_path / "train_label.pkl")
    for stream, more in (("bone", {}), ("joint", {"normalization": True})):
        args = FeederArgs(str(tmp_path / f"train_data_{stream}.npy"), label, **changes, **more)
        assert batches(args, COCO17, True) == batches(args, COCO17, False)


def test_equal_for_half_precision(tmp_path: Path) -> None:
    raw = awkward_ntu(tmp_path / "raw")
    prepare("ntu60", raw, tmp_path, max_frames=50, formats=["packed"], packed_dtype="float16")
    args = FeederArgs(str(tmp_path / "xsub/train_data_joint.npy"), str(tmp_path / "xsub/train_label.pkl"))
    assert batches(args, NTU, True) == batches(args, NTU, False)


def test_where_clips_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    awkward_ntu(tmp_path / "raw")
    prepare("ntu60", tmp_path / "raw", tmp_path, max_frames=50, formats=["packed"])
    clips = open_clips(FeederArgs(str(tmp_path / "xsub/train_data_joint.npy"), str(tmp_path / "xsub/train_label.pkl")))
    assert keep_resident(clips, "auto", CPU) is None and keep_resident(clips, False, CPU) is None
    kept = keep_resident(clips, True, CPU)
    assert kept is not None and kept.present.shape == (len(clips), 2)
    frames = kept._frames.numel() * 4  # the real frames of real bodies, and one of zeros
    assert frames == resident._size(clips) + 300 and frames < len(clips) * 2 * 50 * 300 / 2
    empty = Clips("x", np.empty((0, 3, 4, 5, 1), np.float32), np.empty(0, np.int64), [])
    assert keep_resident(empty, True, CPU) is None
    monkeypatch.setattr(resident, "free_memory", lambda device: frames - 400)
    with pytest.raises(ValueError, match=r"resident: True: its clips take .* GB, .* GB are free: set resident"):
        keep_resident(clips, True, CPU)


def test_settings() -> None:
    with pytest.raises(ValueError, match="resident is 'yes': set it to auto, True or False"):
        FeederArgs(resident="yes")
