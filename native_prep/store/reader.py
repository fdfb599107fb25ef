"""Reading the packed store: whole, by stream, by part; batches become dense in compiled code, in threads."""

import math
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.io.arrays import HEADER, npy_header
from native_prep.kernels.packed_frames import unpack_streams
from native_prep.skeletons.streams import STREAMS, check_streams
from native_prep.store.format import (
    CLIPS,
    DTYPES,
    FRAMES,
    STORE,
    StoreHead,
    check_sizes,
    read_clips,
    read_store,
    verify_shard,
)

# Fewer clips a thread than this are done before another thread has begun.
_SHARE = 8


class Unpacker:
    """Turns clips of a store into dense arrays; threads share it."""

    def __init__(self, store: "Store") -> None:
        self.store = store
        self._parents = np.array(store.head.layout.bone_parents)
        self._room = threading.local()
        self._none = (np.empty((0, *store.clip_shape[2:3], 3), np.float32), np.empty((0, 1, 3), np.uint16))
        halves = np.arange(1 << 16 if store.head.dtype == "float16" else 0, dtype=np.uint16)
        self._table = halves.view(np.float16).astype(np.float32)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="unpack")

    def unpack(self, clips: np.ndarray, streams: tuple[str, ...], rows: np.ndarray, threads: int) -> None:
        """See `Store.unpack`."""
        places = np.array([streams.index(name) if name in streams else -1 for name in STREAMS])
        flat = rows.reshape(len(clips), len(streams), 3, int(np.prod(self.store.clip_shape[1:])))
        order = np.argsort(self.store.shards[clips], kind="stable")
        shares = np.array_split(order, max(1, min(threads, len(clips) // _SHARE)))
        if len(shares) == 1:
            self._share(clips, order, places, flat)
        else:
            list(self._pool.map(lambda share: self._share(clips, share, places, flat), shares))

    def _share(self, clips: np.ndarray, targets: np.ndarray, places: np.ndarray, rows: np.ndarray) -> None:
        """Unpacks the clips at `targets`, which are sorted by shard, one call of the kernel a shard."""
        store = self.store
        shards = store.shards[clips[targets]]
        for run in np.split(targets, np.flatnonzero(np.diff(shards)) + 1):
            if len(run) == 0:
                continue
            ours = clips[run]
            unpack_streams(
                self._stored(int(store.shards[ours[0]])),
                store.starts[ours],
                store.lengths[ours],
                store.head.padding == "repeat",
                run,
                self._parents,
                *self._rooms(places, rows),
            )

    def _stored(self, shard: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        frames = self.store.shard_frames(shard)
        if frames.dtype == np.float32:
            return frames, self._none[1], self._table
        return self._none[0], frames.view(np.uint16), self._table

    def _rooms(self, places: np.ndarray, rows: np.ndarray) -> tuple[Any, ...]:
        """A thread's room to work in, and where the rows go."""
        if not hasattr(self._room, "clip"):
            _, frames, joints, bodies = self.store.clip_shape
            self._room.clip = np.empty((bodies, frames, joints, 3), np.float32)
            self._room.spare = np.empty((3, frames * joints * bodies), np.float32)
        return self._room.clip, places, rows, self._room.spare


class StreamArray:
    """One stream of one part of a store; it looks like the array (N, 3, T, V, M) in its `.npy` file.

    An index, a slice or an array of indices gives a float32 array in memory, equal to the file's to the bit.

    Attributes:
        shape: (N, 3, T, V, M); ndim: 5; dtype: float32.
        store: where the clips are; clips: int64 (N,), their numbers there.
    """

    ndim = 5
    dtype = np.dtype(np.float32)

    def __init__(self, unpacker: Unpacker, clips: np.ndarray, stream: str) -> None:
        self._unpacker, self.store, self.clips = unpacker, unpacker.store, clips
        (self.stream,) = check_streams((stream,))
        self.shape = (len(clips), *self.store.clip_shape)

    @property
    def names(self) -> list[str]:
        """The clips' names, n."""
        names = self.store.names
        return [names[clip] for clip in self.clips]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: Any) -> np.ndarray:
        """The clips at `index`, (3, T, V, M) for a number, else (n, 3, T, V, M).

        Raises:
            IndexError: as NumPy does.
        """
        clips = self.clips[index]
        wanted = np.atleast_1d(clips)
        rows = np.empty((len(wanted), 1, *self.shape[1:]), np.float32)
        self._unpacker.unpack(wanted, (self.stream,), rows, os.cpu_count() or 1)
        return rows[0, 0] if np.ndim(clips) == 0 else rows[:, 0]


FOLDER = "packed"
_USUAL = re.compile(r"(?P<split>.+)_(?:data_(?P<stream>joint|bone|joint_motion|bone_motion)\.npy|label\.pkl)")


class Store:
    """A packed store, opened and checked; sizes and the index always, checksums by `verify`.

    Args:
        folder: the one that holds `store.json`.
        mapped: frames are read from disk as needed; else they are kept in memory.

    Attributes:
        head: see `StoreHead`; its T is known here.
        names: of all clips; labels: int64 (N,); frames: int64 (N,), the length of the recordings.
        parts: int64 (N,), a bit for each of the head's parts that a clip belongs to.
        shards: int64 (N,), the shard of each clip; starts, lengths: int64 (N, M), its bodies in the shard's frames.

    Raises:
        ValueError: no store, one of another version, a file that is missing, cut off or damaged.
    """

    def __init__(self, folder: str | os.PathLike[str], mapped: bool = True) -> None:
        self.folder, self.mapped = Path(folder), mapped
        self.head, shards = read_store(self.folder / STORE)
        self._shards = [_Shard(self.folder, one, self.head, mapped) for one in shards]
        tables = [shard.read_clips() for shard in self._shards]
        self.parts, self.labels, self.frames = (_column(tables, key) for key in ("parts", "label", "frames"))
        self.starts, self.lengths = _column(tables, "start"), _column(tables, "length")
        self.shards = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        self._tables = tables
        self._unpacker = Unpacker(self)

    @property
    def clip_shape(self) -> tuple[int, int, int, int]:
        """(3, T, V, M)."""
        assert self.head.frames is not None
        return 3, self.head.frames, self.head.layout.num_joints, self.head.bodies

    @cached_property
    def names(self) -> list[str]:
        """The names of all N clips."""
        return [os.fsdecode(name) for table in self._tables for name in table["name"].tolist()]

    def column(self, key: str) -> np.ndarray:
        """A number of every clip, int64 (N,): label, setup, camera, subject, replication or frames."""
        return _column(self._tables, key)

    def split(self, part: str) -> np.ndarray:
        """The clips of a part ("xsub/train") in order, int64 (n,).

        Raises:
            ValueError: the store has no such part.
        """
        if part not in self.head.parts:
            raise ValueError(f"{self.folder}: has no part {part!r}: it has {', '.join(self.head.parts)}")
        return np.flatnonzero(self.parts >> self.head.parts.index(part) & 1)

    def array(self, part: str, stream: str) -> StreamArray:
        """A stream of a part as what looks like the array in its `.npy` file."""
        return self.select(self.split(part), stream)

    def select(self, clips: np.ndarray, stream: str) -> StreamArray:
        """A stream of the clips at `clips`, int64 (n,), as what looks like an array (n, 3, T, V, M)."""
        return StreamArray(self._unpacker, clips, stream)

    @property
    def shard_folders(self) -> list[str]:
        """The names of the shards' folders."""
        return [shard.folder.name for shard in self._shards]

    def names_and_labels(self, part: str) -> tuple[list[str], np.ndarray]:
        """What the label file of a part holds: n names, and labels as int64 (n,)."""
        clips, names = self.split(part), self.names
        return [names[clip] for clip in clips], self.labels[clips]

    def unpack(self, clips: np.ndarray, streams: tuple[str, ...], rows: np.ndarray, threads: int = 1) -> None:
        """Writes clips as dense arrays: `rows` float32 (n, S, 3, T, V, M)."""
        self._unpacker.unpack(clips, streams, rows, threads)

    def shard_frames(self, shard: int) -> np.ndarray:
        """The frames of a shard, (F, V, 3) float32 or float16."""
        return self._shards[shard].frames()

    def forget(self, shard: int) -> None:
        """Lets the frames of a shard go until they are asked for again."""
        self._shards[shard].forget()

    def verify(self) -> None:
        """Compares every file with its checksum.

        Raises:
            ValueError: one differs.
        """
        for shard in self._shards:
            verify_shard(shard.folder, shard.metadata)


class _Shard:
    """One folder of a store: files of the right size, and an index within them."""

    def __init__(self, folder: Path, metadata: dict[str, Any], head: StoreHead, mapped: bool) -> None:
        self.folder, self.metadata = folder / metadata["folder"], metadata
        self._shape = (metadata["frames"], head.layout.num_joints, 3)
        self._head, self._mapped, self._dtype = head, mapped, DTYPES[head.dtype]
        self._kept: np.ndarray | None = None
        check_sizes(self.folder, metadata)
        size = HEADER + np.dtype(self._dtype).itemsize * math.prod(self._shape)
        with (self.folder / FRAMES).open("rb") as file:
            header = npy_header(self._shape[0], self._shape[1:], self._dtype)
            if metadata["files"][FRAMES]["bytes"] != size or file.read(HEADER) != header:
                raise ValueError(f"{self.folder / FRAMES}: damaged, or of another shape: run prep again")

    def read_clips(self) -> np.ndarray:
        path = self.folder / CLIPS
        table = read_clips(path, self.metadata["clips"], self._head.bodies)
        start, length = table["start"], table["length"]
        # What the kernel relies on: it copies without looking. A sum of the two could wrap around.
        if (start < 0).any() or (length < 0).any() or (start > self._shape[0] - length).any():
            raise ValueError(f"{path}: points behind the end of {FRAMES}: run prep again")
        if (length > self._head.frames).any() or (table["label"] < 0).any():
            raise ValueError(f"{path}: has a clip that cannot be: run prep again")
        return table

    def frames(self) -> np.ndarray:
        kept = self._kept
        if kept is None:
            path = self.folder / FRAMES
            # Copy on write, so that the kernel sees one type of array, however the frames are held.
            raw = np.memmap(path, np.uint8, "c").view(np.ndarray) if self._mapped else np.fromfile(path, np.uint8)
            kept = self._kept = raw[HEADER:].view(self._dtype).reshape(self._shape)
        return kept

    def forget(self) -> None:
        self._kept = None


def _column(tables: list[np.ndarray], key: str) -> np.ndarray:
    return np.concatenate([table[key] for table in tables]).astype(np.int64)


def verify_store(folder: str | os.PathLike[str]) -> None:
    """Opens a store and compares every file with its checksum.

    Raises:
        ValueError: it is no whole store; one line says which file.
    """
    Store(folder).verify()


@lru_cache(maxsize=4)
def _open(folder: str, stamp: int, mapped: bool) -> Store:
    return Store(folder, mapped)


@dataclass(frozen=True)
class Part:
    """A part of a store that a path stands for, and the stream, "" for labels."""

    store: Store
    name: str
    stream: str


def find_part(path: str | os.PathLike[str], mapped: bool = True) -> Part | None:
    """What a path to an `.npy` or label file stands for in the packed store: the one it leads into, or the one beside.

    `data/ntu/packed/xsub/train_data_bone.npy` leads into `data/ntu/packed`; `data/ntu/xsub/train_data_bone.npy` lies
    beside it. None where there is no store.

    Raises:
        ValueError: the store is damaged or has no such part.
    """
    file = Path(path)
    usual = _USUAL.fullmatch(file.name)
    if usual is None:
        return None
    for depth, base in enumerate(file.parents[:2]):
        name = "/".join((*file.parts[-1 - depth : -1], usual["split"]))
        for folder in (base, base / FOLDER):
            if (folder / STORE).is_file():
                store = _open(str(folder.resolve()), (folder / STORE).stat().st_mtime_ns, mapped)
                if name not in store.head.parts:
                    parts = ", ".join(store.head.parts)
                    raise ValueError(f"{path}: {folder} has no part {name!r}, it has {parts}: name one of them")
                return Part(store, name, usual["stream"] or "")
    return None
