"""Whatever the bytes: the kernels report, they never fail, and never read outside their buffer.

`AGCN_FUZZ=100000 python -m pytest tests/kernels/test_fuzz.py` tries that many mutations of each way and kind of file.
"""

import ctypes
import mmap
import os
import random
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from mutations import mutated, seeds

from native_prep.cpu.reader import CODE, Reader, reason
from native_prep.datasets.catalog import get_dataset
from native_prep.kernels.jit import njit
from native_prep.kernels.swar import SLACK, classify_wide

CASES = int(os.environ.get("AGCN_FUZZ", "1000"))


def recordings(shared: Path) -> dict[str, list[bytes]]:
    """A few real recordings of each kind."""
    wanted = {"ntu60": ("ntu", ".skeleton"), "kinetics": ("kinetics", ".json"), "nw-ucla": ("nw-ucla", ".json")}
    texts: dict[str, list[bytes]] = {}
    for name, (archive, suffix) in wanted.items():
        with tarfile.open(shared / "data" / f"{archive}.tar.xz") as files:
            for member in files:
                usable = member.isfile() and member.name.endswith(suffix) and "label" not in member.name
                if usable and member.size > 10_000:
                    texts.setdefault(name, []).append(files.extractfile(member).read())
                if len(texts.get(name, ())) == 5:
                    break
    return texts


def fuzz(folder: Path, cases: int, seed: int, sources: dict[str, list[bytes]]) -> dict[str, int]:
    """How many of `cases` mutations of each kind of file are still good."""
    rng = random.Random(seed)
    good = {}
    for name, texts in sources.items():
        reader = Reader(get_dataset(name), ("joint", "bone_motion"), 300, 50)
        good[name] = 0
        for start in range(0, cases, 50):
            paths = [folder / f"{name}{start + number}" for number in range(50)]
            for path in paths:
                path.write_bytes(mutated(rng.choice(texts), rng))
            reports = reader.run([str(path) for path in paths])
            for number, (path, report) in enumerate(zip(paths, reports, strict=True)):
                if report[CODE] == 0:
                    good[name] += 1
                    assert np.isfinite(reader.rows[number]).all()
                else:
                    assert ": " in reason(str(path), report)
                path.unlink()
    return good


def test_mutations(tmp_path):
    good = fuzz(tmp_path, CASES, 3, seeds())
    assert all(0 < count < CASES for count in good.values()), good


def test_mutations_of_recordings(tmp_path, shared):
    sources = recordings(shared)
    assert sources.keys() == seeds().keys()
    good = fuzz(tmp_path, CASES // 5, 5, sources)
    assert all(0 < count < CASES // 5 for count in good.values()), good


def child(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` with the names of this module in a process of its own."""
    here = Path(__file__).resolve()
    folders = (here.parent, here.parents[1] / "helpers", here.parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)), **environment}
    command = [sys.executable, "-c", f"from test_fuzz import *; {code}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)


def character(text: np.ndarray, at: int) -> int:
    return text[at]


@pytest.mark.long(50)
def test_mutations_with_bounds_checks(tmp_path):
    checked = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_OPT": "1"}  # compiling takes nearly all of the time
    done = child(f"fuzz(Path({str(tmp_path)!r}), {CASES}, 4, seeds())", tmp_path, **checked)
    assert done.returncode == 0, done.stderr[-2000:]
    done = child("njit(character)(np.zeros(3, np.uint8), 3)", tmp_path, **checked)
    assert "IndexError" in done.stderr, "the checks are on"


def before_a_wall() -> tuple[mmap.mmap, np.ndarray, int]:
    """Memory, its bytes, and where a page begins in it whose every read ends the process."""
    memory = mmap.mmap(-1, 64 * mmap.PAGESIZE)
    text = np.frombuffer(memory, np.uint8)
    wall = len(memory) - mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(text.ctypes.data + wall), mmap.PAGESIZE, 0) == 0, ctypes.get_errno()
    return memory, text, wall


def fuzz_before_a_wall(folder: Path, cases: int) -> None:
    """Each mutation lies right before that page, with no more than its `SLACK` behind it.

    Bounds checks do not see the loads of 32 characters in `words.classify_wide`; the processor does.
    """
    rng = random.Random(6)
    _memory, text, wall = before_a_wall()
    path = folder / "case"
    for name, texts in seeds().items():
        reader = Reader(get_dataset(name), ("joint",), 300, 1)
        for _ in range(cases):
            content = mutated(rng.choice(texts), rng)
            path.write_bytes(content)
            # The reader wants room for one byte more than the file has, which it does not touch.
            reader._text = text[wall - len(content) - SLACK : wall + 1]
            reader.run([str(path)])


def look_before_a_wall(behind: int) -> None:
    """Loads 32 characters of which `behind` lie behind the text."""
    _memory, text, wall = before_a_wall()
    njit(lambda text, at: classify_wide(text, at))(text[:wall], wall - 32 + behind)


def test_no_read_outside_the_text(tmp_path):
    done = child(f"fuzz_before_a_wall(Path({str(tmp_path)!r}), {CASES})", tmp_path)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    assert child("look_before_a_wall(0)", tmp_path).returncode == 0
    assert child("look_before_a_wall(1)", tmp_path).returncode in (-signal.SIGSEGV, -signal.SIGBUS), "the wall stands"
