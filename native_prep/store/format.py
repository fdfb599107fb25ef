"""The packed store's format: the real frames of real bodies, once for all benchmarks, splits and streams.

    packed/store.json                    what it is: version, skeleton, T, M, parts, shards with sizes and checksums
    packed/shard-00000-.../shard.json    the same for one shard
    packed/shard-00000-.../frames.npy    (F, V, 3) float32 or float16, clip after clip, body after body
    packed/shard-00000-.../clips.npy     one record a clip: name, label, parts, who and where, frames, and each body's
                                         start and length in frames.npy

Frame t of a body is its frame t mod length where bodies repeat, else zeros follow the last one. Letters: N clips,
C channels, T frames, V joints, M bodies.
"""

import io
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.io.hashes import sha256
from native_prep.io.whole import read_whole
from native_prep.skeletons.layouts import Layout

VERSION = 1
STORE, SHARD, FRAMES, CLIPS = "store.json", "shard.json", "frames.npy", "clips.npy"
DTYPES = {"float32": "<f4", "float16": "<f2"}
PADDINGS = ("repeat", "zero")
# More than any store can have; whatever is damaged stays below what NumPy's types hold.
_MOST_BODIES, _MOST_FRAMES, _MOST_BYTES = 1 << 16, (1 << 31) - 1, 1 << 60


@dataclass(frozen=True)
class StoreHead:
    """What all clips of a store have in common.

    Attributes:
        dataset: its name; "" for a data set of one's own.
        layout: the skeleton.
        bodies, frames: M and T; None for as many frames as the longest clip has.
        parts: the beginnings of the names that `prep` gives to the parts, as `xsub/train`; at most 32.
        padding: "repeat" or "zero", what follows a body's frames.
        dtype: "float32", or "float16" for half the size and frames that are rounded.

    Raises:
        ValueError: too many parts, or a padding or dtype that is not known.
    """

    dataset: str
    layout: Layout
    bodies: int
    frames: int | None
    parts: tuple[str, ...]
    padding: str
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name, value, known in (("padding", self.padding, PADDINGS), ("dtype", self.dtype, DTYPES)):
            if value not in known:
                raise ValueError(f"packed store: {name} {value!r} is not known: use one of {', '.join(known)}")
        if not 1 <= len(self.parts) <= 32:
            raise ValueError(f"a packed store has 1 to 32 parts, not {len(self.parts)}: name fewer")


def clip_dtype(name_bytes: int, bodies: int) -> np.dtype:
    """The record of one clip in `clips.npy`; `parts` has a bit for each of the store's parts, -1 stands for unknown."""
    numbers = [(name, "<i4") for name in ("label", "setup", "camera", "subject", "replication", "frames")]
    table = [("name", f"S{max(name_bytes, 1)}"), ("parts", "<u4"), *numbers]
    return np.dtype([*table, ("start", "<i8", (bodies,)), ("length", "<i4", (bodies,))])


def frames_to_keep(body: np.ndarray, padding: str) -> np.ndarray:
    """The frames of a body (T', V, 3) that a store has to hold: up to the last that is not zero, or a period."""
    seen = np.flatnonzero(body.any(axis=(1, 2)))
    if padding == "zero" or not len(seen):
        return body[: seen[-1] + 1 if len(seen) else 0]
    for period in np.flatnonzero((body == body[0]).all(axis=(1, 2))).tolist()[1:]:
        if (body[period:] == body[:-period]).all():
            return body[:period]
    return body


def _head_keys() -> list[str]:
    return [field.name for field in fields(StoreHead) if field.name != "layout"]


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value


def describe(head: StoreHead) -> dict[str, Any]:
    """A head as plain values."""
    return asdict(head)


def read_store(path: Path) -> tuple[StoreHead, list[dict[str, Any]]]:
    """The head of a store, and what `store.json` says of each shard.

    Raises:
        ValueError: see `read_metadata`, or something in it makes no sense.
    """
    metadata = read_metadata(path)
    try:
        layout = Layout(**{key: _tuples(value) for key, value in metadata["layout"].items()})
        head = StoreHead(layout=layout, **{key: _tuples(metadata[key]) for key in _head_keys()})
        shards = [{"folder": str(one["folder"]), **shard_metadata(one)} for one in metadata["shards"]]
        if not shards:
            raise ValueError("it is empty")
        _check_head(head)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: damaged ({error!r}): run prep again") from error
    return head, shards


