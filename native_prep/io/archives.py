"""Files that lie in zip and tar archives: where their bytes are, found once, and what is in them.

Nothing is unpacked: a file's bytes are read from its place in the archive, by several threads at once, and inflated by
the thread that wants them.
"""

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from posixpath import normpath, split
from typing import IO, Any, NamedTuple

try:
    # Inflates NTU's text at more than twice zlib's rate, which is below that of the kernels that read it.
    from isal import isal_zlib as inflate
except ImportError:  # it is of the extra `remote`
    inflate = zlib  # type: ignore[misc]

# What reading an archive raises that is cut off, damaged, or none.
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError)
# What the names of archives end with.
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".tgz", ".txz", ".tbz2")
# A zip's own header of each file has this size and begins so; name and extra field follow it, as long as it says.
_HEADER, _SIGNATURE, _LONGEST_EXTRA = 30, b"PK\3\4", 0xFFFF
_OPEN: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ": lzma.open, b"BZh": bz2.open}


class Member(NamedTuple):
    """Where the bytes of a file are that is not simply on disk; other processes and machines read it by this alone.

    Attributes:
        archive: path or URL of the archive; "" for a file that has a URL of its own.
        start, stored: its place in the archive, a zip's own header included, and how many bytes to read there.
        size: of its content; -1 where the listing does not say.
        stamp: changes with the file.
        method: of compression, as zip counts them; -1 where `start` is that of the content itself.
        crc: of its content, in a zip.
        fault: why it cannot be read, where the listing tells.
    """

    archive: str
    start: int
    stored: int
    size: int
    stamp: str
    method: int = -1
    crc: int = 0
    fault: str = ""


def is_hidden(path: str) -> bool:
    """Whether a part of a path is what file managers, archives and file systems leave behind: never a clip."""
    return any(part.startswith((".", "__MACOSX")) for part in path.split("/"))


# Folder -> name -> file.
Listing = dict[str, dict[str, Member]]


def list_zip(file: IO[bytes], archive: str) -> Listing:
    """The files of a zip.

    Args:
        file: it, open; archive: where it lies.

    Raises:
        zipfile.BadZipFile: it is none, cut off, or of a version that is not read here.
    """
    found: Listing = {}
    try:
        with zipfile.ZipFile(file) as table:
            infos = sorted(table.infolist(), key=lambda info: info.header_offset)
    except NotImplementedError as error:
        # No part of DAMAGED: file systems of fsspec raise it, too, of what they cannot do.
        raise zipfile.BadZipFile(str(error)) from error
    for place, info in enumerate(infos):
        path = normpath(info.filename.replace("\\", "/"))  # as old programs of Windows write it
        if info.is_dir() or is_hidden(path):
            continue
        folder, name = split(path)
        fault = ""
        if name in found.get(folder, {}):
            fault = "is twice in the archive: keep one of them"
        elif info.flag_bits & 1:
            fault = "is encrypted: unpack the archive with its password and give the folder"
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            fault = "is compressed in a way that is not read here: unpack the archive and give the folder"
        # The header may be longer than the table says, but the next one begins behind the file.
        stored = _HEADER + len(info.orig_filename.encode()) + _LONGEST_EXTRA + info.compress_size
        if place + 1 < len(infos):
            stored = min(stored, infos[place + 1].header_offset - info.header_offset)
        stamp = f"{info.CRC:08x} {info.file_size}"
        member = Member(
            archive, info.header_offset, stored, info.file_size, stamp, info.compress_type, info.CRC, fault
        )  # fmt: skip
        found.setdefault(folder, {})[name] = member
    return found


def list_tar(file: IO[bytes], archive: str, stamp: str) -> Listing:
    """The files of a tar that is not compressed.

    Args:
        file: it, open; archive: where it lies.
        stamp: changes with the archive; the files' own times are of whole seconds, and often all the same.

    Raises:
        tarfile.TarError: it is none, or cut off.
    """
    found: Listing = {}
    with tarfile.open(fileobj=file, mode="r:") as table:
        while (info := table.next()) is not None:
            table.members.clear()  # type: ignore[attr-defined]  # a kilobyte each
            path = normpath(info.name)
            if not (info.isreg() or info.islnk() or info.issym()) or is_hidden(path):
                continue
            folder, name = split(path)
            found.setdefault(folder, {})[name] = _tar_member(info, archive, stamp, found)
    return found


def _tar_member(info: tarfile.TarInfo, archive: str, stamp: str, earlier: Listing) -> Member:
    """A file of a tar; a hard link is the earlier file that it names."""
    if info.isreg():
        fault = "is a sparse file: unpack the archive and give the folder" if info.issparse() else ""
        stamp = f"{info.size} {info.mtime} {stamp}"
        return Member(archive, info.offset_data, info.size, info.size, stamp, fault=fault)
    if info.issym():
        fault = "is a symbolic link: unpack the archive and give the folder"
        return Member(archive, 0, 0, 0, f"{info.mtime} {stamp}", fault=fault)
    folder, name = split(normpath(info.linkname))
    fault = f"is a link to {info.linkname}, which does not come before it in the archive: pack the archive again"
    return earlier.get(folder, {}).get(name) or Member(archive, 0, 0, 0, f"{info.mtime} {stamp}", fault=fault)


def content_of(member: Member, raw: bytes) -> bytes | str:
    """What is in a file, or what is wrong with it.

    Args:
        member: which one.
        raw: the bytes at its place.
    """
    if member.fault:
        return member.fault
    content = raw
    if member.method != -1:
        begin = _HEADER + int.from_bytes(raw[26:28], "little") + int.from_bytes(raw[28:30], "little")
        if not raw.startswith(_SIGNATURE):
            content = b""
        elif member.method == zipfile.ZIP_STORED:
            content = raw[begin : begin + member.size]
        else:
            try:
                # A byte more than there should be: no more memory than that, whatever the file holds.
                content = inflate.decompressobj(-15).decompress(memoryview(raw)[begin:], member.size + 1)
            except (zlib.error, inflate.error):  # type: ignore[misc]
                content = b""
        if inflate.crc32(content) != member.crc:
            return "is damaged in the archive: fetch the archive again"
    if len(content) != member.size != -1:
        return "is damaged in the archive: fetch the archive again"
    return content


def open_compressed(file: IO[bytes]) -> IO[bytes]:
    """What is inside a file by gzip, xz or bzip2, found by how it begins; the file itself where it is none of them."""
    begin = file.read(6)
    file.seek(0)
    for signature, opener in _OPEN.items():
        if begin.startswith(signature):
            opened: IO[bytes] = opener(file)
            return opened
    return file


def is_tar(block: bytes) -> bool:
    """Whether a tar begins with these 512 bytes."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
