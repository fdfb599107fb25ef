"""Predictions on raw recordings, and the accuracy of an exported folder on a test split."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from exported import CLASSES, FRAMES, eager_answers, three_blocks

from agcn.checkpoint import load_weights
from agcn.config import load_config
from agcn.data.loader import BatchLoader, batches_in_order
from agcn.evaluate import open_test_clips
from agcn.model.network import build_model
from agcn.settings import FeederArgs
from export.commands import run_fuse_eval
from export.fusion import fuse_arrays
from export.inputs import feeder_settings, to_input
from export.manifest import Manifest, read_manifest
from export.raw_clips import RawClips, read_input
from export.runtime import predict as predict_module
from export.runtime.predict import fuse_engine, predict
from native_prep.cpu.one_file import read_clip
from native_prep.datasets.catalog import DATASETS, class_names
from native_prep.skeletons.layouts import NTU
from native_prep.synth.make import synth, write_ntu


def test_names_the_actions_in_raw_recordings(exported: Path, tmp_path: Path) -> None:
    synth("ntu60", tmp_path / "raw", clips=3, classes=3, seed=1, frames=24)
    paths = sorted((tmp_path / "raw").rglob("*.skeleton"))
    result = predict(exported / "engine", paths, top=4, runtime="onnxruntime")
    args = load_config(exported / "config.yaml", "joint").test_feeder_args
    # Not repeated up to NTU's 300 frames: the test data has fewer than the recordings.
    joints = np.concatenate([to_input(read_clip(path, "ntu60", filled=FRAMES), args, NTU) for path in paths])
    assert joints.shape == (3, 3, FRAMES, 25, 2)
    scores = eager_answers(exported, joints)[2]
    for clip, path, row in zip(result["clips"], paths, scores, strict=True):
        chances = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        order = chances.argsort()[::-1][:4]
        assert clip["clip"] == str(path)
        assert [one["label"] for one in clip["top"]] == order.tolist()
        assert [one["class"] for one in clip["top"]] == [class_names("ntu60")[label] for label in order]
        np.testing.assert_allclose([one["score"] for one in clip["top"]], chances[order], rtol=1e-3, atol=1e-6)


def test_clips_that_nobody_is_in_have_no_answer(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synth("ntu60", tmp_path / "raw", clips=2, classes=2, seed=1, frames=24)
    first, last = sorted((tmp_path / "raw").rglob("*.skeleton"))
    empty = tmp_path / "S001C001P001R001A001.skeleton"
    empty.write_text("3\n0\n0\n0\n")
    alone = predict(exported / "engine", [first, last], top=2, runtime="onnxruntime")["clips"]
    found = predict(exported / "engine", [first, empty, last], top=2, runtime="onnxruntime")["clips"]
    assert found[1] == {"clip": str(empty), "top": [], "nobody": True}
    assert [one["clip"] for one in found] == [str(first), str(empty), str(last)]
    for one, other in zip((found[0], found[2]), alone, strict=True):
        assert [best["label"] for best in one["top"]] == [best["label"] for best in other["top"]]
    assert capsys.readouterr().err.endswith(f"{empty}: nobody is seen in any of its frames: it has no answer\n")
    assert predict(exported / "engine", [empty], runtime="onnxruntime")["clips"] == [found[1]]


def test_a_recording_as_its_model_wants_it(exported: Path, tmp_path: Path) -> None:
    """`read_clip` is what prep makes of a file, not what a model sees: `read_input` is, and gives predict's answer."""
    synth("ntu60", tmp_path / "raw", clips=1, classes=1, seed=1, frames=24)
    (path,) = (tmp_path / "raw").rglob("*.skeleton")
    logits = []
    for stream in ("joint", "bone"):
        config = load_config(exported / "config.yaml", stream)
        model = build_model(config.model, config.model_args).eval()
        load_weights(model, exported / f"{stream}.pt")
        with three_blocks(), torch.no_grad():
            logits.append(model(torch.from_numpy(read_input(path, config, model)))[0])
            if stream == "joint":
                direct = model(torch.from_numpy(read_clip(path, "ntu60")[None]))[0]
    assert not torch.allclose(direct, logits[0], atol=1e-2)
    chances = torch.softmax(logits[0] + 0.5 * logits[1], dim=0).numpy()
    (clip,) = predict(exported / "engine", [path], top=CLASSES, runtime="onnxruntime")["clips"]
    expected = chances[[one["label"] for one in clip["top"]]]
    np.testing.assert_allclose([one["score"] for one in clip["top"]], expected, rtol=1e-3, atol=1e-6)


