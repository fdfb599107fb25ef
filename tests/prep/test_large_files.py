"""Files that are read whole: what is larger than such a file can be, or no file, is refused before it is read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agcn.config import has_streams
from export.manifest import read_manifest
from export.runtime.shard_list import list_shards
from native_prep.datasets.catalog import DATASETS
from native_prep.datasets.recordings import BadClip, find_recordings
from native_prep.io import pickles
from native_prep.io.folders import LocalFolder
from native_prep.io.pickles import load_pickle
from native_prep.io.whole import MIB
from native_prep.io.yaml_file import read_yaml
from native_prep.poses.custom import custom_metadata
from native_prep.poses.files import kind_of_file
from native_prep.poses.labels import read_classes, read_label_file
from native_prep.poses.ntu_tracked import read_ntu_bodies
from native_prep.poses.readers import array, openpose
from native_prep.poses.readers.mediapipe_csv import read_mediapipe_csv
from native_prep.poses.readers.ultralytics import text_people
from native_prep.skeletons.layouts import LAYOUTS
from native_prep.store.format import read_metadata

COCO = LAYOUTS["coco17"]
# The file, MiB that it may have, and what reads it.
READERS: dict[str, tuple[int, Callable[[Path], object]]] = {
    "classes.txt": (64, read_classes),
    "labels.csv": (64, read_label_file),
    "ignored.txt": (
        64,
        lambda path: find_recordings(DATASETS["ntu60"], LocalFolder(str(path.parent)), ("xsub",), path),
    ),
    "kinetics_train_label.json": (
        512,
        lambda path: find_recordings(DATASETS["kinetics"], LocalFolder(str(path.parent)), ("",), None),
    ),
    "layout.yaml": (4, lambda path: read_yaml(path, "a layout")),
    "config.yaml": (64, has_streams),
    "custom.json": (64, lambda path: custom_metadata(path.with_name("train_data_joint.npy"))),
    "manifest.json": (64, lambda path: read_manifest(path.parent)),
    "store.json": (64, read_metadata),
    "stores.txt": (64, lambda path: list_shards([str(path)])),
    "clip.json": (1024, kind_of_file),
    "x_000_keypoints.json": (16, lambda path: openpose.people(str(path))),
    "x_000.txt": (16, lambda path: text_people(str(path))),
    "clip.csv": (1024, lambda path: read_mediapipe_csv(str(path), COCO)),
    "clip.npy": (1024, lambda path: array.read(str(path), COCO)),
    "clip.skeleton": (1024, lambda path: read_ntu_bodies(str(path))),
}
# Of these a device is no file that is there.
LOOKED_FOR = {"custom.json", "ignored.txt", "manifest.json", "stores.txt", "config.yaml"}


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where a file is read."""
    for name in ("read_bytes", "read_text"):
        monkeypatch.setattr(Path, name, lambda path, **_: pytest.fail(f"reads {path}"))


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize("name", READERS)
def test_what_is_too_large_is_not_read(tmp_path: Path, name: str) -> None:
    most, read = READERS[name]
    (tmp_path / "kinetics_train").mkdir()
    (tmp_path / name).touch()
    os.truncate(tmp_path / name, most * MIB + 1)  # a hole, which takes no room
    with pytest.raises(ValueError) as error:
        read(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: has {most + 1} MiB, more than the {most} MiB that ")
    assert isinstance(error.value, BadClip) is (name.split(".")[0] in ("clip", "x_000", "x_000_keypoints"))


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize("name", sorted(READERS.keys() - LOOKED_FOR))
def test_devices_are_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "kinetics_train").mkdir()
    (tmp_path / name).symlink_to("/dev/null")
    with pytest.raises(ValueError) as error:
        READERS[name][1](tmp_path / name)
    assert str(error.value) == f"{tmp_path / name}: is a device or a pipe: give a file"


def test_a_pickle_larger_than_the_memory_that_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.pkl").touch()
    os.truncate(tmp_path / "p.pkl", 4 * MIB + 1)
    monkeypatch.setattr(pickles, "free_memory", lambda: 3 * MIB)
    with pytest.raises(ValueError) as error:
        load_pickle(tmp_path / "p.pkl")
    words = "has 5 MiB, more than the 3 MiB of memory that are free: close other programs, or give a smaller one"
    assert str(error.value) == f"{tmp_path / 'p.pkl'}: {words}"


def test_a_hundred_thousand_classes_take_no_minutes(tmp_path: Path) -> None:
    names = [f"class {number}" for number in range(100_000)]
    (tmp_path / "classes.txt").write_text("\n".join(names))
    (tmp_path / "labels.csv").write_text("name,label\n" + "".join(f"{name},{name}\n" for name in names))
    assert read_classes(tmp_path / "classes.txt") == names
    assert len(read_label_file(tmp_path / "labels.csv", names).clips) == len(names)
