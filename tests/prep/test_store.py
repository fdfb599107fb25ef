"""The packed store: dense arrays to the bit, read by `agcn` and `export` as files are, and every damage in one line."""

import io
import lzma
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prep_files import AWKWARD, NAMES, awkward_ntu

from agcn.data.clips import normalisation, open_clips, open_labels
from agcn.data.loader import BatchLoader, batches_in_order
from agcn.score_files import SCORE_FILE
from agcn.settings import FeederArgs
from export import fusion
from native_prep.datasets.catalog import get_dataset, missing_samples
from native_prep.datasets.names import check_benchmarks, is_training
from native_prep.datasets.recordings import Recording, Recordings
from native_prep.io.locks import sole_run
from native_prep.io.pickles import load_pickle, save_pickle
from native_prep.pipeline.pose_shards import MadeClip, write_poses
from native_prep.pipeline.prepare import prepare
from native_prep.pipeline.store_run import StoreRun
from native_prep.skeletons.layouts import NTU, layout_from_edges
from native_prep.skeletons.streams import STREAMS, stream_of
from native_prep.store.format import StoreHead
from native_prep.store.reader import Store, find_part, verify_store
from native_prep.store.shards import ShardWriter, write_store_json


@pytest.fixture(scope="module")
def ntu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`npy` holds arrays, `data` a store, of the same recordings."""
    folder = tmp_path_factory.mktemp("ntu")
    awkward_ntu(folder / "raw")
    prepare("ntu60", folder / "raw", folder / "npy", streams=STREAMS, max_frames=50)
    prepare("ntu60", folder / "raw", folder / "data", formats=["packed"], max_frames=50)
    return folder


@pytest.mark.parametrize("dataset", AWKWARD)
def test_to_the_bit(tmp_path, dataset, monkeypatch):
    monkeypatch.setattr("native_prep.store.shards.SHARD_CLIPS", 5)
    raw = AWKWARD[dataset](tmp_path / "raw")
    frames = None if dataset == "nw-ucla" else 50
    prepare(dataset, raw, tmp_path / "npy", streams=STREAMS, max_frames=frames)
    result = prepare(dataset, raw, tmp_path / "both", streams=STREAMS, max_frames=frames, formats=["npy", "packed"])
    assert result["outputs"][0] == str(tmp_path / "both" / "packed") and len(result["outputs"]) > 4
    store = Store(tmp_path / "both" / "packed")
    store.verify()
    seen = 0
    for path in sorted((tmp_path / "npy").rglob("*.*")):
        again = tmp_path / "both" / path.relative_to(tmp_path / "npy")
        assert path.read_bytes() == again.read_bytes(), path
        again.unlink()
        part = find_part(again)
        assert part is not None
        if path.suffix == ".pkl":
            names, labels = part.store.names_and_labels(part.name)
            assert load_pickle(path) == (names, labels.tolist())
            continue
        dense, packed = np.load(path), part.store.array(part.name, part.stream)
        assert (packed.shape, packed.dtype, packed.ndim, len(packed)) == (dense.shape, dense.dtype, 5, len(dense))
        assert packed[:].tobytes() == dense.tobytes()
        seen += len(dense)
    assert seen == 4 * len(store.labels) * len(get_dataset(dataset).benchmarks or ("",))


def test_indices(ntu: Path):
    dense = np.load(ntu / "npy/xsub/train_data_bone.npy")
    packed = Store(ntu / "data/packed").array("xsub/train", "bone")
    order = np.random.default_rng(0).integers(-len(dense), len(dense), 70)  # enough for several threads
    for index in (order, slice(1, None, 2), 0, -1, np.int64(2), [3, 1, 1], np.arange(len(dense)) % 2 == 0, slice(0, 0)):
        assert np.array_equal(packed[index], dense[index]), index
    for index in (len(dense), -len(dense) - 1, np.array([0, 99])):
        with pytest.raises(IndexError):
            packed[index]


def test_index_of_clips(ntu: Path):
    store = Store(ntu / "data/packed")
    place = store.names.index(NAMES[2])
    assert [int(store.column(key)[place]) for key in ("setup", "camera", "subject", "replication", "frames")] == [
        2, 3, 2, 2, 10
    ]  # fmt: skip
    assert store.head.layout == NTU and store.clip_shape == (3, 50, 25, 2)
    assert (store.head.dataset, store.head.padding, store.head.dtype) == ("ntu60", "repeat", "float32")


def args_in(folder: Path, stream: str = "joint") -> FeederArgs:
    return FeederArgs(str(folder / f"train_data_{stream}.npy"), str(folder / "train_label.pkl"))


@pytest.mark.parametrize("place", ["data/xsub", "data/packed/xsub"])
def test_training_reads_it(ntu: Path, place: str):
    theirs, ours = open_clips(args_in(ntu / "npy/xsub")), open_clips(args_in(ntu / place))
    assert ours.names == theirs.names and ours.shape == theirs.shape
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    for one, two in zip(normalisation(ours), normalisation(theirs), strict=True):
        assert one.tobytes() == two.tobytes()
    changes = {"random_shift": True, "random_move": True, "window_size": 40, "random_choose": True}
    batches = []
    for clips in (ours, theirs):
        feed = BatchLoader(clips, replace(args_in(ntu), **changes), NTU, torch.device("cpu"), seed=3)
        batches.append(
            [
                batch.clips.numpy().tobytes()
                for batch in feed.batches(batches_in_order(np.arange(len(clips))[::-1].copy(), 4))
            ]
        )
    assert batches[0] == batches[1]
    debug = open_clips(replace(args_in(ntu / place, "bone_motion"), debug=True, use_mmap=False))
    assert debug.batch(np.array([1])).tobytes() == np.load(ntu / "npy/xsub/train_data_bone_motion.npy")[[1]].tobytes()


def test_labels_of_other_clips_are_refused(ntu: Path, tmp_path: Path):
    shutil.copytree(ntu / "data", tmp_path / "data")
    names, labels = load_pickle(ntu / "npy/xsub/train_label.pkl")
    (tmp_path / "data/xsub").mkdir()
    save_pickle(tmp_path / "data/xsub/train_label.pkl", (names[::-1], labels))
    with pytest.raises(ValueError, match="names other clips than the packed store"):
        open_clips(args_in(tmp_path / "data/xsub"))
    with pytest.raises(ValueError, match=r"has no part 'xset/train', it has xsub/train, xsub/val, xview/train"):
        open_clips(args_in(tmp_path / "data/xset"))


def test_fusing_with_the_store_alone(ntu: Path, tmp_path: Path):
    label = ntu / "data/xview/val_label.pkl"
    names, labels = fusion.read_unique_labels(label)
    assert (names, labels.tolist()) == load_pickle(ntu / "npy/xview/val_label.pkl")
    np.testing.assert_array_equal(open_labels(label)[1], labels)
    scores = {name: np.eye(60, dtype=np.float32)[one] for name, one in zip(names, labels, strict=True)}
    for stream in ("joint", "bone"):
        (tmp_path / "work/xview" / f"agcn_{stream}").mkdir(parents=True)
        save_pickle(tmp_path / "work/xview" / f"agcn_{stream}" / SCORE_FILE, scores)
    result = fusion.fuse_dataset("xview", tmp_path / "work", ntu / "data")
    assert (result["clips"], result["top1"]) == (len(names), 1.0)


def test_float16(ntu: Path, tmp_path: Path):
    prepare("ntu60", ntu / "raw", tmp_path, formats=["packed"], max_frames=50, packed_dtype="float16")
    dense = np.load(ntu / "npy/xsub/train_data_joint.npy")
    half = Store(tmp_path / "packed").array("xsub/train", "joint")
    assert half.dtype == np.float32 and np.array_equal(half[:], dense.astype(np.float16).astype(np.float32))
    frames = [path.stat().st_size - 128 for folder in (tmp_path, ntu / "data") for path in folder.rglob("frames.npy")]
    assert 2 * frames[0] == frames[1]
    head = StoreHead("", NTU, 1, None, ("all",), "zero", "float16")
    with pytest.raises(ValueError, match="does not fit float16"):
        write_made(tmp_path / "big", head, [[np.full((2, 25, 3), 1e6, np.float32)]])
    assert not (tmp_path / "big").exists()


def made(recording: Recording) -> MadeClip:
    return MadeClip(recording.content, len(recording.content[0]))


def write_made(folder: Path, head: StoreHead, clips: list) -> dict:
    found = [
        Recording("", f"clip {n}", n % 2, range(1 + n % 2)[: len(head.parts)], content=one)
        for n, one in enumerate(clips)
    ]
    run = StoreRun("custom", folder, folder, head, head.parts, STREAMS, True, False, 1)
    with sole_run(run.final):
        return write_poses(run, made, Recordings(found, [], head.parts))


def np_bytes(array: np.ndarray) -> bytes:
    """The bytes of an `.npy` file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def spoil(folder: Path, name: str, change) -> None:
    (path,) = folder.rglob(name)
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("frames.npy", lambda raw: raw[:-4], r"frames\.npy: has \d+ bytes instead of"),
        ("frames.npy", lambda raw: b"x" + raw[1:], r"frames\.npy: damaged, or of another shape"),
        ("clips.npy", lambda raw: b"x" + raw[1:], r"clips\.npy: not an index"),
        ("clips.npy", lambda raw: b"PK\3\4" + raw[4:], r"clips\.npy: not an index"),
        ("clips.npy", lambda raw: np_bytes(np.zeros((len(raw) - 128) // 4, "<f4")), r"clips\.npy: not an index"),
        ("clips.npy", lambda raw: raw.replace(b"'shape': (", b"'shape': (9")[: len(raw)], "not an index"),
        # The last body's start and length: their sum is more than int64 holds.
        ("clips.npy", lambda raw: raw[:-16] + b"\xff" * 7 + b"\x7f" + bytes(4) + b"\1\0\0\0", "points behind the end"),
        ("clips.npy", lambda raw: raw[:-4] + b"\xff\xff\xff\x7f", r"clips\.npy: points behind the end"),
        ("clips.npy", lambda raw: raw[:-4] + b"\xff\xff\xff\xff", r"clips\.npy: points behind the end"),
        ("store.json", lambda raw: raw.replace(b'"version": 1', b'"version": 7'), r"is of version 7, this program"),
        ("store.json", lambda raw: raw[:-20], r"store\.json: not the description"),
        ("store.json", lambda raw: b"[]", r"store\.json: not the description"),
        ("store.json", lambda raw: raw.replace(b'"padding"', b'"paddin"'), r"store\.json: damaged"),
        ("store.json", lambda raw: raw.replace(b'"sha256"', b'"sha"'), r"store\.json: damaged"),
        ("store.json", lambda raw: raw.replace(b'"frames": 50', b'"frames": "50"'), r"store\.json: damaged"),
        ("store.json", lambda raw: raw.replace(b'"bodies": 2', b'"bodies": 1.5'), r"store\.json: damaged"),
        ("store.json", lambda raw: raw.replace(b'"bodies": 2', b'"bodies": 3'), r"clips\.npy: not an index"),
        ("store.json", lambda raw: re.sub(rb'"clips": \d+', b'"clips": 1e3', raw), r"store\.json: damaged"),
        ("store.json", lambda raw: re.sub(rb'"clips": \d+', b'"clips": 99999999999', raw), r"clips\.npy: not an index"),
        ("store.json", lambda raw: raw.replace(b'"frames": ', b'"frames": 9'), r"frames\.npy: damaged"),
    ],
)
def test_damage_is_one_line(ntu: Path, tmp_path: Path, name, change, message):
    shutil.copytree(ntu / "data", tmp_path / "data")
    spoil(tmp_path / "data", name, change)
    with pytest.raises(ValueError, match=message) as caught:
        open_clips(args_in(tmp_path / "data/xsub"))
    assert "\n" not in str(caught.value) and ": " in str(caught.value)


def test_missing_and_changed_files(ntu: Path, tmp_path: Path):
    shutil.copytree(ntu / "data", tmp_path / "data")
    spoil(tmp_path / "data", "frames.npy", lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]))
    Store(tmp_path / "data/packed")  # sizes are right
    with pytest.raises(ValueError, match=r"frames\.npy: its checksum is wrong"):
        verify_store(tmp_path / "data/packed")
    (frames,) = (tmp_path / "data").rglob("frames.npy")
    frames.unlink()
    with pytest.raises(ValueError, match=r"frames\.npy: is missing"):
        Store(tmp_path / "data/packed")
    with pytest.raises(ValueError, match=r"store\.json: no such file"):
        Store(tmp_path)


