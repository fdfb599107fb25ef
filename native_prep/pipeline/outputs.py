"""What `prep` leaves: one `.npy` file for each part and stream, a label file for each part, or a packed store."""

import csv
import math
import os
import pickle
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from native_prep.datasets.recordings import BadFile
from native_prep.io.arrays import RowFile
from native_prep.io.atomic import OutputSet, check_writable
from native_prep.io.pickles import load_pickle
from native_prep.io.progress import Progress
from native_prep.pipeline.threads import in_order
from native_prep.skeletons.layouts import Layout
from native_prep.skeletons.streams import STREAMS
from native_prep.store.format import STORE
from native_prep.store.reader import FOLDER, Store

FORMATS = ("npy", "packed")
# What `prep custom` notes of the skeleton beside its arrays.
CUSTOM = "custom.json"
# What a packed store notes of `Outputs.settings`, in its folder.
SETTINGS = ".settings"
# Where one prepared clip goes: the files of its streams, in order, and its row in them.
Place = tuple[list[RowFile], int]


def check_formats(formats: Sequence[str]) -> None:
    """Raises ValueError where a format is unknown, or none is asked for."""
    for name in formats or ("",):
        if name not in FORMATS:
            raise ValueError(f"format {name!r} cannot be written: use {' or '.join(FORMATS)}")


