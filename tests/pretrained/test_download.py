"""Files from a server that breaks off, has another file, none, or is not there."""

import socket
import threading
from pathlib import Path

import numpy as np
import pytest
import requests
from file_server import Server, serve

from export.pretrained import download
from export.pretrained.download import _Part, _Transfer, fetch, read_url
from native_prep.io.hashes import sha256


@pytest.fixture
def content(server: Server) -> bytes:
    data = np.random.default_rng(0).bytes(300_000)
    (server.folder / "a.pth").write_bytes(data)
    return data


def test_a_file(server: Server, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.pth"
    assert fetch(f"{server.url}/a.pth", path, sha256(server.folder / "a.pth")[:8]) == path
    assert path.read_bytes() == content and [one.name for one in path.parent.iterdir()] == ["a.pth"]
    fetch(f"{server.url}/a.pth", path)
    assert server.requests == [("/a.pth", "")]  # not again
    assert read_url(f"{server.url}/a.pth") == content


def test_a_connection_that_breaks_off_goes_on_where_it_did(server: Server, content: bytes, tmp_path: Path) -> None:
    server.cut = [100_000, 0, 50_000, 0, 0]  # of which whole pieces of 16 kB stay
    assert fetch(f"{server.url}/a.pth", tmp_path / "a.pth").read_bytes() == content
    asked = [part for _, part in server.requests]
    assert asked == ["", "bytes=98304-", "bytes=98304-", "bytes=147456-", "bytes=147456-", "bytes=147456-"]


def test_one_that_breaks_off_for_good_keeps_what_came(server: Server, content: bytes, tmp_path: Path) -> None:
    server.cut = [100_000, 0, 0, 0]
    with pytest.raises(ValueError, match=r"a\.pth: no connection, or it broke off: .*\(98,304 bytes are kept\): check"):
        fetch(f"{server.url}/a.pth", tmp_path / "a.pth", advice="fetch it by other means")
    assert not (tmp_path / "a.pth").exists() and (tmp_path / "a.pth.part").stat().st_size == 98_304
    server.requests.clear()
    assert fetch(f"{server.url}/a.pth", tmp_path / "a.pth").read_bytes() == content
    assert server.requests == [("/a.pth", "bytes=98304-")]


def test_a_server_that_sends_files_whole_only(server: Server, content: bytes, tmp_path: Path) -> None:
    server.whole, server.cut = True, [100_000]
    assert fetch(f"{server.url}/a.pth", tmp_path / "a.pth").read_bytes() == content


def test_a_part_that_is_all_or_too_much(server: Server, content: bytes, tmp_path: Path) -> None:
    part = tmp_path / "a.pth.part"
    part.write_bytes(content)  # stopped before it got its name
    assert fetch(f"{server.url}/a.pth", tmp_path / "a.pth").read_bytes() == content
    (tmp_path / "a.pth").unlink()
    part.write_bytes(content + b"of a longer file that was there before")
    assert fetch(f"{server.url}/a.pth", tmp_path / "a.pth").read_bytes() == content


def test_a_file_that_changed_between_two_connections(server: Server, content: bytes, tmp_path: Path) -> None:
    """What came of the older one is let go, also where no checksum would tell."""
    server.cut = [100_000, 0, 0, 0]
    with pytest.raises(ValueError, match="broke off"):
        fetch(f"{server.url}/a.pth", tmp_path / "a.pth")
    newer = content[::-1]
    (server.folder / "a.pth").write_bytes(newer)
    server.tag = '"2"'
    assert fetch(f"{server.url}/a.pth", tmp_path / "a.pth").read_bytes() == newer
    # A server that does not tell versions apart: only a checksum lets the rest be asked for.
    (tmp_path / "a.pth").unlink()
    for checksum, asked in (("", ""), (sha256(server.folder / "a.pth"), "bytes=98304-")):
        server.tag, server.cut = "", [100_000, 0, 0, 0]
        with pytest.raises(ValueError, match="broke off"):
            fetch(f"{server.url}/a.pth", tmp_path / "a.pth", checksum)
        server.requests.clear()
        assert fetch(f"{server.url}/a.pth", tmp_path / "a.pth", checksum).read_bytes() == newer
        assert server.requests[0] == ("/a.pth", asked)
        (tmp_path / "a.pth").unlink()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["served"]


def test_another_part_than_was_asked_for(server: Server, content: bytes, tmp_path: Path) -> None:
    server.cut, server.headers = [100_000], {"Content-Range": "bytes 0-299999/300000"}
    assert fetch(f"{server.url}/a.pth", tmp_path / "a.pth").read_bytes() == content


def test_a_server_that_is_busy_for_a_moment(server: Server, content: bytes, tmp_path: Path) -> None:
    server.answers = [503, 429]
    assert fetch(f"{server.url}/a.pth", tmp_path / "a.pth").read_bytes() == content
    server.answers = [500] * 3
    with pytest.raises(ValueError, match="the server answers 500: check the network"):
        fetch(f"{server.url}/a.pth", tmp_path / "b.pth")


def test_more_than_there_may_be(server: Server, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is larger than 200,000 bytes: it is no such file"):
        fetch(f"{server.url}/a.pth", tmp_path / "a.pth", largest=200_000)
    with pytest.raises(ValueError, match="is larger than 1,000 bytes"):
        read_url(f"{server.url}/a.pth", largest=1000)
    server.headers = {"Content-Length": "abc"}
    with pytest.raises(ValueError, match="does not say how long the file is"):
        fetch(f"{server.url}/a.pth", tmp_path / "a.pth")
    assert not list(tmp_path.glob("a.pth*"))


def test_where_an_address_leads(server: Server, content: bytes, tmp_path: Path) -> None:
    server.answers, server.headers = [302], {"Location": f"{server.url}/a.pth"}
    (server.folder / "old.pth").touch()
    assert fetch(f"{server.url}/old.pth", tmp_path / "a.pth").read_bytes() == content
    answer = requests.Response()
    answer.status_code, answer.headers["Location"] = 302, "http://elsewhere/a.pth"
    part = _Part(tmp_path / "p", False)
    with (tmp_path / "p").open("ab") as file, pytest.raises(ValueError, match="leads to an address without encryption"):
        _Transfer("https://models.invalid/a.pth", part, file, 1000, True)._answered(answer)


def test_an_empty_file(server: Server, tmp_path: Path) -> None:
    (server.folder / "a.pth").touch()
    with pytest.raises(ValueError, match=r"a\.pth: is an empty file"):
        fetch(f"{server.url}/a.pth", tmp_path / "a.pth")


def test_another_file_than_the_published_one(server: Server, content: bytes, tmp_path: Path) -> None:
    found = sha256(server.folder / "a.pth")[:8]
    with pytest.raises(ValueError, match=f"its SHA-256 begins with {found}, not with 01234567 as published"):
        fetch(f"{server.url}/a.pth", tmp_path / "a.pth", "01234567")
    assert not list(tmp_path.glob("a.pth*"))
    # One in the cache that is not what it should be is fetched again.
    (tmp_path / "a.pth").write_bytes(b"damaged")
    assert fetch(f"{server.url}/a.pth", tmp_path / "a.pth", found).read_bytes() == content


def test_no_such_file_and_no_address(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"b\.pth: the server answers 404 Not Found: check the address, or do so$"):
        fetch(f"{server.url}/b.pth", tmp_path / "b.pth", advice="do so")
    with pytest.raises(ValueError, match="is no address of a file"):
        fetch("http://", tmp_path / "b.pth")
    assert not list(tmp_path.glob("b.pth*"))


def test_no_server(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ValueError) as caught:
        fetch(f"http://127.0.0.1:{port}/a.pth", tmp_path / "a.pth", advice="fetch it by other means")
    text = str(caught.value)
    assert "Connection refused" in text and "HTTPS_PROXY" in text and text.endswith("or fetch it by other means")
    assert "object at 0x" not in text and not list(tmp_path.glob("a.pth*"))
    with pytest.raises(ValueError, match="no connection, or it broke off"):
        read_url("http://no-such-host.invalid/a.pth")


def test_a_proxy_is_gone_through(
    server: Server, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy is asked for the whole address."""
    monkeypatch.setenv("http_proxy", server.url)
    asked = tmp_path / "served" / "http:" / "models.invalid"
    asked.mkdir(parents=True)
    (asked / "a.pth").write_bytes(content)
    assert fetch("http://models.invalid/a.pth", tmp_path / "a.pth").read_bytes() == content
    assert server.requests == [("http://models.invalid/a.pth", "")]


def test_a_slow_server_and_two_who_want_the_same(server: Server, content: bytes, tmp_path: Path) -> None:
    server.pause = 0.005
    url, path = f"{server.url}/a.pth", tmp_path / "a.pth"
    threads = [threading.Thread(target=fetch, args=(url, path)) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert path.read_bytes() == content and len(server.requests) == 1


def test_a_server_that_says_nothing(
    tmp_path: Path, server: Server, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No bytes for a while is a connection that broke off."""
    monkeypatch.setattr(download, "_TIMEOUT", 0.05)
    server.pause = 0.2
    with pytest.raises(ValueError, match=r"broke off: .*[Tt]imed out"):
        fetch(f"{server.url}/a.pth", tmp_path / "a.pth")


def test_the_bar_on_a_terminal(
    server: Server, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    server.cut = [100_000]
    fetch(f"{server.url}/a.pth", tmp_path / "a.pth")
    shown = capsys.readouterr().err
    assert "a.pth" in shown and "300" in shown


def test_the_helper_knows_what_is_not_there(tmp_path: Path) -> None:
    with serve(tmp_path) as one, pytest.raises(ValueError, match="404"):
        read_url(f"{one.url}/x")
