"""Files from servers: checked, shown with a bar, and taken up where a connection broke off.

pooch moves the bytes: `HTTPDownloader`, which goes through the proxies that HTTPS_PROXY names.
"""

import os
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import pooch
import requests

from native_prep.io.hashes import sha256
from native_prep.io.locks import locked
from native_prep.io.progress import Progress

# Where downloads are kept, instead of the user's cache.
CACHE = "AGCN_CACHE"
# Connections that may break off one after the other, without a byte between them.
_ATTEMPTS = 3
# Bytes at a time; what came of one when a connection breaks off is lost.
_CHUNK, _KILOBYTE = 1 << 14, 1000


def cache_folder() -> Path:
    """Where downloads are kept: the folder that the variable AGCN_CACHE names, or one of the user's cache."""
    return Path(os.environ.get(CACHE) or pooch.os_cache("two-stream-agcn"))


def is_url(text: str) -> bool:
    """Whether a text is the address of a file on a server."""
    return text.startswith(("https://", "http://"))


def fetch(url: str, path: Path, checksum: str = "", advice: str = "") -> Path:
    """Downloads a file, unless it is there.

    Args:
        url: http or https.
        path: where it goes; what has come so far of it lies beside it, with `.part` behind its name.
        checksum: the first digits of its SHA-256, or all; "" where none is known.
        advice: what to do where the server cannot be reached.

    Raises:
        ValueError: no connection, a server that has no such file, one of another checksum.
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock")):
        if path.is_file() and (not checksum or sha256(path).startswith(checksum)):
            return path
        part = path.with_name(f"{path.name}.part")
        _download(url, part, advice)
        if not part.is_file():
            raise ValueError(f"{url}: is an empty file: check the address")
        check(part, checksum, url)
        part.replace(path)
    return path


def read_url(url: str, advice: str = "") -> bytes:
    """A small file, which may have changed since it was read last.

    Raises:
        ValueError: as `fetch`.
    """
    with tempfile.TemporaryDirectory(prefix="agcn_url_") as folder:
        part = Path(folder) / "file"
        _download(url, part, advice, quiet=True)
        return part.read_bytes()


def check(path: Path, checksum: str, source: str) -> None:
    """Removes a file whose SHA-256 does not begin with `checksum`.

    Raises:
        ValueError: it did not.
    """
    found = sha256(path)
    if not found.startswith(checksum):
        path.unlink()
        raise ValueError(
            f"{source}: its SHA-256 begins with {found[: max(len(checksum), 8)]}, not with {checksum} as published: it "
            "was damaged on the way, or is another file: try again, or fetch it from elsewhere"
        )


def _download(url: str, part: Path, advice: str, quiet: bool = False) -> None:
    """Writes what is missing of `part`."""
    failed = 0
    try:
        while True:
            have = _size(part)
            try:
                with part.open("ab") as file:
                    _Transfer(url, file, have, quiet).run()
                return
            except requests.HTTPError as error:
                status = f"{error.response.status_code} {error.response.reason}".strip()
                raise ValueError(f"{url}: the server answers {status}: check the address{_or(advice)}") from error
            except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
                raise ValueError(f"{url}: is no address of a file: check it") from error
            except requests.RequestException as error:
                failed = 0 if _size(part) > have else failed + 1
                if failed == _ATTEMPTS:
                    kept = f" ({_size(part):,} bytes are kept)" if _size(part) else ""
                    raise ValueError(
                        f"{url}: no connection, or it broke off: {_reason(error)}{kept}: check the network and the "
                        f"variable HTTPS_PROXY, and try again{_or(advice)}"
                    ) from error
    finally:
        if not _size(part):
            part.unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _or(advice: str) -> str:
    return f", or {advice}" if advice else ""


def _reason(error: BaseException) -> str:
    """Why a connection failed: the end of what is often several errors inside one another."""
    text = str(error)
    for inner in (getattr(error, "args", ()) or ("",))[:1]:
        text = str(getattr(inner, "reason", inner))
    return text.split(">: ")[-1].split("): ")[-1] or type(error).__name__


class _Transfer:
    """One request for the rest of a file; also the progress bar that pooch tells how far it is."""

    def __init__(self, url: str, file: BinaryIO, have: int, quiet: bool) -> None:
        self._url, self._file, self._have, self._quiet = url, file, have, quiet
        self._bar: Progress | None = None
        self._bytes = 0
        self.total = 0  # set by pooch, to what the server says that is to come

    def run(self) -> None:
        headers = {"Accept-Encoding": "identity"}
        if self._have:
            headers["Range"] = f"bytes={self._have}-"
        get: Any = pooch.HTTPDownloader(
            progressbar=self, chunk_size=_CHUNK, headers=headers, hooks={"response": self._answered}
        )
        try:
            get(self._url, self._file, None)
        except requests.HTTPError as error:
            if not (self._have and error.response.status_code == requests.codes.range_not_satisfiable):
                raise
            if error.response.headers.get("Content-Range") != f"bytes */{self._have}":  # not the file that it was
                self._file.truncate(0)
                raise requests.ConnectionError("the file on the server has changed") from error
        finally:
            self.close()

    def _answered(self, response: requests.Response, **_: Any) -> None:
        if self._have and response.status_code == requests.codes.ok:  # a server that sends files whole only
            self._file.truncate(0)
            self._have = 0

    def update(self, amount: int) -> None:
        """So many bytes more, as pooch has it; of the last ones it counts too many."""
        if not self.total:  # the server does not say how much will come
            return
        if self._bar is None:
            total = -(-(self._have + self.total) // _KILOBYTE)
            self._bar = Progress(total, Path(self._url).name, "kB", quiet=self._quiet)
            self._bar.__enter__()
            self._bar.update(self._have // _KILOBYTE)
        before, self._bytes = self._bytes, min(self._bytes + amount, self.total)
        self._bar.update(self._bytes // _KILOBYTE - before // _KILOBYTE)

    def reset(self) -> None:
        """Pooch does so at the end, before it tells of all bytes once more."""
        self._bytes = self.total

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
