"""Which clips train and which validate, from the clips' names alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from native_prep.datasets.catalog import get_dataset

# NTU RGB+D, table of its paper; 2s-AGCN's ntu_gendata has the same.
NTU60_TRAINING_SUBJECTS = frozenset((1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38))
NTU60_TRAINING_CAMERAS = frozenset((2, 3))
# NTU RGB+D 120, section 4.2 of its paper: 53 subjects; setups of even number train.
NTU120_TRAINING_SUBJECTS = NTU60_TRAINING_SUBJECTS | frozenset(
    (
        45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93,
        94, 95, 97, 98, 100, 103,
    )
)  # fmt: skip
NW_UCLA_TRAINING_VIEWS = frozenset((1, 2))


class ClipName(NamedTuple):
    """What the name of a clip says; numbers count from 1, -1 stands for what the data set does not name.

    NW-UCLA's view and episode are its camera and replication.
    """

    setup: int = -1
    camera: int = -1
    subject: int = -1
    replication: int = -1
    action: int = -1


@dataclass(frozen=True)
class _Form:
    """How a data set names its clips: `pattern` has a group for each field of `ClipName` that it tells.

    `most` says how many of each there are; actions are for the data set to check.
    """

    pattern: re.Pattern[str]
    what: str
    example: str
    most: Mapping[str, int]


_NTU = _Form(
    re.compile(
        r"S(?P<setup>\d{3})C(?P<camera>\d{3})P(?P<subject>\d{3})R(?P<replication>\d{3})A(?P<action>\d{3})(?:\.skeleton)?",
        re.ASCII,
    ),
    "an NTU clip",
    "S001C002P003R002A013.skeleton",
    {"setup": 32, "camera": 3, "subject": 106, "replication": 2},  # of NTU RGB+D 120, which 60 is a part of
)
_NW_UCLA = _Form(
    re.compile(
        r"a(?P<action>\d{2})_s(?P<subject>\d{2})_e(?P<replication>\d{2})_v(?P<camera>\d{2})(?:\.json)?", re.ASCII
    ),
    "an NW-UCLA clip",
    "a01_s02_e03_v01.json",
    {},
)
_FORMS = {"ntu60": _NTU, "ntu120": _NTU, "nw-ucla": _NW_UCLA}


@lru_cache(maxsize=1)  # a name is asked about several times in a row: its label, its split in each benchmark
def parse_name(dataset: str, name: str) -> ClipName:
    """Reads a clip's name, with suffix or without; of a data set whose names say nothing, nothing is known.

    Raises:
        ValueError: the name has another form, or a number that no clip of the data set has.
    """
    form = _FORMS.get(dataset)
    if form is None:
        return ClipName()
    match = form.pattern.fullmatch(name)
    if match is None:
        raise ValueError(f"{name}: not the name of {form.what}: it should look like {form.example}")
    clip = ClipName(**{key: int(number) for key, number in match.groupdict().items()})
    for key, most in form.most.items():
        number = getattr(clip, key)
        if not 1 <= number <= most:
            raise ValueError(f"{name}: {key} {number} is not one of NTU's {most}: rename it or move it away")
    return clip


def is_training(dataset: str, benchmark: str, name: str) -> bool:
    """Whether a clip trains (True) or validates (False).

    Args:
        dataset: ntu60, ntu120 or nw-ucla; the folders of Kinetics decide there, not the names.
        benchmark: one of the data set's; "" for nw-ucla.
        name: the clip's file name, suffix or not.

    Raises:
        ValueError: the name is not one of the data set's, or the data set has no such benchmark.
    """
    known = get_dataset(dataset).benchmarks
    if dataset == "nw-ucla" and benchmark == "":
        return parse_name(dataset, name).camera in NW_UCLA_TRAINING_VIEWS
    if benchmark not in known:
        raise ValueError(f"{dataset} has no benchmark {benchmark!r}: use one of {', '.join(known) or 'none'}")
    clip = parse_name(dataset, name)
    if benchmark == "xview":
        return clip.camera in NTU60_TRAINING_CAMERAS
    if benchmark == "xset":
        return clip.setup % 2 == 0
    subjects = NTU60_TRAINING_SUBJECTS if dataset == "ntu60" else NTU120_TRAINING_SUBJECTS
    return clip.subject in subjects


def check_benchmarks(dataset: str, benchmarks: tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    """The benchmarks asked for, each once; all of the data set's for None; ("",) where it has one division only.

    Raises:
        ValueError: the data set has no such benchmark.
    """
    known = get_dataset(dataset).benchmarks
    advice = f"use {', '.join(known)}" if known else "leave it out"
    for benchmark in benchmarks or ():
        if benchmark not in known:
            raise ValueError(f"{dataset} has no benchmark {benchmark!r}: {advice}")
    if not known:
        return ("",)
    return tuple(benchmark for benchmark in known if not benchmarks or benchmark in benchmarks)
