"""From shards to what `prep` leaves: makes those that are missing, here or on a cluster, and puts all together."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from native_prep.io.atomic import publish_folder
from native_prep.io.progress import Progress
from native_prep.pipeline.cluster import cluster
from native_prep.pipeline.outputs import CUSTOM, Outputs, write_npy
from native_prep.pipeline.statistics import Statistics
from native_prep.store.format import StoreHead
from native_prep.store.reader import FOLDER, Store
from native_prep.store.shards import Shard, ShardDirectory, ShardWriter, keep_shard, shard_directory

Made = tuple[Shard, dict[str, Any]]


class ShardJob(Protocol):
    """How shards are made; can be pickled.

    What is said of a shard: clips, recorded (frames), longest, empty, bytes_read, bad; and notes for `StoreRun.files`.
    """

    @property
    def gpu(self) -> bool:
        """Whether it wants a GPU."""

    def open(self) -> Callable[[Shard], dict[str, Any]]:
        """What makes one shard in one thread, and returns what is said of it."""

    def run_here(self, shards: Sequence[Shard], workers: int, update: Callable[[int], None]) -> Iterable[Made]:
        """Makes shards on this machine; `update` is told how many recordings were read."""


def _no_files(notes: Sequence[Any]) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class StoreRun:
    """What is to be written.

    Attributes:
        dataset: its name.
        source, folder: where the recordings are, for messages; where everything goes.
        head: of the store.
        parts, streams: the `.npy` files, for which parts of the store and which streams; () for none.
        packed: whether the store itself stays.
        skip_bad: bad files are left out; else nothing is written.
        workers: threads or processes here.
        cluster: see `cluster.cluster`; None for this machine.
        files: more files to publish with the arrays, name -> text, of all the shards' notes in order.
        settings: see `outputs.Outputs`.
        copy: where the copy of `source` lies that is read; "" for none.
    """

    dataset: str
    source: Path | str
    folder: Path
    head: StoreHead
    parts: tuple[str, ...]
    streams: tuple[str, ...]
    packed: bool
    skip_bad: bool
    workers: int
    cluster: str | None = None
    files: Callable[[Sequence[Any]], Mapping[str, str]] = _no_files
    settings: str = ""
    copy: str = ""

    @property
    def final(self) -> Path:
        """The store's place."""
        return self.folder / FOLDER


def write_store(run: StoreRun, job: ShardJob, plan: Sequence[Shard], statistics: Statistics) -> dict[str, Any]:
    """Makes the shards of a plan that earlier runs have not finished, and all that is asked for from them.

    Who calls it holds the lock of `run.final`, from before anything is read in its folder.

    Returns:
        outputs (paths), shards, resumed (how many were finished).

    Raises:
        ValueError: files are bad and not to be left out, or no good one is left.
        OSError: a file cannot be written; finished shards stay for the next run.
    """
    with shard_directory(run.final) as directory:
        found = {shard.name: directory.metadata(shard.name) for shard in plan}
        resumed = {name for name, metadata in found.items() if metadata is not None}
        missing = [shard for shard in plan if found[shard.name] is None]
        for shard, metadata in _make(run, job, missing):
            found[shard.name] = metadata
        try:
            said = [metadata for metadata in found.values() if metadata is not None]
            assert len(said) == len(plan), "a shard was not made"
            for name, metadata in zip(found, said, strict=True):
                statistics.add(metadata, name in resumed)
            statistics.raise_if_bad(run.skip_bad, run.source)
            files = run.files([note for metadata in said for note in metadata.get("notes", ())])
            if not statistics.clips:
                raise ValueError(f"{run.source}: no clip to write: check the input")
        except ValueError:
            directory.discard(shard.name for shard in missing)
            raise
        directory.merge(run.head, list(found))
        outputs = _publish(run, directory, statistics, files)
    return {"outputs": outputs, "shards": len(plan), "resumed": len(resumed)}


def _make(run: StoreRun, job: ShardJob, shards: Sequence[Shard]) -> Iterator[Made]:
    if not shards:
        return
    with Progress(sum(len(shard.recordings) for shard in shards), f"prep {run.dataset}", "clip") as progress:
        if run.cluster is None:
            yield from job.run_here(shards, run.workers, progress.update)
            return
        with cluster(run.cluster) as machines:
            for shard, metadata in machines.run(job, shards, job.gpu):
                progress.update(len(shard.recordings))
                yield shard, metadata


def _publish(run: StoreRun, directory: ShardDirectory, statistics: Statistics, files: Mapping[str, str]) -> list[str]:
    """Writes what is asked for beside the store; all names are given together at the end. Paths."""
    store = Store(directory.finished)
    with Outputs(run.folder, run.parts, run.streams if run.parts else (), store.clip_shape, run.settings) as outputs:
        if run.parts:
            write_npy(store, outputs, run.parts, run.streams, run.workers)
        for shard in range(len(store.shard_folders)):
            store.forget(shard)  # Windows renames no folder of which a file is mapped
        if CUSTOM not in files:
            outputs.remove(CUSTOM)
        for name, text in files.items():
            outputs.temporary(name).write_text(text, encoding="utf-8")
        if run.skip_bad:
            outputs.write_bad_files(statistics.bad)
        if run.packed:
            outputs.warn_of_foreign_files(store)
            publish_folder(directory.finished, run.final)
    if not run.packed:
        shutil.rmtree(directory.finished)
    return [str(path) for path in ([run.final] if run.packed else []) + outputs.paths]


def finish_shard(
    writer: ShardWriter,
    final: Path,
    shard: Shard,
    skip: bool,
    longest: int,
    counts: Statistics,
    notes: Sequence[Any] = (),
) -> dict[str, Any]:
    """Keeps a shard, if it is without bad files or these are left out; what is said of it, see `ShardJob`."""
    metadata = {"longest": longest, **counts.metadata(), **({"notes": list(notes)} if notes else {})}
    if counts.bad and not skip:
        writer.drop()
        shutil.rmtree(writer.folder)
        return metadata
    return keep_shard(writer, final, shard.name, metadata)
