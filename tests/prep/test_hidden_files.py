"""What file managers and archives leave beside files is no clip for any reader."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pose_files import walker, write_array_folder, write_labels, write_openpose
from prep_files import write_kinetics_folder, write_ntu_folder, write_nw_ucla_folder

from bench.pages.prepared_data import prepared_data
from bench.prep.recordings import kinetics_files
from export.comparison import _raw_files
from native_prep.datasets.catalog import DATASETS
from native_prep.datasets.recordings import find_recordings
from native_prep.io.folders import LocalFolder, local_copy, open_folder
from native_prep.poses.files import read_as
from native_prep.poses.published.pku_mmd import open_pku_mmd
from native_prep.poses.published.uav_human import open_uav_human
from native_prep.poses.sources import detect_kind, open_source
from native_prep.skeletons.layouts import LAYOUTS


def _raw(dataset: str, folder: Path) -> object:
    return find_recordings(
        DATASETS[dataset], LocalFolder(str(folder)), ("xsub",) if dataset == "ntu60" else ("",), "none"
    )


def _own(layout: str, folder: Path) -> object:
    found = open_source(detect_kind(folder), folder, LAYOUTS[layout], None, None, None)
    return found.clips, found.bad, found.notes, [found.read(clip).points.sum() for clip in found.clips]


def _of_published(found: object) -> object:
    return found.clips, found.bad, found.notes


def _in_archive(kind: str, folder: Path) -> object:
    """The names in an archive of a folder, which lies one below its top."""
    packed = shutil.make_archive(str(folder.with_name("packed")), kind, folder.parent, folder.name)
    with open_folder(packed, folder.parent / "out") as opened:
        return {path: sorted(names) for path, names in opened._listing.items()}


def _unpacked(folder: Path) -> object:
    packed = shutil.make_archive(str(folder.with_name("packed")), "zip", folder)
    with local_copy(packed, folder.parent / "out") as copy:
        clips, *others = _own("coco17", copy.path)
        return [clip.name for clip in clips], *others


def _ntu_inside(folder: Path) -> None:
    write_ntu_folder(folder / "nturgb+d_skeletons")


def _class_folders(folder: Path) -> None:
    for place, name in enumerate(("wave", "fall")):
        (folder / name).mkdir(parents=True)
        np.save(folder / name / "clip.npy", walker(6, seed=place))


def _openpose(folder: Path) -> None:
    write_openpose(folder / "clip", {frame: [walker(1, 18)[0]] for frame in range(4)})
    write_labels(folder / "labels.csv", [("clip", 0, "train")])


def _pku(folder: Path) -> None:
    for place, text in (
        ("skeletons/0002-L.txt", "0 " * 150 + "\n"), ("labels/0002-L.txt", "1,1,1,1\n"),
        ("cross-subject.txt", "train\n0002-L\nval\n0003-L\n"),
    ):  # fmt: skip
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)


def _uav(folder: Path) -> None:
    folder.mkdir()
    (folder / "P000S00G10B10H10UC022000LC021000A000R0_08241716.txt").write_text("0\n")


def _prepared(folder: Path) -> None:
    folder.mkdir()
    np.save(folder / "train_data_joint.npy", np.zeros(1))


# What writes a folder, and what reads it.
READERS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "ntu": (write_ntu_folder, lambda folder: _raw("ntu60", folder)),
    "ntu inside": (_ntu_inside, lambda folder: _raw("ntu60", folder)),
    "zip": (write_ntu_folder, lambda folder: _in_archive("zip", folder)),
    "tar": (write_ntu_folder, lambda folder: _in_archive("tar", folder)),
    "unpacked": (_class_folders, _unpacked),
    "kinetics": (write_kinetics_folder, lambda folder: _raw("kinetics", folder)),
    "nw-ucla": (write_nw_ucla_folder, lambda folder: _raw("nw-ucla", folder)),
    "arrays": (write_array_folder, lambda folder: _own("coco17", folder)),
    "class folders": (_class_folders, lambda folder: _own("coco17", folder)),
    "frames": (_openpose, lambda folder: _own("openpose18", folder)),
    "one clip": (
        _openpose,
        lambda folder: read_as(str(folder / "clip"), LAYOUTS["openpose18"])[0].points.sum(),
    ),
    "pku-mmd": (_pku, lambda folder: _of_published(open_pku_mmd(folder, "xsub", ["one"]))),
    "uav-human": (_uav, lambda folder: _of_published(open_uav_human(folder, "v1", ["one"]))),
    "prepared": (_prepared, prepared_data),
    "export's comparison": (write_ntu_folder, lambda folder: _raw_files(folder, DATASETS["ntu60"])),
    "bench": (write_kinetics_folder, lambda folder: kinetics_files(folder, folder, 1, 0)),
}


@pytest.mark.parametrize("kind", READERS)
def test_what_archives_of_a_mac_leave_is_no_clip(tmp_path: Path, kind: str) -> None:
    write, read = READERS[kind]
    folder = tmp_path / "raw"
    write(folder)
    before = read(folder)
    shutil.copytree(folder, folder / "__MACOSX")
    for one in [folder, *folder.rglob("*")]:
        if one.is_dir():
            (one / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
            shutil.copytree(folder, one / ".Trashes", ignore=lambda *_: {".Trashes"})
        else:
            one.with_name(f"._{one.name}").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
    assert str(read(folder)) == str(before)
