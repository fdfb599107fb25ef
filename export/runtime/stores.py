"""`predict --store`: the scores of many packed shards, one after the other, or many at a time on a cluster.

The scores of finished shards wait in a hidden folder beside the score file, `.scores.pkl.shards`, each under a
fingerprint of all that decides about them: a run that was killed goes on where it ended.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agcn.data.clips import Clips
from agcn.score_files import write_scores
from export.inputs import feeder_from, input_batches
from export.manifest import FILE_NAME, Manifest, read_manifest
from export.runtime.open import Engine, open_engine
from export.runtime.shard_list import Shard, list_shards
from native_prep.io.atomic import OutputSet, atomic_file, check_writable
from native_prep.io.hashes import hash_value, sha256, sources_digest
from native_prep.io.locks import sole_run
from native_prep.io.progress import Progress
from native_prep.pipeline.cluster import cluster
from native_prep.skeletons.streams import STREAMS
from native_prep.store.format import STORE, describe, read_store
from native_prep.store.reader import Store

_BATCH = 64


class Piece(NamedTuple):
    """A shard as it travels: the store's folder, the rest as `Shard`; and the fingerprint that its scores go by."""

    store: Path
    number: int
    clips: np.ndarray
    key: str


@dataclass(frozen=True)
class ScoreJob:
    """How shards are scored; see `native_prep.pipeline.cluster`.

    Attributes:
        engine, runtime, threads: see `open_engine`.
        folder: where the scores go.
    """

    engine: str
    runtime: str
    folder: Path
    threads: int | None = None

    def open(self) -> Callable[[Piece], str]:
        """What scores a shard, and returns the name of the file, which says what ran."""
        engine, opened = open_engine(self.engine, self.runtime, self.threads), cache(Store)
        return lambda piece: self._score(engine, opened(piece.store), piece)

    def _score(self, engine: Engine, store: Store, piece: Piece) -> str:
        manifest, labels = engine.manifest, store.labels[piece.clips]
        args, size = feeder_from(manifest.feeder_args), min(_BATCH, manifest.max_batch)
        clips = Clips(str(store.folder), store.select(piece.clips, "joint"), labels, list(map(str, piece.clips)))
        scores = np.empty((len(manifest.streams) + 1, len(clips), manifest.num_class), np.float32)
        start = 0
        for batch, _ in input_batches(clips, args, store.head.layout, np.arange(len(clips)), size):
            manifest.check_shape(batch.shape[1:], str(store.folder), self.engine)
            scores[:, start : start + len(batch)] = engine.run(batch)
            start += len(batch)
        store.forget(piece.number)
        path = self.folder / f"{piece.key}.{engine.runtime} on {engine.device}.npy"
        with atomic_file(path) as part, part.open("wb") as file:
            np.save(file, scores)
        return path.name


def score_stores(
    folder: str | os.PathLike[str],
    paths: Sequence[str],
    out: str | os.PathLike[str],
    part: str | None = None,
    runtime: str = "auto",
    address: str | None = None,
) -> dict[str, Any]:
    """Scores of every clip by name, as `fuse-eval` takes them.

    However the shards are shared, a batch never has clips of two.

    Args:
        folder: what `export-trt` wrote.
        paths: stores, single shards of stores, or text files that list such, one a line.
        out: the file of the fused scores, {name: float32 (num_class,)}; those of the streams lie beside it, with
            `_joint`, `_bone` behind their name. All appear together, or none. Clips are in the order of their names
            within a shard, shards in the order of their first.
        part: of a store ("xsub/val"); None for all clips.
        runtime: see `open_engine`.
        address: of the machines that do it, see `cluster.cluster`; None for this process.

    Returns:
        clips, shards, resumed (how many were finished), scores (the files), seconds, clips_per_second (without those
        of finished shards), runtime.

    Raises:
        ValueError: no such store, shard or part, a clip in two of them, a store that does not fit the engine; another
            run writes there.
        OSError: a file cannot be read or written. Finished shards stay for the next run.
    """
    start, final = time.monotonic(), Path(out)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("predict --store: torchrun is for training: give --cluster local:N for N processes")
    if final.is_dir():
        raise ValueError(f"{out}: is a folder: name a file for --out")
    check_writable(final.parent)
    shards = list_shards(paths, part)
    manifest = _fitting_manifest(folder, shards)
    with sole_run(final):
        job = ScoreJob(os.fspath(folder), runtime, final.with_name(f".{final.name}.shards"))
        pieces = plan_pieces(job, shards)
        kept = _kept_scores(job.folder, pieces, manifest)
        missing = [piece for piece in pieces if piece.key not in kept]
        files = kept | _score(job, missing, address)
        found = [(shard, files[piece.key]) for shard, piece in zip(shards, pieces, strict=True)]
        scores = _write(final, found, manifest)
        shutil.rmtree(job.folder)
    seconds = time.monotonic() - start
    return {
        "clips": sum(len(piece.clips) for piece in pieces),
        "shards": len(pieces),
        "resumed": len(kept),
        "scores": scores,
        "seconds": round(seconds, 3),
        "clips_per_second": round(sum(len(piece.clips) for piece in missing) / seconds, 2),
        "runtime": ", ".join(sorted({path.stem.partition(".")[2] for path in files.values()})),
    }


