"""Which raw files a data set's folder holds, and what their names and label files say about them."""

import json
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from native_prep.datasets.catalog import Dataset, missing_samples
from native_prep.datasets.names import is_training, parse_name
from native_prep.io.archives import Member, is_hidden
from native_prep.io.folders import ArchiveFolder, Folder, open_zip
from native_prep.io.progress import first_names
from native_prep.io.whole import MIB, read_whole

SPLITS = ("train", "val")
# Kinetics' label file of 240,000 clips has less than 30.
_MOST_LABELS = 512 * MIB


@dataclass(frozen=True)
class BadFile:
    """A file that cannot be used: where it lies, in which line (0: in none) and why."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}" if self.line else f"{self.path}: {self.reason}"

    def renamed(self, copy: str, source: str) -> "BadFile":
        """The same with `source` for `copy`, the place of a copy of it, which goes when the run ends."""
        return BadFile(self.path.replace(copy, source), self.line, self.reason.replace(copy, source)) if copy else self


@dataclass(frozen=True, slots=True)
class Recording:
    """One usable raw file.

    Attributes:
        path, name: where it lies, and its name as label files have it.
        label: counted from 0; -1 where only the file itself tells.
        parts: the places in `Recordings.parts` that it belongs to.
        member: where its bytes are; None for a file on disk, whose `path` says it.
        content: what who reads it has to know besides.
    """

    path: str
    name: str
    label: int
    parts: tuple[int, ...]
    member: Member | None = None
    content: Any = None


@dataclass(frozen=True)
class Recordings:
    """The files of a data set, sorted by name.

    Attributes:
        found, bad: those that can be prepared, and those that are known not to be.
        parts: the beginnings of output names, as `xsub/train`.
        ignored: how many were left out by the list of missing samples, or by a label file (has_skeleton: false).
    """

    found: list[Recording]
    bad: list[BadFile]
    parts: tuple[str, ...]
    ignored: int = 0


def find_recordings(
    dataset: Dataset, data_path: Folder, benchmarks: tuple[str, ...], ignored_samples: str | os.PathLike[str] | None
) -> Recordings:
    """Looks for the raw files of a data set.

    Args:
        dataset: which one.
        data_path: its folder, see `io.folders.open_folder`.
        benchmarks: those to divide the files for; ("",) for a data set that is divided in one way only.
        ignored_samples: None for the list that ships with the project, "none" for none, or a file of names.

    Raises:
        ValueError: no usable file is in it, or the list of samples to ignore is no such list.
        OSError: a folder or a list cannot be read.
    """
    ignored = _ignored(dataset, ignored_samples)
    if dataset.layout.name == "kinetics":
        recordings = _find_kinetics(dataset, data_path, ignored)
    else:
        recordings = _find_named(dataset, data_path, benchmarks, ignored)
    if not recordings.found and not recordings.bad:
        raise ValueError(
            f"{data_path}: no {dataset.name} file (*{dataset.suffix}) is left to prepare: "
            "check --data-path and --ignored-sample-path"
        )
    return recordings


def _ignored(dataset: Dataset, given: str | os.PathLike[str] | None) -> frozenset[str]:
    if given is None:
        return missing_samples(dataset.name)
    if str(given) == "none":
        return frozenset()
    path = Path(given)
    if not path.is_file():
        raise ValueError(f"{path}: no such file: give --ignored-sample-path a list of names, one a line, or none")
    try:
        lines = read_whole(path, "a list of names").decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text ({error.reason}): give a list of names, one a line") from error
    names: set[str] = set()
    for number, line in enumerate(lines, 1):
        name = line.strip().removesuffix(dataset.suffix)
        if not name:
            continue
        if dataset.layout.name == "ntu" and not _is_named("ntu120", name):
            if names:
                raise ValueError(f"{path}:{number}: {name[:60]!r} is not the name of an NTU clip: fix the list")
            continue  # the published lists begin with sentences
        names.add(name)
    if lines and not names:
        raise ValueError(f"{path}: names no clip: give a list of names, one a line, or none")
    return frozenset(names)


def _is_named(dataset: str, name: str) -> bool:
    try:
        parse_name(dataset, name)
    except ValueError:
        return False
    return True


def files_below(folder: Path, without: Collection[Path] = ()) -> Iterator[Path]:
    """Files in a folder and in those in it, its own first; none that is hidden, or right in one of `without`."""
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        inside = Path(where)
        if inside not in without:
            yield from (inside / name for name in sorted(names) if not is_hidden(name))


def _names(folder: Folder, suffix: str) -> list[str]:
    return [name for name in folder.names(suffix) if not is_hidden(name)]


def _folders(dataset: Dataset, data_path: Folder) -> list[Folder]:
    """Where the clips lie: the folder itself, those in it that hold clips, or the data set's own zips in it.

    Raises:
        ValueError: they lie deeper; it says where.
    """
    if _names(data_path, dataset.suffix):
        return [data_path]
    zips = [name for name in _names(data_path, ".zip") if name.startswith("nturgb")]
    inside = _folders_with(data_path, partial(_has_clips, dataset), dataset, deeper=not zips)
    if dataset.name == "nw-ucla":
        return [folder for folder in inside if folder.name == "all_sqe"] or inside
    if not inside and dataset.layout.name == "ntu":
        if dataset.name == "ntu60" and len(zips) > 1:
            zips = [name for name in zips if name == "nturgbd_skeletons_s001_to_s017.zip"]
        return [folder for name in zips for folder in _folders(dataset, open_zip(data_path.path(name)))]
    ours = [folder for folder in inside if folder.name.startswith("nturgb")]
    if dataset.name == "ntu60" and len(ours) > 1:
        return [folder for folder in ours if folder.name == "nturgb+d_skeletons"]
    return ours or inside


def _has_clips(dataset: Dataset, folder: Folder) -> bool:
    """Whether a folder has files that end as the data set's do; where others end so too, ones of their names."""
    names = _names(folder, dataset.suffix)
    return any(_is_named(dataset.name, name) for name in names) if dataset.suffix == ".json" else bool(names)


