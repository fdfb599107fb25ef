"""Files and folders behind URLs (`s3://`, `gs://`, `https://`, `memory://`, ...): the one door to fsspec."""

import errno
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from native_prep.io.archives import DAMAGED, Member

# Errors of the disk that is written to.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# Seconds that a server has to answer, and for the next bytes of a file.
_PATIENCE = 60
# Requests under way at a time.
_AT_ONCE = 16
# What a listing may call the version or the last change of a file, the surest first.
_STAMPS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "updated", "Last-Modified", "created")


class WholeOnly(ValueError):
    """A web server sends files whole, and a part is wanted."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{url}: the server sends no parts of files: fetch the archive and give its path")


def is_url(path: object) -> bool:
    """Whether a path names something that is not on this machine's disks."""
    return "://" in str(path)


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Errors of fsspec and of what it calls, as one line that names the address; what an archive holds is not theirs.

    Each kind of storage has errors of its own (botocore, google.auth, aiohttp), which have no class in common.
    """
    try:
        yield
    except (MemoryError, *DAMAGED, WholeOnly):
        raise
    except ImportError as error:
        raise ValueError(f"{url}: {_missing(url, error)}") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK:  # where it is copied to
            raise
        # fsspec says of everything that happens to a web address that there is no such file.
        cause = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error
        if isinstance(cause, FileNotFoundError) or getattr(cause, "status", 0) == 404:
            raise ValueError(f"{url}: no such file or folder: check the address") from error
        said = " ".join(str(cause).split())[:200] or type(cause).__name__
        raise ValueError(f"{url}: {said}: check the address, the network and your credentials") from error


def _missing(url: str, error: ImportError) -> str:
    if error.name == "fsspec" or url.startswith("http"):
        return "needs packages that are not installed: pip install 'two-stream-agcn[remote]'"
    return f"needs a package that is not installed: {' '.join(str(error).split())} (pip install)"


def _filesystem(url: str) -> tuple[Any, str]:
    """The file system of a URL, one a process, and the path in it."""
    import fsspec

    options = {}
    if url.startswith("http"):
        import aiohttp

        # Five minutes for a whole answer, as is usual, are too short for an archive.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_PATIENCE, sock_read=_PATIENCE)
        options = {"client_kwargs": {"timeout": timeout}}
    return fsspec.core.url_to_fs(url, **options)


def list_url(url: str) -> tuple[dict[str, tuple[str, Member]], list[str]]:
    """What is in a folder: name -> URL and file, and the URLs of the folders in it.

    Raises:
        ValueError: there is no such folder, or it cannot be reached.
    """
    files: dict[str, tuple[str, Member]] = {}
    folders = []
    with _told(url):
        system, path = _filesystem(url)
        system.invalidate_cache()  # of an earlier run of this process
        for entry in system.ls(path, detail=True):
            inside = entry["name"].rstrip("/")
            # Web servers' lists link to other places, too.
            if not inside.startswith(path.rstrip("/") + "/"):
                continue
            if entry["type"] == "directory":
                folders.append(system.unstrip_protocol(inside))
                continue
            size = -1 if entry.get("size") is None else entry["size"]
            url_of = system.unstrip_protocol(inside)
            files[name_of(url_of)] = url_of, Member("", 0, 0, size, _stamp_of(entry))
    return files, sorted(folders)


def is_file(url: str) -> bool:
    """Whether a file, not a folder, is at a URL; of web addresses, where both look alike, the name's suffix tells.

    Raises:
        ValueError: there is nothing, or it cannot be reached.
    """
    with _told(url):
        system, path = _filesystem(url)
        if "http" in system.protocol:
            return bool(PurePosixPath(urlsplit(url).path).suffix) and not url.endswith("/")
        return bool(system.info(path)["type"] == "file")


@contextmanager
def open_url(url: str, anywhere: bool = True) -> Iterator[IO[bytes]]:
    """A file at a URL to read from, anywhere in it or from its start to its end.

    Raises:
        WholeOnly: it is not sent in parts, which reading anywhere takes.
        ValueError: there is none, or it cannot be reached, on opening or later.
    """
    with _told(url):
        system, path = _filesystem(url)
        stream = {"block_size": 0} if "http" in system.protocol and not anywhere else {}
        with system.open(path, "rb", **stream) as file:
            if anywhere and not _has_parts(file):
                raise WholeOnly(url)
            yield file


def _has_parts(file: IO[bytes]) -> bool:
    """Whether a file can be read anywhere; servers may say so and send it whole, so that its last byte is asked for."""
    try:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        file.read(1)
        file.seek(0)
    except ValueError:
        return False
    return True


def read_ranges(url: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
    """Parts of a file, (first byte, byte after the last), fetched side by side.

    Raises:
        ValueError: there is no such file, it cannot be reached, or the server sends files whole only.
    """
    with _told(url):
        system, path = _filesystem(url)
        starts, ends = zip(*spans, strict=True)
        parts = system.cat_ranges([path] * len(spans), list(starts), list(ends), on_error="raise")
    if any(len(part) > end - start for part, (start, end) in zip(parts, spans, strict=True)):
        raise WholeOnly(url)
    return list(parts)


def read_files(urls: Sequence[str]) -> list[bytes | str]:
    """The contents of files, fetched side by side; of one that is no more, what to say of it.

    Raises:
        ValueError: they cannot be reached.
    """
    with _told(urls[0]):
        system, _ = _filesystem(urls[0])
        nothing = [None] * len(urls)
        found = system.cat_ranges([system._strip_protocol(url) for url in urls], nothing, nothing)
    contents: list[bytes | str] = []
    for url, content in zip(urls, found, strict=True):
        if isinstance(content, FileNotFoundError):
            content = "is not there any more: check the folder"
        with _told(url):
            if isinstance(content, Exception):
                raise content
        contents.append(content)
    return contents


def stamp_files(urls: Sequence[str]) -> list[str]:
    """What changes with files, asked for one by one but side by side, for listings that do not say.

    Raises:
        ValueError: they cannot be reached.
    """

    def stamp(url: str) -> str:
        with _told(url):
            return _stamp_of(system.info(system._strip_protocol(url)))

    with _told(urls[0]):
        system, _ = _filesystem(urls[0])
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(stamp, urls))


def _stamp_of(entry: dict[str, Any]) -> str:
    """Nothing where it tells of no version or time: a size alone is too little."""
    stamp = next((str(entry[key]) for key in _STAMPS if entry.get(key)), "")
    return f"{entry.get('size')} {stamp}" if stamp else ""


def copy_url(url: str, target: Path) -> None:
    """Copies a file, or all that is in a folder, to this machine.

    Raises:
        ValueError: there is nothing, or it cannot be reached.
        OSError: the disk is full or cannot be written.
    """
    if is_file(url):
        _copy_file(url, target, stamp_files([url])[0])
        return
    files, folders = list_url(url)
    urls, stamps = [one for one, _ in files.values()], [member.stamp for _, member in files.values()]
    if not all(stamps):
        stamps = stamp_files(urls)
    target.mkdir()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(_copy_file, urls, [target / name for name in files], stamps))
    for folder in folders:
        copy_url(folder + "/", target / name_of(folder))


def set_time(path: Path, stamp: str) -> None:
    """Gives a copy a time that only changes with its source, so that a later run knows it again; none for no stamp."""
    if stamp:
        when = zlib.crc32(stamp.encode()) >> 1  # before 2038, which all file systems can keep
        os.utime(path, (when, when))


def _copy_file(url: str, target: Path, stamp: str) -> None:
    with target.open("wb") as copy, open_url(url, anywhere=False) as file:
        shutil.copyfileobj(file, copy, 1 << 20)
    set_time(target, stamp)


def name_of(url: str) -> str:
    """The last part of a URL's path."""
    return PurePosixPath(unquote(urlsplit(url).path)).name or "root"