class Outputs:
    """The files of a run; they get their names when the block ends without an error, all together.

    Args:
        folder: where they go.
        parts: the beginnings of their names, as `xsub/train`.
        streams: one file of rows for each in every part.
        shape: of a row, (3, T, V, M).
        settings: what else decides about the numbers, "" for the usual ones; kept in a hidden file of each part, so
            that streams that were made otherwise do not stay beside these.
    """

    def __init__(
        self,
        folder: Path,
        parts: tuple[str, ...],
        streams: tuple[str, ...],
        shape: tuple[int, ...],
        settings: str = "",
    ) -> None:
        self._folder, self._parts, self._streams, self._shape = folder, parts, streams, shape
        self._settings = settings
        self._stack = ExitStack()
        self._names: list[list[str]] = [[] for _ in parts]
        self._labels: list[list[int]] = [[] for _ in parts]
        self._store_comes = False
        self.paths: list[Path] = []

    def __enter__(self) -> "Outputs":
        with ExitStack() as stack:
            self._set = stack.enter_context(OutputSet())
            self._rows = [[self._row_file(stack, part, stream) for stream in self._streams] for part in self._parts]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None and self._parts and not self._store_comes:
            self._warn_of_store()
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def temporary(self, name: str) -> Path:
        """The path to write another file to, which is to be called `name`."""
        return self._part(name)[0]

    def _part(self, name: str) -> tuple[Path, Path]:
        final = self._folder / name
        self.paths.append(final)
        return self._set.temporary(final), final

    def _row_file(self, stack: ExitStack, part: str, stream: str) -> RowFile:
        path, final = self._part(f"{part}_data_{stream}.npy")
        return stack.enter_context(RowFile(path, final, self._shape))

    def place(self, name: str, label: int, parts: Sequence[int]) -> list[Place]:
        """The places of the next clip in some of the parts, in the order in which clips are to stand."""
        places = []
        for part in parts:
            self._names[part].append(name)
            self._labels[part].append(label)
            files = self._rows[part]
            rows = {file.reserve() for file in files}
            assert len(rows) == 1, rows
            places.append((files, rows.pop()))
        return places

    def write_labels(self) -> None:
        """Writes `(sample names, labels)` of every part."""
        for part, names, labels in zip(self._parts, self._names, self._labels, strict=True):
            path, final = self._part(f"{part}_label.pkl")
            path.write_bytes(pickle.dumps((names, labels), protocol=4))
            self._drop_foreign_files(final, part, (names, labels))

    def _drop_foreign_files(self, final: Path, part: str, labels: tuple[list[str], list[int]]) -> None:
        """Streams that an earlier run left go where they are of other clips, or made with other settings."""
        noted = _settings_file(final)
        before = _text_of(noted)
        if self._settings:
            self._set.temporary(noted).write_text(self._settings, encoding="utf-8")
        elif noted.is_file():
            self._set.to_remove.append(noted)
        if not final.is_file():
            return
        others = not _same_labels(final, labels)
        ours = {self._folder / f"{part}_data_{stream}.npy" for stream in self._streams}
        for stream in STREAMS:
            other = self._folder / f"{part}_data_{stream}.npy"
            if not other.is_file() or other in ours:
                continue
            if others or before != self._settings or _shape_of(other) != self._shape:
                why = "is of other clips than these" if others else "was made with other settings than these"
                print(f"{other}: {why}, removed", file=sys.stderr)
                self._set.to_remove.append(other)

    def warn_of_foreign_files(self, store: Store) -> None:
        """Says which arrays of an earlier run are of other clips, or made otherwise, than a store beside them.

        The settings are noted in the store, so that arrays that come later can be compared with it.
        """
        self._store_comes = True
        if self._settings:
            (store.folder / SETTINGS).write_text(self._settings, encoding="utf-8")
        others = []
        for part in sorted(set(store.head.parts) - set(self._parts)):
            path = self._folder / f"{part}_label.pkl"
            names, labels = store.names_and_labels(part)
            if path.is_file() and not _same_labels(path, (names, labels.tolist())):
                print(
                    f"{path}: names other clips than the packed store; where it is, it is read first", file=sys.stderr
                )
            elif path.is_file() and _text_of(_settings_file(path)) != self._settings:
                others.append(part)
        if others:
            print(
                f"{self._folder}: the arrays of {', '.join(others)} were made with other settings than the packed "
                "store; where they are, they are read first",
                file=sys.stderr,
            )

    def _warn_of_store(self) -> None:
        """Says that arrays which are written beside a packed store of an earlier run were made otherwise than it."""
        store, noted = self._folder / FOLDER, self._folder / FOLDER / SETTINGS
        # Stores of one's own data that an older version wrote say nothing of their settings.
        is_known = noted.is_file() or not (self._folder / CUSTOM).is_file()
        if (store / STORE).is_file() and is_known and _text_of(noted) != self._settings:
            print(
                f"{store}: was made with other settings than these arrays, which are read first where both are",
                file=sys.stderr,
            )

    def remove(self, name: str) -> None:
        """Lets a file that an earlier run left go when these come."""
        if (self._folder / name).is_file():
            print(f"{self._folder / name}: is of other data than this, removed", file=sys.stderr)
            self._set.to_remove.append(self._folder / name)

    def write_bad_files(self, bad: list[BadFile]) -> None:
        """Writes `bad_files.csv`: file, line (empty where it has none), reason."""
        path, _ = self._part("bad_files.csv")
        with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = csv.writer(file)
            rows.writerow(("file", "line", "reason"))
            rows.writerows((one.path, one.line or "", one.reason) for one in bad)


def _settings_file(label: Path) -> Path:
    """Where the settings of a part are noted, of which `label` is the label file."""
    return label.with_name(f".{label.name.removesuffix('_label.pkl')}_settings")


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _shape_of(path: Path) -> tuple[int, ...]:
    try:
        return np.load(path, mmap_mode="r").shape[1:]
    except (ValueError, EOFError):
        return ()


def _same_labels(path: Path, labels: tuple[list[str], list[int]]) -> bool:
    try:
        return tuple(load_pickle(path)) == labels
    except (ValueError, TypeError):
        return False


def write_clip(places: list[Place], streams: np.ndarray) -> None:
    """Writes one clip, (S, 3, T, V, M), to all of its places."""
    for files, row in places:
        for file, stream in zip(files, streams, strict=True):
            file.write(row, stream)


