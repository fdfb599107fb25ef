"""Folders of small made files in which the commands of a document run, and how they are run."""

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from doc_blocks import blocks, our_words
from exported import three_blocks
from live_streams import lines_of
from pose_files import annotation, walker, write_labels, write_pyskl
from pose_forms import alphapose, azure_kinect, openpose, ultralytics_json

import cli
from agcn.config import find_config
from native_prep.skeletons.layouts import NW_UCLA, layout_as_dict
from native_prep.synth import motion
from native_prep.synth.make import synth

NTU_RAW = "data/nturgbd_raw/nturgb+d_skeletons"
HAS_VIDEO = all(map(find_spec, ("cv2", "rtmlib", "av")))
NARROW = "model_args.base_channels=16"
SMALL = ("num_epoch=1", "batch_size=8", "test_batch_size=8", "warm_up_epoch=0", "test_windows=1")
Result = dict[str, Any]


def run(*words: str) -> Result:
    """What a command says in its last line; it must end well."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as done:
        cli.main(list(words))
    assert done.value.code == 0, f"{' '.join(words)}: {err.getvalue()[-2000:]}"
    result: Result = json.loads(out.getvalue().splitlines()[-1])
    return result


def smaller(words: list[str]) -> list[str]:
    """The same command with options that keep it small, or stand for what would be downloaded."""
    more: list[str] = []
    if words[0] in ("train", "test", "export-trt"):
        more += ["--set", NARROW, *SMALL[: len(SMALL) if words[0] == "train" else 0]]
    if words[0] == "export-trt" and "--target" not in words:
        more += ["--target", "none"]
    if "--video" in words or words[:4] == ["prep", "custom", "--data-path", "videos"]:
        more += ["--pose-model", "networks/yolox_tiny.onnx,networks/rtmpose.onnx"]
    return [*words, *more]


def run_page(page: str, folder: Path) -> list[tuple[str, Result]]:
    """All commands of a page that are not marked, one after the other in a folder."""
    results = []
    with contextlib.chdir(folder), three_blocks():
        for block in blocks("bash", page):
            for command in [] if block.why else block.commands():
                words = smaller(_with_files(our_words(command) or []))
                if "--pose-model" in words and not HAS_VIDEO:
                    continue
                results.append((command, run(*words)))
    return results


def _with_files(words: list[str]) -> list[str]:
    """As the shell does: `*A001.skeleton` becomes the names of files."""
    spread: list[str] = []
    for word in words:
        spread += sorted(map(str, Path().glob(word))) if "*" in word else [word]
    return spread


def write_ntu(folder: Path) -> None:
    """Raw recordings of NTU 60, in the usual place."""
    synth("ntu60", folder / NTU_RAW, clips=24, classes=3, frames=12)


def write_recordings(folder: Path) -> None:
    """Raw recordings of the data sets, in the usual places."""
    write_ntu(folder)
    synth("ntu120", folder / "made", clips=240, classes=120, frames=8)
    later = folder / "data/nturgbd_raw/nturgb+d_skeletons120"
    later.mkdir()
    for path in (folder / "made").glob("S*.skeleton"):
        if path.name > "S018":
            path.rename(later / path.name)
    shutil.rmtree(folder / "made")
    synth("kinetics", folder / "data/kinetics-skeleton", clips=12, classes=2, frames=12)
    synth("nw-ucla", folder / "data/nw-ucla/all_sqe", clips=24, classes=2, frames=12)
    shutil.make_archive(str(folder / "nturgbd_skeletons_s001_to_s017"), "zip", folder / NTU_RAW)
    shutil.make_archive(str(folder / "kinetics-skeleton"), "gztar", folder / "data", "kinetics-skeleton")


def write_prepared(folder: Path) -> None:
    """Prepared clips of three data sets, and what the page of recipes names besides."""
    write_recordings(folder)
    with contextlib.chdir(folder):
        run("prep", "--max-frames", "96", "--format", "npy", "packed")
        run("prep", "kinetics", "--max-frames", "16", "--stream", *cli.STREAMS)
        run("prep", "nw-ucla")
        # Made by the commands before those that read them.
        for name, stream in (("joint", "joint"), ("bone", "bone"), ("motion", "joint")):
            Path(f"{name}.pkl").symlink_to(f"work_dir/ntu/xview/agcn_{stream}/epoch1_test_score.pkl")


def add_for_engines(folder: Path) -> None:
    """To a folder with runs: what the page of engines names besides."""
    with contextlib.chdir(folder):
        shutil.copy(find_config("ntu-xview"), "my.yaml")
        for stream in ("joint", "bone"):
            shutil.copy(f"work_dir/ntu/xview/agcn_{stream}/best.pt", f"{stream}.pt")
        shutil.copy(min(Path(NTU_RAW).glob("*.skeleton")), "S001C001P001R001A001.skeleton")
        _one_clip(Path("yolo.json"), ultralytics_json, _person(12))


def add_for_live(folder: Path) -> None:
    """To a folder with engines: recordings of any length, streams, videos."""
    with contextlib.chdir(folder):
        synth("ntu60", "hour", clips=1, classes=1, frames=130)
        (path,) = Path("hour").glob("*.skeleton")
        path.rename("hour.skeleton")
        Path("frames.jsonl").write_text("\n".join(lines_of(Path("hour.skeleton"))) + "\n")
        write_videos(Path())


def write_videos(folder: Path) -> None:
    """Videos of two classes, two more, and the networks that find people in them."""
    if not HAS_VIDEO:
        return
    from stick_figures import write_models, write_video

    write_models(folder / "networks")
    for number in range(3):
        for action in ("wave", "squat"):
            write_video(folder / f"videos/{action}/{number}.mp4", np.arange(12) / (10 + 5 * number), action)
    write_video(folder / "new.mp4", np.arange(30) / 30, "wave", "squat", rotation=90)
    write_video(folder / "street.mp4", np.arange(20) / 20, "wave")


def _person(frames: int, joints: int = 17, seed: int = 0) -> list[list[np.ndarray]]:
    return [[one] for one in walker(frames, joints, seed)]


def _in_space(frames: int, joints: int, seed: int) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    rest = rng.uniform(-0.5, 0.8, (joints, 3)) + np.array((0.0, 0.0, 2.5))
    return [[rest + rng.normal(0, 0.02, rest.shape)] for _ in range(frames)]


def _one_clip(path: Path, write: Callable, people: list[list[np.ndarray]]) -> None:
    """A clip in a program's form, under another name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    inside = path.parent / "writing"
    inside.mkdir()
    write(inside, people).rename(path)
    inside.rmdir()


