"""Folders of raw files wherever they are: on a disk, in a zip or tar, or behind a URL, an archive there included."""

import os
import shutil
import stat
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import chain, groupby, islice
from pathlib import Path
from posixpath import basename, join
from typing import IO, NamedTuple

from native_prep.io.archives import (
    DAMAGED,
    SUFFIXES,
    Listing,
    Member,
    content_of,
    is_hidden,
    is_tar,
    list_tar,
    list_zip,
    open_compressed,
)
from native_prep.io.atomic import hidden, left_behind, missing_folders, remove_empty
from native_prep.io.hashes import hash_value
from native_prep.io.remote import (
    WholeOnly,
    copy_url,
    is_file,
    is_url,
    list_url,
    name_of,
    open_url,
    read_files,
    read_ranges,
    set_time,
    stamp_files,
)
from native_prep.io.whole import read_whole

# Folders that say something of what is in them.
_SPLITS = ("train", "val")
# Bytes copied at a time.
_BLOCK = 1 << 20
# Threads that ask for the state of files, and how many files one asks for at a time.
_AT_ONCE, _STAMPED = 32, 64


class Folder:
    """A folder of raw files; as text, its path or URL.

    Attributes:
        name: the last part of its path.
    """

    def __init__(self, path: str, name: str) -> None:
        self._path, self.name = path, name

    def __str__(self) -> str:
        return self._path

    def names(self, suffix: str) -> list[str]:
        """The names in it that end with `suffix`, sorted; on a disk whatever they are, a folder is a bad file."""
        return sorted(name for name in self._files if name.endswith(suffix))

    def folders(self) -> list["Folder"]:
        """The folders in it, sorted by name."""
        return sorted(self._inside(), key=lambda folder: folder.name)

    def path(self, name: str) -> str:
        """The path or URL of a file in it."""
        return self._files[name][0] if name in self._files else f"{self._path}/{name}"

    def member(self, name: str) -> Member | None:
        """Where the bytes of a file in it are; None for one on a disk."""
        return self._files[name][1]

    def read(self, name: str, most: int) -> bytes:
        """The bytes of a file in it, of at most `most` bytes.

        Raises:
            FileNotFoundError: it has no such file.
            ValueError: it is larger, damaged, or cannot be reached.
        """
        if name not in self._files:
            raise FileNotFoundError(self.path(name))
        path, member = self._files[name]
        assert member is not None, "files on a disk are read by LocalFolder.read"
        content = next(read_contents([(path, member)])) if member.size <= most else b""
        if isinstance(content, str):
            raise ValueError(f"{path}: {content}")
        size = max(member.size, len(content))  # not all listings tell it
        if size > most:
            raise ValueError(f"{path}: has {size} bytes, more than {most}: check that it is the right file")
        return content

    @property
    def _files(self) -> Mapping[str, tuple[str, Member | None]]:
        """Name -> path and place."""
        raise NotImplementedError

    def _inside(self) -> Iterable["Folder"]:
        raise NotImplementedError


class LocalFolder(Folder):
    """On a disk of this machine."""

    def __init__(self, path: str) -> None:
        super().__init__(path, Path(path).name)

    def read(self, name: str, most: int) -> bytes:
        """The same; raises OSError where it cannot be read."""
        return read_whole(self.path(name), "such a file", most)

    @cached_property
    def _files(self) -> dict[str, tuple[str, None]]:
        with os.scandir(self._path) as entries:
            # Path objects for 100,000 files take seconds.
            return {entry.name: (os.path.join(self._path, entry.name), None) for entry in entries}  # noqa: PTH118

    def _inside(self) -> Iterable[Folder]:
        return [LocalFolder(str(path)) for path in Path(self._path).iterdir() if path.is_dir()]


class ArchiveFolder(Folder):
    """In an archive.

    Args:
        archive: path or URL of the archive; kind: zip or tar.
        listing: all that is in the archive; inside: the folder's path in it.
    """

    def __init__(self, archive: str, kind: str, listing: Listing, inside: str = "") -> None:
        super().__init__(f"{kind}://{inside}::{archive}" if inside else archive, basename(inside))
        self._archive, self._kind, self._listing, self._place = archive, kind, listing, inside

    @cached_property
    def _files(self) -> dict[str, tuple[str, Member]]:
        return {
            name: (f"{self._kind}://{join(self._place, name)}::{self._archive}", member)
            for name, member in self._listing.get(self._place, {}).items()
        }

    def _inside(self) -> Iterable[Folder]:
        begin = f"{self._place}/" if self._place else ""
        below = {folder[len(begin) :].split("/")[0] for folder in self._listing if folder.startswith(begin)} - {""}
        return [ArchiveFolder(self._archive, self._kind, self._listing, begin + name) for name in below]


class UrlFolder(Folder):
    """Behind a URL; listed when it is first asked for."""

    def __init__(self, url: str) -> None:
        super().__init__(url.rstrip("/"), name_of(url))

    @cached_property
    def _listed(self) -> tuple[dict[str, tuple[str, Member]], list[str]]:
        return list_url(self._path)

    @property
    def _files(self) -> dict[str, tuple[str, Member]]:
        return self._listed[0]

    def _inside(self) -> Iterable[Folder]:
        return [UrlFolder(url) for url in self._listed[1]]


