"""`predict --video` and `--camera`: the timeline, the overlay, each person, late pictures, Ctrl-C, what is missing."""

import csv
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2", exc_type=ImportError)
pytest.importorskip("rtmlib", exc_type=ImportError)
pytest.importorskip("av", exc_type=ImportError)

import yaml
from exported import export_job, trained_looking
from stick_figures import HEIGHT, WIDTH, figure, picture, write_models, write_video

from agcn.checkpoint import save_weights
from export.live import video as module
from export.live.session import LiveSettings, predict_stream
from export.live.video import predict_camera, predict_video
from export.manifest import read_manifest
from export.runtime.predict import predict
from native_prep.poses.custom import prepare_custom
from native_prep.poses.video import camera as camera_module
from native_prep.poses.video.media import read_frames, video_writer
from native_prep.skeletons.layouts import COCO17

FRAMES = 20


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks that find stick figures, clips of two videos, and an engine for them."""
    folder = tmp_path_factory.mktemp("job")
    models = write_models(folder / "networks")
    for action, part in (("wave", "train"), ("squat", "train"), ("wave", "val"), ("squat", "val")):
        write_video(folder / f"videos/{part}/{action}/{part}.mp4", np.arange(FRAMES) / 30, action)
    prepare_custom(folder / "videos", folder / "data", pose_model=models)
    for seed, stream in enumerate(("joint", "bone"), 1):
        save_weights(trained_looking("agcn", COCO17, seed, num_class=2), folder / f"{stream}.pt")
    config = {
        "model": "agcn",
        "model_args": {"num_class": 2, "num_point": 17, "num_person": 2, "graph": "coco17"},
        "test_feeder_args": {"data_path": str(folder / "data/val_data_{stream}.npy"),
                             "label_path": str(folder / "data/val_label.pkl")},
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert export_job(folder, folder / "engine", targets=["none"])["passed"]
    return folder


@pytest.fixture
def networks(job: Path) -> str:
    return f"{job}/networks/yolox_tiny.onnx,{job}/networks/rtmpose.onnx"


def test_a_short_video_is_named_as_its_clip_is(job: Path, networks: str) -> None:
    result = predict_video(job / "engine", job / "videos/val/wave/val.mp4", pose_model=networks)
    (clip,) = predict(job / "engine", [job / "data/poses/val/wave/val.json"])["clips"]
    (action,) = result["actions"]
    assert action["class"] == clip["top"][0]["class"]
    assert action["score"] == pytest.approx(clip["top"][0]["score"], abs=1e-4)
    assert (action["start"], action["end"]) == (0, pytest.approx((FRAMES - 1) / 30, abs=1e-3))
    assert result["frames"] == FRAMES and result["fps"] == 30 and result["answers"] == 1


def test_the_rate_is_what_was_trained_for(job: Path, networks: str, tmp_path: Path) -> None:
    fast = write_video(tmp_path / "fast.mp4", np.arange(2 * FRAMES) / 60, "wave")
    result = predict_video(job / "engine", fast, pose_model=networks)
    assert result["frames"] == FRAMES
    settings = LiveSettings(fps=15)
    assert predict_video(job / "engine", fast, pose_model=networks, settings=settings)["frames"] == FRAMES // 2


def test_timeline_and_overlay_of_two_people(job: Path, networks: str, tmp_path: Path) -> None:
    times = np.arange(50) / 25 + np.where(np.arange(50) % 3 == 1, 0.01, 0)
    video = write_video(tmp_path / "two.mp4", times, "wave", "squat", rotation=90)
    before = sorted(tmp_path.iterdir())
    result = predict_video(
        job / "engine", video, pose_model=networks, timeline=tmp_path / "t.csv", overlay=tmp_path / "o.mp4",
        settings=LiveSettings(per_person=True, stride=10),
    )  # fmt: skip
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "t.csv", tmp_path / "o.mp4"])
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert {row["person"] for row in rows} == {"", "0", "1"}
    assert [(row["name"], row["person"]) for row in rows] == [
        (one["class"], one["person"]) for one in result["actions"]
    ]
    drawn = list(read_frames(str(tmp_path / "o.mp4")))
    np.testing.assert_allclose([one.time for one in drawn], times, atol=1e-3)
    image = drawn[20].image()
    assert image.shape == (HEIGHT, WIDTH, 3)
    people = [figure("wave", times[20]), figure("squat", times[20], 240)]
    plain, seen = picture(people).astype(int), image.astype(int)
    for joints in people:
        for child, parent in ((13, 11), (14, 12)):  # thighs, where no text is
            x, y = np.round((joints[child] + joints[parent]) / 2).astype(int)
            assert np.abs(seen[y, x] - plain[y, x]).max() > 60, "a limb is drawn"
    assert seen[-20:, :60].max() > 150, "the name of what everybody does"


def test_joints_become_the_engines(job: Path, networks: str, capsys: pytest.CaptureFixture[str]) -> None:
    from export.raw_clips import ClipForm, RawClips
    from native_prep.skeletons.layouts import KINETICS

    raw = RawClips(ClipForm("kinetics", "kinetics", {}, {}, (3, 300, 18, 2), 0), "engine")
    estimator, found = module._open_estimator(networks, raw, "a.mp4")
    assert "a.mp4: its coco17 joints become kinetics's" in capsys.readouterr().err
    (people,) = estimator([picture([figure("wave", 0)])])
    points = raw.from_image(people, (WIDTH, HEIGHT), found)
    assert points.shape == (1, KINETICS.num_joints, 3)
    np.testing.assert_allclose(points[0, 1, :2] * (WIDTH, HEIGHT), figure("wave", 0)[5:7].mean(axis=0), atol=2.5)
    world = RawClips(ClipForm("ntu60", "ntu", {}, {}, (3, 300, 25, 2), 0), "engine")
    with pytest.raises(ValueError, match="engine: is for ntu in 3-D, videos are 2-D"):
        module._open_estimator("rtmpose-m", world, "a.mp4")


def test_what_is_wrong_is_one_line(
    job: Path, networks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(video: Path, **options: Any) -> str:
        with pytest.raises((ValueError, OSError)) as caught:
            predict_video(job / "engine", video, **{"pose_model": networks, **options})
        assert not list(tmp_path.glob(".*")) and not (tmp_path / "o.mp4").exists()
        return str(caught.value)

    good = write_video(tmp_path / "good.mp4", np.arange(FRAMES) / 30, "wave")
    (tmp_path / "bad.mp4").write_bytes(good.read_bytes()[:500])
    overlay = tmp_path / "o.mp4"
    assert "bad.mp4: is no video, or damaged" in fails(tmp_path / "bad.mp4", overlay=overlay)
    assert "No such file" in fails(tmp_path / "none.mp4")
    assert "has one frame at 30 a second" in fails(write_video(tmp_path / "one.mp4", [0], "wave"), overlay=overlay)
    assert "give a name that ends in .mp4" in fails(good, overlay=tmp_path / "o.avi")
    before = good.read_bytes()
    (tmp_path / "link.mp4").symlink_to(good)
    for name in ("good.mp4", "./good.mp4", "link.mp4"):
        assert "is the video itself, which it would replace" in fails(good, overlay=f"{tmp_path}/{name}")
        assert "is the video itself, which it would replace" in fails(good, timeline=f"{tmp_path}/{name}")
    assert good.read_bytes() == before and (tmp_path / "link.mp4").is_symlink()
    assert "is both --overlay and --timeline" in fails(good, overlay=overlay, timeline=overlay)
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "is a device or a pipe, which a file would replace" in fails(good, overlay=tmp_path / "pipe.mp4")
    assert "is no file, but a pipe or a device" in fails(tmp_path / "pipe.mp4")
    assert "found by yolox_tiny.onnx,rtmpose.onnx: give --pose-model these files" in fails(good, pose_model=None)
    capsys.readouterr()
    nobody = write_video(tmp_path / "nobody.mp4", np.arange(5) / 30, people=0)
    result = predict_video(job / "engine", nobody, pose_model=networks, overlay=overlay)
    assert result["actions"] == [] and result["nobody"] is True
    assert "nobody.mp4: nobody is seen in any of its frames: it has no answer\n" in capsys.readouterr().err
    assert len(list(read_frames(str(overlay)))) == 5
    for source in ("7", "9" * 30, "nowhere"):
        with pytest.raises(ValueError, match=f"--camera {source}: cannot be opened: give its number"):
            predict_camera(job / "engine", source, pose_model=networks)
    assert capsys.readouterr().err == ""


def test_ctrl_c_leaves_nothing(job: Path, networks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = module.VideoPeople.__iter__

    def interrupted(self: module.VideoPeople) -> Iterator[Any]:
        yield from list(frames(self))[:5]
        raise KeyboardInterrupt

    monkeypatch.setattr(module.VideoPeople, "__iter__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict_video(
            job / "engine", job / "videos/val/wave/val.mp4", pose_model=networks, overlay=tmp_path / "o.mp4",
            timeline=tmp_path / "t.csv",
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


class FakeCapture:
    """A camera of OpenCV's that gives an image for each ticket, 20 a second of its own clock, and then ends."""

    images, tickets, count = 40, threading.Semaphore(0), 0

    def __init__(self, source: int | str) -> None:
        self.released = False
        FakeCapture.last, FakeCapture.count, FakeCapture.tickets = self, 0, threading.Semaphore(0)

    def isOpened(self) -> bool:
        return True

    def set(self, *_: object) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        if not self.tickets.acquire(timeout=20) or self.count >= self.images:
            return False, None
        FakeCapture.count += 1
        return True, picture([figure("wave", self.count / 20)])

    def release(self) -> None:
        self.released = True


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[FakeCapture]:
    """Time goes by with its images alone, and each one that is looked at is worth the next ticket."""
    import cv2

    clock = SimpleNamespace(monotonic=lambda: 100 + FakeCapture.count / 20, sleep=lambda seconds: None)
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(camera_module, "time", clock)
    monkeypatch.setattr(camera_module, "_MOST_FAILURES", 1)
    estimate = module.Estimator.__call__

    def and_next(self: module.Estimator, shown: list) -> list:
        FakeCapture.tickets.release()
        return estimate(self, shown)

    monkeypatch.setattr(module.Estimator, "__call__", and_next)
    return FakeCapture


