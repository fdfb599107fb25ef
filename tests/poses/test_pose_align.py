"""Clips turned upright: whatever way people face, whatever the noise, heads stay above hips and nothing is bent."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from exported import three_blocks
from pose_files import make_clip

from agcn.config import load_config
from agcn.training.train import train
from native_prep.poses.align import orientation_warnings
from native_prep.poses.to_clip import Poses, PoseSettings
from native_prep.poses.write_clips import Clip, write_clips
from native_prep.reference import normalise_ntu
from native_prep.skeletons.layouts import NTU, NW_UCLA, layout_as_dict
from native_prep.synth import motion as synth_motion

# Kinect v1's 20 joints, as MSR Action3D and many recordings of one's own have them.
KINECT20 = replace(NW_UCLA, name="kinect20", spine=(0, 1), shoulders=(8, 4))
HIP, HEAD, LEFT, RIGHT = 0, 3, 4, 8
TURN = PoseSettings(align="turn")


def person(label: int, yaw: float, noise: float, seed: int, frames: int = 30) -> np.ndarray:
    """Somebody who does class `label` before a camera, float32 (T, 20, 3)."""
    rng = np.random.default_rng(seed)
    points, _ = synth_motion.performance(label, frames, rng.uniform(0.85, 1.15), rng)
    seen = synth_motion.before_camera(synth_motion.as_layout(points, NW_UCLA), yaw, synth_motion.place(rng), rng)
    return (seen + rng.normal(0, noise, seen.shape)).astype(np.float32)


def turned(points: np.ndarray, layout=KINECT20) -> np.ndarray:
    return make_clip(Poses(points[None]), layout, TURN, "x")[0]


# Which way up is before a clip is turned: that of a camera, of motion capture, of pictures (down), and lying sensors.
AXES = {
    "y up": np.eye(3),
    "z up": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "y down": np.diag([1, -1, -1]),
    "z down": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "x up": np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
    "mirrored": np.diag([-1, 1, 1]),
    "mirrored, z down": np.array([[-1, 0, 0], [0, 0, 1], [0, -1, 0]]),
}


@pytest.mark.parametrize("axes", AXES.values(), ids=list(AXES))
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.02])
def test_heads_stay_above_hips(axes: np.ndarray, noise: float) -> None:
    """An eighth of those who face away stood on their heads when shoulders were taken to x by the shortest way."""
    for seed, yaw in enumerate(np.linspace(-np.pi, np.pi, 73)):
        points = person(3, yaw, noise, seed) @ axes.T.astype(np.float32)
        clip = turned(points)
        assert (clip[:, HEAD, 2] > clip[:, HIP, 2] + 0.1).all(), yaw
        across = (clip[:5, RIGHT] - clip[:5, LEFT]).mean(axis=0)
        assert abs(across[1]) < 1e-4 and across[0] > 0, yaw  # the right shoulder lies towards +x
        # Nothing but turned: all distances stay, and so does the sense of left and right.
        assert np.linalg.norm(clip[0, HEAD] - clip[7, RIGHT]) == pytest.approx(
            np.linalg.norm((points[0, HEAD] - points[0, 1]) - (points[7, RIGHT] - points[7, 1])), abs=1e-4
        )
        corners = [HEAD, LEFT, RIGHT, 15]
        volumes = [np.linalg.det(one[0, corners[1:]] - one[0, corners[0]]) for one in (points, clip)]
        assert volumes[0] == pytest.approx(volumes[1], abs=1e-5)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_shoulders_exactly_against_x(side: float) -> None:
    """The turn by half a circle, about any axis, that turned people over: exactly, and off by a hair's breadth."""
    points = person(0, 0.0, 0.0, 1)
    points[:, LEFT], points[:, RIGHT] = points[:, 2] + (0.2 * side, 0, 0), points[:, 2] - (0.2 * side, 0, 0)
    for tiny in (0.0, 1e-7, 1e-4, -1e-3):
        points[:, LEFT, 2] = points[:, RIGHT, 2] + tiny
        clip = turned(points)
        assert (clip[:, HEAD, 2] > clip[:, HIP, 2] + 0.1).all() and clip[0, RIGHT, 0] > clip[0, LEFT, 0]


@pytest.mark.parametrize("down", [(0, 0, -1), (1e-9, 0, -1), (1e-13, 1e-13, -1), (0, 0, 1), (3e-5, -4e-5, -1)])
def test_spines_exactly_along_z(down: tuple) -> None:
    points = np.zeros((2, 20, 3), np.float32) + 1
    points[:, [0, 1, 2, 3]] += np.multiply.outer([0.0, 0.1, 0.4, 0.6], down).astype(np.float32)
    points[:, RIGHT] = points[:, 2] + (-0.2, 0.05, 0)
    points[:, LEFT] = points[:, 2] - (-0.2, 0.05, 0)
    clip = turned(points)
    np.testing.assert_allclose(clip[:, HEAD] - clip[:, HIP], [[0, 0, 0.6]] * 2, atol=1e-3)
    assert (clip[:, RIGHT, 0] > clip[:, LEFT, 0] + 0.3).all()