# Clips unpacked at a time: their rows then still lie in the processor's cache when they are written.
_CLIPS_AT_ONCE = 8
# Bytes that the threads' rows and texts may take together.
_MEMORY = 512 << 20


def threads_that_fit(workers: int, row: int, rows: int) -> int:
    """As many threads as there is room for, at least one; each has `rows` clips of `row` bytes.

    Raises:
        ValueError: clips are so long that not even one thread has room.
    """
    # Rows, a clip at work in three forms, and the text of a long file.
    reader = row * (rows + 8) + (8 << 20)
    if reader > 4 * _MEMORY:
        raise ValueError(
            f"a clip of {row >> 20} MiB is too long: set a smaller --max-frames, or leave out the clip that is so long"
        )
    return max(1, min(workers, _MEMORY // reader - 2))


def check_room(frames: int | None, layout: Layout, bodies: int, streams: Sequence[str]) -> None:
    """Raises ValueError for clips of so many frames that there is no room for one; None is checked when T is known."""
    if frames is not None:
        threads_that_fit(1, 4 * 3 * frames * layout.num_joints * bodies, _CLIPS_AT_ONCE * len(streams))


def write_npy(store: Store, outputs: Outputs, parts: Sequence[str], streams: tuple[str, ...], workers: int) -> None:
    """Writes the `.npy` and label files of some of a store's parts; `outputs` was made for the same and for its shape.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    bits = [store.head.parts.index(part) for part in parts]
    workers = threads_that_fit(workers, 4 * math.prod(store.clip_shape), _CLIPS_AT_ONCE * len(streams))
    # One room more than workers, so that some clips are made while others are written.
    buffers = [np.empty((_CLIPS_AT_ONCE, len(streams), *store.clip_shape), np.float32) for _ in range(workers + 2)]

    def read(rows: np.ndarray, clips: np.ndarray) -> None:
        store.unpack(clips, streams, rows[: len(clips)])

    def place(_: np.ndarray, clips: np.ndarray, __: None) -> list[list[Place]]:
        progress.update(len(clips))
        shard = int(store.shards[clips[0]])
        if shard:  # all before it are read: their frames need not stay in memory
            store.forget(shard - 1)
        masks = store.parts[clips].tolist()
        ours = [[place for place, bit in enumerate(bits) if mask >> bit & 1] for mask in masks]
        labels = store.labels[clips].tolist()
        return [
            outputs.place(store.names[clip], label, mine) for clip, label, mine in zip(clips, labels, ours, strict=True)
        ]

    with Progress(len(store.labels), "npy", "clip") as progress:
        in_order(_clips(store), buffers, workers, read, place, write_clips)
    outputs.write_labels()


def _clips(store: Store) -> Iterator[np.ndarray]:
    """All clips in order, in runs that lie in one shard."""
    for shard in np.unique(store.shards):
        clips = np.flatnonzero(store.shards == shard)
        yield from np.split(clips, range(_CLIPS_AT_ONCE, len(clips), _CLIPS_AT_ONCE))


def write_clips(rows: np.ndarray, places: list[list[Place]]) -> None:
    """Writes clips (n, S, 3, T, V, M) to all of their places."""
    for row, where in enumerate(places):
        write_clip(where, rows[row])


def output_folder(given: str | os.PathLike[str] | None, usual: str) -> Path:
    """The path of the folder that clips go to, which need not be there.

    Raises:
        ValueError: it is empty, see `default_folder`.
        OSError: it cannot be written.
    """
    folder = default_folder(given, usual, "--out-folder")
    check_writable(folder)
    return folder


def default_folder(given: str | os.PathLike[str] | None, usual: str, option: str) -> Path:
    """A folder's path; an empty one, as from an unset variable in a script, is not taken for the usual folder."""
    if given is not None and not os.fspath(given):
        raise ValueError(f"{option} is empty: name a folder, or leave it out for {usual}")
    return Path(usual if given is None else given)