def read_contents(places: Sequence[tuple[str, Member]]) -> Iterator[bytes | str]:
    """What is in files that are not simply on disk, or what is wrong with one; several threads may read at once.

    Those of an archive are inflated one by one: what was just written is read from the processor's cache.

    Args:
        places: paths, as messages name them, and where the files are.

    Raises:
        ValueError: an archive or a server cannot be reached.
    """
    for archive, group in groupby(places, key=lambda place: place[1].archive):
        files = list(group)
        if not archive:
            yield from read_files([path for path, _ in files])
            continue
        members = [member for _, member in files]
        spans = [(member.start, member.start + member.stored) for member in members]
        raws = read_ranges(archive, spans) if is_url(archive) else _read_parts(archive, spans)
        for member, raw in zip(members, raws, strict=True):
            yield content_of(member, raw)


def _read_parts(path: str, spans: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    try:
        with Path(path).open("rb", buffering=0) as file:
            for start, end in spans:
                file.seek(start)
                yield file.read(end - start)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}: give an archive that can be read") from error


def stamps(places: Iterable[tuple[str, Member | None]]) -> Iterator[tuple[str, int]]:
    """What changes with each file, and how many bytes it has.

    On disk these are size and time, else what the archive or the listing tells. A network disk takes its time for each
    answer, but gives many at once: several threads ask.

    Args:
        places: paths, and where the files are; a folder on disk stands for all files in it.

    Raises:
        ValueError: a server cannot be reached; it is asked only where its listing says neither version nor time.
    """
    rest = iter(places)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while some := list(islice(rest, _AT_ONCE * _STAMPED)):
            parts = [some[start : start + _STAMPED] for start in range(0, len(some), _STAMPED)]
            found = list(chain.from_iterable(pool.map(_stamps, parts)))
            untold = [place for place, (stamp, _) in enumerate(found) if not stamp]
            if untold:
                for place, stamp in zip(untold, stamp_files([some[place][0] for place in untold]), strict=True):
                    found[place] = stamp, found[place][1]
            yield from found


def _stamps(places: Sequence[tuple[str, Member | None]]) -> list[tuple[str, int]]:
    return [_stamp(path) if member is None else (member.stamp, max(0, member.size)) for path, member in places]


def _stamp(path: str) -> tuple[str, int]:
    """Of a file, or of all in a folder; reading it will say what is wrong where there are none."""
    try:
        found = os.stat(path)  # noqa: PTH116 (a path object for each of 100,000 files takes seconds)
        if not stat.S_ISDIR(found.st_mode):
            return f"{found.st_size} {found.st_mtime_ns}", found.st_size
        with os.scandir(path) as entries:
            files = sorted((entry.name, entry.stat()) for entry in entries)
    except OSError as error:
        return f"error {error.errno}", 0
    inside = [(name, one.st_size, one.st_mtime_ns) for name, one in files]
    return hash_value(inside), sum(size for _, size, _ in inside)


def is_archive(path: str) -> bool:
    """Whether a path or URL ends as those of archives do."""
    return path.split("?")[0].lower().endswith(SUFFIXES)


@contextmanager
def open_folder(place: str | Path, beside: Path) -> Iterator[Folder]:
    """A folder, or what is in an archive, to be read as it lies.

    A tar that is compressed or behind a URL cannot be read from the middle: it becomes a plain tar, hidden in the
    folder `beside` for as long as the block lasts. So does what a web server sends whole only.

    Args:
        place: path or URL of a folder or an archive.
        beside: where the outputs go; made where it is missing.

    Raises:
        ValueError: there is nothing, or no archive, or it cannot be reached or read.
        OSError: the disk is full or cannot be written.
    """
    text = str(place)
    with ExitStack() as stack:
        if is_url(text):
            yield (_open_archive(text, beside, stack) if is_file(text) else UrlFolder(text.rstrip("/")))
        elif Path(place).is_file():
            yield _open_archive(text, beside, stack)
        elif Path(place).is_dir():
            yield LocalFolder(text)
        else:
            what = "no such file" if is_archive(text) else "no such folder"
            what = "is not a folder" if Path(place).exists() else what
            raise ValueError(f"{place}: {what}: give --data-path the folder of the raw files")


def open_zip(path: str) -> Folder:
    """What is in a zip, at a path or URL.

    Raises:
        ValueError: it is none, or cannot be reached.
    """
    with _opened(path) as file:
        return ArchiveFolder(path, "zip", list_zip(file, _from_anywhere(path)))


def _from_anywhere(path: str) -> str:
    """A path that means the same in a process with another working folder."""
    return path if is_url(path) else str(Path(path).absolute())


@contextmanager
def _opened(path: str, shown: str = "") -> Iterator[IO[bytes]]:
    """A file at a path or URL, which messages name as `shown`."""
    try:
        with open_url(path) if is_url(path) else Path(path).open("rb") as file:
            yield file
    except DAMAGED as error:
        raise ValueError(f"{shown or path}: is cut off or damaged ({error}): fetch it again") from error


