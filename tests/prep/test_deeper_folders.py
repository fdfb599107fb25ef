"""Files that lie one folder deeper than asked for are found; of deeper ones the message says where they lie."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pose_files import walker, write_labels, write_openpose
from prep_files import NAMES, write_kinetics_folder, write_ntu_folder, write_nw_ucla_folder

from native_prep.datasets.catalog import DATASETS
from native_prep.datasets.recordings import find_recordings
from native_prep.io.folders import LocalFolder
from native_prep.poses.files import default_layout
from native_prep.poses.sources import clips_below, detect_kind, open_source
from native_prep.skeletons.layouts import LAYOUTS


def names(dataset: str, folder: Path) -> list[str]:
    benchmarks = ("xsub",) if dataset.startswith("ntu") else ("",)
    return [one.name for one in find_recordings(DATASETS[dataset], LocalFolder(str(folder)), benchmarks, "none").found]


def all_sqe_of_another_name(folder: Path) -> None:
    write_nw_ucla_folder(folder.parent)
    (folder.parent / "all_sqe").rename(folder)


# Of a data set, what writes its folder, and the names that it may have.
FOLDERS: list[tuple[str, Callable[[Path], object], str, int]] = [
    ("ntu60", write_ntu_folder, "nturgb+d_skeletons", 4),
    ("ntu60", write_ntu_folder, "some_name", 4),
    ("ntu120", write_ntu_folder, "some_name", 4),
    ("kinetics", write_kinetics_folder, "kinetics-skeleton", 4),
    ("nw-ucla", all_sqe_of_another_name, "all_sqe", 3),
    ("nw-ucla", all_sqe_of_another_name, "some_name", 3),
]


@pytest.mark.parametrize(("dataset", "write", "name", "count"), FOLDERS)
def test_one_folder_deeper_is_found_and_two_are_told(
    tmp_path: Path, dataset: str, write: Callable[[Path], object], name: str, count: int
) -> None:
    inside = tmp_path / "outer/middle/inner" / name
    inside.parent.mkdir(parents=True)
    write(inside)
    (inside.parent / "notes").mkdir()
    (inside.parent / "notes/readme.json").write_text("{}")
    assert len(names(dataset, inside)) == len(names(dataset, inside.parent)) == count
    for folder in (tmp_path / "outer/middle", tmp_path / "outer"):
        with pytest.raises(ValueError) as error:
            names(dataset, folder)
        assert (
            str(error.value) == f"{folder}: its {dataset} clips lie deeper, in {inside}: give --data-path that folder"
        )


def test_several_folders_of_clips(tmp_path: Path) -> None:
    for place, name in enumerate(NAMES):
        write_ntu_folder(tmp_path / f"part{place}")
        for other in NAMES:
            if other != name:
                (tmp_path / f"part{place}" / other).unlink()
    assert names("ntu60", tmp_path) == sorted(NAMES)
    for name in ("a", "b"):
        write_kinetics_folder(tmp_path / "two" / name)
    with pytest.raises(ValueError, match=r"two: holds neither kinetics_train nor .*, .*two/a, .*two/b do: give"):
        names("kinetics", tmp_path / "two")


def own(folder: Path, label: str | None = None) -> tuple[list[str], list[str]]:
    kind = detect_kind(folder)
    layout = LAYOUTS[default_layout(kind, clips_below(kind, folder), folder) if kind.source == "openpose" else "coco17"]
    found = open_source(kind, folder, layout, label, None, None)
    assert not found.bad
    return [clip.name for clip in found.clips], found.classes


def write_classes(folder: Path) -> None:
    for place, name in enumerate(("fall", "wave")):
        (folder / name).mkdir(parents=True)
        np.save(folder / name / "clip.npy", walker(6, seed=place))


def test_poses_in_the_only_folder_of_a_folder(tmp_path: Path) -> None:
    write_classes(tmp_path / "outer/data/poses")
    for folder in ("outer/data/poses", "outer/data", "outer"):
        assert own(tmp_path / folder) == (["fall/clip", "wave/clip"], ["fall", "wave"])
    write_openpose(tmp_path / "frames/poses/clip", {frame: [walker(1, 18)[0]] for frame in range(3)})
    write_labels(tmp_path / "frames/poses/labels.csv", [("clip", "wave", "train")])
    for folder in ("frames/poses", "frames"):
        assert own(tmp_path / folder) == (["clip"], ["wave"])  # and not a class that is called poses
    (tmp_path / "frames/poses/labels.csv").rename(tmp_path / "labels.csv")
    assert own(tmp_path / "frames", str(tmp_path / "labels.csv")) == (["clip"], ["wave"])


def test_poses_that_lie_in_several_folders_are_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_classes(tmp_path / "outer" / name)
    with pytest.raises(ValueError, match=r"outer: has no clip of numpy itself, the first lies in .*outer/a/fall: give"):
        own(tmp_path / "outer")
