"""Outputs are whole or absent, and a pickle cannot run code."""

import io
import os
import pickle
import subprocess
import sys
import time
from collections import OrderedDict
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from native_prep.io.arrays import load_array
from native_prep.io.atomic import DiscardFolder, OutputSet, atomic_file, atomic_folder, hidden
from native_prep.io.pickles import load_pickle, save_pickle


def test_outputs_appear_together(tmp_path: Path) -> None:
    with OutputSet() as outputs:
        outputs.temporary(tmp_path / "new/a").write_text("a")
        outputs.temporary(tmp_path / "new/b").write_text("b")
        assert not (tmp_path / "new/a").exists()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a", "b"]


def test_nothing_appears_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), OutputSet() as outputs:
        outputs.temporary(tmp_path / "a").write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_run_left_is_swept_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    ours = hidden(tmp_path / "a").name
    (tmp_path / ours.replace(str(os.getpid()), str(dead.pid))).write_text("half")
    # A container's only process always has the same number; the form without a token is of an older version.
    (tmp_path / f"{ours.rsplit('.', 2)[0]}.00000000.part").write_text("half")
    others = [
        ours.replace(str(os.getpid()), str(os.getppid())),
        f".a.another-machine.{dead.pid}.0.part",
        f".a.b{ours[2:]}",
    ]
    for name in others:
        (tmp_path / name).write_text("another run's")
    with atomic_file(tmp_path / "a") as part:
        part.write_text("a")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a", *others])


def test_old_parts_of_other_machines_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for host, age in (("fresh", 3600), ("stale", 90_000)):
        path = tmp_path / f".a.{host}.1.0.part"
        path.write_text("half")
        os.utime(path, (time.time() - age,) * 2)
    with atomic_file(tmp_path / "a") as part:
        part.write_text("a")
    (told,) = capsys.readouterr().err.splitlines()
    assert ".a.stale.1.0.part: half-written on stale more than a day ago" in told
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="is a folder"), atomic_file(tmp_path / "a"):
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


def test_a_pickle_larger_than_memory_is_not_called_broken(tmp_path: Path) -> None:
    (tmp_path / "p.pkl").write_bytes(b"\x80\x04\x8e" + (1 << 60).to_bytes(8, "little") + b"x")  # that many bytes
    with pytest.raises(ValueError, match=r"p\.pkl: takes more memory than there is"):
        load_pickle(tmp_path / "p.pkl")


def test_a_pickle_is_read_as_it_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_pickle(tmp_path / "p.pkl", np.zeros(1 << 20))
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("keeps the whole file beside its objects"))
    assert len(load_pickle(tmp_path / "p.pkl")) == 1 << 20


def archive_of(*arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, *arrays)
    return file.getvalue()


@pytest.mark.parametrize("mapped", [False, True])
def test_what_is_no_array_is_named(tmp_path: Path, mapped: bool) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(6.0))
    assert load_array(path, mapped).tolist() == [0, 1, 2, 3, 4, 5]
    whole, packed = path.read_bytes(), archive_of(np.arange(6.0))
    endless = whole.replace(b"(6,), }        ", b"(6000000000000,)}")
    spoilt = [b"", b"PK\3\4" + whole, packed[:-9], whole[:-1], endless, whole.replace(b"<f8", b"<x8"), packed]
    spoilt += [whole[:place] + b"\0" + whole[place + 1 :] for place in range(10, 60)]
    for raw in spoilt:
        path.write_bytes(raw)
        with pytest.raises(ValueError, match=r"^\S+a\.npy: .+: ") as caught:
            load_array(path, mapped)
        assert "\n" not in str(caught.value)


def test_an_archive_of_one_array(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(archive_of(np.arange(6.0)))
    assert load_array(path, archive=True).tolist() == [0, 1, 2, 3, 4, 5]
    raw = bytearray(path.read_bytes())
    raw[60] ^= 255
    for spoilt, message in ((bytes(raw), "cut off"), (archive_of(np.ones(1), np.ones(1)), "an archive of 2 arrays")):
        path.write_bytes(spoilt)
        with pytest.raises(ValueError, match=message):
            load_array(path, archive=True)


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
    with atomic_folder(final, "mark", is_note) as part:
        (part / "mark").write_text("2")
        assert texts(final) == {"mark": "1", "old": "1", "note": "mine"}
    assert texts(final) == {"mark": "2", "note": "mine"}
    for error in (DiscardFolder, KeyboardInterrupt):
        with (
            pytest.raises(KeyboardInterrupt) if error is KeyboardInterrupt else nullcontext(),
            atomic_folder(final, "mark") as part,
        ):
            (part / "mark").write_text("3")
            raise error
    assert texts(final) == {"mark": "2", "note": "mine"} and list(tmp_path.iterdir()) == [final]
    for name, files in (("other", {"thesis": "1"}), ("file", {})):
        place = write_folder(tmp_path / name, **files) if files else tmp_path / name
        if not files:
            place.write_text("")
        with pytest.raises(ValueError, match="is a f"), atomic_folder(place, "mark"):
            pass
    with pytest.raises(ValueError, match="is not an empty folder"), atomic_folder(final):
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
    with pytest.raises(KeyboardInterrupt), atomic_folder(final, "mark", is_note):
        raise KeyboardInterrupt
    assert texts(final) == {"mark": "2" if moved_in else "1", "note": "mine"} and list(tmp_path.iterdir()) == [final]


def test_a_rename_that_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    final = write_folder(tmp_path / "a", mark="1")
    with pytest.raises(FileNotFoundError), atomic_folder(final, "mark") as part:
        part.rmdir()
    assert texts(final) == {"mark": "1"} and list(tmp_path.iterdir()) == [final]
