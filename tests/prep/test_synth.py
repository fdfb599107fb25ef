"""Made recordings: the formats to the letter, the same bytes for the same seed, both splits of every split."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from native_prep.datasets.catalog import missing_samples
from native_prep.datasets.names import is_training
from native_prep.skeletons.layouts import KINETICS, NTU, NW_UCLA, layout_from_edges
from native_prep.synth.make import joint_batch, synth
from native_prep.synth.motion import pose, rotations, swing_angles
from native_prep.synth.names import ntu_names


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def body_counts(text: str) -> list[int]:
    """Walks a `.skeleton` file line by line; any line out of place fails."""
    lines = text.split("\n")
    counts, place = [], 1
    for _ in range(int(lines[0])):
        counts.append(int(lines[place]))
        place += 1
        for _ in range(counts[-1]):
            assert len(lines[place].split()) == 10
            assert lines[place + 1] == "25"
            for line in lines[place + 2 : place + 27]:
                words = line.split(" ")
                assert len(words) == 12 and words[-1] in "012"
                assert all(len(word.split("E")[0].lstrip("-0.").replace(".", "")) <= 7 for word in words)
                x, y, z = map(float, words[:3])
                assert abs(x) < 3 and abs(y) < 3 and 1 < z < 6
            place += 27
    assert lines[place:] == [""]
    return counts


@pytest.mark.parametrize("dataset", ["ntu60", "ntu120", "kinetics", "nw-ucla"])
def test_same_seed_same_bytes(dataset: str, tmp_path: Path) -> None:
    first = synth(dataset, tmp_path / "a", 12, 3, seed=5, frames=12)
    synth(dataset, tmp_path / "b", 12, 3, seed=5, frames=12)
    synth(dataset, tmp_path / "c", 12, 3, seed=6, frames=12)
    same, other = contents(tmp_path / "a"), contents(tmp_path / "c")
    assert same == contents(tmp_path / "b")
    assert same != other
    assert first["bytes"] == sum(map(len, same.values()))
    assert first["clips"] == 12 and first["classes"] == 3 and first["dataset"] == dataset


def test_longer_run_begins_with_the_shorter_one(tmp_path: Path) -> None:
    synth("ntu60", tmp_path / "short", 6, 3, frames=10)
    synth("ntu60", tmp_path / "long", 9, 3, frames=10)
    assert contents(tmp_path / "short").items() <= contents(tmp_path / "long").items()


def test_ntu_files_are_like_the_sensors(tmp_path: Path) -> None:
    synth("ntu60", tmp_path / "ntu", 120, 10, frames=16)
    clips = [body_counts(path.read_text()) for path in sorted((tmp_path / "ntu").iterdir())]
    assert len(clips) == 120
    assert 14 < np.mean([len(counts) for counts in clips]) < 18
    assert 0.6 < np.mean([max(counts) == 1 for counts in clips]) < 0.95
    assert any(counts[0] == 0 for counts in clips) and any(0 in counts for counts in clips)


def test_kinetics_files_are_like_openposes(tmp_path: Path) -> None:
    synth("kinetics", tmp_path, 40, 5, frames=10)
    for part in ("train", "val"):
        table = json.loads((tmp_path / f"kinetics_{part}_label.json").read_text())
        assert set(table) == {path.stem for path in (tmp_path / f"kinetics_{part}").iterdir()} and table
        for name, entry in table.items():
            clip = json.loads((tmp_path / f"kinetics_{part}" / f"{name}.json").read_text())
            assert clip["label"] == entry["label"] and clip["label_index"] == entry["label_index"]
            assert bool(clip["data"]) == entry["has_skeleton"]
            for number, frame in enumerate(clip["data"]):
                assert frame["frame_index"] == number + 1
                assert all(len(one["pose"]) == 36 and len(one["score"]) == 18 for one in frame["skeleton"])


def test_nw_ucla_files_are_like_the_recorded_ones(tmp_path: Path) -> None:
    synth("nw-ucla", tmp_path, 60, 10, frames=10)
    names = sorted(path.stem for path in tmp_path.iterdir())
    assert Counter(name[-3:] for name in names) == {"v01": 20, "v02": 20, "v03": 20}
    clip = json.loads((tmp_path / f"{names[0]}.json").read_text())
    assert clip["file_name"] == names[0] and clip["label"] == 1
    assert np.array(clip["skeletons"]).shape[1:] == (20, 3)


@pytest.mark.parametrize(
    ("dataset", "benchmark"), [("ntu60", "xsub"), ("ntu60", "xview"), ("ntu120", "xsub"), ("ntu120", "xset")]
)
def test_every_class_is_on_both_sides_of_every_split(dataset: str, benchmark: str) -> None:
    names = list(ntu_names(dataset, 600, 10))
    assert len(set(names)) == 600 and not set(names) & missing_samples(dataset)
    splits = Counter((name[-3:], is_training(dataset, benchmark, name)) for name in names)
    assert len(splits) == 20
    share = sum(is_training(dataset, benchmark, name) for name in names) / 600
    assert 0.4 < share < 0.8


def test_wrong_wishes_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep me")
    with pytest.raises(ValueError, match="is not an empty folder"):
        synth("ntu60", tmp_path / "full", 4, 2)
    with pytest.raises(ValueError, match="ntu60 has 60 classes, not 61"):
        synth("ntu60", tmp_path / "new", 100, 61)
    with pytest.raises(ValueError, match="no data set is called"):
        synth("ntu61", tmp_path / "new", 4, 2)
    with pytest.raises(ValueError, match="ask for 2 to 300"):
        synth("ntu60", tmp_path / "new", 4, 2, frames=301)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_nothing_is_left_of_an_interrupted_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("native_prep.synth.make._ntu_text", stop)
    with pytest.raises(KeyboardInterrupt):
        synth("ntu60", tmp_path / "new", 4, 2)
    assert not list(tmp_path.iterdir())


def test_bodies_keep_their_limbs() -> None:
    rng = np.random.default_rng(0)
    points = pose(swing_angles(3, 40, rng), 1.0)
    for child, parent in NTU.edges:
        lengths = np.linalg.norm(points[:, child] - points[:, parent], axis=-1)
        assert lengths.min() > 0.03 and np.ptp(lengths) < 1e-9
    turns = rotations(rng.normal(size=(5, 3)))
    np.testing.assert_allclose(turns @ turns.swapaxes(1, 2), np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-12)


@pytest.mark.parametrize("layout", [NTU, KINETICS, NW_UCLA], ids=lambda layout: layout.name)
def test_joint_batch(layout) -> None:
    batch = joint_batch(layout, 10, 20, 2, seed=3)
    assert batch.shape == (10, 3, 20, layout.num_joints, 2) and batch.dtype == np.float32
    assert np.array_equal(batch, joint_batch(layout, 10, 20, 2, seed=3))
    assert (batch[..., 0] != 0).any((1, 2, 3)).all()
    assert (batch[..., 1] != 0).any((1, 2, 3)).sum() == 2
    assert np.isfinite(batch).all() and np.abs(batch).max() < 6


def test_joint_batch_of_another_skeleton_says_so() -> None:
    with pytest.raises(ValueError, match="people are made for"):
        joint_batch(layout_from_edges([(1, 0), (2, 1)]), 2, 8, 1, seed=0)