def _check_head(head: StoreHead) -> None:
    """Raises ValueError or TypeError where compiled code, which looks at nothing, could not rely on a head."""
    _integer(head.bodies, 1, _MOST_BODIES)
    _integer(head.frames, 1, _MOST_FRAMES)
    for child, parent in head.layout.edges + head.layout.bones:
        _integer(child, 0, head.layout.num_joints)
        _integer(parent, 0, head.layout.num_joints)
    if not all(isinstance(text, str) for text in (head.dataset, head.layout.name, *head.parts)):
        raise ValueError("a name is not text")


def _integer(value: Any, least: int, most: int) -> int:
    """A whole number; `true`, 5.0 and "5" are none."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{value!r} is not a whole number from {least} to {most}")
    return value


def read_metadata(path: Path) -> dict[str, Any]:
    """What `store.json` says.

    Raises:
        ValueError: there is no such file, it is no description of a store, or one of another version.
    """
    try:
        content = read_whole(path, "such a description")
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file: give a folder that `prep --format packed` wrote") from error
    try:
        metadata = json.loads(content)
        version = metadata["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: not the description of a packed store: run prep again") from error
    if version != VERSION:
        raise ValueError(f"{path}: is of version {version}, this program reads {VERSION}: run prep again")
    return metadata


def shard_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """What is said of a shard's files, or KeyError, TypeError or ValueError where that makes no sense."""
    files = {
        name: {
            "bytes": _integer(metadata["files"][name]["bytes"], 0, _MOST_BYTES),
            "sha256": str(metadata["files"][name]["sha256"]),
        }
        for name in (FRAMES, CLIPS)
    }
    clips, frames = (_integer(metadata[key], 0, _MOST_BYTES) for key in ("clips", "frames"))
    return {"clips": clips, "frames": frames, "files": files}


def read_clips(path: Path, clips: int, bodies: int) -> np.ndarray:
    """The records in a shard's `clips.npy`; its header decides nothing, it is compared with the one that fits.

    Raises:
        ValueError: it is damaged, or of another form.
        OSError: it cannot be read.
    """
    raw = path.read_bytes()
    start = 10 + int.from_bytes(raw[8:10], "little")
    # What the names take is all that is not known beforehand.
    rest = clip_dtype(1, bodies).itemsize - 1
    name_bytes = (len(raw) - start) // clips - rest if clips else 1
    if 1 <= name_bytes <= _MOST_FRAMES:
        dtype = clip_dtype(name_bytes, bodies)
        whole = len(raw) == start + clips * dtype.itemsize
        if whole and raw[:start].split() == _header_of(clips, dtype).split():  # NumPy's versions differ in the blanks
            return np.frombuffer(raw, dtype, clips, start)
    raise ValueError(f"{path}: not an index of {clips} clips of {bodies} bodies: run prep again")


def _header_of(rows: int, dtype: np.dtype) -> bytes:
    metadata = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (rows,)}
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, metadata)
    return file.getvalue()


def check_sizes(folder: Path, metadata: dict[str, Any]) -> None:
    """Whether the files of a shard are there and of the size that they should have.

    Raises:
        ValueError: one is not.
    """
    for name, file in metadata["files"].items():
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{path}: is missing: copy the whole folder again, or run prep again")
        size = path.stat().st_size
        if size != file["bytes"]:
            raise ValueError(
                f"{path}: has {size} bytes instead of {file['bytes']}: copy the folder again, or run prep again"
            )


def verify_shard(folder: Path, metadata: dict[str, Any]) -> None:
    """Whether the files of a shard have their checksums.

    Raises:
        ValueError: one has not.
    """
    check_sizes(folder, metadata)
    for name, file in metadata["files"].items():
        if sha256(folder / name) != file["sha256"]:
            raise ValueError(f"{folder / name}: its checksum is wrong: copy the folder again, or run prep again")
