"""Pickles of PYSKL and MMAction2: splits, skeletons, and what is wrong with them."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from pose_files import SIZE, annotation, walker, write_pyskl

from native_prep.datasets.recordings import BadClip
from native_prep.poses.pyskl_pickle import PysklFile, read_annotation
from native_prep.poses.sources import detect_kind, open_source
from native_prep.skeletons.layouts import COCO17, NTU


def test_pyskl_splits(tmp_path: Path) -> None:
    clips = [annotation(name, place, walker(4 + place)[None]) for place, name in enumerate("abc")]
    split = {"xsub_train": ["a", "b"], "xsub_val": ["c"], "xview_train": ["c"], "xview_val": ["a", "lost"]}
    file = PysklFile(write_pyskl(tmp_path / "x.pkl", clips, split))
    assert list(file.clips("xsub")) == [(0, "a", 0, "train"), (1, "b", 1, "train"), (2, "c", 2, "val")]
    assert file.lost == []
    assert list(file.clips("xview")) == [(0, "a", 0, "val"), (2, "c", 2, "train")] and file.lost == ["lost"]
    for asked, words in ((None, "several splits.*xsub, xview"), ("xset", "no split 'xset'.*xsub, xview")):
        with pytest.raises(ValueError, match=words):
            list(file.clips(asked))
    poses = read_annotation(file.annotations[1], COCO17, "x.pkl")
    assert poses.size == SIZE and poses.points.shape == (1, 5, 17, 3) and poses.ids is None
    np.testing.assert_allclose(poses.points[0], walker(5), atol=0.2)  # of float16
    numbered = PysklFile(write_pyskl(tmp_path / "y.pkl", clips, {"train1": ["a"], "test1": ["b"], "train2": []}))
    assert list(numbered.clips("1")) == [(0, "a", 0, "train"), (1, "b", 1, "val")]
    alone = PysklFile(write_pyskl(tmp_path / "z.pkl", clips, {"train": ["a"], "val": ["b"]}))
    assert [clip[1:] for clip in alone.clips(None)] == [("a", 0, "train"), ("b", 1, "val")]


def test_pyskl_list_and_world(tmp_path: Path) -> None:
    world = np.random.default_rng(0).normal(0, 1, (2, 5, 25, 3)).astype(np.float32)
    file = PysklFile(write_pyskl(tmp_path / "x.pkl", [annotation("a", 3, world, scores=False)]))
    assert list(file.clips("val")) == [(0, "a", 3, "val")]
    with pytest.raises(ValueError, match="--split train or val"):
        list(file.clips(None))
    np.testing.assert_array_equal(read_annotation(file.annotations[0], NTU, "x.pkl").points, world)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"keypoint": np.zeros((1, 4, 18, 2))}, "clip a: has 18 joints, layout coco17 has 17: use --layout kinetics"),
        ({"keypoint": np.zeros((1, 5, 17, 2))}, "clip a: scores are"),
        ({"keypoint": [["x"]]}, "clip a: holds"),
        ({"total_frames": 9}, "clip a: has 4 frames, total_frames says 9"),
        ({"keypoint": np.full((1, 4, 17, 2), np.nan)}, "clip a: frame 0 holds what is not a coordinate"),
        ({"keypoint": [[[1, 2]], [[1, 2], [3, 4]]]}, "clip a: its points are lists of different lengths"),
        ({"keypoint_score": [[1], [1, 2]]}, "clip a: its scores are lists of different lengths"),
        ({"total_frames": np.array([4, 5])}, r"clip a: has 4 frames, total_frames says array\(\[4, 5\]\)"),
        ({"total_frames": None}, "clip a: has 4 frames, total_frames says None"),
        ({"img_shape": ("a", "b")}, "clip a: img_shape is"),
        ({"img_shape": (np.zeros(2), 3)}, "clip a: img_shape is"),
        ({"img_shape": (-1, 3)}, "clip a: img_shape is"),
    ],
)
def test_bad_pyskl(tmp_path: Path, change: dict, words: str) -> None:
    path = write_pyskl(tmp_path / "x.pkl", [annotation("a", 0, walker(4)[None]) | change])
    with pytest.raises(BadClip, match=words):
        read_annotation(PysklFile(path).annotations[0], COCO17, str(path))


@pytest.mark.parametrize("split", [["a"], {"train": 3}, {"train": "a"}, 3])
def test_odd_splits(tmp_path: Path, split) -> None:
    with pytest.raises(ValueError, match=r"x\.pkl: its split is not a dictionary of lists of names"):
        PysklFile(write_pyskl(tmp_path / "x.pkl", [annotation("a", 0, walker(4)[None])], split))


@pytest.mark.parametrize("label", [-1, 2**32 - 1, 1_000_000, np.array([1, 2]), "1", None, 1.5, float("inf")])
def test_odd_labels_leave_their_clip_out(tmp_path: Path, label) -> None:
    """One string is kept for every class, so a label must not be just any number."""
    clips = [annotation("a", label, walker(4)[None]), annotation("b", 2, walker(4)[None])]
    path = write_pyskl(tmp_path / "x.pkl", clips)
    found = open_source(detect_kind(path), path, COCO17, None, "train", None)
    assert [clip.name for clip in found.clips] == ["b"] and found.classes == ["0", "1", "2"]
    assert [bad.reason for bad in found.bad] == [
        "clip a: its label is not a whole number from 0 to 999999: fix it or --class-list"
    ]


def test_scores_where_the_layout_has_none(tmp_path: Path) -> None:
    path = write_pyskl(tmp_path / "x.pkl", [annotation("a", 0, walker(4, 25)[None])])
    with pytest.raises(BadClip, match="has scores, layout ntu x y z"):
        read_annotation(PysklFile(path).annotations[0], NTU, str(path))


class Unsafe:
    def __reduce__(self):
        return (print, ("ran",))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps([annotation("a", 0, walker(4)[None]) | {"more": Unsafe()}]))
    with pytest.raises(ValueError, match=r"x.pkl: not a pickle of plain values .*builtins.print"):
        PysklFile(path)
    assert "ran" not in capsys.readouterr().out
    path.write_bytes(pickle.dumps({"annotations": 3}))
    with pytest.raises(ValueError, match="no list of annotations"):
        PysklFile(path)
    path.write_bytes(pickle.dumps([{"frame_dir": "a", "label": 0, "raw_file": "k.pkl"}]))
    with pytest.raises(BadClip, match="raw_file"):
        read_annotation(PysklFile(path).annotations[0], COCO17, str(path))
