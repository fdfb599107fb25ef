"""`prep custom` of videos: estimated once, kept, labelled by folders, at one rate; one line for what is wrong."""

import json
import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2", exc_type=ImportError)
pytest.importorskip("rtmlib", exc_type=ImportError)
pytest.importorskip("av", exc_type=ImportError)

from stick_figures import HEIGHT, WIDTH, figure, write_detector, write_models, write_video

from native_prep.io.pickles import load_pickle
from native_prep.pipeline.cluster import Cluster
from native_prep.poses.custom import custom_metadata, prepare_custom
from native_prep.poses.video import people, pose_cache
from native_prep.poses.video.estimator import Estimator
from native_prep.poses.video.media import VideoFrame

TIMES = np.arange(20) / 30


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_models(tmp_path_factory.mktemp("networks"))


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    write_video(folder / "train/wave/a.mp4", TIMES, "wave")
    write_video(folder / "train/squat/b.MP4", TIMES, "squat", rotation=90)
    write_video(folder / "val/wave/c.mov", np.arange(40) / 60, "wave", "squat")
    return folder


def expected(action: str, number: int, middle: float = 80) -> np.ndarray:
    """A joint's x y as a clip has them."""
    x, y = figure(action, number / 30, middle).T
    return np.stack([x / WIDTH - 0.5, 0.5 - y / HEIGHT])  # (2, V)


def test_clips_are_what_the_videos_show(tmp_path: Path, videos: Path, models: str) -> None:
    result = prepare_custom(videos, tmp_path / "out", pose_model=models)
    assert result["clips"] == 3 and result["poses"] == {
        "folder": str(tmp_path / "out/poses"), "estimated": 3, "reused": 0,
    }  # fmt: skip
    train, val = (np.load(tmp_path / f"out/{part}_data_joint.npy") for part in ("train", "val"))
    assert load_pickle(tmp_path / "out/train_label.pkl") == (["train/squat/b", "train/wave/a"], [0, 1])
    assert train.shape == (2, 3, 20, 17, 2) and val.shape == (1, 3, 20, 17, 2)
    for place, action in enumerate(("squat", "wave")):
        for number in (0, 7, 19):
            assert np.abs(train[place, :2, number, :, 0] - expected(action, number)).max() < 3 / HEIGHT
        assert not train[place, ..., 1].any() and (train[place, 2, ..., 0] > 0.3).all()
    # Of 60 frames a second every other one, and both people, each in a place of their own throughout.
    places = set()
    for number in (0, 7, 19):
        errors = np.array([
            [np.abs(val[0, :2, number, :, body] - expected(action, number, middle)).max() for body in range(2)]
            for action, middle in (("wave", 80), ("squat", 240))
        ])  # fmt: skip
        assert errors.min(axis=1).max() < 3 / HEIGHT
        places.add(tuple(errors.argmin(axis=1)))
    assert places in ({(0, 1)}, {(1, 0)})
    metadata = custom_metadata(tmp_path / "out/train_data_joint.npy")
    assert metadata["fps"] == 30 and metadata["pose_model"] == "yolox_tiny.onnx,rtmpose.onnx"
    assert metadata["layout"]["name"] == "coco17"