def test_a_camera_is_a_stream(job: Path, networks: str, tmp_path: Path, camera: type[FakeCapture]) -> None:
    answers: list[dict[str, Any]] = []
    result = predict_camera(
        job / "engine", "0", pose_model=networks, timeline=tmp_path / "t.csv", write=answers.append,
        settings=LiveSettings(stride=10),
    )  # fmt: skip
    assert camera.last.released and not result["interrupted"]
    # 40 images in two seconds, at 30 frames a second: those between are there too.
    assert result["estimated"] == 40 and result["frames"] == 59 and result["dropped"]["too_fast"] == 0
    assert [answer["end_frame"] for answer in answers] == [19, 29, 39, 49, 58]
    assert all(answer["people"] == 1 for answer in answers)
    assert (tmp_path / "t.csv").read_text().startswith("start,end,label,name,score\n0.000,")


def test_images_that_nobody_asked_for_are_dropped(camera: type[FakeCapture], monkeypatch: pytest.MonkeyPatch) -> None:
    with camera_module.Camera("0") as opened:
        images = iter(opened)
        camera.tickets.release()
        assert next(images).time == 0
        camera.tickets.release(3)
        until = time.monotonic() + 20
        while opened.dropped < 2 and time.monotonic() < until:
            time.sleep(0.001)
        newest = next(images)
        assert opened.dropped == 2 and newest.time == pytest.approx(3 / 20)
        np.testing.assert_array_equal(newest.image, picture([figure("wave", 4 / 20)]))
        monkeypatch.setattr(FakeCapture, "images", 0)
        camera.tickets.release()


