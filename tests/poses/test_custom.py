"""`prep custom` from end to end: what it writes, what it refuses, and that networks train on it and tell it apart."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from exported import three_blocks
from pose_files import SIZE, annotation, walker, write_array_folder, write_labels, write_openpose, write_pyskl

from agcn.config import load_config
from agcn.data.clips import open_clips
from agcn.evaluate import test as score
from agcn.settings import FeederArgs
from agcn.training.train import train
from export import build
from export.runtime.predict import predict
from native_prep.command import prep
from native_prep.poses.custom import check_layout, custom_metadata, prepare_custom, read_custom_clip
from native_prep.poses.sources import detect_kind
from native_prep.skeletons.layouts import COCO17
from native_prep.skeletons.streams import STREAMS, stream_of

ROOT = Path(__file__).resolve().parents[2]


def labels_of(path: Path) -> tuple[list[str], list[int]]:
    return pickle.loads(path.read_bytes())


def test_a_folder_of_arrays(tmp_path: Path) -> None:
    folder = write_array_folder(tmp_path / "raw")
    result = prepare_custom(
        folder, tmp_path / "out", layout="coco17", image_size="640x480", streams=("joint", "bone", "bone_motion")
    )
    assert {key: result[key] for key in ("dataset", "clips", "frames", "bad_files")} == {
        "dataset": "custom", "clips": 8, "frames": sum(range(20, 28)), "bad_files": 0,
    }  # fmt: skip
    assert result["bytes_read"] == sum(path.stat().st_size for path in folder.glob("*.npy"))
    assert sorted(Path(path).name for path in result["outputs"]) == sorted(
        [f"{split}_{what}" for split in ("train", "val") for what in (
            "data_joint.npy", "data_bone.npy", "data_bone_motion.npy", "label.pkl"
        )] + ["custom.json", "quality.csv"]
    )  # fmt: skip
    assert labels_of(tmp_path / "out/train_label.pkl") == (["clip0", "clip1", "clip4", "clip5"], [1, 0, 1, 0])
    joint = np.load(tmp_path / "out/train_data_joint.npy")
    assert joint.shape == (4, 3, 27, 17, 2) and joint.dtype == np.float32
    raw = np.load(folder / "clip4.npy")
    np.testing.assert_allclose(joint[2, 0, :24, :, 0], raw[..., 0] / SIZE[0] - 0.5, atol=1e-6)
    np.testing.assert_allclose(joint[2, 1, :24, :, 0], 0.5 - raw[..., 1] / SIZE[1], atol=1e-6)
    np.testing.assert_array_equal(joint[2, 2, :24, :, 0], raw[..., 2])
    assert not joint[2, :, 24:].any() and not joint[2, ..., 1].any()
    for stream in ("bone", "bone_motion"):
        expected = stream_of(joint, stream, COCO17)
        np.testing.assert_array_equal(np.load(tmp_path / f"out/train_data_{stream}.npy"), expected)
    about = custom_metadata(tmp_path / "out/train_data_joint.npy")
    assert about["classes"] == ["fall", "wave"] and about["layout"]["name"] == "coco17"
    clip = read_custom_clip(str(folder / "clip4.npy"), about, 27)
    np.testing.assert_array_equal(clip, joint[2])


def test_a_pickle(tmp_path: Path) -> None:
    clips = [annotation(name, place, walker(5 + place)[None]) for place, name in enumerate("dbca")]
    path = write_pyskl(tmp_path / "x.pkl", clips, {"xsub_train": ["a", "b", "d"], "xsub_val": ["c"]})
    result = prepare_custom(path, tmp_path / "out", layout="coco17", max_bodies=1)
    assert result["clips"] == 4 and result["bytes_read"] == path.stat().st_size
    assert labels_of(tmp_path / "out/train_label.pkl") == (["a", "b", "d"], [3, 1, 0])
    assert np.load(tmp_path / "out/val_data_joint.npy").shape == (1, 3, 8, 17, 1)


def test_openpose_folders_and_what_does_not_meet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "raw"
    for name in ("a", "b", "c"):
        person = walker(4, 25)
        write_openpose(raw / name, {frame: [person[frame]] for frame in range(4)})
    write_labels(raw / "labels.csv", [("a", 0, "train"), ("b", 1, "val"), ("d", 1, "val")])
    given: dict = {"image_size": "640x480", "streams": ("joint",)}
    with pytest.raises(ValueError, match=r"2 bad files, nothing is written") as error:
        prepare_custom(raw, tmp_path / "out", **given)
    told = f"{error.value}\n{capsys.readouterr().err}"
    assert f"{raw / 'c'}: has no line in" in told and f"{raw / 'labels.csv'}:4: clip 'd' is not among" in told
    assert not (tmp_path / "out").exists()
    result = prepare_custom(raw, tmp_path / "out", on_bad_file="skip", **given)
    assert result["clips"] == 2 and result["bad_files"] == 2
    assert "labels.csv,4," in (tmp_path / "out/bad_files.csv").read_text()
    assert np.load(tmp_path / "out/val_data_joint.npy").shape == (1, 3, 4, 25, 2)
    with pytest.raises(ValueError, match="clip a has 4 frames, there is room for 3: cut it, or prepare"):
        prepare_custom(raw, tmp_path / "out", max_frames=3, **given)
    with pytest.raises(ValueError, match="25 joints, layout coco17 has 17: use --layout ntu or openpose25"):
        prepare_custom(raw, tmp_path / "out", layout="coco17", **given)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": "kinect"}, "source 'kinect'"),
        ({"layout": "coco"}, "no skeleton layout is called 'coco'"),
        ({"image_size": "640,480"}, "--image-size 640,480: give WIDTHxHEIGHT"),
        ({"align": "turn", "layout": "coco17"}, "is for x y z"),
        ({"layout": "native_prep/skeletons/data/h36m17.yaml"}, "--image-size is for x y score"),
        ({"layout": None}, "does not say which joints it has: give --layout"),
        ({"label": "nowhere.csv"}, "nowhere.csv: no such file"),
        ({"split": "xsub"}, "--split xsub"),
        ({"class_list": "nowhere.txt"}, "nowhere.txt"),
    ],
)
def test_what_is_asked_for_must_fit(tmp_path: Path, options: dict, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_array_folder(tmp_path / "raw", clips=2)
    monkeypatch.chdir(ROOT)
    given = {"layout": "coco17", "image_size": "640x480", **options}
    with pytest.raises((ValueError, OSError), match=words):
        prepare_custom(folder, tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_without_a_split_column(tmp_path: Path) -> None:
    folder = write_array_folder(tmp_path / "raw", clips=2)
    (folder / "labels.csv").write_text("name,label\nclip0,0\nclip1.npy,1\n")
    given: dict = {"layout": "coco17", "image_size": "640x480"}
    with pytest.raises(ValueError, match=r"labels.csv:2: does not say which clips train"):
        prepare_custom(folder, tmp_path / "out", **given)
    prepare_custom(folder, tmp_path / "out", split="val", **given)
    assert labels_of(tmp_path / "out/val_label.pkl") == (["clip0", "clip1"], [0, 1])
    assert not (tmp_path / "out/train_label.pkl").exists()
    (folder / "labels.csv").write_text("name,label\nclip0,wave\nclip1,fall\n")
    with pytest.raises(ValueError, match="give both runs the same --class-list"):
        prepare_custom(folder, tmp_path / "out", split="val", **given)
    (tmp_path / "classes.txt").write_text("sit\nwave\nfall\n")
    prepare_custom(folder, tmp_path / "out", split="val", class_list=str(tmp_path / "classes.txt"), **given)
    assert labels_of(tmp_path / "out/val_label.pkl") == (["clip0", "clip1"], [1, 2])


def test_options_of_the_other_kind(tmp_path: Path) -> None:
    for dataset, option, words in (
        ("custom", {"packed_dtype": "float16"}, "--packed-dtype is not for prep custom"),
        ("custom", {"device": "cuda"}, "--device is not for prep custom"),
        ("ntu60", {"track": True, "device": "cuda"}, "--device is not for prep --track"),
        ("ntu60", {"class_list": "x"}, "--class-list is not for prep ntu60"),
    ):
        with pytest.raises(ValueError, match=words):
            prep(dataset, **option)


def test_the_store_holds_the_same(tmp_path: Path) -> None:
    folder = write_array_folder(tmp_path / "raw")
    prepare_custom(
        folder, tmp_path / "out", layout="coco17", image_size="640x480", formats=("npy", "packed"), streams=STREAMS
    )
    for split in ("train", "val"):
        for stream in STREAMS:
            args = FeederArgs(
                str(tmp_path / f"out/packed/{split}_data_{stream}.npy"), str(tmp_path / f"out/packed/{split}_label.pkl")
            )
            clips = open_clips(args)
            expected = np.load(tmp_path / f"out/{split}_data_{stream}.npy")
            assert clips.data[:].tobytes() == expected.tobytes() and expected.any()
            names, labels = labels_of(tmp_path / f"out/{split}_label.pkl")
            assert clips.names == names and clips.labels.tolist() == labels
    assert custom_metadata(args.data_path)["layout"]["name"] == "coco17"


def test_places_and_sizes_that_cannot_be_meant(tmp_path: Path) -> None:
    folder = write_array_folder(tmp_path / "raw")
    with pytest.raises(ValueError, match="whose files are the clips: name another --out-folder"):
        prepare_custom(folder, folder / "out", layout="coco17", image_size="640x480")
    with pytest.raises(ValueError, match=r"lie far outside of a picture of 64x48: give its own --image-size"):
        prepare_custom(folder, tmp_path / "out", layout="coco17", image_size="64x48")


def test_streams_of_other_settings_do_not_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_array_folder(tmp_path / "raw")
    given: dict = {"layout": "coco17", "image_size": "640x480"}
    prepare_custom(folder, tmp_path / "out", **given)
    bone = (tmp_path / "out/train_data_bone.npy").read_bytes()
    prepare_custom(folder, tmp_path / "out", **given, streams=("joint",))
    assert (tmp_path / "out/train_data_bone.npy").read_bytes() == bone
    prepare_custom(folder, tmp_path / "out", **{**given, "image_size": "800x600"}, streams=("joint",))
    assert "train_data_bone.npy: was made with other settings" in capsys.readouterr().err
    assert not (tmp_path / "out/train_data_bone.npy").exists() and not (tmp_path / "out/val_data_bone.npy").exists()


def job(tmp_path: Path, layout: str = "coco17", image_size: str | None = "640x480", unit: str = "m") -> Path:
    """configs/custom.yaml made small, for what `write_array_folder` makes."""
    folder = write_array_folder(tmp_path / "raw")
    prepare_custom(folder, tmp_path / "data", layout=layout, image_size=image_size, unit=unit)
    config = yaml.safe_load((ROOT / "agcn/configs/custom.yaml").read_text())
    for split in ("train", "test"):
        args = config[f"{split}_feeder_args"]
        for key in ("data_path", "label_path"):
            args[key] = args[key].replace("data/custom", str(tmp_path / "data"))
        args["window_size"] = 16
    config |= {"work_dir": str(tmp_path / "work_{stream}"), "num_epoch": 1, "batch_size": 4, "warm_up_epoch": 0}
    path = tmp_path / "custom.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_networks_train_test_export_and_predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.request.choose_flavor", lambda name: None)  # the graph alone
    path = job(tmp_path)
    with three_blocks():
        _walk(tmp_path, path)


def _walk(tmp_path: Path, path: Path) -> None:
    for stream in ("joint", "bone"):
        assert train(load_config(path, stream=stream), device="cpu")["epochs"] == 1
    weights = {stream: str(tmp_path / f"work_{stream}/best.pt") for stream in ("joint", "bone")}
    assert score(load_config(path, stream="joint"), weights=weights["joint"], device="cpu")["clips"] == 4
    made = build.export_engines(weights["joint"], weights["bone"], load_config(path), tmp_path / "engine")
    assert made["passed"]
    manifest = json.loads((tmp_path / "engine/manifest.json").read_text())
    assert manifest["dataset"] == "custom" and manifest["class_names"] == ["fall", "wave"]
    found = predict(tmp_path / "engine", [tmp_path / "raw/clip0.npy", tmp_path / "raw/clip3.npy"], top=2)["clips"]
    assert [{one["class"] for one in clip["top"]} for clip in found] == [{"fall", "wave"}] * 2
    with pytest.raises(ValueError, match=r"custom\.yaml: is of no kind that is known"):
        predict(tmp_path / "engine", [path])


def test_the_same_edges_with_other_bones_are_another_skeleton(tmp_path: Path) -> None:
    path = job(tmp_path).parent / "data/train_data_joint.npy"
    check_layout(path, replace(COCO17, name="mine"))
    turned = tuple((joint, joint) for joint in range(17))
    with pytest.raises(ValueError, match="graph to that layout"):
        check_layout(path, replace(COCO17, bones=turned))


def test_a_graph_of_another_skeleton_is_refused(tmp_path: Path) -> None:
    path = job(tmp_path, str(ROOT / "native_prep/skeletons/data/h36m17.yaml"), None, unit="none")
    config = load_config(path, stream="joint", overrides=["model_args.graph=coco17"])
    with pytest.raises(ValueError, match=r"prepared with layout h36m17 \(17 joints\), the model's graph is coco17"):
        train(config, device="cpu")


def test_a_kind_that_is_found_by_itself_or_not_at_all(tmp_path: Path) -> None:
    for name, kind in (("a.npy", "numpy"), ("a.csv", "mediapipe")):
        folder = tmp_path / kind
        folder.mkdir()
        (folder / name).write_text("")
        (folder / "labels.csv").write_text("")
        assert detect_kind(folder).source == kind
    for name, text, kind in (
        ("alphapose", '[{"image_id": 1, "keypoints": []}]', "alphapose"),
        ("dicts", '[null, {"pose_landmarks": []}]', "mediapipe"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.json").write_text(text)
        assert detect_kind(tmp_path / name).source == kind
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="none: holds no poses that are known, or nobody is in any: give poses of"):
        detect_kind(tmp_path / "none")
    with pytest.raises(ValueError, match="nowhere: no such file or folder: give --data-path your poses"):
        detect_kind(tmp_path / "nowhere")


def test_clips_that_are_there_twice_or_not_at_all(tmp_path: Path) -> None:
    given: dict = {"layout": "coco17", "image_size": "640x480"}
    folder = write_array_folder(tmp_path / "raw", clips=2)
    with pytest.raises(ValueError, match=r"clip0\.npy: looks like numpy, --source says openpose"):
        prepare_custom(folder / "clip0.npy", tmp_path / "out", source="openpose", **given)
    for suffix in (".csv", ".json"):
        (folder / f"clip0{suffix}").write_text("[]")
    with pytest.raises(ValueError, match=r"clip0\.json: is the same clip as clip0\.csv: keep one of them"):
        prepare_custom(folder, tmp_path / "out", source="mediapipe", layout="mediapipe33")
    twice = [annotation("a", 0, walker(5)[None]), annotation("a", 0, walker(5)[None])]
    for splits in (None, {"train": ["a"], "val": ["a"]}):
        path = write_pyskl(tmp_path / "p.pkl", twice, splits)
        with pytest.raises(ValueError, match=r"p\.pkl: clip 'a' appears twice: give every clip a name"):
            prepare_custom(path, tmp_path / "out", layout="coco17", split=None if splits else "train")
    path = write_pyskl(tmp_path / "p.pkl", twice)
    with pytest.raises(ValueError, match="--label: such a pickle holds its own labels"):
        prepare_custom(path, tmp_path / "out", split="train", label="labels.csv", **given)
    with pytest.raises(ValueError, match=r"p\.pkl: no clip is left to prepare"):
        write_pyskl(path, twice[:1], {"xsub_train": [], "xsub_val": []})
        prepare_custom(path, tmp_path / "out", split="xsub", **given)
    assert not (tmp_path / "out").exists()
