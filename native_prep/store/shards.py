"""Writing the packed store: shards that are whole or not there, and the place where they wait until all are done.

Finished shards lie in `.packed.shards` beside the store's place, named by number and fingerprint. Who writes one works
in a hidden folder there, which becomes the shard by being renamed: processes on several machines may write shards of
one run. When all are there, the run adds `store.json`, and the folder gets the store's name.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256 as new_sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.datasets.names import parse_name
from native_prep.datasets.recordings import Recording
from native_prep.io.arrays import RowFile
from native_prep.io.atomic import atomic_file, hidden, restore_folder
from native_prep.io.hashes import sha256
from native_prep.store.format import (
    CLIPS,
    DTYPES,
    FRAMES,
    SHARD,
    STORE,
    VERSION,
    StoreHead,
    clip_dtype,
    describe,
    shard_metadata,
    verify_shard,
)

# Clips in a shard at most, which is what is done again after a kill; of few clips there are more shards than threads.
SHARD_CLIPS = 1024
_FEW_CLIPS, _SHARDS = 64, 64
_LARGEST_HALF = 65504.0


class ShardWriter:
    """One shard in the making.

    Args:
        folder: a new one, to write in.
        head: of the store.
        final: the store's place, for messages.
    """

    def __init__(self, folder: Path, head: StoreHead, final: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self._head, self._final = folder, head, final
        self._rows = RowFile(folder / FRAMES, final / FRAMES, (head.layout.num_joints, 3), DTYPES[head.dtype])
        self._clips: list[tuple[str, int, int, int]] = []
        self._lengths: list[np.ndarray] = []

    def append(self, clips: Iterable[tuple[str, int, int, int]], lengths: np.ndarray, frames: np.ndarray) -> None:
        """Writes the next clips.

        Args:
            clips: name, label, bits of the parts and frames of the recording, of each.
            lengths: (n, M), how many frames of each body are kept.
            frames: float32 (F, V, 3), those, body after body.

        Raises:
            ValueError: a number does not fit the store's type.
            OSError: the disk is full or cannot be written.
        """
        if self._head.dtype == "float16":
            if frames.size and np.abs(frames).max() > _LARGEST_HALF:
                most = np.abs(frames).max()
                raise ValueError(f"{self._final}: a coordinate of {most} does not fit float16: keep float32")
            frames = frames.astype(np.float16)
        self._clips += clips
        self._lengths.append(lengths)
        self._rows.write(self._rows.reserve(int(lengths.sum())), frames)

    def finish(self, more: dict[str, Any]) -> dict[str, Any]:
        """Completes the files; what `shard.json` says, in which `more` is kept."""
        with self._rows:
            pass
        table = self._index()
        np.save(self.folder / CLIPS, table)
        files = {
            name: {"bytes": (self.folder / name).stat().st_size, "sha256": sha256(self.folder / name)}
            for name in (FRAMES, CLIPS)
        }
        metadata = {"clips": len(table), "frames": self._rows.rows, "files": files, **more}
        (self.folder / SHARD).write_text(json.dumps(metadata, indent=1) + "\n", encoding="utf-8")
        return metadata

    def _index(self) -> np.ndarray:
        lengths = np.concatenate([np.zeros((0, self._head.bodies), np.int64), *self._lengths])
        names = [os.fsencode(name) for name, *_ in self._clips]
        table = np.zeros(len(names), clip_dtype(max(map(len, names), default=1), self._head.bodies))
        table["name"] = names
        for column, key in enumerate(("label", "parts", "frames"), 1):
            table[key] = [clip[column] for clip in self._clips]
        numbers = [parse_name(self._head.dataset, name)[:4] for name, *_ in self._clips]
        known = np.array(numbers).reshape(-1, 4)  # set-up, camera, subject, replication
        for column, key in enumerate(("setup", "camera", "subject", "replication")):
            table[key] = known[:, column]
        ends = np.cumsum(lengths).reshape(lengths.shape)
        table["start"], table["length"] = ends - lengths, lengths
        return table

    def drop(self) -> None:
        """Lets an unfinished shard go."""
        self._rows.close()


def bits_of(parts: Iterable[int]) -> int:
    """A bit for each of the head's parts that a clip belongs to."""
    return sum(1 << part for part in parts)


def waiting_folder(final: Path) -> Path:
    """Where the finished shards of a store wait for the others."""
    return final.with_name(f".{final.name}.shards")


def begin_shard(final: Path, name: str, head: StoreHead) -> ShardWriter:
    """A writer in a hidden folder; see `keep_shard`."""
    return ShardWriter(hidden(waiting_folder(final) / name), head, final)


