"""`prep` from archives, buckets and web servers: the same clips to the bit as from the folder, and what it refuses."""

import os
import pickle
import subprocess
import sys
import tarfile
import threading
import zipfile
import zlib
from pathlib import Path

import fsspec
import pytest
from file_server import serve
from packed_stores import contents, pack
from pose_files import write_array_folder
from prep_files import AWKWARD, NAMES, write_ntu, write_ntu_folder

from native_prep.command import prep
from native_prep.datasets.catalog import get_dataset
from native_prep.datasets.recordings import find_recordings
from native_prep.io import archives, folders
from native_prep.io.folders import open_folder, stamps
from native_prep.io.remote import copy_url, open_url
from native_prep.pipeline.prepare import prepare

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("zip", "stored", "tar", "tar.xz", "tgz", "memory", "http", "zip by http", "zip in memory", "tar by http")


def zipped(folder: Path, target: Path, inside: str = "", method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip of a folder's files, and what macOS adds to them."""
    with zipfile.ZipFile(target, "w", method) as archive:
        archive.writestr("__MACOSX/._S001C001P001R001A001.skeleton", "x")
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.writestr(inside + str(path.relative_to(folder)), path.read_bytes())
        archive.writestr(inside + "._S001C001P001R001A001.skeleton", "x")
    return target


def tarred(folder: Path, target: Path, mode: str = "w") -> Path:
    with tarfile.open(target, mode) as archive:
        archive.add(folder, ".")
    return target


def in_memory(folder: Path) -> str:
    fsspec.filesystem("memory").put(f"{folder}/", "memory://bucket/raw/", recursive=True)
    return "memory://bucket/raw"


@pytest.fixture(autouse=True)
def empty_memory():
    yield
    fsspec.filesystem("memory").store.clear()
    fsspec.filesystem("memory").pseudo_dirs[:] = [""]


@pytest.fixture
def server(tmp_path):
    with serve(tmp_path) as server:
        yield server


def make_source(kind: str, raw: Path, tmp_path: Path, url: str) -> str | Path:
    """The folder `raw` in another form."""
    match kind:
        case "zip":
            return zipped(raw, tmp_path / "a.zip", "./one/")
        case "stored":
            return zipped(raw, tmp_path / "a.zip", method=zipfile.ZIP_STORED)
        case "tar":
            return tarred(raw, tmp_path / "a.tar")
        case "tar.xz":
            return tarred(raw, tmp_path / "a.tar.xz", "w:xz")
        case "tgz":
            return tarred(raw, tmp_path / "a.tgz", "w:gz")
        case "memory":
            return in_memory(raw)
        case "http":
            return f"{url}/raw"
        case "zip by http":
            return f"{url}/{zipped(raw, tmp_path / 'a b.zip').name.replace(' ', '%20')}"
        case "zip in memory":
            fsspec.filesystem("memory").put(str(zipped(raw, tmp_path / "a.zip")), "memory://b/a.zip")
            return "memory://b/a.zip"
    return f"{url}/{tarred(raw, tmp_path / 'a.tar').name}"


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("dataset", ["ntu60", "kinetics", "nw-ucla"])
def test_same_as_the_folder(tmp_path, server, dataset, kind):
    inside = "raw/nturgb+d_skeletons" if dataset == "ntu60" else "raw"
    AWKWARD[dataset](tmp_path / inside)
    source = make_source(kind, tmp_path / "raw", tmp_path, server.url)
    expected = prepare(dataset, tmp_path / "raw", tmp_path / "expected", workers=2)
    result = prepare(dataset, source, tmp_path / "out", workers=2)
    counts = ("clips", "frames", "bytes_read", "ignored", "empty")
    assert {key: result[key] for key in counts} == {key: expected[key] for key in counts}
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_packed_store(tmp_path, monkeypatch):
    monkeypatch.setattr("native_prep.store.shards.SHARD_CLIPS", 2)
    raw = write_ntu_folder(tmp_path / "raw")
    pack(raw, tmp_path / "expected")
    monkeypatch.chdir(tmp_path)
    zipped(raw, tmp_path / "a.zip")
    pack("a.zip", tmp_path / "out")

    def shards(folder: Path) -> list[bytes]:
        files = contents(folder / "packed")
        return [files[name] for name in sorted(files) if name.startswith("shard-")]

    assert shards(tmp_path / "out") == shards(tmp_path / "expected") != []
    # What was packed from the same archive is not packed again; what changed in it is.
    zipped(raw, tmp_path / "a.zip")
    (tmp_path / "out/packed").rename(tmp_path / "out/.packed.shards")  # as a run leaves it that was killed at its end
    assert pack(tmp_path / "a.zip", tmp_path / "out")["resumed"] == 2
    write_ntu(raw / NAMES[3], 99)
    zipped(raw, tmp_path / "a.zip")
    (tmp_path / "out/packed").rename(tmp_path / "out/.packed.shards")
    assert pack(tmp_path / "a.zip", tmp_path / "out")["resumed"] == 1


def test_stamps(tmp_path, server):
    raw = write_ntu_folder(tmp_path / "raw")
    found = {}
    for source in (f"{server.url}/raw", in_memory(raw), str(tarred(raw, tmp_path / "a.tar"))):
        with open_folder(source, tmp_path / "out") as folder:
            found[source] = [(folder.path(name), folder.member(name)) for name in folder.names(".skeleton")]
    listed = len(server.requests)
    server.tag = '"2"'
    for places in found.values():
        before = list(stamps(places))
        assert len(before) == 4 and all(stamp for stamp, _ in before)
        server.tag = '"3"'
        assert (list(stamps(places)) != before) == (places[0][0].startswith("http"))
    assert len(server.requests) == listed  # no file was fetched for it
    os.utime(tmp_path / "a.tar", (1, 1))  # another one of files of the same size and time
    with open_folder(tmp_path / "a.tar", tmp_path / "out") as folder:
        now = stamps([(folder.path(name), folder.member(name)) for name in folder.names(".skeleton")])
    assert not set(now) & set(stamps(found[str(tmp_path / "a.tar")]))


def test_states_of_files_on_disk_are_asked_side_by_side(tmp_path, monkeypatch):
    for number in range(5):
        (tmp_path / f"{number}").write_bytes(bytes(number))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "0").write_bytes(bytes(7))
    names = ["4", "2", "3", "folder", "1", "absent"]
    ask, together = folders._stamp, threading.Barrier(3, timeout=60)
    monkeypatch.setattr(folders, "_STAMPED", 1)
    monkeypatch.setattr(folders, "_stamp", lambda path: (together.wait(), ask(path))[1])
    found = list(stamps((str(tmp_path / name), None) for name in names))
    assert [size for _, size in found] == [4, 2, 3, 7, 1, 0]
    assert found == [ask(str(tmp_path / name)) for name in names]
    (tmp_path / "folder" / "0").write_bytes(bytes(8))
    assert ask(str(tmp_path / "folder"))[0] != found[3][0]


