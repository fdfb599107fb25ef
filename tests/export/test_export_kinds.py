"""Exports of four streams, with the preparation inside, and of every body."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from exported import FRAMES, export_job, write_job

from agcn.config import load_config
from export.manifest import read_manifest
from export.runtime.open import open_engine
from export.runtime.predict import fuse_engine, predict
from native_prep.reference import prepare_raw_clip, raw_ntu_clip
from native_prep.skeletons.layouts import NTU
from native_prep.synth.make import synth


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    write_job(folder)
    return folder


@pytest.fixture(scope="module")
def plain(job: Path) -> Path:
    assert export_job(job, job / "plain", targets=["none"])["passed"]
    return job / "plain"


def test_preparation_inside_the_graph(job: Path, plain: Path, tmp_path: Path) -> None:
    result = export_job(job, tmp_path / "raw", with_prep=True, targets=["none"])
    assert result["passed"], result["parity"]
    assert read_manifest(tmp_path / "raw").with_prep
    synth("ntu60", tmp_path / "clips", clips=4, frames=8)
    files = sorted(path for path in (tmp_path / "clips").rglob("*.skeleton"))
    raw = np.stack([raw_ntu_clip(path, 300)[:, :FRAMES] for path in files])
    prepared = np.stack([prepare_raw_clip(clip, NTU) for clip in raw])
    for got, expected in zip(open_engine(tmp_path / "raw").run(raw), open_engine(plain).run(prepared), strict=True):
        assert np.abs(got - expected).max() < 1e-4 * np.abs(expected).max()
    short = [path for path in files if int(path.read_text().split()[0]) <= FRAMES]
    assert short, "some made clips fit"
    named, expected = (predict(folder, short[:1], top=1)["clips"] for folder in (tmp_path / "raw", plain))
    assert named[0]["top"][0]["label"] == expected[0]["top"][0]["label"]
    assert named[0]["top"][0]["score"] == pytest.approx(expected[0]["top"][0]["score"], rel=1e-3)
    with pytest.raises(ValueError, match="takes raw joints, a test split holds prepared ones"):
        fuse_engine(tmp_path / "raw", load_config(job / "config.yaml", stream="joint"))


def test_preparation_of_other_clips_is_refused(tmp_path: Path) -> None:
    write_job(tmp_path / "moved", centre=True)
    with pytest.raises(ValueError, match=r"test_feeder_args\.centre changes clips after their preparation"):
        export_job(tmp_path / "moved", tmp_path / "out", with_prep=True, targets=["none"])
    write_job(tmp_path / "short", window_size=32)
    with pytest.raises(ValueError, match="the test data has T=16, padded to the 32"):
        export_job(tmp_path / "short", tmp_path / "out", with_prep=True, targets=["none"])
    write_job(tmp_path / "alone", persons=1)
    with pytest.raises(ValueError, match="have up to 300 frames and 2 bodies, the model takes 16 and 1"):
        export_job(tmp_path / "alone", tmp_path / "out", with_prep=True, targets=["none"])


def test_four_streams(job: Path, plain: Path, tmp_path: Path) -> None:
    motions = {"joint_motion_weights": job / "bone.pt", "bone_motion_weights": job / "joint.pt"}
    result = export_job(job, tmp_path / "four", motion_alpha=0.25, targets=["none"], **motions)
    assert result["passed"], result["parity"]
    names = [output.name for output in onnx.load(tmp_path / "four" / "two_stream.onnx").graph.output]
    assert names == ["joint_logits", "bone_logits", "joint_motion_logits", "bone_motion_logits", "scores"]
    joints = np.load(job / "val_data_joint.npy")
    joint, bone, joint_motion, bone_motion, scores = open_engine(tmp_path / "four").run(joints)
    fused = joint + 0.5 * bone + 0.25 * (joint_motion + bone_motion)
    assert np.abs(scores - fused).max() < 1e-5 * np.abs(fused).max()
    assert np.allclose(joint, open_engine(plain).run(joints)[0], rtol=1e-4, atol=1e-5)
    found = fuse_engine(tmp_path / "four", load_config(job / "config.yaml", stream="joint"))
    labels = np.arange(len(joints)) % read_manifest(plain).num_class
    assert found["top1"] == (scores.argmax(axis=1) == labels).mean()
    assert found["streams"]["joint_motion"]["weight"] == 0.25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"streams": 4}, "4 streams, and no checkpoint of joint_motion: give --joint-motion-weights"),
        ({"streams": 3}, "--streams 3: a graph has 2 or 4 streams"),
        ({"joint_motion_weights": "joint.pt"}, "4 streams, and no checkpoint of bone_motion"),
        (
            {"joint_motion_weights": "joint.pt", "bone_motion_weights": "bone.pt", "streams": 2},
            "--streams 2, and a checkpoint of joint_motion",
        ),
        ({"motion_alpha": float("inf")}, "motion alpha is inf"),
        ({"refittable": True}, "--refittable"),
        ({"aot": "cuda"}, "--aot cuda: a package is compiled on a machine with the GPU"),
        ({"aot": "cpu", "precision": "tf32"}, "tf32: is for engines"),
        ({"aot": "cpu", "precision": "int8"}, "packages of AOTInductor compute in floating point"),
    ],
)
def test_contradictions(job: Path, tmp_path: Path, options: dict, message: str, monkeypatch) -> None:
    monkeypatch.setattr("export.engines.aotinductor.present_target", lambda: None)
    monkeypatch.setattr("export.request.present_target", lambda: None)
    paths = {name: job / value for name, value in options.items() if name.endswith("weights")}
    with pytest.raises(ValueError, match=message):
        export_job(job, tmp_path / "out", **{"targets": [], **options, **paths})
    assert not (tmp_path / "out").exists()


def test_every_body(job: Path, plain: Path, tmp_path: Path) -> None:
    assert export_job(job, tmp_path / "dense", dense=True, targets=["none"])["passed"]
    operations = [
        {node.op_type for node in onnx.load(folder / "two_stream.onnx").graph.node}
        for folder in (tmp_path / "dense", plain)
    ]
    assert "NonZero" not in operations[0] and "NonZero" in operations[1]
    joints = np.load(job / "val_data_joint.npy")
    for one, other in zip(open_engine(tmp_path / "dense").run(joints), open_engine(plain).run(joints), strict=True):
        assert np.abs(one - other).max() < 1e-5 * np.abs(one).max()
