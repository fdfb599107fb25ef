"""Outputs are whole or absent, and a pickle cannot run code."""

import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from native_prep.files import OutputSet, Withheld, hidden, load_pickle, save_pickle, whole_file, whole_folder


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


def write_folder(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def is_note(path: Path) -> bool:
    return path.name == "note"


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    final = write_folder(tmp_path / "a", mark="1", old="1", note="mine")
    with whole_folder(final, "mark", is_note) as part:
        (part / "mark").write_text("2")
        assert texts(final) == {"mark": "1", "old": "1", "note": "mine"}
    assert texts(final) == {"mark": "2", "note": "mine"}
    for error in (Withheld, KeyboardInterrupt):
        with (
            pytest.raises(KeyboardInterrupt) if error is KeyboardInterrupt else nullcontext(),
            whole_folder(final, "mark") as part,
        ):
            (part / "mark").write_text("3")
            raise error
    assert texts(final) == {"mark": "2", "note": "mine"} and list(tmp_path.iterdir()) == [final]
    for name, files in (("other", {"thesis": "1"}), ("file", {})):
        place = write_folder(tmp_path / name, **files) if files else tmp_path / name
        if not files:
            place.write_text("")
        with pytest.raises(ValueError, match="is a f"), whole_folder(place, "mark"):
            pass
    with pytest.raises(ValueError, match="is not an empty folder"), whole_folder(final):
        pass


@pytest.mark.parametrize("moved_in", [False, True])
def test_a_kill_between_two_renames_is_mended(tmp_path: Path, moved_in: bool) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    final = tmp_path / "a"
    for kind in ("old", "part"):
        name = hidden(final, kind).name.replace(f".{os.getpid()}.", f".{dead.pid}.")
        write_folder(tmp_path / name, mark="1", note="mine")
    if moved_in:
        write_folder(final, mark="2")
    with pytest.raises(KeyboardInterrupt), whole_folder(final, "mark", is_note):
        raise KeyboardInterrupt
    assert texts(final) == {"mark": "2" if moved_in else "1", "note": "mine"} and list(tmp_path.iterdir()) == [final]


def test_a_rename_that_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    final = write_folder(tmp_path / "a", mark="1")
    with pytest.raises(FileNotFoundError), whole_folder(final, "mark") as part:
        part.rmdir()
    assert texts(final) == {"mark": "1"} and list(tmp_path.iterdir()) == [final]
