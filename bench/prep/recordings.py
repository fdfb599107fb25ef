"""Raw recordings to measure on: made, or one's own, and so many copies of them that a run takes seconds."""

import shutil
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

from native_prep.datasets.catalog import missing_samples
from native_prep.io.archives import is_hidden
from native_prep.synth.make import write_kinetics, write_ntu

_CLASSES = 10


def ntu_files(work: Path, data: str | Path | None, clips: int, frames: int, seed: int, megabytes: int) -> list[Path]:
    """At least `megabytes` of NTU-60 files in `work/ntu`, each under a name of the data set, sorted.

    Args:
        data: folder of `.skeleton` files to copy; None for `clips` made ones of `frames` frames.

    Raises:
        ValueError: the folder has no such file.
    """
    source = Path(data) if data else work / "made"
    if data is None:
        write_ntu(source, clips, _CLASSES, seed, frames)
    return _copies(_found(source, "*.skeleton"), work / "ntu", megabytes)


def kinetics_files(work: Path, data: str | Path | None, clips: int, seed: int) -> tuple[Path, list[Path]]:
    """A folder of Kinetics clips, `data` or `clips` made ones in `work`, and its files, sorted.

    Raises:
        ValueError: the folder has no such file.
    """
    source = Path(data) if data else work / "kinetics"
    if data is None:
        write_kinetics(source, clips, _CLASSES, seed)
    return source, _found(source, "kinetics_*/*.json")


def _found(folder: Path, pattern: str) -> list[Path]:
    found = sorted(file for file in folder.glob(pattern) if not is_hidden(file.name))
    if not found:
        raise ValueError(f"{folder}: no {pattern} in it: give a folder of raw clips")
    return found


def _copies(files: list[Path], folder: Path, megabytes: int) -> list[Path]:
    folder.mkdir()
    size = sum(path.stat().st_size for path in files)
    count = max(len(files), -(-megabytes * 10**6 * len(files) // size))
    copies = []
    for path, name in zip(islice(cycle(files), count), _names(), strict=False):
        copies.append(folder / f"{name}.skeleton")
        shutil.copyfile(path, copies[-1])
    return sorted(copies)


def _names() -> Iterator[str]:
    """Names of NTU-60, spread over set-ups, cameras and performers, without those that `prep` leaves out."""
    for number in range(17 * 3 * 40 * 2 * 60):
        rest, action = divmod(number, 60)
        rest, camera = divmod(rest, 3)
        rest, performer = divmod(rest, 40)
        again, setup = divmod(rest, 17)
        name = f"S{setup + 1:03}C{camera + 1:03}P{performer + 1:03}R{again + 1:03}A{action + 1:03}"
        if name not in missing_samples("ntu60"):
            yield name


def evenly(paths: list[Path], count: int) -> list[Path]:
    """At least `count` of the files, if there are so many: every class and number of bodies has its share."""
    return paths[:: max(1, len(paths) // count)]


def megabytes(paths: Sequence[Path]) -> float:
    """Size of files, in units of 10^6 bytes."""
    return sum(path.stat().st_size for path in paths) / 1e6
