"""Files from servers: checked, shown with a bar, and resumed where a connection broke off.

pooch moves the bytes: `HTTPDownloader`, which goes through the proxies that HTTPS_PROXY names. A server is not trusted:
files have a largest size, and one that changed between two connections is fetched anew.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pooch
import requests

from native_prep.io.hashes import sha256
from native_prep.io.locks import locked
from native_prep.io.progress import Progress

# Where downloads are kept, instead of the user's cache.
CACHE = "AGCN_CACHE"
# Bytes of the largest file of weights, and of others.
LARGEST, LARGEST_TEXT = 500_000_000, 1_000_000
# Attempts one after the other in which nothing comes, and in all; seconds before the second, doubled each time.
_ATTEMPTS, _MOST_ATTEMPTS, _PAUSE = 3, 100, 0.5
# Seconds without a byte after which a connection counts as broken off.
_TIMEOUT = 30
# Bytes at a time; what came of one when a connection breaks off is lost.
_CHUNK, _KILOBYTE = 1 << 14, 1000
# A server that answers so may do better in a moment.
_BUSY = (429, 500, 502, 503, 504)


def cache_folder() -> Path:
    """Where downloads are kept: the folder that the variable AGCN_CACHE names, or one of the user's cache."""
    return Path(os.environ.get(CACHE) or pooch.os_cache("two-stream-agcn")).expanduser()


def is_url(text: str) -> bool:
    """Whether a text is the address of a file on a server."""
    return text.startswith(("https://", "http://"))


class NoConnection(ValueError):
    """A server that cannot be reached, or does not answer to the end."""


def fetch(
    url: str,
    path: Path,
    checksum: str = "",
    *,
    advice: str = "",
    largest: int = LARGEST,
    again: bool = False,
    fits: Callable[[Path, str], None] = lambda path, source: None,
) -> Path:
    """Downloads a file, unless it is there.

    Args:
        url: http or https.
        path: where it goes; what has come so far of it lies beside it, with `.part` behind its name.
        checksum: the first digits of its SHA-256, or all; "" where none is known.
        advice: what to do where the server cannot be reached.
        largest: bytes that it may have.
        again: also if it is there.
        fits: raises ValueError for a file (path, and what to call it) that is not what it should be.

    Raises:
        NoConnection: the server cannot be reached, or breaks off again and again.
        ValueError: it has no such file, one of another checksum, or a larger one.
        OSError: it cannot be written.
    """

    def is_there() -> bool:
        return not again and path.is_file() and (not checksum or sha256(path).startswith(checksum))

    if is_there():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock")):
        if is_there():  # another process has fetched it
            return path
        part = _Part(path.with_name(f"{path.name}.part"), bool(checksum))
        _download(url, part, largest, advice)
        part.forget()
        whole = path.with_name(f".new-{path.name}")  # its suffix tells what it is
        part.path.replace(whole)
        try:
            _check(whole, checksum, url)
            fits(whole, url)
            whole.replace(path)
        finally:
            whole.unlink(missing_ok=True)
    return path


def read_url(url: str, largest: int = LARGEST_TEXT) -> bytes:
    """A small file, which may have changed since it was read last.

    Raises:
        ValueError: as `fetch`.
    """
    with tempfile.TemporaryDirectory(prefix="agcn_url_") as folder:
        part = _Part(Path(folder) / "file", False)
        _download(url, part, largest, quiet=True)
        return part.path.read_bytes()


def _check(path: Path, checksum: str, url: str) -> None:
    found = sha256(path)
    if not found.startswith(checksum):
        raise ValueError(
            f"{url}: its SHA-256 begins with {found[: max(len(checksum), 8)]}, not with {checksum} as published: "
            "it was damaged on the way, or is another file: try again, or fetch it from elsewhere"
        )