def keep_shard(writer: ShardWriter, final: Path, name: str, more: dict[str, Any]) -> dict[str, Any]:
    """Completes a shard and puts it among the finished ones, unless another process has done so; what it says."""
    metadata = writer.finish(more)
    try:
        writer.folder.rename(waiting_folder(final) / name)
    except OSError:
        if not (waiting_folder(final) / name / SHARD).is_file():
            raise
        shutil.rmtree(writer.folder)
    return metadata


@dataclass(frozen=True)
class Shard:
    """A run of recordings, and the name of the folder that they are packed into: number and fingerprint."""

    name: str
    recordings: Sequence[Recording]


def plan_shards(
    head: StoreHead,
    version: str,
    recordings: Sequence[Recording],
    stamps: Iterable[str],
) -> list[Shard]:
    """The shards of a data set; a name changes with any of its files, the settings, the code and the format.

    Args:
        head: of the store.
        version: of the code and the settings that are not the head's.
        recordings: sorted.
        stamps: what tells one state of each recording's file from another.
    """
    shared = new_sha256(json.dumps([VERSION, version, describe(head)]).encode())
    shards, rest = [], iter(stamps)
    size = min(SHARD_CLIPS, max(_FEW_CLIPS, -(-len(recordings) // _SHARDS)))
    for number, start in enumerate(range(0, len(recordings), size)):
        chunk, digest = recordings[start : start + size], shared.copy()
        for one, stamp in zip(chunk, islice(rest, len(chunk)), strict=True):
            digest.update(f"{one.name!r} {one.label} {one.parts} {stamp}\n".encode())
        shards.append(Shard(f"shard-{number:05d}-{digest.hexdigest()[:16]}", chunk))
    return shards


def write_store_json(folder: Path, head: StoreHead, shards: Sequence[str], fingerprint: str = "") -> dict[str, Any]:
    """Writes `store.json` for the shards in a folder; what it says."""
    metadata_of_shards = [{"folder": name, **json.loads((folder / name / SHARD).read_bytes())} for name in shards]
    longest = max((one["longest"] for one in metadata_of_shards), default=0)
    metadata = {
        "format": "packed skeleton clips",
        "version": VERSION,
        **describe(head),
        "frames": head.frames or max(1, longest),
        "fingerprint": fingerprint,
        "counts": {key: sum(one[key] for one in metadata_of_shards) for key in ("clips", "frames", "recorded")},
        "shards": [{"folder": one["folder"], **shard_metadata(one)} for one in metadata_of_shards],
    }
    with atomic_file(folder / STORE) as part:
        part.write_text(json.dumps(metadata, indent=1) + "\n")
    return metadata


class ShardDirectory:
    """The place where the store `final` is built; see `shard_directory`.

    Attributes:
        finished: the folder of finished shards.
    """

    def __init__(self, final: Path) -> None:
        self._final, self.finished = final, waiting_folder(final)

    def metadata(self, name: str) -> dict[str, Any] | None:
        """What a finished shard says of itself; None where there is none, or a damaged one, which is removed."""
        folder = self.finished / name
        try:
            metadata: dict[str, Any] = json.loads((folder / SHARD).read_bytes())
            verify_shard(folder, shard_metadata(metadata))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            shutil.rmtree(folder, ignore_errors=True)
            return None
        return metadata

    def discard(self, names: Iterable[str]) -> None:
        """Removes finished shards."""
        for name in names:
            shutil.rmtree(self.finished / name, ignore_errors=True)

    def merge(self, head: StoreHead, shards: Sequence[str]) -> None:
        """Removes shards that are not of this store, and writes `store.json`."""
        _remove_parts(self.finished)  # of processes that were lost
        foreign = {path.name for path in self.finished.iterdir() if path.is_dir()} - set(shards)
        if foreign:
            count = f"{len(foreign)} finished shards are of other files, settings or version: removed"
            print(f"{self._final}: {count}", file=sys.stderr)
            self.discard(foreign)
        write_store_json(self.finished, head, shards, new_sha256(" ".join(shards).encode()).hexdigest())


@contextmanager
def shard_directory(final: Path) -> Iterator[ShardDirectory]:
    """The place where the store `final` is built, by the one run that holds its lock (`locks.sole_run`).

    Half-written shards of killed runs go, which nobody completes any more, and so does the place if it is empty.

    Raises:
        ValueError: something else has the store's name.
    """
    directory = ShardDirectory(final)
    restore_folder(final)
    if final.exists() and not (final.is_dir() and ((final / STORE).is_file() or not any(final.iterdir()))):
        raise ValueError(f"{final}: is something else than a packed store: move it away")
    directory.finished.mkdir(parents=True, exist_ok=True)
    try:
        _remove_parts(directory.finished)
        yield directory
    finally:
        _remove_parts(directory.finished)
        with suppress(OSError):  # finished shards stay, or it has the store's name
            directory.finished.rmdir()


def _remove_parts(folder: Path) -> None:
    for part in folder.glob(".*"):
        shutil.rmtree(part, ignore_errors=True)
