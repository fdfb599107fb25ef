"""`predict --store`: the scores of many packed shards, in one process or in several that torchrun starts."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch

from agcn.data.clips import Clips
from agcn.score_files import write_scores
from agcn.training.distributed import DistributedContext, distributed_context
from export.inputs import feeder_from, input_batches
from export.runtime.open import Engine, open_engine
from native_prep.io.atomic import OutputSet, check_writable
from native_prep.io.hashes import hash_value, sha256
from native_prep.io.progress import Progress
from native_prep.io.whole import read_whole
from native_prep.skeletons.streams import STREAMS
from native_prep.store.format import STORE
from native_prep.store.reader import FOLDER, Store

T = TypeVar("T")
_BATCH = 64


@dataclass(frozen=True)
class Shard:
    """One shard of an opened store: its number there, and the clips of it that are wanted, int64 (n,)."""

    store: Store
    number: int
    clips: np.ndarray

    @property
    def names(self) -> list[str]:
        """The clips' names."""
        names = self.store.names
        return [names[clip] for clip in self.clips]


def score_stores(
    folder: str | os.PathLike[str],
    paths: Sequence[str],
    out: str | os.PathLike[str],
    part: str | None = None,
    runtime: str = "auto",
) -> dict[str, Any]:
    """Scores of every clip by name, as `fuse-eval` takes them.

    Under torchrun every process takes its share of the shards. The scores are those of one process to the bit: a
    batch never has clips of two shards. Process 0 alone writes.

    Args:
        folder: what `export-trt` wrote.
        paths: stores, single shards of stores, or text files that list such, one a line.
        out: the file of the fused scores, {name: float32 (num_class,)}; those of the streams lie beside it, with
            `_joint`, `_bone` behind their name. All appear together, or none.
        part: of a store ("xsub/val"); None for all clips.
        runtime: see `open_engine`.

    Returns:
        clips, shards, processes, scores (the files), seconds, clips_per_second, runtime.

    Raises:
        ValueError: no such store, shard or part, a clip in two of them, a store that does not fit the engine; what
            went wrong in any process.
        OSError: a file cannot be read or written.
    """
    start = time.monotonic()
    with distributed_context(
        "cpu"
    ) as context:  # what processes tell each other is small; the engine finds its own device
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        shards, engine = _together(context, lambda: _open(folder, paths, part, Path(out), runtime, context))
        rows = _score(engine, shards, context)
        files = _together(context, lambda: _write(Path(out), rows, engine, shards) if context.is_main_process else [])
    count, seconds = sum(len(shard.clips) for shard in shards), time.monotonic() - start
    return {
        "clips": count,
        "shards": len(shards),
        "processes": context.world_size,
        "scores": files,
        "seconds": round(seconds, 3),
        "clips_per_second": round(count / seconds, 2),
        "runtime": f"{engine.runtime} on {engine.device}",
    }


def _together(context: DistributedContext, work: Callable[[], T]) -> T:
    """Does a piece of work in every process; where one fails, all end, and process 0 says why."""
    result, error = None, None
    try:
        result = work()
    except Exception as caught:
        error = caught
    errors = context.gather(error and (str(error) or type(error).__name__))
    failed = [(rank, text) for rank, text in enumerate(errors) if text is not None]
    if error is not None and (context.is_main_process or not isinstance(error, ValueError | OSError | MemoryError)):
        raise error
    if failed and context.is_main_process:
        raise ValueError(f"process {failed[0][0]} of {context.world_size}: {failed[0][1]}")
    if failed:
        raise SystemExit(2)  # process 0 has said it
    return cast(T, result)


def _open(
    folder: str | os.PathLike[str],
    paths: Sequence[str],
    part: str | None,
    out: Path,
    runtime: str,
    context: DistributedContext,
) -> tuple[list[Shard], Engine]:
    if out.is_dir():
        raise ValueError(f"{out}: is a folder: name a file for --out")
    if context.is_main_process:
        check_writable(out.parent)
    shards = list_shards(paths, part)
    engine = open_engine(folder, runtime)
    if engine.manifest.with_prep:
        raise ValueError(f"{folder}: takes raw joints, a store holds prepared ones: export without --with-prep")
    for store in {id(shard.store): shard.store for shard in shards}.values():
        if store.head.layout.name != engine.manifest.layout:
            ours, theirs = engine.manifest.layout, store.head.layout.name
            raise ValueError(f"{store.folder}: is of skeleton {theirs!r}, the engine for {ours!r}: give one for it")
    return shards, engine