@dataclass
class _Part:
    """A file that is not whole yet, and beside it what the server calls this version of it (ETag or date).

    Attributes:
        checked: whether a checksum tells at the end that all of it is of one version.
    """

    path: Path
    checked: bool

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def _note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.version")

    @property
    def version(self) -> str:
        return self._note.read_text(encoding="latin-1") if self._note.is_file() else ""

    def begin(self) -> None:
        """Starts anew where nobody could tell whether the rest is of the same version."""
        if self.size and not (self.version or self.checked):
            self.path.unlink()

    def note(self, response: requests.Response) -> None:
        tag = response.headers.get("ETag", "")
        version = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
        if version:
            self._note.write_text(version, encoding="latin-1")
        else:
            self._note.unlink(missing_ok=True)

    def forget(self) -> None:
        self._note.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Leaves nothing of a file of which nothing has come."""
        if not self.size:
            self.path.unlink(missing_ok=True)
            self.forget()


def _download(url: str, part: _Part, largest: int, advice: str = "", quiet: bool = False) -> None:
    """Writes what is missing of `part`."""
    failed = 0
    try:
        for _ in range(_MOST_ATTEMPTS):
            part.begin()
            have = part.size
            try:
                with part.path.open("ab") as file:
                    _Transfer(url, part, file, largest, quiet).run()
                if not part.size:
                    raise ValueError(f"{url}: is an empty file: check the address")
                return
            except requests.HTTPError as error:
                status = error.response.status_code
                if status not in _BUSY:
                    raise ValueError(
                        f"{url}: the server answers {status} {_readable(error.response.reason)}: check the address"
                        + _or(advice)
                    ) from error
                reason = f"the server answers {status}"
            except requests.exceptions.InvalidProxyURL as error:
                raise ValueError(
                    f"{url}: the variable HTTPS_PROXY holds no address of a proxy: set it right"
                ) from error
            except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
                raise ValueError(f"{url}: is no address of a file: check it") from error
            except requests.TooManyRedirects as error:
                raise ValueError(f"{url}: leads from one address to the next without an end: check it") from error
            except requests.RequestException as error:
                reason = _reason(error)
            failed = 0 if part.size > have else failed + 1
            if failed == _ATTEMPTS:
                break
            time.sleep(_PAUSE * 2**failed if failed else 0)
        kept = f" ({part.size:,} bytes are kept)" if part.size else ""
        raise NoConnection(
            f"{url}: no connection, or it broke off: {reason}{kept}: check the network and the variable HTTPS_PROXY, "
            f"and try again{_or(advice)}"
        )
    except KeyboardInterrupt:
        if part.size and not quiet:
            print(f"{part.path}: what came of it is kept, the next run goes on from there", file=sys.stderr)
        raise
    finally:
        part.tidy()


def _or(advice: str) -> str:
    return f", or {advice}" if advice else ""


def _readable(text: str | None) -> str:
    """What a server says, without what would steer a terminal."""
    return "".join(letter for letter in text or "" if letter.isprintable())[:200]


def _reason(error: requests.RequestException) -> str:
    """Why a connection failed: the end of what is often several errors inside one another."""
    inner = error.args[0] if error.args else ""
    text = str(getattr(inner, "reason", inner))
    return _readable(text.split(">: ")[-1].split("): ")[-1]) or type(error).__name__


class _Transfer:
    """One request for the rest of a file; also the progress bar that pooch tells how far it is."""

    def __init__(self, url: str, part: _Part, file: BinaryIO, largest: int, quiet: bool) -> None:
        self._url, self._part, self._file, self._largest, self._quiet = url, part, file, largest, quiet
        self._have = part.size
        self._bar: Progress | None = None
        self._bytes = 0
        self.total = 0  # set by pooch, to what the server says that is to come

    def run(self) -> None:
        headers = {"Accept-Encoding": "identity"}
        if self._have:
            headers["Range"] = f"bytes={self._have}-"
            if self._part.version:
                headers["If-Range"] = self._part.version
        get: Any = pooch.HTTPDownloader(
            progressbar=self,
            chunk_size=_CHUNK,
            headers=headers,
            hooks={"response": self._answered},
            timeout=_TIMEOUT,
        )
        try:
            get(self._url, self._file, None)
        except requests.HTTPError as error:
            if not (self._have and error.response.status_code == requests.codes.range_not_satisfiable):
                raise
            # All of it had come already; else it is not the file that it was.
            if error.response.headers.get("Content-Range") != f"bytes */{self._have}":
                self._start_anew()
                raise requests.ConnectionError("the file on the server has changed") from error
        finally:
            self._close()

    def _answered(self, response: requests.Response, **_: Any) -> None:
        if response.is_redirect:
            if self._url.startswith("https:") and response.headers.get("Location", "").lower().startswith("http:"):
                raise ValueError(f"{self._url}: leads to an address without encryption: fetch it by other means")
            return
        if not response.ok:
            return
        length = response.headers.get("Content-Length", "")
        if length and not (length.isascii() and length.isdigit()):
            raise ValueError(f"{self._url}: the server does not say how long the file is: fetch it by other means")
        if self._have and response.status_code != requests.codes.partial_content:
            self._start_anew()  # it sends files whole only, or has another version by now
        elif self._have and not response.headers.get("Content-Range", "").startswith(f"bytes {self._have}-"):
            self._start_anew()
            raise requests.ConnectionError("the server sends another part of the file")
        self._check_size(self._have + int(length or 0))
        self._part.note(response)

    def _start_anew(self) -> None:
        self._file.truncate(0)
        self._part.forget()
        self._have = 0

    def _check_size(self, size: int) -> None:
        if size > self._largest:
            self._start_anew()
            raise ValueError(f"{self._url}: is larger than {self._largest:,} bytes: it is no such file")

    def update(self, amount: int) -> None:
        """So many bytes more, as pooch has it; of the last ones it counts too many."""
        self._bytes += amount
        if not self.total:  # the server does not say how much will come
            self._check_size(self._file.tell())
            return
        self._bytes = min(self._bytes, self.total)
        if self._bar is None:
            total = -(-(self._have + self.total) // _KILOBYTE)
            self._bar = Progress(total, Path(self._url).name, "kilobyte", quiet=self._quiet)
            self._bar.__enter__()
        self._bar.update((self._have + self._bytes) // _KILOBYTE - self._bar.done)

    def reset(self) -> None:
        """Pooch does so at the end, before it tells of all bytes once more."""

    def close(self) -> None:
        """Pooch does so at the end."""

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
