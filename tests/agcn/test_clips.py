"""Clips on disk: opened, checked against their labels and the model, read in batches."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agcn.data.clips import normalisation, open_clips, open_labels
from agcn.data.loader import BatchIndices, BatchLoader, batches_in_order, training_batches
from agcn.model.absent_bodies import BodyRows
from agcn.model.network import build_model
from agcn.settings import FeederArgs
from native_prep.io.pickles import save_pickle
from native_prep.skeletons.layouts import layout_from_edges

SKELETON = layout_from_edges([(1, 0), (2, 1), (3, 2)])


@pytest.fixture
def args(tmp_path: Path) -> FeederArgs:
    data = np.random.default_rng(0).standard_normal((12, 3, 10, 4, 2)).astype(np.float32)
    np.save(tmp_path / "train_data_joint.npy", data)
    save_pickle(tmp_path / "train_label.pkl", ([f"clip{i}.json" for i in range(12)], [i % 3 for i in range(12)]))
    return FeederArgs(str(tmp_path / "train_data_joint.npy"), str(tmp_path / "train_label.pkl"))


@pytest.mark.parametrize("use_mmap", [True, False])
def test_opened(args: FeederArgs, use_mmap: bool) -> None:
    clips = open_clips(replace(args, use_mmap=use_mmap))
    assert isinstance(clips.data, np.memmap) == use_mmap
    assert clips.shape == (12, 3, 10, 4, 2) and len(clips) == 12
    assert clips.names[3] == "clip3.json" and clips.labels.dtype == np.int64
    batch = clips.batch(np.array([7, 2]))
    np.testing.assert_array_equal(batch, np.load(args.data_path)[[7, 2]])
    batch[:] = 0  # a copy: the file stays
    assert clips.batch(np.array([7])).any()


def test_debug_takes_the_first_hundred(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.zeros((120, 3, 2, 4, 1), np.float32))
    save_pickle(tmp_path / "l.pkl", ([str(i) for i in range(120)], [0] * 120))
    assert len(open_clips(FeederArgs(str(tmp_path / "d.npy"), str(tmp_path / "l.pkl"), debug=True))) == 100


def test_python_2_labels(tmp_path: Path) -> None:
    (tmp_path / "old.pkl").write_bytes(pickle.dumps((["S001", "S002"], [4, 0]), protocol=0))
    names, labels = open_labels(tmp_path / "old.pkl")
    assert labels.tolist() == [4, 0] and names == ["S001", "S002"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ((["a"] * 11, [0] * 11), "has 11 labels, .* has 12 clips"),
        ((["a"] * 11, [0] * 12), "has 11 names and 12 labels"),
        ((["a"] * 12, [0] * 11 + [-1]), "clip a has label -1"),
        ((["a"] * 12, ["walk"] * 12), "not a whole number"),
        ({"a": 1}, "is a score file"),
        (3, "holds no"),
    ],
)
def test_labels_that_do_not_fit(args: FeederArgs, content: object, text: str) -> None:
    save_pickle(args.label_path, content)
    with pytest.raises(ValueError, match=text):
        open_clips(args)


def test_files_that_are_not_there_or_not_arrays(args: FeederArgs, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no such file: run prep first, or set train_feeder_args\.data_path"):
        open_clips(replace(args, data_path=str(tmp_path / "none.npy")), "train_feeder_args")
    with pytest.raises(ValueError, match="label_path is not set"):
        open_clips(replace(args, label_path=""))
    whole = Path(args.data_path).read_bytes()
    Path(args.data_path).write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="cut off"):
        open_clips(args)
    np.save(args.data_path, np.zeros((12, 3, 10, 4), np.float32))
    with pytest.raises(ValueError, match=r"holds float32 \(12, 3, 10, 4\), not"):
        open_clips(args)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"num_point": 5, "graph_args": {"edges": [[4, 0]]}}, "has 4 joints, the model 5"),
        ({"num_person": 1}, "has 2 bodies, the model 1: set model_args.num_person"),
        ({"in_channels": 2}, "has 3 channels, the model 2"),
        ({"num_class": 2}, r"clip clip2.json has label 2, the model 2 classes"),
    ],
)
def test_clips_for_another_model(args: FeederArgs, change: dict, text: str) -> None:
    model_args = {"num_class": 3, "num_point": 4, "graph": "mine", "graph_args": {"edges": [[3, 0]]}}
    open_clips(args).check(build_model("agcn", model_args))
    with pytest.raises(ValueError, match=text):
        open_clips(args).check(build_model("agcn", {**model_args, **change}))


def test_normalisation(args: FeederArgs) -> None:
    data = np.load(args.data_path)
    data[:, 2, :, 1] = 5.0
    np.save(args.data_path, data)
    mean, deviation = normalisation(open_clips(args))
    np.testing.assert_allclose(mean, data.mean(axis=(0, 2, 4), dtype=np.float64)[:, None, :, None], rtol=1e-5)
    expected = data.std(axis=(0, 2, 4), dtype=np.float64)[:, None, :, None]
    expected[2, 0, 1, 0] = 1.0  # never changes
    np.testing.assert_allclose(deviation, expected, rtol=1e-5)
    feed = BatchLoader(open_clips(args), replace(args, normalization=True), SKELETON, torch.device("cpu"))
    x, *_ = next(feed.batches(batches_in_order(np.arange(12), 12)))
    assert abs(x.mean().item()) < 1e-5


def test_an_epoch_visits_whole_batches_once() -> None:
    chunks = training_batches(13, 4, seed=3, epoch=2)
    seen = np.concatenate([chunk.index for chunk in chunks])
    assert [chunk.first for chunk in chunks] == [0, 4, 8] and len(set(seen.tolist())) == 12
    other = np.concatenate([chunk.index for chunk in training_batches(13, 4, seed=3, epoch=1)])
    assert seen.tolist() != other.tolist()
    again = np.concatenate([chunk.index for chunk in training_batches(13, 4, seed=3, epoch=2)])
    np.testing.assert_array_equal(seen, again)
    halves = [training_batches(13, 4, 3, 2, rank, 2) for rank in (0, 1)]
    for whole, one, two in zip(chunks, *halves, strict=True):
        np.testing.assert_array_equal(whole.index, np.concatenate([one.index, two.index]))
        assert (one.first, two.first) == (whole.first, whole.first + 2)


def test_an_epoch_may_repeat_the_clips() -> None:
    chunks = training_batches(5, 4, seed=3, epoch=0, repeat=3)
    seen = np.concatenate([chunk.index for chunk in chunks])
    assert len(chunks) == 3 and np.bincount(seen, minlength=5).sum() == 12 and np.bincount(seen).max() == 3


def test_absent_bodies_are_told(args: FeederArgs) -> None:
    data = np.load(args.data_path)
    data[[1, 4], ..., 1] = 0.0
    np.save(args.data_path, data)

    def rows(share: bool = True, **change: object) -> BodyRows | None:
        feed = BatchLoader(open_clips(args), replace(args, **change), SKELETON, torch.device("cpu"), share_absent=share)
        return next(feed.batches([BatchIndices(0, np.array([4, 0, 1]))])).rows

    told = rows()
    assert (
        told is not None
        and told.multiplicity.tolist() == [1, 2, 1, 1, 1]
        and told.inverse_index.tolist() == [0, 1, 2, 3, 4, 1]
    )
    assert rows(share=False) is None and rows(random_move=True) is None and rows(normalization=True) is None


def test_batches_are_the_same_however_they_are_cut(args: FeederArgs) -> None:
    feed = BatchLoader(
        open_clips(args), replace(args, random_shift=True, random_move=True), SKELETON, torch.device("cpu"), seed=1
    )
    order = np.arange(12)[::-1]
    whole, labels, _ = next(feed.batches([BatchIndices(0, order)], epoch=4))
    parts = list(feed.batches(batches_in_order(order, 5), epoch=4))
    torch.testing.assert_close(torch.cat([x for x, *_ in parts]), whole, rtol=0, atol=0)
    assert torch.cat([y for _, y, _ in parts]).tolist() == labels.tolist() == [i % 3 for i in range(11, -1, -1)]
    later, *_ = next(feed.batches([BatchIndices(0, order)], epoch=5))
    assert not torch.equal(later, whole)


def test_a_reader_that_fails_tells(args: FeederArgs) -> None:
    feed = BatchLoader(open_clips(args), args, SKELETON, torch.device("cpu"))
    with pytest.raises(IndexError):
        list(feed.batches([BatchIndices(0, np.array([99]))]))
