"""What `custom.json` says holds everywhere after it: the model's sizes, the graph, the names of the classes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from exported import three_blocks
from pose_files import walker, write_array_folder

from agcn.config import load_config, to_yaml
from agcn.evaluate import class_names_of, open_test_clips
from agcn.evaluate import test as score
from agcn.model.network import build_model
from agcn.training.train import train
from export.raw_clips import ClipForm, RawClips
from native_prep.datasets.catalog import class_names
from native_prep.io.locks import sole_run
from native_prep.poses.custom import custom_metadata, prepare_custom
from native_prep.poses.write_clips import Clip, write_clips
from native_prep.skeletons.layouts import NTU, layout_as_dict

ROOT = Path(__file__).resolve().parents[2]
STICK = {"name": "stick", "coordinates": "image", "joints": ["hip", "chest", "head"], "centre": "hip"}
STICK |= {"edges": [["chest", "hip"], ["head", "chest"]], "bones": [["head", "hip"]]}


@pytest.fixture(params=["custom", "custom-strong"])
def config(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shipped configuration, for clips in the usual place of one's own data."""
    monkeypatch.chdir(tmp_path)
    raw = write_array_folder(tmp_path / "raw")
    prepare_custom(raw, "data/custom", layout="coco17", image_size="640x480")
    return ROOT / f"agcn/configs/{request.param}.yaml"


SMALL = ("num_epoch=1", "batch_size=4", "warm_up_epoch=0", "model_args.base_channels=8", "eval_interval=1")


def test_no_setting_is_needed(config: Path) -> None:
    for stream in ("joint", "bone"):
        loaded = load_config(config, stream=stream, overrides=SMALL)
        with three_blocks():
            result = train(loaded, device="cpu")
            assert score(loaded, Path(loaded.work_dir, "best.pt"), device="cpu")["warnings"] == []
        assert result["epochs"] == 1
        rows = list(csv.DictReader(Path(loaded.work_dir, "per_class.csv").read_text().splitlines()))
        assert [row["name"] for row in rows] == ["fall", "wave"]
        written = load_config(Path(loaded.work_dir, "config.yaml"))
        assert written.model_args == loaded.model_args and written.model_args["num_class"] == 2
        assert written.model_args["graph"] == "coco17" and "num_person: 2" in to_yaml(written)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model_args.num_class=60", r"was prepared with 2 classes \(fall, wave\), the model has 60: leave"),
        ("model_args.num_person=1", "has 2 bodies, the model 1"),
        ("model_args.num_point=18", "num_point is 18, but the graph coco17 has 17"),
        ("model_args.graph=ntu", "num_point is 17, but the graph ntu has 25"),
    ],
)
def test_what_disagrees_is_an_error(config: Path, setting: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        train(load_config(config, stream="joint", overrides=[*SMALL, setting]), device="cpu")


def test_a_skeleton_of_ones_own_is_read_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("stick.yaml").write_text(yaml.safe_dump(STICK))
    clips = [Clip(f"clip{number}", walker(6, 3, number), number % 3, "train") for number in range(6)]
    write_clips(clips, "data/custom", "stick.yaml", image_size="640x480", formats=("packed",))
    config = load_config(ROOT / "agcn/configs/custom.yaml", stream="joint")
    assert config.model_args["graph"] == "data/custom/custom.json"
    Path("stick.yaml").unlink()
    model = build_model(config.model, config.model_args)
    assert layout_as_dict(model.layout) == custom_metadata("data/custom/custom.json")["layout"]
    assert model.layout.bone_parents == (0, 1, 0) and model.num_class == 3


def test_own_classes_do_not_get_the_names_of_ntu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    names = [f"own {number}" for number in range(60)]
    clips = [
        Clip(f"clip{number}", rng.normal((0, 0, 3), 0.3, (4, 25, 3)), name, "val") for number, name in enumerate(names)
    ]
    write_clips(clips, "data/custom", "ntu", classes=names)
    config = load_config(ROOT / "agcn/configs/custom.yaml", stream="joint")
    model, tested = build_model(config.model, config.model_args), open_test_clips(config)
    assert (model.layout, model.num_class) == (NTU, 60)
    assert class_names_of(model, tested) == names != class_names("ntu60")


def test_sides_that_are_prepared_one_after_the_other(tmp_path: Path) -> None:
    def write(split: str, labels: list, **options: object) -> list[str]:
        clips = [Clip(f"{split}{place}", walker(4), label, split) for place, label in enumerate(labels)]
        write_clips(clips, tmp_path / "out", **{"image_size": "640x480", **options})
        return json.loads((tmp_path / "out/custom.json").read_text())["classes"]

    assert write("train", [0, 1, 4]) == ["0", "1", "2", "3", "4"]
    assert write("val", [0, 1]) == ["0", "1", "2", "3", "4"]  # not what this split alone would say
    with pytest.raises(ValueError, match="its train clips were prepared with another image size"):
        write("val", [0], image_size="800x600")
    # What is there may be another run's, half done.
    with sole_run(tmp_path / "out/packed"), pytest.raises(ValueError, match="another run writes there"):
        write("val", ["wave"])
    with pytest.raises(ValueError, match="its train clips have other classes: give both runs the same --class-list"):
        write("val", ["wave"])


def test_clips_that_an_older_version_turned_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clips = [Clip("a", rng.normal((0, 0, 3), 0.3, (4, 25, 3)), 0, "train")]
    write_clips(clips, tmp_path / "out", "ntu", align="turn")
    path = tmp_path / "out/custom.json"
    now = json.loads(path.read_text())
    for align, good in (("turn", False), ("centre", True), ("none", True)):
        older = {**now, "version": 1, "align": align}
        path.write_text(json.dumps(older))
        if good:
            assert custom_metadata(tmp_path / "out/train_data_joint.npy")["align"] == align
            continue
        with pytest.raises(ValueError, match=r"custom\.json: not what prep custom wrote .an older version turned"):
            custom_metadata(tmp_path / "out/train_data_joint.npy")
        form = ClipForm("custom", "ntu", older, {}, (3, 4, 25, 2), 0)
        with pytest.raises(ValueError, match="engine: an older version turned these clips, some over their heads"):
            RawClips(form, "engine")


def test_the_usual_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare_custom(write_array_folder(tmp_path / "raw"), layout="coco17", image_size="640x480")
    assert load_config("custom", stream="joint").model_args["num_class"] == 2
    with pytest.raises(ValueError, match="give --data-path the file or folder"):
        prepare_custom(None, "data/custom", layout="coco17")


def test_older_sides_are_in_metres(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def write(split: str, unit: str) -> None:
        points = rng.normal((0, 0, 3), 0.3, (4, 25, 3)) * {"m": 1, "mm": 1000}[unit]
        write_clips([Clip(split, points, 0, split)], tmp_path / "out", "ntu", unit=unit)

    write("train", "m")
    path = tmp_path / "out/custom.json"
    older = json.loads(path.read_text())
    del older["unit"]
    path.write_text(json.dumps({**older, "version": 1}))
    with pytest.raises(ValueError, match="its train clips were prepared with another unit"):
        write("val", "mm")
    write("val", "m")