def test_clips_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("native_prep.store.shards.SHARD_CLIPS", 3)
    layout = layout_from_edges([(1, 0), (2, 1)])
    rng = np.random.default_rng(0)
    bodies = [
        [rng.normal(size=(length, 3, 3)).astype(np.float32) for length in lengths]
        for lengths in ((4,), (), (5, 3), (1, 9), (6, 6), (0, 2), (7,))
    ]
    nobody = [np.zeros((0, 3, 3), np.float32)] * 2
    for padding in ("zero", "repeat"):
        head = StoreHead("", layout, 2, None, ("train", "val"), padding)
        result = write_made(tmp_path / padding, head, [(*one, *nobody)[:2] for one in bodies])
        assert (result["clips"], result["shards"], len(result["outputs"])) == (7, 3, 2 * 5 + 1)
        store = Store(tmp_path / padding / "packed")
        expected = np.zeros((7, 3, 9, 3, 2), np.float32)
        for number, one in enumerate(bodies):
            for body, points in enumerate(one):
                for frame in range(9 if padding == "repeat" and len(points) else len(points)):
                    expected[number, :, frame, :, body] = points[frame % len(points)].T
        dense = np.load(tmp_path / padding / "train_data_joint.npy")
        assert np.array_equal(dense, expected)
        assert load_pickle(tmp_path / padding / "val_label.pkl") == (["clip 1", "clip 3", "clip 5"], [1, 1, 1])
        for stream in STREAMS:
            assert np.array_equal(store.array("val", stream)[:], stream_of(expected[1::2], stream, layout))
    with pytest.raises(ValueError, match="no clip to write"):
        write_made(tmp_path / "other", head, [])
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("dataset", "counts"),
    [
        ("ntu60", {"xsub": (40_091, 16_487), "xview": (37_646, 18_932)}),
        ("ntu120", {"xsub": (63_026, 50_919), "xset": (54_468, 59_477)}),
    ],
)
def test_published_counts(shared: Path, tmp_path: Path, dataset: str, counts: dict):
    listed = lzma.decompress((shared / "data" / "lists" / f"{dataset}_names.txt.xz").read_bytes()).decode().split()
    names = sorted(name for name in listed if name.removesuffix(".skeleton") not in missing_samples(dataset))
    benchmarks = check_benchmarks(dataset, None)
    parts = tuple(f"{benchmark}/{split}" for benchmark in benchmarks for split in ("train", "val"))
    head = StoreHead(dataset, NTU, 2, 300, parts, "repeat")
    writer = ShardWriter(tmp_path / "shard", head, tmp_path)
    for name in names:
        splits = sum(1 << 2 * at + (not is_training(dataset, one, name)) for at, one in enumerate(benchmarks))
        writer.append([(name, 0, splits, 1)], np.zeros((1, 2), int), np.zeros((0, 25, 3), np.float32))
    writer.finish({"recorded": len(names), "longest": 1})
    write_store_json(tmp_path, head, ["shard"])
    store = Store(tmp_path)
    for benchmark, (train, val) in counts.items():
        assert (len(store.split(f"{benchmark}/train")), len(store.split(f"{benchmark}/val"))) == (train, val)
    assert store.names == names