def test_errors_that_are_not_the_storages(tmp_path):
    fsspec.filesystem("memory").pipe("memory://b/a", b"a")
    with pytest.raises(FileNotFoundError):
        copy_url("memory://b/a", tmp_path / "absent" / "a")
    with pytest.raises(MemoryError), open_url("memory://b/a"):
        raise MemoryError


def test_a_recording_is_read_in_another_folder_and_process(tmp_path, monkeypatch):
    raw = write_ntu_folder(tmp_path / "raw")
    zipped(raw, tmp_path / "a.zip")
    monkeypatch.chdir(tmp_path)
    with open_folder("a.zip", tmp_path / "out") as folder:
        found = find_recordings(get_dataset("ntu60"), folder, ("xsub",), None).found
    assert found[0].path == f"zip://{NAMES[0]}::a.zip"
    (tmp_path / "found").write_bytes(pickle.dumps(found))
    code = (
        "import pickle, sys; from pathlib import Path; from native_prep.pipeline.reading import read_recording;"
        "sys.stdout.buffer.write(read_recording(pickle.loads(Path(sys.argv[1]).read_bytes())[1]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(tmp_path / "found")]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, check=True)
    assert done.stdout == (raw / NAMES[1]).read_bytes()


def test_two_zips_of_ntu120(tmp_path):
    raw = write_ntu_folder(tmp_path / "raw")
    late = raw / "S018C001P041R001A061.skeleton"
    write_ntu(late)
    expected = prepare("ntu120", raw, tmp_path / "expected")
    (tmp_path / "zips").mkdir()
    with zipfile.ZipFile(tmp_path / "zips" / "nturgbd_skeletons_s018_to_s032.zip", "w") as archive:
        archive.write(late, late.name)
    late.unlink()
    zipped(raw, tmp_path / "zips" / "nturgbd_skeletons_s001_to_s017.zip", "nturgb+d_skeletons/")
    assert prepare("ntu120", tmp_path / "zips", tmp_path / "out")["clips"] == expected["clips"] == 5
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")
    assert prepare("ntu60", tmp_path / "zips", tmp_path / "ntu60")["clips"] == 4


def test_tracked(tmp_path):
    raw = write_ntu_folder(tmp_path / "raw")
    expected = prep("ntu60", track=True, data_path=raw, out_folder=tmp_path / "expected")
    result = prep("ntu60", track=True, data_path=zipped(raw, tmp_path / "a.zip"), out_folder=tmp_path / "out")
    assert result["bytes_read"] == expected["bytes_read"] > 0
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


@pytest.mark.parametrize("kind", ["zip", "tgz", "http", "zip by http", "memory"])
def test_own_poses_are_copied(tmp_path, server, capsys, kind):
    raw = write_array_folder(tmp_path / "raw")
    given = {"layout": "coco17", "image_size": "640x480"}
    prep("custom", data_path=raw, out_folder=tmp_path / "expected", **given)
    given |= {"data_path": make_source(kind, raw, tmp_path, server.url), "out_folder": tmp_path / "out"}
    prep("custom", **given)
    assert "copied to" in capsys.readouterr().err
    found, expected = contents(tmp_path / "out"), contents(tmp_path / "expected")
    assert found == expected
    given["formats"] = ("packed",)
    prep("custom", **given)
    (tmp_path / "out/packed").rename(tmp_path / "out/.packed.shards")  # as a run leaves it that was killed at its end
    assert prep("custom", **given)["resumed"] > 0


@pytest.mark.parametrize("ranges", [{}, {"Accept-Ranges": "none"}, {"Accept-Ranges": "bytes"}])
@pytest.mark.parametrize("kind", ["zip by http", "tar by http", "tgz", "http"])
def test_a_server_that_sends_files_whole(tmp_path, server, capsys, kind, ranges):
    raw = write_ntu_folder(tmp_path / "raw")
    (raw / "large").write_bytes(os.urandom(6 << 20))  # more than fsspec fetches at a time
    source = make_source(kind, raw, tmp_path, server.url)
    server.whole, server.described = True, lambda: ranges
    prepare("ntu60", raw, tmp_path / "expected")
    assert prepare("ntu60", f"{server.url}/a.tgz" if kind == "tgz" else source, tmp_path / "out")["clips"] == 4
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")
    assert capsys.readouterr().err.count("sends no parts of files: copied to") == (kind != "http")
    assert not list((tmp_path / "out").glob(".*.copy"))


def test_own_poses_of_a_server_that_sends_files_whole(tmp_path, server):
    raw = write_array_folder(tmp_path / "raw")
    (raw / "large").write_bytes(os.urandom(6 << 20))
    given = {"layout": "coco17", "image_size": "640x480"}
    prep("custom", data_path=raw, out_folder=tmp_path / "expected", **given)
    server.whole = True
    prep(
        "custom", data_path=make_source("zip by http", raw, tmp_path, server.url), out_folder=tmp_path / "out", **given
    )
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_zip64_and_no_library_for_inflating(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "inflate", zlib)
    raw = write_ntu_folder(tmp_path / "raw")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in raw.iterdir():
            with archive.open(path.name, "w", force_zip64=True) as file:
                file.write(path.read_bytes())
    prepare("ntu60", raw, tmp_path / "expected")
    prepare("ntu60", tmp_path / "a.zip", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")
