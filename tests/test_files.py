"""Outputs are whole or absent, and a pickle cannot run code."""

import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from native_prep.files import OutputSet, hidden, load_pickle, save_pickle, whole_file


def test_outputs_appear_together(tmp_path: Path) -> None:
    with OutputSet() as outputs:
        outputs.part(tmp_path / "new/a").write_text("a")
        outputs.part(tmp_path / "new/b").write_text("b")
        assert not (tmp_path / "new/a").exists()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a", "b"]


def test_nothing_appears_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), OutputSet() as outputs:
        outputs.part(tmp_path / "a").write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_run_left_is_swept_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    ours = hidden(tmp_path / "a").name
    (tmp_path / ours.replace(str(os.getpid()), str(dead.pid))).write_text("half")
    others = [ours.replace(str(os.getpid()), str(os.getppid())), f".a.another-machine.{dead.pid}.part"]
    for name in others:
        (tmp_path / name).write_text("another run's")
    with whole_file(tmp_path / "a") as part:
        part.write_text("a")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a", *others])


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="is a folder"), whole_file(tmp_path / "a"):
        pass


def test_plain_values_come_back(tmp_path: Path) -> None:
    value = OrderedDict(a=np.arange(3, dtype=np.float32), b=np.float32(0.5), c=[1, "x", None])
    save_pickle(tmp_path / "p.pkl", value)
    back = load_pickle(tmp_path / "p.pkl")
    np.testing.assert_array_equal(back["a"], value["a"])
    assert back["b"] == 0.5 and back["c"] == [1, "x", None]


class Evil:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("evil",)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.pkl").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match=r"p\.pkl: not a pickle of plain values \(it wants to run posix\.mkdir"):
        load_pickle(tmp_path / "p.pkl")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("raw", [b"", b"not a pickle", b"\x80\x04", pickle.dumps([1, 2])[:-3], bytes(range(256))])
def test_what_is_no_pickle_is_named(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "p.pkl").write_bytes(raw)
    with pytest.raises(ValueError, match=r"p\.pkl: not a pickle"):
        load_pickle(tmp_path / "p.pkl")
