"""Fusing score files: the published numbers, joining by name, and one clear line for every wrong file."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from agcn.metrics import top_k
from export.fusion import SEARCH_GRID, fuse_dataset, fuse_scores, parse_stream, parse_streams

NAMES = [f"S001C001P001R001A{number:03d}.skeleton" for number in range(1, 31)]


def _save(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value))
    return path


def _scores(seed: int, classes: int = 6, names: list[str] = NAMES) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(classes).astype(np.float32) for name in names}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    labels = [number % 6 for number in range(len(NAMES))]
    return {
        "joint": _save(tmp_path / "joint.pkl", _scores(1)),
        "bone": _save(tmp_path / "bone.pkl", _scores(2)),
        "label": _save(tmp_path / "label.pkl", (NAMES, labels)),
    }


def _fuse(files: dict[str, Path], **options: object) -> dict:
    return fuse_scores({"joint": files["joint"], "bone": files["bone"]}, files["label"], **options)  # type: ignore[arg-type]


def test_published_scores(shared: Path) -> None:
    folder = shared / "data" / "scores"
    result = fuse_scores(
        {stream: folder / f"nw-ucla_{stream}.pkl" for stream in ("joint", "bone")}, folder / "nw-ucla_label.pkl"
    )
    assert result["clips"] == 463
    keys = ("joint_top1", "bone_top1", "top1", "mean_class_accuracy")
    assert [round(100 * result[key], 2) for key in keys] == [82.51, 84.02, 87.26, 87.12]
    assert list(result) == ["clips", "joint_top1", "bone_top1", "top1", "top5", "mean_class_accuracy", "alpha"]


def test_equals_a_plain_loop(files: dict[str, Path]) -> None:
    joint, bone = _scores(1), _scores(2)
    fused = {name: joint[name] + bone[name] * 0.5 for name in NAMES}
    hits = sum(int(np.argmax(fused[name])) == number % 6 for number, name in enumerate(NAMES))
    hits5 = sum(number % 6 in fused[name].argsort()[-5:] for number, name in enumerate(NAMES))
    result = _fuse(files, alpha=0.5)
    assert (result["top1"], result["top5"], result["alpha"]) == (hits / 30, hits5 / 30, 0.5)


def test_the_order_in_a_file_does_not_matter(files: dict[str, Path]) -> None:
    before = _fuse(files)
    shuffled = dict(sorted(_scores(2).items(), reverse=True))
    _save(files["bone"], shuffled)
    assert _fuse(files) == before


def test_more_streams_have_weights(files: dict[str, Path], tmp_path: Path) -> None:
    extra = {name: 100 * np.eye(6, dtype=np.float32)[number % 6] for number, name in enumerate(NAMES)}
    path = _save(tmp_path / "motion.pkl", extra)
    streams = {"joint": files["joint"], "bone": files["bone"], "joint_motion": path}
    result = fuse_scores(streams, files["label"], weights={"joint_motion": 0.5})
    assert result["top1"] == 1.0
    assert result["streams"] == {"joint_motion": {"weight": 0.5, "top1": 1.0}}
    assert fuse_scores(streams, files["label"], weights={"joint_motion": 0.0})["top1"] == _fuse(files)["top1"]


def test_further_streams_share_alpha(files: dict[str, Path]) -> None:
    streams = {"joint": files["joint"], "bone": files["bone"], "again": files["bone"]}
    given = fuse_scores(streams, files["label"], alpha=0.5, weights={"again": None})
    assert given["streams"]["again"]["weight"] == 0.5
    assert given == fuse_scores(streams, files["label"], alpha=0.5)
    assert given["top1"] == _fuse(files, alpha=1.0)["top1"]


def test_search_finds_the_best_of_its_grid_and_says_where(files: dict[str, Path]) -> None:
    result = _fuse(files, search_alpha=True)
    assert result["top1"] == max(_fuse(files, alpha=alpha)["top1"] for alpha in SEARCH_GRID)
    assert result["top1"] == _fuse(files, alpha=result["alpha"])["top1"]
    assert "these very labels" in result["alpha_search"]["note"]


def test_ties_fall_as_numpy_breaks_them() -> None:
    tied = np.zeros((3, 7), np.float32)
    assert top_k(tied, np.array([0, 1, 6]), 1) == pytest.approx(1 / 3)
    expected = np.mean([label in tied[0].argsort()[-5:] for label in (0, 1, 6)])
    assert top_k(tied, np.array([0, 1, 6]), 5) == expected


def test_usual_places(tmp_path: Path, files: dict[str, Path]) -> None:
    work, data = tmp_path / "work_dir", tmp_path / "data"
    with pytest.raises(ValueError, match=r"agcn_joint.epoch1_test_score.pkl: no such score file"):
        fuse_dataset("ntu/xsub", work, data)
    _save(work / "ntu/xsub/agcn_test_joint/epoch1_test_score.pkl", _scores(1))
    _save(work / "ntu/xsub/agcn_bone/epoch1_test_score.pkl", _scores(2))
    with pytest.raises(ValueError, match=r"val_label.pkl: no such label file"):
        fuse_dataset("ntu/xsub", work, data)
    _save(data / "ntu/xsub/val_label.pkl", pickle.loads(files["label"].read_bytes()))
    assert fuse_dataset("ntu/xsub", work, data) == _fuse(files)


def test_names_of_one_file_only_are_counted(files: dict[str, Path]) -> None:
    _save(files["bone"], _scores(2, names=NAMES[3:]))
    with pytest.raises(ValueError, match=r"bone.pkl: lacks 3 names .* S001C001P001R001A001.skeleton first"):
        _fuse(files)
    _save(files["bone"], _scores(2, names=[*NAMES, "new.skeleton"]))
    with pytest.raises(ValueError, match=r"label.pkl: lacks 1 names .*bone.pkl, new.skeleton first"):
        _fuse(files)


@pytest.mark.parametrize(
    ("which", "value", "message"),
    [
        ("bone", _scores(2, classes=5), "bone.pkl: scores of 5 classes, .*joint.pkl has 6"),
        ("bone", {}, "bone.pkl: no clip in it"),
        ("bone", [1.0, 2.0, 3.0], "bone.pkl: not a score file but a list"),
        ("bone", (NAMES, [0] * 30), "bone.pkl: is a label file"),
        ("bone", dict.fromkeys(NAMES, "six"), "bone.pkl: the scores of .* are not a row"),
        ("bone", {name: np.full(6, np.nan) for name in NAMES}, "not a row of finite numbers"),
        ("bone", {name: np.ones(5 + (name == NAMES[0])) for name in NAMES}, "clips with 5 and 6 classes"),
        ("label", {"a": np.ones(6)}, "label.pkl: is a score file"),
        ("label", ([], []), "label.pkl: no clip in it"),
        ("label", (NAMES, [0] * 29), "label.pkl: has 30 names and 29 labels"),
        ("label", (NAMES, [6] * 30), "label.pkl: label 6 is outside the 6 classes"),
        ("label", (NAMES, [0.7] * 30), "label.pkl: has a label that is not a whole number"),
        ("label", (NAMES, [2**70] * 30), "label.pkl: has a label that is not a whole number"),
        ("label", (NAMES, [float("inf")] * 30), "label.pkl: has a label that is not a whole number"),
        ("label", (NAMES, ["x"] * 30), "label.pkl: has a label that is not a whole number"),
        ("label", ([*NAMES[:-1], NAMES[0]], [0] * 30), "1 names appear twice"),
    ],
)
def test_wrong_files(files: dict[str, Path], which: str, value: object, message: str) -> None:
    _save(files[which], value)
    with pytest.raises(ValueError, match=message) as caught:
        _fuse(files)
    assert "\n" not in str(caught.value)


def test_wrong_options(files: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="alpha is nan"):
        _fuse(files, alpha=float("nan"))
    with pytest.raises(ValueError, match="no bone scores"):
        fuse_scores({"joint": files["joint"]}, files["label"])
    files["joint"].write_text("hello")
    with pytest.raises(ValueError, match=r"joint.pkl: not a pickle"):
        _fuse(files)


def test_stream_option() -> None:
    assert parse_stream("motion=a.pkl") == ("motion", "a.pkl", None)
    assert parse_stream("motion=a.pkl:0.4") == ("motion", "a.pkl", 0.4)
    assert parse_stream("motion=C:/a.pkl") == ("motion", "C:/a.pkl", None)
    for wrong in ("a.pkl", "=a.pkl", "motion=", "joint=a.pkl"):
        with pytest.raises(ValueError, match="--scores"):
            parse_stream(wrong)


def test_colons_in_paths_and_wrong_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (r"C:\a.pkl", "C:a.pkl", "12:30/a.pkl", "12:30.pkl", "v1.0:b/a.pkl"):
        assert parse_stream(f"motion={path}") == ("motion", path, None)
        assert parse_stream(f"motion={path}:0.5") == ("motion", path, 0.5)
        with pytest.raises(ValueError, match=r"weight 'y' is not a number: give NAME=PKL:WEIGHT, as motion=.*:0\.5$"):
            parse_stream(f"motion={path}:y")
    with pytest.raises(ValueError, match=r"--scores x=a\.pkl:: weight '' is not a number"):
        parse_stream("x=a.pkl:")
    for there in ("a.pkl:y", "a.pkl:1"):
        Path(there).touch()
        assert parse_stream(f"motion={there}") == ("motion", there, None)
    Path("scores").touch()
    with pytest.raises(ValueError, match="weight '0,5' is not a number"):
        parse_stream("motion=scores:0,5")


def test_streams_by_name_each_once() -> None:
    assert parse_streams(["joint_motion=a.pkl", "bone_motion=b.pkl:0.5"]) == (
        {"joint_motion": "a.pkl", "bone_motion": "b.pkl"}, {"joint_motion": None, "bone_motion": 0.5},
    )  # fmt: skip
    with pytest.raises(ValueError, match="--scores bone_motion: is given twice"):
        parse_streams(["bone_motion=a.pkl", "bone_motion=b.pkl"])