def test_networks_of_several_processes_share_the_processors(
    tmp_path: Path, videos: Path, models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Machines(Cluster):
        def run(self, job, pieces, gpu=False):  # type: ignore[no-untyped-def]
            work = job.open()
            return ((piece, work(piece)) for piece in pieces)

    threads = []
    estimate = Estimator.__call__

    def spy(self: Estimator, images: list) -> list:
        threads.extend(one._session.get_session_options().intra_op_num_threads for one in (self._detector, self._pose))
        return estimate(self, images)

    monkeypatch.setattr(Estimator, "__call__", spy)
    monkeypatch.setattr(pose_cache, "cluster", lambda address: nullcontext(Machines(None, threads=3)))
    cache = pose_cache.PoseCache(tmp_path / "poses", models, 30)
    cache.estimate([("a", str(videos / "train/wave/a.mp4"))], "local:2")
    assert cache.estimated == 1 and set(threads) == {3}


def test_a_second_prep_estimates_what_changed(
    tmp_path: Path, videos: Path, models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    prepare_custom(videos, out, pose_model=models)
    before = {path.name: path.read_bytes() for path in out.glob("*.npy")}
    with monkeypatch.context() as patch:
        estimate = pose_cache.VideoPeople.__iter__
        patch.setattr(pose_cache.VideoPeople, "__iter__", lambda self: pytest.fail("estimates again"))
        assert prepare_custom(videos, out, pose_model=models)["poses"]["reused"] == 3
        assert {path.name: path.read_bytes() for path in out.glob("*.npy")} == before
        # `kinetics` joints of the same poses.
        converted = prepare_custom(videos, out, pose_model=models, convert="kinetics")
        assert converted["poses"]["reused"] == 3 and np.load(out / "val_data_joint.npy").shape[3] == 18
        patch.setattr(pose_cache.VideoPeople, "__iter__", estimate)
        write_video(videos / "train/wave/a.mp4", TIMES[:15], "wave")
        (out / "poses/train/squat/b.json").write_text('{"video": ')
        again = prepare_custom(videos, out, pose_model=models)["poses"]
        assert (again["estimated"], again["reused"]) == (2, 1)
        # Other bytes in the middle; a copy with another time.
        video = videos / "train/wave/a.mp4"
        content = bytearray(video.read_bytes())
        content[len(content) // 3] ^= 1
        video.write_bytes(content)
        os.utime(videos / "val/wave/c.mov", (1, 1))
        assert prepare_custom(videos, out, pose_model=models)["poses"]["estimated"] == 1
        for damage in (
            {"instance_info": None}, {"instance_info": []}, {"meta_info": {}, "instance_info": [{}]},
            *({"video": {"size": size}} for size in (None, 0, [0, 5], "x", [10**400, 3], [True, True, True])),
        ):  # fmt: skip
            path = out / "poses/val/wave/c.json"
            kept = json.loads(path.read_text())
            changed = {**kept, **damage, "video": {**kept["video"], **damage.get("video", {})}}
            path.write_text(json.dumps(changed))
            assert prepare_custom(videos, out, pose_model=models)["poses"]["estimated"] == 1, damage
            assert json.loads(path.read_text())["instance_info"] == kept["instance_info"]
        slower = prepare_custom(videos, out, pose_model=models, fps=15)
        assert slower["poses"]["estimated"] == 3 and slower["frames"] == 8 + 10 + 10
        (tmp_path / "other").mkdir()
        other = f"{write_detector(tmp_path / 'other/yolox_tiny.onnx', 1)},{models.split(',')[1]}"
        assert prepare_custom(videos, out, pose_model=other, fps=15)["poses"]["estimated"] == 3


def test_what_is_kept_is_a_pose_file_like_others(tmp_path: Path, videos: Path, models: str) -> None:
    prepare_custom(videos, tmp_path / "out", pose_model=models)
    content = json.loads((tmp_path / "out/poses/val/wave/c.json").read_text())
    assert content["meta_info"] == {"dataset_name": "coco"} and content["video"]["size"] == [WIDTH, HEIGHT]
    assert [one["frame_id"] for one in content["instance_info"]] == list(range(20))
    assert {one["track_id"] for entry in content["instance_info"] for one in entry["instances"]} == {0, 1}
    prepare_custom(tmp_path / "out/poses", tmp_path / "again", track=True)
    for path in (tmp_path / "out").glob("*.npy"):
        np.testing.assert_array_equal(np.load(path), np.load(tmp_path / "again" / path.name))


def test_a_video_whose_pictures_change_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shown:
        rotation = 0

        def __init__(self, width: int) -> None:
            self.width = width

        def to_ndarray(self, format: str) -> np.ndarray:
            return np.zeros((self.width // 2, self.width, 3), np.uint8)

    shots = [VideoFrame(number / 30, Shown(width)) for number, width in enumerate((100, 100, 50, 200))]
    monkeypatch.setattr(people, "read_frames", lambda path: iter(shots))
    corners = [np.array([[[0.0, 0.0, 1.0], [*shot.image().shape[1::-1], 1.0]]]) for shot in shots]
    found = people.VideoPeople("a.mp4", lambda images: [corners.pop(0) for _ in images], 30)
    assert [frame[0][1].tolist() for _, frame in found] == [[100, 50, 1]] * 4 and found.followed.size == (100, 50)


def test_a_label_file_names_videos(tmp_path: Path, models: str) -> None:
    folder = tmp_path / "videos"
    for name in ("a.mp4", "b.mkv"):
        (folder / "x").mkdir(parents=True, exist_ok=True)
        write_video(folder / "x.mp4", TIMES, "wave").rename(folder / name)
    (folder / "x").rmdir()
    (folder / "labels.csv").write_text("name,label,split\na.mp4,wave,train\nb,wave,val\n")
    (folder / "a.json").write_text("{}")  # what lies beside videos is not looked at
    result = prepare_custom(folder, tmp_path / "out", source="video", pose_model=models)
    assert result["clips"] == 2 and (tmp_path / "out/poses/b.json").is_file()


def test_bad_videos_are_listed_one_line_each(
    tmp_path: Path, videos: Path, models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = videos / "train/wave"
    (bad / "broken.mp4").write_bytes(b"nothing")
    write_video(bad / "nobody.mp4", TIMES, people=0)
    write_video(bad / "one.mp4", [0], "wave")
    with pytest.raises(ValueError) as caught:
        prepare_custom(videos, tmp_path / "out", pose_model=models)
    assert "3 bad files" in str(caught.value) and not (tmp_path / "out/custom.json").exists()
    listed = [str(caught.value), *capsys.readouterr().err.splitlines()]  # the error names the first
    for name, says in (
        ("broken.mp4", "is no video, or damaged"), ("nobody.mp4", "nobody is seen in any of its 20 frames"),
        ("one.mp4", "has one frame at 30 a second, in which nothing moves"),
    ):  # fmt: skip
        assert [line for line in listed if name in line and says in line], (name, listed)
    result = prepare_custom(videos, tmp_path / "out", pose_model=models, on_bad_file="skip")
    assert (result["clips"], result["bad_files"]) == (3, 3) and result["poses"]["reused"] == 4


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"layout": "coco17"}, "--layout coco17: the networks' joints are theirs"),
        ({"image_size": "640x480"}, "--image-size 640x480: videos have their own"),
        ({"fps": 0.0}, "--fps 0: give a number above 0"),
        ({"fps": float("nan")}, "--fps nan: give a number above 0"),
        ({"align": "turn"}, "--align turn is for x y z"),
        ({"pose_model": "rtmpose-q"}, "or a name to download: rtmpose-s"),
        ({"source": "mmpose"}, "looks like video, --source says mmpose"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, videos: Path, models: str, options: dict, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        prepare_custom(videos, tmp_path / "out", **{"pose_model": models, **options})
    assert says in str(caught.value) and not (tmp_path / "out").exists()


def test_nothing_of_a_folder_is_passed_over_in_silence(
    tmp_path: Path, models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "videos"
    for number in range(2):
        write_video(folder / f"wave/{number}.mp4", TIMES, "wave")
    (folder / "squat").mkdir()
    (folder / "squat/x.gif").write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match="no conversion"):
        prepare_custom(folder, tmp_path / "out", pose_model=models, convert="ntu")
    assert not (tmp_path / "out").exists(), "told before anything is estimated"
    result = prepare_custom(folder, tmp_path / "out", pose_model=models)
    assert any("no clip of video is in 1 of the folders (squat)" in text for text in result["warnings"])
    shutil.copy(tmp_path / "out/poses/wave/0.json", folder / "wave/results.json")
    with pytest.raises(ValueError, match="holds poses of mmpose and videos: give --source mmpose or video"):
        prepare_custom(folder, tmp_path / "out", pose_model=models)
    assert prepare_custom(folder, tmp_path / "out", pose_model=models, source="video")["poses"]["reused"] == 2
    (folder / "wave/1.mp4").unlink()
    (folder / "wave/results.json").unlink()
    result = prepare_custom(folder, tmp_path / "one", pose_model=models)
    assert any("no clip is for validation, without which train does not begin" in text for text in result["warnings"])


def test_options_of_videos_are_refused_for_poses(tmp_path: Path) -> None:
    (tmp_path / "poses/wave").mkdir(parents=True)
    np.save(tmp_path / "poses/wave/a.npy", np.zeros((4, 17, 3), np.float32))
    for options, name in (({"fps": 30.0}, "--fps"), ({"pose_model": "rtmpose-m"}, "--pose-model")):
        with pytest.raises(ValueError, match=f"holds poses of numpy, {name} is for videos: leave it out"):
            prepare_custom(tmp_path / "poses", tmp_path / "out", layout="coco17", **options)
