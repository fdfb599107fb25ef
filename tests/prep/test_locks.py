"""Locks: one process at a time, or one run at all."""

import errno
import fcntl
import threading
from pathlib import Path

import pytest
from prep_files import write_ntu_folder

from native_prep.io.locks import locked, sole_run
from native_prep.pipeline.prepare import prepare


def test_one_at_a_time(tmp_path: Path) -> None:
    lock, inside, most = tmp_path / ".lock", [], []

    def work() -> None:
        for _ in range(20):
            with locked(lock):
                inside.append(1)
                most.append(len(inside))
                threading.Event().wait(0.0005)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80 and set(most) == {1}
    assert not list(tmp_path.iterdir())


def test_file_systems_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*args: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with locked(tmp_path / ".lock"), sole_run(tmp_path / "out"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("formats", [["npy"], ["packed"]])
def test_a_second_run_is_told(tmp_path: Path, formats: list[str]) -> None:
    raw, out = write_ntu_folder(tmp_path / "raw"), tmp_path / "out"
    with (
        sole_run(out / "packed"),
        pytest.raises(ValueError, match=r"out: another run writes there: wait until it ends"),
    ):
        prepare("ntu60", raw, out, formats=formats)
    assert not out.exists()
    prepare("ntu60", raw, out, formats=formats)
    assert not [path for path in out.iterdir() if path.name.endswith(".lock")]