def test_more_than_there_are(exported: Path, tmp_path: Path) -> None:
    synth("ntu60", tmp_path / "raw", clips=1, classes=1, seed=1, frames=24)
    (path,) = (tmp_path / "raw").rglob("*.skeleton")
    (clip,) = predict(exported / "engine", [path], top=100, runtime="onnxruntime")["clips"]
    assert len(clip["top"]) == CLASSES
    assert sum(one["score"] for one in clip["top"]) == pytest.approx(1.0)


def test_wrong_recordings(exported: Path, tmp_path: Path) -> None:
    bad = tmp_path / "S001C001P001R001A001.skeleton"
    bad.write_text("2\n1\nnot numbers\n")
    with pytest.raises(ValueError, match=r"S001C001P001R001A001.skeleton:3: "):
        predict(exported / "engine", [bad])
    with pytest.raises((ValueError, OSError), match=r"nowhere.skeleton"):
        predict(exported / "engine", [tmp_path / "nowhere.skeleton"])
    with pytest.raises(ValueError, match="no clip to look at"):
        predict(exported / "engine", [])
    with pytest.raises(ValueError, match="top is 0"):
        predict(exported / "engine", [bad], top=0)


@pytest.mark.parametrize(("sample", "known"), [("linear", 32), ("linear", 0), ("", 32), ("", 0)])
def test_clips_are_repeated_as_in_the_test_data(exported: Path, tmp_path: Path, sample: str, known: int) -> None:
    write_ntu(tmp_path, 1, classes=1, frames=20)
    (path,) = map(str, tmp_path.iterdir())
    feeder = {"sample": sample, "window_size": 64}
    values = read_manifest(exported / "engine").__dict__ | {
        "frames": 64,
        "prepared_frames": known,
        "feeder_args": feeder,
    }
    found = RawClips(Manifest(**values), "engine").read(path)
    prepared = read_clip(path, "ntu60", known or (300 if sample else 64))
    assert np.array_equal(found, to_input(prepared, FeederArgs(sample=sample, window_size=64), NTU))
    assert found.shape[2] == 64


