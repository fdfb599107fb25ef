"""What a killed run left is taken only where nothing has changed that decides about the numbers."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from packed_stores import contents
from pose_files import walker, write_labels, write_openpose

from native_prep.poses.custom import prepare_custom
from native_prep.poses.write_clips import Clip, write_clips

ROWS = [(f"c{number}", number % 2, "val" if number > 3 else "train") for number in range(6)]
GIVEN: dict = {"image_size": "1000x1000", "formats": ("packed",), "streams": ("joint",)}


def array(folder: Path, suffix: str = ".npy") -> Path:
    folder.mkdir()
    clips = np.stack([walker(9, seed=number)[None] for number in range(6)])
    (np.savez if suffix == ".npz" else np.save)(folder / f"all{suffix}", clips)
    write_labels(folder / "labels.csv", ROWS)
    return folder / f"all{suffix}"


def zipped(folder: Path) -> Path:
    return array(folder, ".npz")


def openpose(folder: Path) -> Path:
    for number, (name, *_) in enumerate(ROWS):
        write_openpose(folder / name, {frame: [walker(9, 18, number)[frame]] for frame in range(9)})
    write_labels(folder / "labels.csv", ROWS)
    return folder


def swap_labels(path: Path) -> None:
    write_labels(path.parent / "labels.csv", [ROWS[2], ROWS[1], ROWS[0], *ROWS[3:]])


def write_again(path: Path) -> None:
    np.savez(path, np.stack([walker(9, seed=number + 50)[None] for number in range(6)]))


def swap_frames(path: Path) -> None:
    first, second = sorted((path / "c1").iterdir())[:2]
    for file in (first, second):
        os.utime(file, (1, 1))
    assert first.stat().st_size != second.stat().st_size
    first.rename(path / "x")
    second.rename(first)
    (path / "x").rename(second)


@pytest.mark.parametrize(("write", "change"), [(array, swap_labels), (zipped, write_again), (openpose, swap_frames)])
def test_what_changed_is_made_again(tmp_path: Path, write: Callable, change: Callable) -> None:
    path, out = write(tmp_path / "raw"), tmp_path / "out"
    layout = "openpose18" if write is openpose else "coco17"
    for resumed in (0, 1):  # the first leaves what a run leaves that was killed at its end
        assert prepare_custom(path, out, layout=layout, **GIVEN)["resumed"] == resumed
        (out / "packed").rename(out / ".packed.shards")
    change(path)
    assert prepare_custom(path, out, layout=layout, **GIVEN)["resumed"] == 0
    prepare_custom(path, tmp_path / "anew", layout=layout, **GIVEN)
    assert contents(out) == contents(tmp_path / "anew")


def test_clips_of_a_program_are_always_made(tmp_path: Path) -> None:
    for seed in (0, 50):
        clips = [
            Clip(name, walker(9, seed=seed + number), label, split) for number, (name, label, split) in enumerate(ROWS)
        ]
        assert write_clips(clips, tmp_path / "out", "coco17", **GIVEN)["resumed"] == 0
        (tmp_path / "out/packed").rename(tmp_path / "out/.packed.shards")


def test_a_shard_without_its_note_is_made_again(tmp_path: Path) -> None:
    path, out = array(tmp_path / "raw"), tmp_path / "out"
    prepare_custom(path, out, layout="coco17", **GIVEN)
    (out / "packed").rename(out / ".packed.shards")
    (note,) = out.glob(".packed.shards/*/shard.json")
    note.unlink()
    assert prepare_custom(path, out, layout="coco17", **GIVEN)["resumed"] == 0
