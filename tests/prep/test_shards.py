"""Runs that work on one packed store at the same time: who may publish, and what."""

import errno
import fcntl
import shutil
import threading
from pathlib import Path

import pytest
from prep_files import write_ntu

from native_prep.io.locks import locked
from native_prep.pipeline.prepare import prepare
from native_prep.store.format import StoreHead
from native_prep.store.reader import Store
from native_prep.store.shards import ShardDirectory


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreHead:
    """Leaves three finished shards in tmp_path / out."""
    monkeypatch.setattr("native_prep.pipeline.packing.SHARD_CLIPS", 1)
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in (1, 2, 3):
        write_ntu(raw / f"S001C001P001R001A00{number}.skeleton", number, 20)
    prepare("ntu60", raw, tmp_path / "whole", formats=["packed"], max_frames=30, workers=1)
    prepare("ntu60", raw, tmp_path / "out", formats=["packed"], max_frames=30, workers=1, shard="1/1")
    return Store(tmp_path / "whole" / "packed").head


def workshop(tmp_path: Path, fingerprint: str = "same") -> ShardDirectory:
    return ShardDirectory(tmp_path / "out" / "packed", fingerprint)


def shards_of(directory: ShardDirectory) -> list[str]:
    return sorted(path.name for path in directory.finished.iterdir() if path.is_dir())


def test_the_first_publishes(tmp_path: Path, head: StoreHead) -> None:
    with workshop(tmp_path) as one, workshop(tmp_path) as other:
        names = shards_of(one)
        one.merge(head, names)
        other.merge(head, names)
        assert not one.is_published()
        one.publish()
        assert one.is_published() and not workshop(tmp_path, "another").is_published()
        with pytest.raises(ValueError, match=r"store\.json: no such file"):
            other.publish()
        # A slow third one begins the folder anew: that is not to take the place of the whole store.
        shutil.copytree(one.final / names[0], one.finished / names[0])
        with pytest.raises(ValueError, match=r"store\.json: no such file"):
            other.publish()
        other.open_published().verify()


def test_what_is_about_to_be_published_stays(tmp_path: Path, head: StoreHead) -> None:
    with workshop(tmp_path) as one, workshop(tmp_path) as other:
        names = other.made = shards_of(one)
        one.merge(head, names)
        other.discard()
        assert shards_of(one) == names
        one.publish()
        Store(one.final).verify()


def test_what_nobody_publishes_goes(tmp_path: Path, head: StoreHead) -> None:
    with workshop(tmp_path) as one:
        one.made = shards_of(one)[:2]
        one.discard()
        assert len(shards_of(one)) == 1


def test_a_run_of_other_settings_is_not_published(tmp_path: Path, head: StoreHead) -> None:
    with workshop(tmp_path, "ours") as one, workshop(tmp_path, "theirs") as other:
        names = shards_of(one)
        one.merge(head, names)
        other.merge(head, names[:2])
        with pytest.raises(ValueError, match="another run, of other files or settings, works there"):
            one.publish()
        other.publish()
        assert len(Store(other.final).names) == 2


def test_a_lost_file_is_not_published(tmp_path: Path, head: StoreHead) -> None:
    with workshop(tmp_path) as directory:
        names = shards_of(directory)
        directory.merge(head, names)
        (directory.finished / names[1] / "frames.npy").unlink()
        with pytest.raises(ValueError, match=r"frames\.npy: is missing"):
            directory.publish()
        assert not directory.final.exists()


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
    with locked(tmp_path / ".lock"):
        pass
    assert not list(tmp_path.iterdir())