def test_whole_files_are_put_in_order_and_windows_are_not(exported: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    walk = rng.standard_normal((1, 20, 3)) + 0.1 * np.arange(30.0)[:, None, None]
    path = tmp_path / "a01_s01_e00_v03.json"
    path.write_text(json.dumps({"file_name": path.stem, "skeletons": np.roll(walk, 18, axis=0).tolist(), "label": 1}))
    layout = DATASETS["nw-ucla"].layout
    values = read_manifest(exported / "engine").__dict__ | {
        "dataset": "nw-ucla", "frames": 30, "joints": layout.num_joints, "bodies": 1, "prepared_frames": 0,
        "feeder_args": {"sample": "linear", "window_size": 30, "reorder": True},
    }  # fmt: skip
    raw = RawClips(Manifest(**values), "engine")
    expected = walk.transpose(2, 0, 1).astype(np.float32)
    np.testing.assert_allclose(raw.read(str(path))[0, ..., 0], expected, rtol=1e-5, atol=1e-5)
    streamed = raw.prepare(np.roll(walk, 18, axis=0)[None], "a window")
    np.testing.assert_allclose(streamed[0, ..., 0], np.roll(expected, 18, axis=1), rtol=1e-5, atol=1e-5)


class _FakeEngine:
    """Scores by the clip's number, whatever it is; keeps the shapes that it was given."""

    runtime, device, folder = "fake", "cpu", "engine"

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.shapes: list[tuple[int, ...]] = []

    def run(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        assert np.isfinite(joints).all() and np.abs(joints).max() > 0
        self.shapes.append(joints.shape)
        scores = np.eye(self.manifest.num_class, dtype=np.float32)[: len(joints)]
        return scores, scores, scores


@pytest.mark.parametrize(
    ("dataset", "sample", "frames"), [("kinetics", "", 300), ("nw-ucla", "linear", 52), ("nw-ucla", "", 120)]
)
def test_every_data_sets_files(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, sample: str, frames: int
) -> None:
    known = DATASETS[dataset]
    feeder = {"sample": sample, "window_size": frames if sample else -1, "centre": True}
    values = read_manifest(exported / "engine").__dict__ | {
        "dataset": dataset, "frames": frames, "joints": known.layout.num_joints, "bodies": known.num_person,
        "num_class": known.num_class, "class_names": class_names(dataset), "feeder_args": feeder, "prepared_frames": 0,
    }  # fmt: skip
    engine = _FakeEngine(Manifest(**values))
    monkeypatch.setattr(predict_module, "open_engine", lambda folder, runtime: engine)
    synth(dataset, tmp_path / "raw", clips=3, classes=3, seed=1, frames=30)
    paths = [path for path in sorted((tmp_path / "raw").rglob("*.json")) if "label" not in path.name]
    result = predict("engine", paths[:2], top=1)
    assert engine.shapes == [(2, 3, frames, known.layout.num_joints, known.num_person)]
    assert [clip["top"][0]["class"] for clip in result["clips"]] == class_names(dataset)[:2]


def test_a_skeleton_of_ones_own_has_no_raw_files(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = Manifest(**read_manifest(exported / "engine").__dict__ | {"dataset": "", "layout": "hand"})
    monkeypatch.setattr(predict_module, "open_engine", lambda folder, runtime: _FakeEngine(manifest))
    with pytest.raises(ValueError, match="engine: is for the skeleton 'hand', whose raw files are not known"):
        predict("engine", ["a.skeleton"])


def test_accuracy_is_that_of_the_models(exported: Path) -> None:
    config = load_config(exported / "config.yaml", "joint")
    result = fuse_engine(exported / "engine", config, "onnxruntime")
    clips = np.load(exported / "val_data_joint.npy")
    joints = np.concatenate([to_input(clip, config.test_feeder_args, NTU) for clip in clips])
    joint, bone, _ = eager_answers(exported, joints)
    expected = fuse_arrays({"joint": joint, "bone": bone}, np.arange(12) % CLASSES, 0.5)
    assert result == {**expected, "runtime": "onnxruntime on cpu"}
    assert list(expected) == ["clips", "joint_top1", "bone_top1", "top1", "top5", "mean_class_accuracy", "alpha"]


def test_clips_are_drawn_as_when_testing(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turned = "test_feeder_args.random_rotate=[0, 30, 0]"
    overrides = ["test_feeder_args.sample=uniform", turned, "seed=4", "test_windows=3"]
    config = load_config(exported / "config.yaml", "joint", overrides)
    manifest = Manifest(**read_manifest(exported / "engine").__dict__ | {"feeder_args": feeder_settings(config)})
    engine, shown, fused = _FakeEngine(manifest), [], {}

    def run(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shown.append(joints)
        scores = joints[:, :2, :3, 0, 0].reshape(-1, CLASSES)
        return scores, 2 * scores, 3 * scores

    def fuse(logits: dict[str, np.ndarray], *args: object, **options: object) -> dict[str, float]:
        fused.update(logits)
        return {}

    monkeypatch.setattr(engine, "run", run)
    monkeypatch.setattr(predict_module, "open_engine", lambda folder, runtime: engine)
    monkeypatch.setattr(predict_module, "fuse_arrays", fuse)
    fuse_engine("engine", config)
    feed = BatchLoader(open_test_clips(config), config.test_feeder_args, NTU, torch.device("cpu"), config.seed)
    chunk = batches_in_order(np.arange(12), 12)
    expected = np.stack([next(feed.batches(chunk, epoch)).clips.numpy() for epoch in (None, 1, 2)])
    assert not np.allclose(expected[0], expected[1]) and not np.allclose(expected[1], expected[2])
    np.testing.assert_array_equal(np.concatenate(shown), expected.reshape(-1, *expected.shape[2:]))
    mean = expected.mean(axis=0)[:, :2, :3, 0, 0].reshape(-1, CLASSES)
    np.testing.assert_allclose(fused["joint"], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fused["bone"], 2 * mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["test_feeder_args.window_size=52"], "engine: engine for T=16, the config gives T=52"),
        (["model_args.num_class=60"], "engine for 6 classes, the config asks for 60"),
        (["test_feeder_args.centre=true"], "was exported for other test_feeder_args"),
        (["test_feeder_args.data_path=no_joint.npy"], "no_joint.npy: no such file"),
    ],
)
def test_engine_for_another_configuration(exported: Path, overrides: list[str], message: str) -> None:
    none: dict = dict.fromkeys(("joint_scores", "bone_scores", "label"))
    engine, config = (str(exported / name) for name in ("engine", "config.yaml"))
    with pytest.raises(ValueError, match=message):
        run_fuse_eval(None, engine, config, None, False, more=(), overrides=overrides, **none)
