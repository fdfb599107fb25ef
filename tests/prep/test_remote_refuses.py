"""What `prep` says of archives, buckets and web servers that it cannot read, and that it leaves nothing behind."""

import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from file_server import serve
from pose_files import walker
from prep_checks import nothing_in
from prep_files import NAMES, write_ntu_folder

from native_prep.command import prep
from native_prep.cpu.reader import MAX_BYTES
from native_prep.io.archives import Member
from native_prep.io.folders import UrlFolder
from native_prep.pipeline.prepare import prepare
from native_prep.pipeline.reading import _texts


def zip_of(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return target


def changed(archive: Path, name: str, signature: bytes, offset: int, value: bytes) -> None:
    """Overwrites bytes of a file in a zip, `offset` counted from the start of its header or of its row in the table."""
    content = bytearray(archive.read_bytes())
    place = content.index(name.encode()) - 30 if signature == b"PK\3\4" else content.rindex(name.encode()) - 46
    assert content[place : place + 4] == signature
    content[place + offset : place + offset + len(value)] = value
    archive.write_bytes(content)


@pytest.mark.parametrize(
    ("signature", "offset", "value", "words"),
    [
        (b"PK\3\4", 300, b"????????", "is damaged in the archive: fetch the archive again"),
        (b"PK\3\4", 0, b"PK\0\0", "is damaged in the archive: fetch the archive again"),
        (b"PK\1\2", 16, b"1234", "is damaged in the archive: fetch the archive again"),
        (b"PK\1\2", 24, b"\5\0\0\0", "is damaged in the archive: fetch the archive again"),
        (b"PK\1\2", 24, (MAX_BYTES + 1).to_bytes(4, "little"), "is larger than 32 MiB, which no clip is"),
        (b"PK\1\2", 8, b"\1\0", "is encrypted: unpack the archive with its password"),
        (b"PK\1\2", 10, b"\x0c\0", "is compressed in a way that is not read here"),
    ],
)
def test_a_bad_file_in_an_archive_is_named(tmp_path, signature, offset, value, words):
    archive = zip_of(write_ntu_folder(tmp_path / "raw"), tmp_path / "a.zip")
    changed(archive, NAMES[1], signature, offset, value)
    with pytest.raises(ValueError) as caught:
        prepare("ntu60", archive, tmp_path / "out")
    assert str(caught.value).startswith(f"zip://{NAMES[1]}::{archive}: {words}")
    assert "(1 bad file, nothing is written" in str(caught.value)
    assert nothing_in(tmp_path / "out")
    result = prepare("ntu60", archive, tmp_path / "out", on_bad_file="skip")
    assert (result["clips"], result["bad_files"]) == (3, 1)
    assert words in (tmp_path / "out" / "bad_files.csv").read_text()


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_odd_zips(tmp_path):
    raw = write_ntu_folder(tmp_path / "raw")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in NAMES:
            archive.writestr(f"all\\{name}", (raw / name).read_bytes())  # as old programs of Windows write it
        archive.writestr(f"all/{NAMES[1]}", (raw / NAMES[0]).read_bytes())
    with pytest.raises(ValueError, match=rf"zip://all/{NAMES[1]}::.*: is twice in the archive: keep one .*1 bad file"):
        prepare("ntu60", tmp_path / "a.zip", tmp_path / "out")


def test_lines_of_files_in_an_archive(tmp_path):
    raw = write_ntu_folder(tmp_path / "raw")
    (raw / NAMES[2]).write_text("3\n1\n")
    (raw / NAMES[3]).write_text("")
    for source in (zip_of(raw, tmp_path / "a.zip"), raw):
        with pytest.raises(ValueError, match=r"\.skeleton(::.*a\.zip)?:3: ends after 0 of its 3 .*2 bad files"):
            prepare("ntu60", source, tmp_path / "out")


def test_links_in_a_tar(tmp_path):
    raw = write_ntu_folder(tmp_path / "raw")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(raw / NAMES[0], f"./{NAMES[0]}")
        for name, kind, target in (
            (NAMES[1], tarfile.LNKTYPE, f"./{NAMES[0]}"),
            (NAMES[2], tarfile.LNKTYPE, "absent"),
            (NAMES[3], tarfile.SYMTYPE, NAMES[0]),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    result = prepare("ntu60", tmp_path / "a.tar", tmp_path / "out", on_bad_file="skip")
    assert (result["clips"], result["bad_files"]) == (2, 2)
    told = (tmp_path / "out" / "bad_files.csv").read_text()
    assert "is a link to absent, which does not come before it" in told and "is a symbolic link" in told


def test_a_listing_without_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr("native_prep.cpu.reader.MAX_BYTES", 100)
    raw = write_ntu_folder(tmp_path / "raw")
    monkeypatch.setattr("native_prep.pipeline.reading.read_contents", lambda _: iter([bytes(101)]))
    assert list(_texts([(NAMES[0], Member("", 0, 0, -1, ""))])) == [101]
    with serve(raw) as server, pytest.raises(ValueError, match=r"skeleton: has \d+ bytes, more than 10: check"):
        UrlFolder(server.url).read(NAMES[0], 10)


def test_errors_of_own_poses_name_the_archive(tmp_path, capsys):
    raw = tmp_path / "raw" / "one"
    raw.mkdir(parents=True)
    (raw / "bad.npy").write_bytes(b"no array")
    shutil.make_archive(str(tmp_path / "clips"), "zip", tmp_path / "raw")
    archive = (tmp_path / "clips.zip").rename(tmp_path / "CLIPS.ZIP")
    with pytest.raises(ValueError) as caught:
        prep("custom", data_path=archive, out_folder=tmp_path / "out", layout="coco17")
    assert f"{archive}/one" in str(caught.value) and ".copy" not in str(caught.value)
    # Those of finished shards, too, which are taken up from another copy.
    good = raw.with_name("two")
    good.mkdir()
    for name in ("a", "b"):
        np.save(good / f"{name}.npy", walker(6))
    (good / "c.json").write_text("{}")
    shutil.make_archive(str(tmp_path / "clips"), "zip", tmp_path, "raw")
    given = {"data_path": tmp_path / "clips.zip", "out_folder": tmp_path / "out", "layout": "coco17"}
    given |= {"on_bad_file": "skip", "formats": ("packed",), "image_size": "1000x1000"}
    for resumed in (0, 1):
        capsys.readouterr()
        result = prep("custom", **given)
        assert (result["clips"], result["bad_files"], result["resumed"]) == (2, 2, resumed)
        listed = (tmp_path / "out/bad_files.csv").read_text()
        for name in ("one/bad.npy", "two/c.json"):
            assert f"\n{tmp_path}/clips.zip/raw/{name}," in listed
        told = capsys.readouterr().err
        assert ".copy" not in listed + told + str(result["warnings"])
        (tmp_path / "out/packed").rename(tmp_path / "out/.packed.shards")  # as a killed run leaves it


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of archives, most of them bad, and a server of it."""
    folder = tmp_path_factory.mktemp("place")
    raw = write_ntu_folder(folder / "raw")
    good = zip_of(raw, folder / "good.zip").read_bytes()
    (folder / "cut.zip").write_bytes(good[:-30])
    (folder / "new.zip").write_bytes(good.replace(b"PK\1\2\x14\3\x14", b"PK\1\2\x14\3\x63"))
    (folder / "text.zip").write_text("<html>not found</html>")
    (folder / "text.txt").write_text("text")
    zipfile.ZipFile(folder / "empty.zip", "w").close()
    for name, mode in (("good.tar", "w"), ("good.tar.xz", "w:xz"), ("good.tgz", "w:gz")):
        with tarfile.open(folder / name, mode) as archive:
            archive.add(raw, "raw")
    for name in ("tar", "tar.xz", "tgz"):
        content = (folder / f"good.{name}").read_bytes()
        (folder / f"cut.{name}").write_bytes(content[: len(content) // 2])
    (folder / "nothing.tar").write_bytes(b"")
    with serve(folder) as server:
        yield folder, server


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{folder}/cut.zip", "cut.zip: is cut off or damaged .*: fetch it again"),
        ("{folder}/cut.tar", "cut.tar: is cut off or damaged .*: fetch it again"),
        ("{folder}/cut.tar.xz", "cut.tar.xz: is cut off or damaged .*: fetch it again"),
        ("{folder}/cut.tgz", "cut.tgz: is cut off or damaged .*: fetch it again"),
        ("{folder}/new.zip", r"new.zip: is cut off or damaged \(zip file version 9.9\): fetch it again"),
        ("{folder}/nothing.tar", "nothing.tar: is no zip or tar archive"),
        ("{folder}/text.zip", "text.zip: is no zip or tar archive"),
        ("{folder}/text.txt", "text.txt: is no zip or tar archive"),
        ("{folder}/absent.zip", "absent.zip: no such file: give --data-path"),
        ("{folder}/empty.zip", r"empty.zip: no ntu60 file \(\*\.skeleton\) is left to prepare"),
        ("{url}/absent.zip", "absent.zip: no such file or folder: check the address"),
        ("{url}/absent", "/absent: no such file or folder: check the address"),
        ("{url}/cut.zip", "cut.zip: is cut off or damaged .*: fetch it again"),
        ("{url}/text.zip", "text.zip: is no zip or tar archive"),
        ("http://127.0.0.1:1/a.zip", "127.0.0.1:1/a.zip: Cannot connect to host .*: check the address, the network"),
        ("http://127.0.0.1:1/raw", "127.0.0.1:1/raw: Cannot connect to host .*: check the address, the network"),
        ("nowhere://raw", "nowhere://raw: Protocol not known"),
        ("memory://nothing", "memory://nothing: no such file or folder"),
    ],
)
def test_messages(place, tmp_path, source, message):
    folder, server = place
    given = source.format(folder=folder, url=server.url)
    with pytest.raises(ValueError, match=message) as caught:
        prepare("ntu60", given, tmp_path / "out")
    told = str(caught.value)
    assert "\n" not in told and told.count("check the") <= 1 and told.startswith(given) and given not in told[1:]
    assert not (tmp_path / "out").exists()


def test_zips_in_a_folder_of_a_server_that_sends_files_whole(tmp_path):
    raw = write_ntu_folder(tmp_path / "raw")
    zip_of(raw, tmp_path / "nturgbd_skeletons_s001_to_s017.zip")
    shutil.rmtree(raw)
    with serve(tmp_path) as server:
        server.whole = True
        with pytest.raises(
            ValueError, match=r"the server sends no parts of files: fetch the archive and give its path$"
        ):
            prepare("ntu60", server.url, tmp_path / "out")


@pytest.mark.parametrize(
    ("package", "url", "message"),
    [
        ("fsspec", "https://example.invalid/a.zip", r"pip install 'two-stream-agcn\[remote\]'"),
        ("fsspec", "s3://bucket/raw", r"pip install 'two-stream-agcn\[remote\]'"),
        ("s3fs", "s3://bucket/raw", "needs a package that is not installed: Install s3fs"),
        ("gcsfs", "gs://bucket/raw", "needs a package that is not installed: .*gcsfs"),
    ],
)
def test_packages_that_are_missing(tmp_path, monkeypatch, package, url, message):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=message) as caught:
        prepare("ntu60", url, tmp_path / "out")
    assert str(caught.value).startswith(url)


def test_a_network_that_goes_away_ends_the_run(place, tmp_path, monkeypatch):
    server = place[1]

    def gone(*_: object, **__: object) -> None:
        server.answers[:] = [503] * 50

    monkeypatch.setattr("native_prep.pipeline.prepare._make_readers", _then(gone))
    try:
        with pytest.raises(ValueError, match=r"\.skeleton: 503.*: check the address, the network"):
            prepare("ntu60", f"{server.url}/raw", tmp_path / "out", on_bad_file="skip")
    finally:
        server.answers.clear()
    assert nothing_in(tmp_path / "out")


def _then(call):
    """`_make_readers`, and something that happens at the time."""
    from native_prep.pipeline.prepare import _make_readers

    return lambda *given: (call(), _make_readers(*given))[1]


def test_what_is_copied_goes_again(place, tmp_path):
    folder, _ = place
    with pytest.raises(ValueError, match=r"cut\.tgz: is cut off or damaged"):
        prepare("ntu60", folder / "cut.tgz", tmp_path / "cut")
    assert not (tmp_path / "cut").exists()
    assert prepare("ntu60", folder / "good.tar.xz", tmp_path / "good")["clips"] == 4
    assert not list((tmp_path / "good").glob(".*.copy"))
    with pytest.raises(ValueError, match=r"cut\.zip: cannot be unpacked"):
        prep("custom", data_path=folder / "cut.zip", out_folder=tmp_path / "own")
    assert not (tmp_path / "own").exists()