def _open_archive(path: str, beside: Path, stack: ExitStack) -> Folder:
    place = path
    try:
        folder = _open_in_place(path, place)
    except WholeOnly:
        print(f"{path}: the server sends no parts of files: copied to {beside} for this run", file=sys.stderr)
        copy = stack.enter_context(_hidden_place(beside / name_of(path)))
        copy_url(path, copy)
        place = str(copy)
        folder = _open_in_place(path, place)
    if folder is not None:
        return folder
    print(f"{path}: unpacked to a plain tar in {beside} for this run", file=sys.stderr)
    plain = stack.enter_context(_hidden_place(beside / f"{name_of(path)}.tar"))
    # The copy is opened first: what is wrong with the disk is not said of the URL.
    with plain.open("wb") as target, _opened(place, path) as file, open_compressed(file) as content:
        shutil.copyfileobj(content, target, _BLOCK)
    with _opened(str(plain), path) as file:
        return ArchiveFolder(path, "tar", list_tar(file, str(plain.absolute()), _state(path, plain)))


def _open_in_place(path: str, place: str) -> Folder | None:
    """What is in the archive at `path`, which is read at `place`; None for a tar that must be made a plain file first.

    Raises:
        WholeOnly: it is behind a URL, and must be copied first.
        ValueError: it is no archive, damaged, or cannot be reached.
    """
    with _opened(place, path) as file:
        begin = file.read(2)
        file.seek(0)
        if begin == b"PK":
            return ArchiveFolder(path, "zip", list_zip(file, _from_anywhere(place)))
        with open_compressed(file) as content:
            tar = is_tar(content.read(tarfile.BLOCKSIZE))
            if tar and content is file and not is_url(place):
                file.seek(0)
                return ArchiveFolder(path, "tar", list_tar(file, _from_anywhere(place), _state(path, Path(place))))
    if not tar:
        raise ValueError(f"{path}: is no zip or tar archive: give --data-path a folder or an archive")
    return None


def _state(path: str, copy: Path) -> str:
    """What changes with an archive; the size of its copy where a server tells neither version nor time."""
    return (stamp_files([path])[0] or str(copy.stat().st_size)) if is_url(path) else _stamp(path)[0]


@contextmanager
def _hidden_place(final: Path) -> Iterator[Path]:
    """A hidden name beside `final`, for a file or a folder that goes when the block ends; sweeps what others left."""
    made = missing_folders(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    place = hidden(final, "copy")
    try:
        for left in (*left_behind(final, "copy"), place):
            _remove(left)
        yield place
    finally:
        _remove(place)
        remove_empty(made)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class Local(NamedTuple):
    """Files that are on this machine.

    Attributes:
        path: where they lie.
        source: what they are of, for messages.
        copy: the path of what was made of `source`, where `path` is or is in a copy; else "".
    """

    path: Path
    source: str
    copy: str = ""


@contextmanager
def local_copy(place: str | os.PathLike[str], beside: Path) -> Iterator[Local]:
    """What must be on this machine whole: a URL's files or an archive's, hidden in `beside`. Errors name what it is of.

    Args:
        place: path or URL of a file, a folder or an archive; a path of a file or folder is not copied.
        beside: where the outputs go; made where it is missing.

    Raises:
        ValueError: there is nothing at the URL, it cannot be reached, or the archive cannot be read.
        OSError: the disk is full or cannot be written.
    """
    text = os.fspath(place)
    packed = is_archive(text) and (is_url(text) or Path(text).is_file())
    if not packed and not is_url(text):
        yield Local(Path(text), text)
        return
    print(f"{text}: copied to {beside} for this run", file=sys.stderr)
    with _hidden_place(beside / name_of(text)) as folder:
        folder.mkdir()
        path = shown = Path(text)
        if is_url(text):
            path = shown = folder / name_of(text)
            copy_url(text, path)
        if packed:
            shown = folder / "unpacked"
            stamp, _ = _stamp(str(path))
            path = _unpacked(path, shown, text)
            for one in path.rglob("*"):
                if one.is_file():
                    set_time(one, stamp)
        try:
            yield Local(path, text.rstrip("/"), str(shown))
        except (ValueError, OSError) as error:
            if str(shown) not in str(error):
                raise
            # The copy is gone when this is read.
            raise ValueError(str(error).replace(str(shown), text.rstrip("/"))) from error


def _unpacked(archive: Path, folder: Path, shown: str) -> Path:
    """The folder of an archive's files; where it holds nothing but one folder, that one."""
    with archive.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    try:
        # Kinds are told apart by content, as names may be in capitals; `tar` takes compressed ones, too.
        shutil.unpack_archive(archive, folder, "zip" if is_zip else "tar", filter=None if is_zip else "data")
    except (*DAMAGED, RuntimeError, shutil.ReadError) as error:  # RuntimeError: encrypted
        raise ValueError(f"{shown}: cannot be unpacked ({error}): fetch it again, or unpack it yourself") from error
    inside = [path for path in folder.iterdir() if not is_hidden(path.name)]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() and inside[0].name not in _SPLITS else folder