def test_what_was_not_seen_turns_nobody() -> None:
    """Joints that are zeros at first are not taken for places: the clip is turned by the frames that show them."""
    points = person(2, 2.5, 0.01, 3)
    whole = turned(points[4:])
    points[:3, RIGHT] = 0
    points[3, 1] = 0
    clip = turned(points)
    assert not clip[:3, RIGHT].any()
    np.testing.assert_allclose(clip[4:, HEAD], whole[:, HEAD], atol=1e-5)
    # Relative to the hip, which is zeros throughout and still is where it is.
    relative = points[4:] - points[4:, HIP : HIP + 1]
    np.testing.assert_allclose(turned(relative), whole, atol=1e-5)


def test_ntu_keeps_the_original_turn() -> None:
    """The data set's own preparation is the original's, with its second turn by the shortest way."""
    bodies = np.random.default_rng(0).normal(0, 1, (2, 6, 25, 3)).astype(np.float32) + 3
    own = make_clip(Poses(bodies.copy()), NTU, TURN, "x")
    normalise_ntu(bodies)
    np.testing.assert_allclose((bodies[0, 0, 8] - bodies[0, 0, 4])[1:], 0, atol=1e-5)
    assert np.abs(own - bodies).max() > 0.1


def test_swapped_and_mirrored_sides_are_told_with_a_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = tmp_path / "kinect20.yaml"
    layout.write_text(yaml.safe_dump(layout_as_dict(KINECT20)))

    def clips():
        for number in range(12):
            points = person(number % 4, 0.5 * number, 0.01, number)
            if number < 5:
                points = points * np.float32((-1, 1, 1))
            elif number == 5:
                points[:, [LEFT, RIGHT]] = points[:, [RIGHT, LEFT]]
            elif number == 6:
                points[:, RIGHT] = 0
            yield Clip(f"clip{number:02d}", points, number % 4, "train")

    result = write_clips(clips(), tmp_path / "out", str(layout), align="turn", max_bodies=1)
    assert sorted(text.split(" clips ")[0] for text in result["warnings"]) == ["1 of 12", "1 of 12", "6 of 12"]
    told = capsys.readouterr().err
    assert "6 of 12 clips have feet or noses that point backwards" in told and "(clip00, clip01, clip02, ...)" in told
    assert "1 of 12 clips have the right shoulder over the left hip: the shoulders look swapped (clip05)" in told
    assert "1 of 12 clips were not turned: no frame shows spine and shoulders together (clip06)" in told
    assert result["clips"] == 12


def test_people_as_they_are_raise_no_warning() -> None:
    for seed in range(20):
        points = person(seed % 12, 0.3 * seed, 0.01, seed)
        assert orientation_warnings(points[None], KINECT20) == []


def test_turned_clips_are_learned_at_least_as_well(tmp_path: Path) -> None:
    """Made people that face all ways, as MSR Action3D's do before their cameras: turning them must not cost accuracy.

    Seen before: 31 % with turned clips of MSR Action3D against 69 % with clips turned rightly.
    """
    layout = tmp_path / "kinect20.yaml"
    layout.write_text(yaml.safe_dump(layout_as_dict(KINECT20)))
    classes, each = 6, 40
    found = {}
    for align, up in (("none", 1), ("turn", 2)):
        rng = np.random.default_rng(0)
        clips = (
            Clip(
                f"c{label}_{number:02d}",
                person(label, rng.uniform(-3.15, 3.15), 0.015, 100 * label + number),
                label,
                "train" if number % 2 else "val",
            )
            for label in range(classes)
            for number in range(each)
        )
        out = tmp_path / align
        write_clips(clips, out, str(layout), align=align, max_bodies=1)
        data = np.load(out / "train_data_joint.npy")
        assert (data[:, up, :20, HEAD, 0] > data[:, up, :20, HIP, 0]).all()
        feeder = {"window_size": 24, "sample": "linear", "centre": True}
        config = {
            f"{side}_feeder_args": {
                "data_path": str(out / f"{part}_data_joint.npy"), "label_path": str(out / f"{part}_label.pkl"), **feeder
            }
            for side, part in (("train", "train"), ("test", "val"))
        } | {
            "model_args": {
                "num_class": classes, "num_point": 20, "num_person": 1, "graph": str(layout), "base_channels": 16
            },
            "work_dir": str(tmp_path / f"work_{align}"), "base_lr": 0.1, "schedule": "cosine", "nesterov": True,
            "batch_size": 16, "num_epoch": 12, "eval_interval": 12, "ema": 0.9,
        }  # fmt: skip
        path = tmp_path / f"{align}.yaml"
        path.write_text(yaml.safe_dump(config))
        with three_blocks():
            found[align] = train(load_config(path), device="cpu")["best_top1"]
    assert found["turn"] >= found["none"] and found["turn"] > 0.9, found
