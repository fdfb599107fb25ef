"""The progress bar and its lines: what they say while kernels are compiled for the first time."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from native_prep.io import progress as module
from native_prep.io.progress import Progress
from native_prep.synth.make import write_ntu

ROOT = Path(__file__).resolve().parents[2]


def test_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    with Progress(48, "prep", "clip") as progress:
        assert progress._line() == "prep: 0/48 clips, time left not known yet"
        monkeypatch.setattr(module, "compiling", {"kernel"})
        assert progress._line() == "prep: compiling, first use only"
        progress.update(12)
        assert progress._line().startswith("prep: 12/48 clips, ")


def test_first_use_on_a_terminal(tmp_path: Path) -> None:
    write_ntu(tmp_path / "raw", clips=2, classes=2, frames=8)
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = (sys.executable, str(ROOT / "cli.py"), "prep", "--data-path", str(tmp_path / "raw"))
    command += ("--out-folder", str(tmp_path / "out"), "--format", "packed")
    # What a new folder does not hold is compiled.
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "TERM": "xterm"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=follower, env=environment, cwd=tmp_path)
    os.close(follower)
    said, told = b"", re.compile(rb"prep ntu60: compiling, first use only \(\d+:\d+\)")
    while not told.search(said) and select.select([leader], [], [], 300)[0]:
        try:
            part = os.read(leader, 4096)
        except OSError:  # Linux says so where the other end is closed
            break
        if not part:
            break
        said += part
    process.kill()  # compiling all would take most of a minute
    process.wait()
    os.close(leader)
    assert told.search(said), said[-500:]


def test_a_bad_file_is_named_once(tmp_path: Path) -> None:
    write_ntu(tmp_path / "raw", clips=3, classes=3, frames=8)
    bad = sorted((tmp_path / "raw").rglob("*.skeleton"))[:2]
    for path in bad:
        path.write_text("x\n")
    command = (sys.executable, str(ROOT / "cli.py"), "prep", "--data-path", str(tmp_path / "raw"))
    done = subprocess.run((*command, "--out-folder", str(tmp_path / "out")), capture_output=True, text=True)
    assert done.returncode == 2
    assert [done.stderr.count(path.name) for path in bad] == [1, 1]
    assert done.stderr.splitlines()[-1].startswith(f"Error: {bad[0]}:1: ") and "(2 bad files" in done.stderr