def _classes(folder: str, suffix: str, write: Callable, people: Callable[[int], list[list[np.ndarray]]]) -> None:
    """Folders CLASS/CLIP of two classes."""
    for seed in range(12):
        _one_clip(Path(folder, ("wave", "fall")[seed % 2], f"clip{seed}{suffix}"), write, people(seed))


def write_own_data(folder: Path) -> None:
    """Poses in the forms that the page of one's own data has commands for."""
    with contextlib.chdir(folder):
        _classes("poses", ".json", ultralytics_json, lambda seed: _person(10 + seed, seed=seed))
        _classes("yolo_json", ".json", ultralytics_json, lambda seed: _person(10 + seed, seed=seed))
        _classes("halpe_json", ".json", alphapose, lambda seed: _person(10, 26, seed))
        _classes("azure_json", ".json", azure_kinect, lambda seed: _in_space(20, 32, seed))
        _one_clip(Path("new_clip.json"), ultralytics_json, _person(15))
        clips = [annotation(f"clip{seed}", seed % 2, walker(10, seed=seed)[None]) for seed in range(8)]
        names = [clip["frame_dir"] for clip in clips]
        write_pyskl(Path("ucf101_hrnet.pkl"), clips, {"train1": names[:6], "test1": names[6:]})
        rows = []
        for seed in range(4):
            _one_clip(Path(f"openpose_json/clip{seed}"), openpose, _person(10, 25, seed))
            rows.append((f"clip{seed}", ("wave", "fall")[seed % 2], ("train", "val")[seed // 2]))
        write_labels(Path("labels.csv"), rows)
        own = {**layout_as_dict(NW_UCLA), "name": "mine", "spine": ["hip centre", "spine"]}
        own["shoulders"] = ["right shoulder", "left shoulder"]
        Path("my_layout.yaml").write_text(yaml.safe_dump(own))
        for name, unit in (("clips_npy", 1.0), ("mocap_npy", 1000.0)):
            Path(name).mkdir()
            for seed in range(4):
                points, _ = motion.performance(3 * (seed % 2), 12, 1.0, np.random.default_rng(seed))
                points = motion.as_layout(points, NW_UCLA) + np.array((0.1, -0.8, 2.5))
                np.save(Path(name, f"clip{seed}.npy"), unit * points)
            write_labels(Path(name, "labels.csv"), rows)
        write_videos(Path())


def copied(source: Path, target: Path) -> Path:
    """A copy to change, without data that take long to copy and are only read."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    return target
