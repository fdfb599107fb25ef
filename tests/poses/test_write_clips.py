"""`write_clips`: what one's own few lines read becomes what `prep custom` writes, with all of its checks."""

import json
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pose_files import walker, write_array_folder

from native_prep import Clip, write_clips
from native_prep.io.pickles import load_pickle
from native_prep.poses.custom import prepare_custom

SETTINGS: dict = {"image_size": "640x480", "formats": ("npy", "packed")}


def folder_clips(folder: Path) -> Iterator[Clip]:
    for line in (folder / "labels.csv").read_text().splitlines()[1:]:
        name, label, split = line.split(",")
        yield Clip(name, np.load(folder / f"{name}.npy"), label, split)


def contents(folder: Path) -> dict[str, bytes]:
    """Files by name; what they are made of is in the names of shards, and in what is said of these."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("store.json", "shard.json")]
    return {str(path.relative_to(folder)).partition("-000")[0] + path.name: path.read_bytes() for path in files}


def test_the_same_as_prep_custom(tmp_path: Path) -> None:
    raw = write_array_folder(tmp_path / "raw")
    expected = prepare_custom(raw, tmp_path / "expected", layout="coco17", **SETTINGS)
    found = write_clips(folder_clips(raw), tmp_path / "found", "coco17", **SETTINGS)
    same = ("dataset", "clips", "frames", "bad_files", "empty", "warnings")
    assert {key: found[key] for key in same} == {key: expected[key] for key in same}
    assert contents(tmp_path / "found") == contents(tmp_path / "expected")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "found", "raw"]  # nothing hidden is left


def test_forms_of_joints(tmp_path: Path) -> None:
    one = walker(6)
    unseen = one.copy()
    unseen[2, 5, :2] = np.nan  # its score alone makes nobody seen
    zeros = one.copy()
    zeros[2, 5] = 0
    clips = [
        Clip("a", one, 0, "train"),
        Clip("b", np.stack([one, one + 1e-3]), 1, "train"),
        Clip("c", unseen, 0, "train"),
        Clip("d", zeros, 1, "train"),
        Clip("e", one[..., :2].tolist(), 0, "train"),
    ]
    write_clips(clips, tmp_path / "out", image_size="640x480", streams=("joint",))
    a, b, c, d, e = np.load(tmp_path / "out/train_data_joint.npy")
    np.testing.assert_array_equal(c, d)
    np.testing.assert_array_equal(a[..., 0], b[..., 0])
    assert b[..., 1].any() and not a[..., 1].any()
    assert not c[:, 2, 5].any() and c[:, 3, 5, 0].all()
    np.testing.assert_array_equal(e[:2], a[:2])
    assert (e[2, :, :, 0] == 1).all()


def test_labels(tmp_path: Path) -> None:
    def write(*labels: object, **options: object) -> tuple[list[int], list[str]]:
        clips = [Clip(f"clip{place}", walker(4), label, "val") for place, label in enumerate(labels)]
        write_clips(clips, tmp_path / "out", image_size="640x480", streams=("joint",), **options)
        about = json.loads((tmp_path / "out/custom.json").read_text())
        return load_pickle(tmp_path / "out/val_label.pkl")[1], about["classes"]

    assert write("wave", "fall", "wave") == ([1, 0, 1], ["fall", "wave"])
    assert write(2, 0, 2) == ([2, 0, 2], ["0", "1", "2"])
    assert write("wave", classes=["fall", "wave", "sit"]) == ([1], ["fall", "wave", "sit"])
    with pytest.raises(ValueError, match="label 'jump' is not a class"):
        write("jump", classes=["fall", "wave"])


def test_clips_are_taken_one_at_a_time(tmp_path: Path) -> None:
    alive: list[weakref.ref] = []
    most = 0

    def many() -> Iterator[Clip]:
        nonlocal most
        for number in range(40):
            points = walker(5, seed=number)
            alive.append(weakref.ref(points))
            yield Clip(f"clip{number}", points, 0, "train")
            del points
            most = max(most, sum(one() is not None for one in alive))

    assert write_clips(many(), tmp_path / "out", image_size="640x480")["clips"] == 40
    assert most <= 2


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        (
            [Clip("a", walker(3), None, "train")],
            "clip a: has label None and split 'train': give a label",
        ),
        ([Clip("a", walker(3), 0)], "clip a: has label 0 and split None"),
        ([Clip("a", walker(3), 0, "test")], "split 'test'"),
        ([Clip("a", walker(3), 0, "val"), Clip("a", walker(3), 0, "val")], "clip a: appears twice"),
        ([], "there is no clip to write"),
        ([Clip("a", walker(3, 18), 0, "val")], "clip a: has 18 joints, layout coco17 has 17: use --layout"),
        ([Clip("a", np.full((3, 17, 3), np.inf), 0, "val")], "clip a: frame 0 holds what is not a coordinate"),
        ([Clip("a", [[1, 2], [3]], 0, "val")], "clip a: its points are lists of different lengths"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, clips: list[Clip], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        write_clips(clips, tmp_path / "a/b/out", image_size="640x480")
    assert not any(tmp_path.iterdir())


def test_nothing_is_left_when_the_reader_fails(tmp_path: Path) -> None:
    def clips() -> Iterator[Clip]:
        yield Clip("a", walker(4), 0, "train")
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        write_clips(clips(), tmp_path / "a/b/out", image_size="640x480")
    assert not any(tmp_path.iterdir())


def test_bad_clips_are_left_out_if_asked(tmp_path: Path) -> None:
    clips = [Clip(f"clip{number}", walker(4, 17 + number % 2), 0, "train") for number in range(4)]
    result = write_clips(clips, tmp_path / "out", image_size="640x480", on_bad_file="skip")
    assert (result["clips"], result["bad_files"]) == (2, 2)
    assert "clip clip3,,has 18 joints" in (tmp_path / "out/bad_files.csv").read_text().replace('"', "")


def test_importing_native_prep_is_light() -> None:
    import subprocess
    import sys

    heavy = "{'numba', 'torch', 'numpy'}"
    check = f"import native_prep, sys; assert not {heavy} & set(sys.modules); native_prep.Clip; native_prep.write_clips"
    subprocess.run([sys.executable, "-c", check], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        __import__("native_prep").nothing  # noqa: B018
