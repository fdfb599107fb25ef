"""Which shards of which packed stores `predict --store` means."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from native_prep.io.whole import read_whole
from native_prep.store.format import STORE
from native_prep.store.reader import FOLDER, Store


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