def test_a_camera_that_gives_nothing_or_fails(
    job: Path, networks: str, tmp_path: Path, camera: type[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = np.zeros((48, 64), np.uint8)
    for image in ((False, None), (True, None), (True, grey), (True, np.zeros((4, 4, 3), np.uint16))):
        monkeypatch.setattr(FakeCapture, "read", lambda self, image=image: image)
        with pytest.raises(ValueError, match="--camera 0: gives no picture in colour"):
            predict_camera(job / "engine", "0", pose_model=networks, timeline=tmp_path / "t.csv")

    def broken(self: FakeCapture) -> None:
        raise RuntimeError("unplugged")

    monkeypatch.setattr(FakeCapture, "read", broken)
    with pytest.raises(ValueError, match=r"--camera 0: fails \(unplugged\): look at it"):
        predict_camera(job / "engine", "0", pose_model=networks, timeline=tmp_path / "t.csv")
    assert list(tmp_path.iterdir()) == []


def test_rows_of_a_person_are_when_they_are_there(job: Path, networks: str, tmp_path: Path) -> None:
    """Two people, of whom the second comes in after a second and leaves after two."""
    times = np.arange(90) / 30
    with video_writer(tmp_path / "a.mp4") as writer:
        for time_ in times:
            people = [figure("wave", time_), figure("squat", time_, 240)]
            writer.write(picture(people[: 2 if 1 <= time_ < 2 else 1]), time_)
    result = predict_video(
        job / "engine", tmp_path / "a.mp4", pose_model=networks,
        settings=LiveSettings(window=20, stride=5, per_person=True, max_gap=0),
    )  # fmt: skip
    second = [one for one in result["actions"] if one["person"] == "1"]
    assert second[0]["start"] == pytest.approx(1, abs=0.05) and second[-1]["end"] == pytest.approx(2, abs=0.05)
    first = [one for one in result["actions"] if one["person"] == "0"]
    assert (first[0]["start"], first[-1]["end"]) == (0, pytest.approx(89 / 30, abs=0.01))


def test_kept_poses_are_a_stream_too(job: Path) -> None:
    found: list[dict[str, Any]] = []
    kept = str(job / "data/poses/val/wave/val.json")
    predict_stream(job / "engine", kept, write=found.append)
    (clip,) = predict(job / "engine", [kept])["clips"]
    assert found[0]["top"][0]["score"] == pytest.approx(clip["top"][0]["score"], abs=1e-5)
    (alone,) = predict(job / "engine", [kept], per_person=True)["clips"][0]["persons"]
    assert alone["top"][0]["score"] == pytest.approx(clip["top"][0]["score"], abs=1e-5)


def test_a_slow_camera_says_so(
    job: Path, networks: str, camera: type[FakeCapture], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(camera_module.time, "monotonic", lambda: 100 + FakeCapture.count * 0.8)
    monkeypatch.setattr(FakeCapture, "images", 5)
    answers: list[dict[str, Any]] = []
    predict_camera(job / "engine", "0", pose_model=networks, write=answers.append)
    assert all(answer["people"] == 1 for answer in answers), "whom two images in a second show is there between"
    assert "camera 0: 1.2 images a second are too few to follow people" in capsys.readouterr().err


def test_ctrl_c_ends_a_camera(
    job: Path, networks: str, camera: type[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeCapture, "images", 40)
    estimate, looked = module.Estimator.__call__, []

    def interrupting(self: module.Estimator, shown: list) -> list:
        looked.append(1)
        if len(looked) > 6:  # the first is the networks' own
            FakeCapture.images = 0
            FakeCapture.tickets.release(2)  # who waits for an image sees that there is none
            raise KeyboardInterrupt
        return estimate(self, shown)

    monkeypatch.setattr(module.Estimator, "__call__", interrupting)
    answers: list[dict[str, Any]] = []
    result = predict_camera(job / "engine", "0", pose_model=networks, write=answers.append)
    assert result["interrupted"] and result["estimated"] == 5 and camera.last.released
    assert len(answers) == 1, "of what was seen until then"


def test_commands(job: Path, networks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import cli

    def run(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main(["predict", "--engine", str(job / "engine"), *args])
        shown = capsys.readouterr()
        return caught.value.code, shown.out, shown.err

    video = str(job / "videos/val/wave/val.mp4")
    code, out, _ = run("--video", video, "--pose-model", networks, "--per-person")
    assert code == 0 and [one["person"] for one in json.loads(out)["actions"]] == ["", "0"]
    code, out, _ = run("--video", video, "--pose-model", networks, "--gone", "5", "--window", "10")
    assert code == 0 and json.loads(out)["window"] == 10
    for args, says in (
        (["--video", video, "clip.json"], "stand alone"), (["--video", video, "--camera", "0"], "stand alone"),
        (["--overlay", "o.mp4", "clip.json"], "--overlay is for --video"),
        (["--pose-model", "rtmo-s", "clip.json"], "--pose-model is for --video and --camera"),
        (["--video", video, "--realtime"], "--realtime is for --stream"),
        (["--video", video, "--top", "2"], "--top is for clips, --stream and --camera"),
        (["--video", video, "--image-size", "3x4"], "--image-size is for clips"),
        ([video], "is a video: give it by predict --video"),
    ):  # fmt: skip
        code, out, err = run(*args)
        assert (code, out) == (2, "") and says in err and err.count("\n") == 1, err
    assert read_manifest(job / "engine").custom["fps"] == 30
