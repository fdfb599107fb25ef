"""The usual places: commands without options go from raw files to an engine, and say what is to run first."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from exported import three_blocks
from pose_files import write_array_folder

from agcn.commands import test_streams as score_streams
from agcn.commands import train_streams
from agcn.config import find_config, load_config, shipped_configs
from agcn.defaults import CONFIGS, default_config
from agcn.evaluate import open_test_clips
from agcn.streams import default_engine_folder, load_streams
from agcn.training import train as training
from export.commands import run_export as export
from export.commands import run_fuse_eval as fuse_eval
from export.commands import run_predict as predict
from native_prep.pipeline.prepare import prepare
from native_prep.poses.custom import prepare_custom
from native_prep.synth.make import synth

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("num_epoch=1", "batch_size=4", "model_args.base_channels=8", "warm_up_epoch=0")
SCORES: dict = dict.fromkeys(("joint_scores", "bone_scores", "label"))
LIVE: dict = dict.fromkeys(("follow", "idle", "timeline", "window", "stride", "fps", "gone", "part", "out"))


def fuse(
    dataset: str | None = None, engine: str | None = None, config: str | None = None, overrides: tuple[str, ...] = ()
) -> dict:
    return fuse_eval(dataset, engine, config, None, False, more=(), overrides=overrides, **SCORES)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with made recordings in the usual place, prepared; it is the working folder."""
    monkeypatch.chdir(tmp_path)
    raw = Path("data/nturgbd_raw/nturgb+d_skeletons")
    synth("ntu60", raw, clips=24, classes=3, frames=12)
    prepare("ntu60", max_frames=16)
    return tmp_path