# Folders that are looked into for files that lie deeper than they should.
_MOST_LOOKED_INTO = 1000


def _folders_with(
    data_path: Folder, holds: Callable[[Folder], bool], dataset: Dataset, deeper: bool = True
) -> list[Folder]:
    """The folders in a folder that hold clips; in an archive, where none is named, also deeper ones.

    Args:
        data_path: is looked into.
        holds: whether a folder holds clips.
        dataset: for the message.
        deeper: whether to look for deeper ones where none is there.

    Raises:
        ValueError: only folders two or three below do; it says which.
    """
    level = [data_path]
    for depth in range(3 if deeper else 1):
        inside = [one for folder in level for one in folder.folders() if not is_hidden(one.name)]
        level = sorted(inside, key=str)[:_MOST_LOOKED_INTO]
        found = [folder for folder in level if holds(folder)]
        if found and depth and not isinstance(data_path, ArchiveFolder):
            names = first_names([str(folder) for folder in found])
            raise ValueError(
                f"{data_path}: its {dataset.name} clips lie deeper, in {names}: give --data-path that folder"
            )
        if found:
            return found
    return []


def _find_named(
    dataset: Dataset, data_path: Folder, benchmarks: tuple[str, ...], ignored: frozenset[str]
) -> Recordings:
    """NTU and NW-UCLA: the names tell everything but NW-UCLA's labels."""
    parts = tuple(f"{benchmark}/{split}" if benchmark else split for benchmark in benchmarks for split in SPLITS)
    found, bad, left_out = [], [], 0
    places: dict[str, str] = {}
    for folder in _folders(dataset, data_path):
        for name in _names(folder, dataset.suffix):
            path = folder.path(name)
            if name.removesuffix(dataset.suffix) in ignored:
                left_out += 1
                continue
            if name in places:
                raise ValueError(f"{path}: is in {places[name]} too: keep one of them")
            places[name] = str(folder)
            try:
                label = _label_of(dataset, name)
                splits = tuple(
                    2 * place + (not is_training(dataset.name, benchmark, name))
                    for place, benchmark in enumerate(benchmarks)
                )
            except ValueError as error:
                bad.append(BadFile(path, 0, str(error).removeprefix(f"{name}: ")))
                continue
            found.append(Recording(path, name, label, splits, folder.member(name)))
    found.sort(key=lambda recording: recording.name)
    return Recordings(found, bad, parts, left_out)


