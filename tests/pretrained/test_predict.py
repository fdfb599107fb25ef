"""From a server to an answer: published weights and packed ones, made clips, made videos, NTU's own recordings."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from exported import three_blocks, trained_looking
from file_server import Server, serve
from mmaction_names import theirs

import cli
from agcn.checkpoint import load_model
from agcn.config import load_config
from agcn.data.augment import augment
from agcn.data.pyskl import ONE_VIEW
from agcn.settings import FeederArgs
from export.live.session import predict_stream
from export.manifest import read_manifest
from export.pretrained import download
from export.pretrained.catalog import find
from export.runtime.open import open_engine
from native_prep.datasets.catalog import class_names
from native_prep.poses.tracking import bodies_of_highest_motion
from native_prep.skeletons.layouts import COCO17, NTU
from native_prep.synth.make import synth

NAMES = {"joint": "j", "bone": "b", "joint_motion": "jm", "bone_motion": "bm"}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Made weights of PYSKL's names and form on a server, for both skeletons."""
    folder = tmp_path_factory.mktemp("published")
    for layout in (COCO17, NTU):
        (folder / layout.name).mkdir()
        for seed, short in enumerate(NAMES.values(), 1):
            model = trained_looking("aagcn", layout, seed, num_class=60, attention=True)
            torch.save({"meta": {}, "state_dict": theirs(model, "fc_cls")}, folder / layout.name / f"{short}.pth")
    with serve(folder) as server, three_blocks():
        yield server


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the whole module: engines are exported once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def usual(kept: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(download.CACHE, str(kept))


def typed(capsys: pytest.CaptureFixture[str], *args: object) -> dict:
    """What a command prints as its last line."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        cli.main([str(one) for one in args])
    shown = capsys.readouterr()
    assert done.value.code == 0, shown.err
    return json.loads(shown.out.splitlines()[-1])


def write_poses(path: Path, frames: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A person in pixels of a picture of 640 x 480, as MMPose writes them."""
    rng = np.random.default_rng(3)
    steps = rng.normal(0, 4, (frames, 17, 2)).cumsum(axis=0)
    points = rng.uniform((200, 100), (300, 400), (17, 2)) + steps
    scores = rng.uniform(0.3, 1, (frames, 17))
    info = [
        {"frame_id": place, "instances": [{"keypoints": one.tolist(), "keypoint_scores": score.tolist()}]}
        for place, (one, score) in enumerate(zip(points, scores, strict=True))
    ]
    path.write_text(json.dumps({"meta_info": {"dataset_name": "coco"}, "instance_info": info}))
    return points, scores


def test_from_a_server_to_an_answer(
    published: Server, kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three commands: list, get, predict; the answer is that of the weights on the clip as PYSKL makes it."""
    name = "pyskl-ntu60-xsub-2d"
    assert name in {one["name"] for one in typed(capsys, "weights")["weights"]}
    got = typed(capsys, "weights", "get", name, "--stream", "joint", "bone", "--from", f"{published.url}/coco17")
    assert list(got["weights"][0]["files"]) == ["joint", "bone"]
    points, scores = write_poses(tmp_path / "a.json")
    asked = ("predict", "--pretrained", name, tmp_path / "a.json", "--image-size", "640x480", "--top", "60")
    (clip,) = typed(capsys, *asked)["clips"]
    placed = np.concatenate([points / (640, 480) - 0.5, scores[..., None]], axis=2).astype(np.float32)
    placed[..., 1] *= -1
    x = torch.zeros(1, 3, 60, 17, 2)
    x[0, ..., 0] = torch.from_numpy(placed.transpose(2, 0, 1))
    config = load_config("mmaction-ntu60-xsub-2d", overrides=["model_args.attention=True"])
    logits: torch.Tensor | float = 0.0
    for stream in ("joint", "bone"):
        args = FeederArgs(convention="pyskl", sample="uniform", window_size=100, make_stream=stream)
        model = load_model(got["weights"][0]["files"][stream], config)
        with torch.no_grad():
            logits = logits + model(augment(x, args, torch.zeros(1, 101), COCO17, ONE_VIEW))
    assert isinstance(logits, torch.Tensor)
    expected = logits.softmax(dim=1)[0].numpy()
    assert [one["score"] for one in clip["top"]] == pytest.approx(sorted(expected, reverse=True), abs=1e-5)
    assert clip["top"][0]["class"] == class_names("ntu60")[int(expected.argmax())]
    # Nothing is fetched or exported again; the folder of the engine says what it is.
    published.requests.clear()
    (folder,) = (kept / "engines").glob(f"{name}-*")
    stamp = (folder / "manifest.json").stat().st_mtime_ns
    assert typed(capsys, *asked)["clips"][0]["top"][:3] == clip["top"][:3]
    assert not published.requests and (folder / "manifest.json").stat().st_mtime_ns == stamp
    assert folder.name.startswith(name) and read_manifest(folder).custom["layout"]["name"] == "coco17"


def test_recordings_of_ntu(published: Server, kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The 25 joints: `.skeleton` files as they are, arrays of poses, and a stream; four streams with their weights."""
    name = "pyskl-ntu60-xsub-3d"
    typed(capsys, "weights", "get", name, "--from", f"{published.url}/ntu")
    synth("ntu60", tmp_path / "raw", clips=3)
    clips = sorted((tmp_path / "raw").rglob("*.skeleton"))
    found = typed(capsys, "predict", "--pretrained", name, *clips)["clips"]
    assert all(len(one["top"]) == 5 and one["top"][0]["class"] in class_names("ntu60") for one in found)
    (folder,) = (kept / "engines").glob(f"{name}-*")
    from native_prep.poses.ntu_tracked import read_ntu_bodies

    poses = read_ntu_bodies(str(clips[0]))
    bodies = bodies_of_highest_motion(poses.points, poses.ids, 2, False)
    np.save(tmp_path / "a.npy", bodies)
    (same,) = typed(capsys, "predict", "--pretrained", name, tmp_path / "a.npy")["clips"]
    assert same["top"][0]["score"] == pytest.approx(found[0]["top"][0]["score"], abs=1e-6)
    answers = []
    streamed = predict_stream(folder, str(clips[0]), write=answers.append)
    assert streamed["window"] == 90 and len(answers) > 0
    out = tmp_path / "four"
    result = typed(
        capsys, "export-trt", "--pretrained", name, "--streams", "4", "--out", out, "--target", "none", "--with-prep"
    )
    manifest = read_manifest(out)
    assert result["passed"] and manifest.motion_alpha == 0.5 and manifest.shape == (3, 300, 25, 2)
    engine = open_engine(out)
    classes, scores = engine.predict([str(clips[0]), bodies.astype(np.float64)])
    assert classes[0] == classes[1] and np.allclose(scores[0], scores[1], atol=1e-6)


def test_a_video_for_three_dimensions_and_other_mistakes(
    published: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*args: object) -> str:
        with pytest.raises(SystemExit) as done:
            cli.main([str(one) for one in args])
        assert done.value.code == 2
        lines = capsys.readouterr().err.splitlines()
        return lines[-1]

    assert "Missing argument 'CLIP...'" in fails("predict", "--pretrained", "pyskl-ntu60-xsub-3d")
    assert "a.json: No such file" in fails("predict", "--pretrained", "pyskl", tmp_path / "a.json")
    (tmp_path / "a.json").write_text("[]")
    assert "no weights are called 'pyskl'" in fails("predict", "--pretrained", "pyskl", tmp_path / "a.json")
    # What cannot be looked at is told before anything is fetched.
    write_poses(tmp_path / "b.json")
    for name, words in (("mmaction-ntu60-xsub-3d", "its coco17 joints cannot become those of ntu"),
                        ("mmaction-ntu60-xsub-2d", "give --image-size WIDTHxHEIGHT")):  # fmt: skip
        assert words in fails("predict", "--pretrained", name, tmp_path / "b.json")
    typed(capsys, "weights", "get", "pyskl-ntu60-xsub-3d", "--from", f"{published.url}/ntu")
    (tmp_path / "a.mp4").write_bytes(b"x" * 100)
    text = fails("predict", "--pretrained", "pyskl-ntu60-xsub-3d", "--video", tmp_path / "a.mp4")
    assert "is for ntu in 3-D, videos are 2-D" in text
    assert find("pyskl-ntu60-xsub-2d").check_streams(4) == tuple(NAMES)
