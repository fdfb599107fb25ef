"""What only some systems have is not needed: its modules and calls are taken away here."""

import ctypes
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prep_files import write_ntu_folder

from agcn.device import free_memory
from agcn.training.memory import keep_freed_memory
from native_prep.io.arrays import RowFile
from native_prep.io.atomic import is_alive
from native_prep.pipeline.prepare import prepare

ROOT = Path(__file__).resolve().parents[2]
# Imports all modules, and prepares clips, where nothing is at hand that Windows lacks.
ELSEWHERE = """
import importlib, os, pkgutil, sys
import filelock, matplotlib.pyplot, numba, onnxruntime, torch.utils.tensorboard  # theirs may use what they find

filelock.FileLock = filelock.SoftFileLock  # its lock for this system wants this system
for name in ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty", "syslog"):
    sys.modules[name] = None
for name in (
    "O_CLOEXEC O_NONBLOCK fork getloadavg getpgid getuid killpg mkfifo posix_fadvise pread preadv pwrite pwritev "
    "sched_getaffinity setsid statvfs sysconf uname"
).split():
    delattr(os, name)
import cli, agcn, bench, export, native_prep
for room in (native_prep, agcn, export, bench):
    for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
        importlib.import_module(module.name)
from native_prep.pipeline.prepare import prepare
prepare("ntu60", sys.argv[1], sys.argv[2], benchmarks=["xview"], formats=["npy", "packed"], max_frames=40)
"""


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_without_what_windows_lacks(tmp_path: Path) -> None:
    raw = write_ntu_folder(tmp_path / "raw")
    prepare("ntu60", raw, tmp_path / "here", benchmarks=["xview"], formats=["npy", "packed"], max_frames=40)
    done = subprocess.run(
        (sys.executable, "-W", "error", "-c", ELSEWHERE, str(raw), str(tmp_path / "there")),
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    here, there = files(tmp_path / "here"), files(tmp_path / "there")
    assert here == there and any(name.endswith("frames.npy") for name in here)


def test_rows_without_pwrite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pwrite")
    rows = np.random.default_rng(0).random((64, 300, 7), np.float32)
    with RowFile(tmp_path / "part", tmp_path / "rows.npy", (300, 7)) as file, ThreadPoolExecutor(8) as pool:
        list(pool.map(file.write, [file.reserve() for _ in rows], rows))
    np.testing.assert_array_equal(np.load(tmp_path / "part"), rows)


class Kernel32:
    """Windows' calls about processes: 7 runs, 8 has ended but is still known, 9 is another user's."""

    def __init__(self) -> None:
        self.error, self.closed = 0, 0
        self.OpenProcess = lambda access, inherits, pid: self._open(pid)
        self.WaitForSingleObject = lambda handle, milliseconds: {7: 258, 8: 0}[handle.value]

    def _open(self, pid: int) -> int | None:
        self.error = {7: 0, 8: 0, 9: 5}.get(pid, 87)
        return None if self.error else pid

    def CloseHandle(self, handle: Any) -> None:
        self.closed += 1

    def GlobalMemoryStatusEx(self, status: Any) -> None:
        assert ctypes.sizeof(status) == status[0] == 64
        status[1], status[2] = 16 << 30, 5 << 30


@pytest.fixture
def kernel32(monkeypatch: pytest.MonkeyPatch) -> Kernel32:
    kernel = Kernel32()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "WinDLL", lambda name, use_last_error: kernel, raising=False)
    monkeypatch.setattr(ctypes, "windll", type("Loader", (), {"kernel32": kernel}), raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: kernel.error, raising=False)
    return kernel


def test_on_windows_a_process_is_asked_after_and_not_ended(kernel32: Kernel32, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "kill")
    assert [is_alive(pid) for pid in (7, 8, 9, 10)] == [True, False, True, False]
    assert kernel32.closed == 2


def test_free_memory_elsewhere(kernel32: Kernel32, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    assert free_memory(torch.device("cpu")) == 5 << 30
    monkeypatch.setattr(sys, "platform", "darwin")
    assert free_memory(torch.device("cpu")) > 1 << 28
    assert not keep_freed_memory()