def list_shards(paths: Sequence[str], part: str | None = None) -> list[Shard]:
    """The shards of stores, single ones, and those in lists, each once, in order, without those of no wanted clip.

    Raises:
        ValueError: a path is none of these, a store has no such part, a clip is in two shards, or none is left.
    """
    stores: dict[Path, Store] = {}
    chosen: dict[tuple[Path, int], Shard] = {}
    for path in _entries(paths):
        home, only = _store_of(path)
        if home not in stores:
            stores[home] = Store(home)
        store = stores[home]
        wanted = np.arange(len(store.labels)) if part is None else store.split(part)
        for number, name in enumerate(store.shard_folders):
            if only not in (None, name):
                continue
            if (home, number) in chosen:
                print(f"{path}: shard {name} is listed twice: it is scored once", file=sys.stderr)
            clips = wanted[store.shards[wanted] == number]
            if len(clips):
                chosen[home, number] = Shard(store, number, clips)
        if only is not None and only not in store.shard_folders:
            raise ValueError(f"{path}: is not a shard of {home / STORE}: name one that it lists")
    if not chosen:
        raise ValueError(f"{', '.join(paths)}: no clips in it: give packed stores with clips")
    _check_names(list(chosen.values()))
    return list(chosen.values())


def _entries(paths: Sequence[str]) -> Iterator[str]:
    """Paths, and in the place of a text file the lines in it."""
    for path in paths:
        if not Path(path).is_file():
            yield path
            continue
        try:
            lines = read_whole(path, "a list of stores").decode("utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not text: give a store, or a list of stores and shards, one a line") from error
        yield from (line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))


def _store_of(path: str) -> tuple[Path, str | None]:
    """The folder of the store that a path names, and the shard, None for all."""
    place = Path(path).resolve()
    for folder, shard in ((place, None), (place / FOLDER, None), (place.parent, place.name)):
        if (folder / STORE).is_file():
            return folder, shard
    raise ValueError(f"{path}: no packed store and no shard of one: give what `prep --format packed` wrote")


def _check_names(shards: list[Shard]) -> None:
    """Scores go by name: nobody could tell two clips of one name apart."""
    first: dict[str, Shard] = {}
    twice = [(name, shard) for shard in shards for name in shard.names if first.setdefault(name, shard) is not shard]
    if twice:
        name, shard = twice[0]
        here, there = (f"{one.store.folder.name}/{one.store.shard_folders[one.number]}" for one in (first[name], shard))
        raise ValueError(
            f"{shard.store.folder}: {len(twice)} names are in two shards, {name} first (in {here} and {there}): "
            "scores go by name, list only one of them"
        )


def _score(engine: Engine, shards: list[Shard], context: DistributedContext) -> dict[str, np.ndarray]:
    """{name: (S + 1, num_class)} of all clips: the streams' scores and their sum."""
    # The largest first, so that shards scored at the same time are alike.
    order = sorted(shards, key=lambda shard: -len(shard.clips))
    rows: dict[str, np.ndarray] = {}
    with Progress(
        sum(len(shard.clips) for shard in shards), "predict", "clip", quiet=not context.is_main_process
    ) as progress:
        for start in range(0, len(order), context.world_size):
            mine = order[start : start + context.world_size][context.rank : context.rank + 1]
            # All meet after every round, so that nobody works on for hours after another has failed.
            scores = _together(context, partial(_score_shards, engine, mine))
            for part in context.gather(scores):
                progress.update(len(part))
                rows |= part if context.is_main_process else {}
    return rows


def _score_shards(engine: Engine, shards: list[Shard]) -> dict[str, np.ndarray]:
    """`_score` of some shards by this process."""
    manifest = engine.manifest
    args, size = feeder_from(manifest.feeder_args), min(_BATCH, manifest.max_batch)
    rows: dict[str, np.ndarray] = {}
    for shard in shards:
        store, names = shard.store, iter(shard.names)
        clips = Clips(str(store.folder), store.select(shard.clips, "joint"), store.labels[shard.clips], shard.names)
        for batch, _ in input_batches(clips, args, store.head.layout, np.arange(len(clips)), size):
            manifest.check_shape(batch.shape[1:], str(store.folder), engine.folder)
            scores = np.stack(engine.run(batch), axis=1)  # (B, S + 1, num_class)
            rows |= zip(islice(names, len(batch)), scores, strict=True)
        store.forget(shard.number)
    return rows


def _write(out: Path, rows: dict[str, np.ndarray], engine: Engine, shards: Sequence[Shard]) -> list[str]:
    """Score files of the sum and of each stream, each with its note; their paths."""
    names = sorted(rows)
    table = np.stack([rows[name] for name in names], axis=1)  # (S + 1, N, num_class)
    streams = [out.with_name(f"{out.stem}_{stream}{out.suffix}") for stream in STREAMS[: len(table) - 1]]
    sources = engine.manifest.sources
    weights = [*({stream: sources[stream]} for stream in engine.manifest.streams), sources]
    stores = sorted({shard.store.folder for shard in shards})
    metadata = {
        "config_sha256": hash_value(engine.manifest.feeder_args),
        "data": {
            "path": ", ".join(map(str, stores)),
            "clips": len(names),
            "sha256": hash_value([names, sorted(sha256(folder / STORE) for folder in stores)]),
        },
    }
    with OutputSet() as outputs:
        for path, scores, files in zip((*streams, out), table, weights, strict=True):
            write_scores(outputs, path, dict(zip(names, scores, strict=True)), {"weights": files, **metadata})
    return [str(path) for path in (out, *streams)]