def _fitting_manifest(folder: str | os.PathLike[str], shards: Sequence[Shard]) -> Manifest:
    manifest = read_manifest(folder)
    if manifest.with_prep:
        raise ValueError(f"{folder}: takes raw joints, a store holds prepared ones: export without --with-prep")
    for store in {id(shard.store): shard.store for shard in shards}.values():
        if store.head.layout.name != manifest.layout:
            ours, theirs = manifest.layout, store.head.layout.name
            raise ValueError(f"{store.folder}: is of skeleton {theirs!r}, the engine for {ours!r}: give one for it")
    return manifest


def plan_pieces(job: ScoreJob, shards: Sequence[Shard]) -> list[Piece]:
    """Shards as they travel; a fingerprint changes with the clips, the engine, what runs it, and the code."""
    # The manifest has the hashes of the other files.
    shared = [sources_digest("native_prep", "agcn", "export"), sha256(Path(job.engine) / FILE_NAME), job.runtime]
    described = cache(read_store)
    pieces = []
    for shard in shards:
        head, about = described(shard.store.folder / STORE)
        key = hash_value([*shared, describe(head), about[shard.number]["files"], shard.names])[:32]
        pieces.append(Piece(shard.store.folder, shard.number, shard.clips, key))
    return pieces


def _kept_scores(folder: Path, pieces: Sequence[Piece], manifest: Manifest) -> dict[str, Path]:
    """The files of finished shards, by fingerprint."""
    found = {path.name.partition(".")[0]: path for path in folder.glob("*.npy")}
    streams, classes = len(manifest.streams) + 1, manifest.num_class
    return {
        piece.key: found[piece.key]
        for piece in pieces
        if piece.key in found and _is_whole(found[piece.key], (streams, len(piece.clips), classes))
    }


def _is_whole(path: Path, shape: tuple[int, ...]) -> bool:
    try:
        return bool(np.load(path, mmap_mode="r").shape == shape)
    except (ValueError, EOFError):  # the power failed before it was on the disk
        return False


def _score(job: ScoreJob, pieces: Sequence[Piece], address: str | None) -> dict[str, Path]:
    """Scores shards; their files, by fingerprint."""
    files = {}
    # The largest first, so that the last ones are short.
    order = sorted(pieces, key=lambda piece: -len(piece.clips))
    with Progress(sum(len(piece.clips) for piece in pieces), "predict", "clip") as progress:
        for piece, name in _scored(job, order, address):
            files[piece.key] = job.folder / name
            progress.update(len(piece.clips))
    return files


def _scored(job: ScoreJob, pieces: Sequence[Piece], address: str | None) -> Iterator[tuple[Piece, str]]:
    if pieces and address is not None:
        with cluster(address) as machines:
            yield from machines.run(replace(job, threads=machines.threads), pieces, gpu=True)
    elif pieces:
        work = job.open()
        yield from ((piece, work(piece)) for piece in pieces)


def _write(out: Path, found: Sequence[tuple[Shard, Path]], manifest: Manifest) -> list[str]:
    """Score files of the sum and of each stream, each with its note; their paths."""
    ordered = sorted(found, key=lambda one: min(one[0].names))
    names = sorted(name for shard, _ in ordered for name in shard.names)
    streams = [out.with_name(f"{out.stem}_{stream}{out.suffix}") for stream in STREAMS[: len(manifest.streams)]]
    weights = [*({stream: manifest.sources[stream]} for stream in manifest.streams), manifest.sources]
    stores = sorted({shard.store.folder for shard, _ in ordered})
    metadata = {
        "config_sha256": hash_value(manifest.feeder_args),
        "data": {
            "path": ", ".join(map(str, stores)),
            "clips": len(names),
            "sha256": hash_value([names, sorted(sha256(folder / STORE) for folder in stores)]),
        },
    }
    with OutputSet() as outputs:
        for place, (path, files) in enumerate(zip((*streams, out), weights, strict=True)):
            write_scores(outputs, path, _rows(ordered, place), {"weights": files, **metadata})
    return [str(path) for path in (out, *streams)]


def _rows(found: Sequence[tuple[Shard, Path]], place: int) -> Iterator[tuple[str, np.ndarray]]:
    """Names and scores (num_class,) of a stream, the sum being the last, with those of one shard in memory."""
    for shard, path in found:
        scores = np.array(np.load(path, mmap_mode="r")[place])  # (n, num_class)
        yield from sorted(zip(shard.names, scores, strict=True), key=itemgetter(0))