def test_commands_without_options(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.request.choose_flavor", lambda name: None)  # the graph alone
    with three_blocks():
        trained = train_streams(None, None, (), SMALL, device="cpu")["streams"]
        assert list(trained) == ["joint", "bone"] and trained["bone"]["stream"] == "bone"
        assert trained["joint"]["checkpoint"].startswith("work_dir/ntu/xsub/agcn_joint/")
        fused = fuse()
        assert fused["joint_top1"] == trained["joint"]["best_top1"]
        tested = score_streams(None, None, (), SMALL, device="cpu")["streams"]
        assert tested["bone"]["weights"] == "work_dir/ntu/xsub/agcn_bone/best.pt"
        assert fuse()["top1"] == pytest.approx(fused["top1"])
        alone = score_streams(None, None, (), SMALL, weights=tested["joint"]["weights"], device="cpu")
        assert (alone["stream"], alone["top1"]) == ("joint", tested["joint"]["top1"])
        elsewhere = score_streams(None, None, ("bone",), SMALL, work_dir="apart", device="cpu")
        assert elsewhere["scores"] == "apart/epoch1_test_score.pkl" and elsewhere["top1"] == tested["bone"]["top1"]
        moved = "moved/{stream}"
        train_streams(None, None, (), SMALL, work_dir=moved, device="cpu")
        again = score_streams(None, None, (), SMALL, work_dir=moved, device="cpu")["streams"]
        assert again["bone"]["weights"] == "moved/bone/best.pt"
        there = fuse(overrides=("work_dir=moved/{stream}",))
        assert there["joint_top1"] == again["joint"]["top1"] and there["bone_top1"] == again["bone"]["top1"]
        made = export(None, None, SMALL)
    assert made["onnx"] == "engines/ntu/xsub/two_stream.onnx" and made["passed"]
    clip = next(Path("data/nturgbd_raw/nturgb+d_skeletons").glob("*.skeleton"))
    given = {**LIVE, "stream": False, "realtime": False, "stores": ()}
    assert predict(None, (str(clip),), 2, dataset="ntu/xsub", **given)["clips"][0]["top"]
    with (
        pytest.raises(ValueError, match=r"joint_motion/best\.pt: no such file: run train --stream joint_m"),
        three_blocks(),
    ):
        export(None, None, SMALL, streams=4)


def test_a_second_stream_that_is_stopped_leaves_the_first_whole(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, calls = training.train_step, []

    def stops(self, *args):
        calls.append(self.config.stream)
        if calls.count("bone") == 1:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(training, "train_step", stops)
    with three_blocks(), pytest.raises(KeyboardInterrupt):
        train_streams(None, None, (), SMALL, device="cpu")
    joint = Path("work_dir/ntu/xsub/agcn_joint")
    before = (joint / "best.pt").read_bytes()
    monkeypatch.setattr(training, "train_step", step)
    with pytest.raises(ValueError, match="agcn_joint: holds a run of 1 of 1 epochs"):
        train_streams(None, None, (), SMALL, device="cpu")
    with three_blocks():
        resumed = train_streams(None, None, (), SMALL, device="cpu", resume=True)["streams"]
    assert resumed["joint"]["clips_per_second"] == 0 and resumed["bone"]["clips_per_second"] > 0
    assert (joint / "best.pt").read_bytes() == before and Path("work_dir/ntu/xsub/agcn_bone/best.pt").is_file()


def test_what_the_last_stream_lacks_is_told_before_the_first_is_trained(data: Path) -> None:
    shutil.rmtree("data/ntu")
    with pytest.raises(ValueError, match="nothing to resume from"):
        train_streams(None, None, (), SMALL, device="cpu", resume=True)
    prepare("ntu60", max_frames=16, streams=("joint",))
    with pytest.raises(ValueError, match=r"data/ntu/xsub/train_data_bone\.npy: no such file: run prep"):
        train_streams(None, None, (), SMALL, device="cpu")
    assert not Path("work_dir").exists()


def test_fixed_paths_are_one_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fixed = Path("fixed.yaml")
    fixed.write_text(find_config("ntu-xsub").read_text().replace("{stream}", "bone"))
    (one,) = load_streams("fixed.yaml", ())
    assert (one.stream, one.work_dir) == ("bone", "work_dir/ntu/xsub/agcn_bone")
    assert [one.work_dir[-5:] for one in load_streams("fixed.yaml", ("joint", "bone"))] == ["joint", "_bone"]
    fixed.write_text(fixed.read_text().replace("work_dir/ntu/xsub/agcn_bone", "work_dir/mine"))
    with pytest.raises(
        ValueError, match="work_dir work_dir/mine names no stream, and several streams need a folder each"
    ):
        load_streams("fixed.yaml", ("joint", "bone"))
    with pytest.raises(ValueError, match="--work-dir x: several streams need one each"):
        load_streams("ntu-xsub", (), work_dir="x")
    assert [one.work_dir for one in load_streams("ntu-xsub", (), work_dir="x/{stream}")] == ["x/joint", "x/bone"]


def test_every_data_set_has_its_places() -> None:
    for dataset, config in CONFIGS.items():
        assert default_config(dataset, None) == config and config in shipped_configs()
        (joint, bone) = load_streams(config, ())
        assert joint.work_dir == f"work_dir/{dataset}/agcn_joint" and bone.work_dir == f"work_dir/{dataset}/agcn_bone"
        assert str(Path(joint.test_feeder_args.label_path).parent) == f"data/{dataset}"
        assert default_engine_folder(joint) == Path("engines", dataset)
    assert default_engine_folder(load_streams("nw-ucla-strong", ("joint",))[0]) == Path("engines/nw-ucla-strong")
    assert default_engine_folder(load_streams("kinetics", (), work_dir="/tmp/x/{stream}")[0]) == Path("engines/x")
    assert default_engine_folder(load_streams("aagcn-ntu-xsub", ("bone",))[0]) == Path("engines/ntu/xsub-aagcn")


def test_configurations_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ntu-xsub", "ntu-xsub.yaml", "configs/ntu-xsub.yaml"):
        assert load_config(name).work_dir == "work_dir/ntu/xsub/agcn_joint"
    Path("ntu-xsub.yaml").write_text("work_dir: mine\n")
    assert load_config("ntu-xsub.yaml").work_dir == "mine"  # a file of one's own comes first
    for name, advice in (
        ("nowhere.yaml", r"use one of aagcn-ntu-xsub, .*, nw-ucla-strong-aligned$"),
        ("elsewhere/ntu-xsub.yaml", r"did you mean 'ntu-xsub'\? There are aagcn"),
        ("ntu-xsup", r"did you mean 'ntu-xsub'\? There are aagcn"),
    ):
        with pytest.raises(ValueError, match=rf"^{name}: no such file, nor a shipped configuration: {advice}"):
            load_config(name)


def test_ones_own_data_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare_custom(write_array_folder(tmp_path / "raw"), "data/custom", layout="coco17", image_size="640x480")
    with three_blocks():
        trained = train_streams("custom", None, ("bone",), SMALL, device="cpu")
    assert trained["stream"] == "bone" and Path("work_dir/custom/agcn_bone/best.pt").is_file()
    assert len(open_test_clips(load_streams("custom", ("bone",))[0])) == 4
    with pytest.raises(ValueError, match=r"agcn_joint/best\.pt: no such file: run train --dataset custom --str"):
        export("custom", None, SMALL)


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="processes talk by gloo")
def test_two_processes_train_both_streams(data: Path) -> None:
    words = ["train", "--device", "cpu", "--set", *SMALL]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(ROOT / "cli.py"), *words],
        capture_output=True, text=True, timeout=600, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert list(result["streams"]) == ["joint", "bone"]
