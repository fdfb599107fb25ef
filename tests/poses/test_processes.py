"""Clips that several processes make: the same bytes, and what is wrong in one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from packed_stores import contents
from pose_files import annotation, walker, write_pyskl

from native_prep.io.atomic import is_alive
from native_prep.pipeline.processes import in_processes
from native_prep.poses.custom import prepare_custom

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("native_prep.pipeline.processes._ALONE", 0.0)
    monkeypatch.setattr("native_prep.pipeline.processes._WORTH", 0.0)
    monkeypatch.setattr("native_prep.store.shards.SHARD_CLIPS", 20)


def test_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = [annotation(f"c{n:02}", n % 3, np.stack([walker(4 + n % 7, seed=n)] * (1 + n % 2))) for n in range(50)]
    clips[11]["keypoint"] = clips[11]["keypoint"][..., :3, :]
    clips[37]["total_frames"] = 99
    names = [one["frame_dir"] for one in clips]
    path = write_pyskl(tmp_path / "x.pkl", clips, {"train": names[:30], "val": names[30:]})
    given = {"layout": "coco17", "formats": ("npy", "packed"), "on_bad_file": "skip"}
    alone, both = (prepare_custom(path, tmp_path / str(n), workers=n, **given) for n in (1, 2))
    assert (alone["clips"], alone["bad_files"], alone["shards"]) == (48, 2, 3)
    same = ("clips", "frames", "bad_files", "bytes_read", "warnings", "quality")
    assert {key: both[key] for key in same} == {key: alone[key] for key in same}
    assert contents(tmp_path / "2") == contents(tmp_path / "1")


def _negate(number: int) -> int:
    if number == 5:
        raise ValueError("five")
    return -number


def test_order_and_errors() -> None:
    assert list(in_processes(_negate, [9, 8, 7, 6, 4, 3], 2)) == [-9, -8, -7, -6, -4, -3]
    results = in_processes(_negate, range(9), 2)
    assert [next(results) for _ in range(5)] == [0, -1, -2, -3, -4]
    with pytest.raises(ValueError, match=r"^five$"):
        next(results)


ORPHANS = """
import os, signal, sys, time
from native_prep.pipeline import processes
processes._ALONE = processes._WORTH = 0.0
for number, pid in enumerate(processes.in_processes(lambda number: os.getpid(), range(9), 1 + len(sys.argv))):
    if number == 3:
        print(pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_processes_end_with_the_one_that_began_them() -> None:
    done = subprocess.run((sys.executable, "-c", ORPHANS), capture_output=True, text=True, timeout=60, check=False)
    pid = int(done.stdout)
    for _ in range(100):
        if not is_alive(pid):
            return
        time.sleep(0.1)
    raise AssertionError(f"process {pid} is still there")


def _die(number: int) -> int:
    if number:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_lost_process() -> None:
    with pytest.raises(MemoryError, match=r"a process that read clips was lost.*: give fewer --workers"):
        list(in_processes(_die, range(2), 2))