def _label_of(dataset: Dataset, name: str) -> int:
    """The label that a name tells, counted from 0; -1 for NW-UCLA, whose files tell it."""
    action = parse_name(dataset.name, name).action
    if dataset.name == "nw-ucla":
        return -1
    if not 1 <= action <= dataset.num_class:
        advice = "use ntu120 for it" if dataset.num_class < action <= 120 else "rename it or move it away"
        raise ValueError(f"action {action} is not one of the {dataset.num_class} of {dataset.name}: {advice}")
    return action - 1


def _splits_in(folder: Folder) -> dict[str, Folder]:
    """The folders of clips by split."""
    inside = {one.name: one for one in folder.folders()}
    return {split: inside[f"kinetics_{split}"] for split in SPLITS if f"kinetics_{split}" in inside}


def _find_kinetics(dataset: Dataset, data_path: Folder, ignored: frozenset[str]) -> Recordings:
    """Kinetics: a folder and a label file for each split, in the folder or in the only one in it that has them.

    One split alone will do.
    """
    if not _splits_in(data_path):
        inside = _folders_with(data_path, lambda folder: bool(_splits_in(folder)), dataset)
        if len(inside) != 1:
            where = f", {first_names([str(folder) for folder in inside])} do" if inside else ""
            raise ValueError(
                f"{data_path}: holds neither kinetics_train nor kinetics_val{where}: give the folder that does"
            )
        data_path = inside[0]
    splits = _splits_in(data_path)
    found: list[Recording] = []
    bad: list[BadFile] = []
    left_out = 0
    for place, (split, folder) in enumerate(splits.items()):
        labels = _load_labels(data_path, f"kinetics_{split}_label.json")
        for name in _names(folder, ".json"):
            entry = labels.get(name.split(".")[0])
            entry = entry if isinstance(entry, dict) else {}
            if name.removesuffix(".json") in ignored or not entry.get("has_skeleton", True):
                left_out += 1
                continue
            path, label = folder.path(name), entry.get("label_index")
            if isinstance(label, int) and label >= 0:
                found.append(Recording(path, name, label, (place,), folder.member(name)))
            else:
                text = "has no label_index from 0 on in the label file: fix it or move the clip away"
                bad.append(BadFile(path, 0, text))
    return Recordings(found, bad, tuple(splits), left_out)


def _load_labels(folder: Folder, name: str) -> dict[str, Any]:
    path = folder.path(name)
    try:
        labels = json.loads(folder.read(name, _MOST_LABELS))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file: the label file must lie beside the folder of clips") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: not JSON ({error.msg}): fetch the label file again") from error
    except (UnicodeDecodeError, RecursionError) as error:
        why = getattr(error, "reason", "nested too deep")
        raise ValueError(f"{path}: not JSON ({why}): fetch the label file again") from error
    if not isinstance(labels, dict):
        raise ValueError(f"{path}: not an object of labels by clip: fetch the label file again")
    return labels


class BadClip(ValueError):
    """A clip that cannot be used; `bad` says where and why."""

    def __init__(self, path: str, reason: str, line: int = 0) -> None:
        self.bad = BadFile(path, line, reason)
        super().__init__(str(self.bad))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.bad.path, self.bad.reason, self.bad.line)


# What `predict`, a stream, a video and `agcn_run` say of one.
NOBODY = "nobody is seen in any of its frames: it has no answer"


class EmptyClip(BadClip):
    """A clip in which nobody is seen."""
