"""Dense batches from the packed store, by compiled code, in several threads where that pays."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from native_prep.pack import unpack_streams
from native_prep.streams import STREAMS, check_streams

if TYPE_CHECKING:
    from native_prep.store import Store

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
