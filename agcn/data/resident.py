"""Clips that live on the device: batches are gathered there, and nothing of them is copied from the host.

Letters: N clips, B clips of a batch, C channels, F frames of all bodies, T frames, V joints, M bodies.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from agcn.data.augment import make_stream
from agcn.data.clips import Clips
from agcn.device import free_memory
from agcn.model.absent_bodies import present_bodies
from native_prep.store.reader import StreamArray

# Bytes that are copied to the device at a time.
_PIECE = 1 << 28


class ResidentClips(Protocol):
    """Clips on a device.

    Attributes:
        present: bool (N, M), the bodies that are not all zero.
    """

    present: np.ndarray

    def batch(self, index: Tensor) -> Tensor:
        """The clips at `index`, int64 (B,) on the device: float32 (B, C, T, V, M)."""


def keep_resident(clips: Clips, wanted: bool | str, device: torch.device) -> ResidentClips | None:
    """The clips on `device`, or None where they are to be read from disk batch by batch.

    Args:
        wanted: "auto": on a GPU, where they take at most half of its free memory; True or False.

    Raises:
        ValueError: True, and there is not so much memory.
    """
    if wanted is False or (wanted == "auto" and device.type != "cuda") or not len(clips):
        return None
    needed, free = _size(clips), free_memory(device)
    if wanted == "auto" and needed > free / 2:
        return None
    if needed > free:
        raise ValueError(
            f"{clips.path}: resident: True: its clips take {needed / 1e9:.3g} GB, {free / 1e9:.3g} GB are free: "
            "set resident to False, or prepare --format packed"
        )
    if isinstance(clips.data, StreamArray):
        return PackedClips(clips.data, device)
    return DenseClips(clips, device)


def _size(clips: Clips) -> int:
    """Bytes on the device."""
    if isinstance(clips.data, StreamArray):
        store = clips.data.store
        frames = int(store.lengths[clips.data.clips].sum())
        return frames * clips.shape[3] * 3 * np.dtype(store.head.dtype).itemsize
    return int(np.prod(clips.shape)) * 4


class DenseClips:
    """An array (N, C, T, V, M) as it is in its file."""

    def __init__(self, clips: Clips, device: torch.device) -> None:
        self._data = torch.empty(clips.shape, dtype=torch.float32, device=device)
        present, step = [], max(1, _PIECE // int(np.prod(clips.shape[1:]) * 4))
        for start in range(0, len(clips), step):
            part = self._data[start : start + step]
            part.copy_(torch.from_numpy(clips.batch(np.arange(start, start + len(part)))))
            present.append(present_bodies(part).cpu().numpy())
        self.present = np.concatenate(present)

    def batch(self, index: Tensor) -> Tensor:
        """See `ResidentClips`."""
        return self._data.index_select(0, index)


class PackedClips:
    """The real frames of real bodies, as a packed store has them; the rest is an index."""

    def __init__(self, array: StreamArray, device: torch.device) -> None:
        store, clips = array.store, array.clips
        shards, starts, lengths = store.shards[clips], store.starts[clips], store.lengths[clips]  # (N,), (N, M), (N, M)
        self._layout, self._stream, self._repeats = store.head.layout, array.stream, store.head.padding == "repeat"
        self._steps = torch.arange(array.shape[2], device=device)  # (T,)
        dtype = torch.from_numpy(np.empty(0, store.head.dtype)).dtype
        self._frames = torch.zeros((int(lengths.sum()) + 1, array.shape[3], 3), dtype=dtype, device=device)
        place = np.zeros_like(starts)
        place.reshape(-1)[1:] = np.cumsum(lengths.reshape(-1))[:-1]
        for shard in np.unique(shards):
            self._copy(store.shard_frames(int(shard)), *(part[shards == shard] for part in (starts, lengths, place)))
        self._place = torch.from_numpy(place).to(device)
        self._lengths = torch.from_numpy(lengths).to(device)
        self.present = lengths > 0

    def _copy(self, frames: np.ndarray, starts: np.ndarray, lengths: np.ndarray, place: np.ndarray) -> None:
        """The frames of the bodies of one shard, a piece of them at a time, to where they belong."""
        step = max(1, _PIECE // int(frames[:1].nbytes or 1))
        source, target = (_ranges(first.reshape(-1), lengths.reshape(-1)) for first in (starts, place))
        for start in range(0, len(source), step):
            piece = torch.from_numpy(frames[source[start : start + step]]).to(self._frames.device)
            self._frames[torch.from_numpy(target[start : start + step]).to(self._frames.device)] = piece

    def batch(self, index: Tensor) -> Tensor:
        """See `ResidentClips`."""
        length = self._lengths[index][:, None]  # (B, 1, M)
        step = self._steps[:, None]  # (T, 1)
        if self._repeats:
            step = step % length.clamp(min=1)
        # The last frame of all is zeros, for bodies and frames that are not there.
        frame = torch.where(step < length, self._place[index][:, None] + step, len(self._frames) - 1)  # (B, T, M)
        x = self._frames[frame].float()  # (B, T, M, V, 3)
        return make_stream(x.permute(0, 4, 1, 3, 2).contiguous(), self._stream, self._layout)


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Every number from each start on, as many as its length, one after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())
