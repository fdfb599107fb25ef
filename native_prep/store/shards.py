"""Writing the packed store: shards that are whole or not there, and the place where they wait until all are done.

Finished shards lie in `.packed.shards` beside the store's place, named by number and fingerprint; several processes, on
several machines too, may add to them. What a process works on lies in a hidden folder of its own. When all shards are
there, `store.json` is added and the folder gets the store's name.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.datasets.names import parse_name
from native_prep.io.arrays import RowFile
from native_prep.io.atomic import atomic_file, hidden, publish_folder, restore_folder
from native_prep.io.hashes import sha256
from native_prep.io.locks import locked
from native_prep.store.format import (
    CLIPS,
    DTYPES,
    FRAMES,
    SHARD,
    STORE,
    VERSION,
    StoreHead,
    check_sizes,
    clip_dtype,
    describe,
    read_metadata,
    shard_metadata,
    verify_shard,
)
from native_prep.store.reader import Store

# Clips in a shard: at most so much is done again after a kill.
SHARD_CLIPS = 1024
_LARGEST_HALF = 65504.0


class ShardWriter:
    """One shard in the making; clips are placed in order, and written by several threads at once.

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

    def place(self, clips: Iterable[tuple[str, int, int, int]], lengths: np.ndarray) -> int:
        """The place of the next clips' frames.

        Args:
            clips: name, label, bits of the parts and frames of the recording, of each.
            lengths: (n, M), how many frames of each body are kept.
        """
        self._clips += clips
        self._lengths.append(lengths)
        return self._rows.reserve(int(lengths.sum()))

    def write(self, place: int, frames: np.ndarray) -> None:
        """Writes frames, float32 (F, V, 3), body after body.

        Raises:
            ValueError: a number does not fit the store's type.
            OSError: the disk is full or cannot be written.
        """
        if self._head.dtype == "float16":
            if frames.size and np.abs(frames).max() > _LARGEST_HALF:
                most = np.abs(frames).max()
                raise ValueError(f"{self._final}: a coordinate of {most} does not fit float16: keep float32")
            frames = frames.astype(np.float16)
        self._rows.write(place, frames)

    def finish(self, more: dict[str, Any]) -> None:
        """Completes the files; `more` is kept in `shard.json`."""
        with self._rows:
            pass
        table = self._index()
        np.save(self.folder / CLIPS, table)
        files = {
            name: {"bytes": (self.folder / name).stat().st_size, "sha256": sha256(self.folder / name)}
            for name in (FRAMES, CLIPS)
        }
        metadata = {"clips": len(table), "frames": self._rows.rows, "files": files, **more}
        (self.folder / SHARD).write_text(json.dumps(metadata, indent=1) + "\n")

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
    """The hidden folders in which the store `final` is built.

    Args:
        final: the store's place.
        fingerprint: of the files and settings that it is made of.

    Attributes:
        finished: the folder of finished shards.
        made: names of those that this process made.
    """

    def __init__(self, final: Path, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        self.final, self.finished = final, final.with_name(f".{final.name}.shards")
        self._own, self._lock = hidden(final), final.with_name(f".{final.name}.lock")
        self._new = not final.parent.exists()
        self.made: list[str] = []

    def __enter__(self) -> "ShardDirectory":
        if not self._new:
            with locked(self._lock):
                restore_folder(self.final)
                if self.final.exists() and not (self.final.is_dir() and self._is_ours()):
                    raise ValueError(f"{self.final}: is something else than a packed store: move it away")
        return self

    def _is_ours(self) -> bool:
        return (self.final / STORE).is_file() or not any(self.final.iterdir())

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self._own, ignore_errors=True)
        with suppress(OSError), locked(self._lock):  # something is in it, or it is gone
            self.finished.rmdir()
        if self._new:
            with suppress(OSError):
                self.final.parent.rmdir()

    def writer(self, name: str, head: StoreHead) -> ShardWriter:
        """A writer for the shard called `name`."""
        return ShardWriter(self._own / name, head, self.final)

    def keep(self, name: str) -> None:
        """Puts a finished shard among the others, unless another process has done so."""
        # Another process may make the same shard; where there are no locks, it may also take the folder away meanwhile.
        for last in (False, False, True):
            try:
                with locked(self._lock):
                    self.finished.mkdir(parents=True, exist_ok=True)
                    (self._own / name).rename(self.finished / name)
                self.made.append(name)
                return
            except OSError:
                if self.metadata(name) is not None:
                    return
                if last:
                    raise

    def metadata(self, name: str) -> dict[str, Any] | None:
        """What a finished shard says of itself; None where there is none, or a damaged one, which is removed."""
        folder = self.finished / name
        try:
            metadata = json.loads((folder / SHARD).read_bytes())
            check_sizes(folder, shard_metadata(metadata))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            shutil.rmtree(folder, ignore_errors=True)
            return None
        return metadata

    def discard(self) -> None:
        """Removes what this process made, unless another is about to publish it."""
        if not self.made:
            return
        with locked(self._lock):
            if not (self.finished / STORE).exists():
                for name in self.made:
                    shutil.rmtree(self.finished / name, ignore_errors=True)

    def is_published(self) -> bool:
        """Whether the store is there, made of the very same files and settings."""
        try:
            with locked(self._lock):  # while an older store is exchanged for a new one, neither has the name
                return bool(read_metadata(self.final / STORE).get("fingerprint") == self._fingerprint)
        except (ValueError, OSError):
            return False

    def open_published(self) -> Store:
        """The store that is there."""
        with locked(self._lock):
            return Store(self.final)

    def merge(self, head: StoreHead, shards: Sequence[str]) -> dict[str, Any]:
        """Checks the shards that others made, removes foreign ones, and writes `store.json`.

        Raises:
            ValueError: a shard's checksum is wrong; it is removed, so that the next run makes it again.
        """
        for name in set(shards) - set(self.made):
            folder = self.finished / name
            try:
                verify_shard(folder, shard_metadata(json.loads((folder / SHARD).read_bytes())))
            except ValueError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        with locked(self._lock):
            foreign = [path for path in self.finished.iterdir() if path.name not in shards and path.is_dir()]
            if foreign:
                count = f"{len(foreign)} finished shards are of other files, settings or version: removed"
                print(f"{self.final}: {count}", file=sys.stderr)
            for folder in foreign:
                shutil.rmtree(folder, ignore_errors=True)
            return write_store_json(self.finished, head, shards, self._fingerprint)

    def publish(self) -> None:
        """Gives the folder of finished shards the store's name.

        Raises:
            ValueError: it is not, or not any more, what was merged, since another process published it or made others.
        """
        with locked(self._lock):
            metadata = read_metadata(self.finished / STORE)
            if metadata["fingerprint"] != self._fingerprint:
                raise ValueError(
                    f"{self.final}: another run, of other files or settings, works there: run again when it has ended"
                )
            for shard in metadata["shards"]:
                check_sizes(self.finished / shard["folder"], shard)
            publish_folder(self.finished, self.final)
