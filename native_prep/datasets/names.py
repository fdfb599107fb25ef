"""Which clips train and which validate, from the clips' names alone."""

import re
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
_NTU_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})(?:\.skeleton)?", re.ASCII)
_NW_UCLA_NAME = re.compile(r"a(\d{2})_s(\d{2})_e(\d{2})_v(\d{2})(?:\.json)?", re.ASCII)
# How many of each there are in NTU RGB+D 120, which 60 is a part of; actions are the data set's to check.
_NTU_RANGES = {"setup": 32, "camera": 3, "performer": 106, "replication": 2}


class NtuName(NamedTuple):
    """What the name of an NTU clip says; all numbers count from 1, so the label is `action` - 1."""

    setup: int
    camera: int
    performer: int
    replication: int
    action: int


class NwUclaName(NamedTuple):
    """What the name of an NW-UCLA clip says."""

    action: int
    subject: int
    episode: int
    view: int


@lru_cache(maxsize=1)  # a name is asked about several times in a row: its label, its side in each benchmark
def parse_ntu_name(name: str) -> NtuName:
    """Reads `S001C002P003R002A013`, with `.skeleton` or without.

    Raises:
        ValueError: the name has another form, or a number that no clip of NTU has.
    """
    clip = NtuName(*_numbers(_NTU_NAME, name, "an NTU clip", "S001C002P003R002A013.skeleton"))
    for key, most in _NTU_RANGES.items():
        number = getattr(clip, key)
        if not 1 <= number <= most:
            raise ValueError(f"{name}: {key} {number} is not one of NTU's {most}: rename it or move it away")
    return clip


def parse_nw_ucla_name(name: str) -> NwUclaName:
    """Reads `a01_s02_e03_v01`, with `.json` or without.

    Raises:
        ValueError: the name has another form.
    """
    return NwUclaName(*_numbers(_NW_UCLA_NAME, name, "an NW-UCLA clip", "a01_s02_e03_v01.json"))


def _numbers(form: re.Pattern[str], name: str, what: str, example: str) -> tuple[int, ...]:
    match = form.fullmatch(name)
    if match is None:
        raise ValueError(f"{name}: not the name of {what}: it should look like {example}")
    return tuple(map(int, match.groups()))


def recorded_as(dataset: str, name: str) -> tuple[int, int, int, int]:
    """(setup, camera, subject, replication) as the name of a clip tells, counted from 1; -1 for what it does not.

    NW-UCLA's view and episode are its camera and replication.

    Raises:
        ValueError: the name is not one of the data set's.
    """
    if dataset in ("ntu60", "ntu120"):
        clip = parse_ntu_name(name)
        return clip.setup, clip.camera, clip.performer, clip.replication
    if dataset == "nw-ucla":
        one = parse_nw_ucla_name(name)
        return -1, one.view, one.subject, one.episode
    return -1, -1, -1, -1


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
        return parse_nw_ucla_name(name).view in NW_UCLA_TRAINING_VIEWS
    if benchmark not in known:
        raise ValueError(f"{dataset} has no benchmark {benchmark!r}: use one of {', '.join(known) or 'none'}")
    clip = parse_ntu_name(name)
    if benchmark == "xview":
        return clip.camera in NTU60_TRAINING_CAMERAS
    if benchmark == "xset":
        return clip.setup % 2 == 0
    subjects = NTU60_TRAINING_SUBJECTS if dataset == "ntu60" else NTU120_TRAINING_SUBJECTS
    return clip.performer in subjects


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
