"""Followed bodies stay themselves when files list them in another order, and noise goes."""

from pathlib import Path

import numpy as np
import pytest
from pose_files import make_clip, walker
from prep_files import NAMES, ntu_lines, person

from native_prep.command import prep
from native_prep.datasets.recordings import BadClip
from native_prep.poses.ntu_tracked import read_ntu_bodies, read_tracked
from native_prep.poses.to_clip import Poses, PoseSettings
from native_prep.poses.tracking import LONGEST_GAP, SHORTEST, WIDE_SHARE, WIDEST, bodies_of_highest_motion, drop_noise
from native_prep.reference import prepare_ntu_clip
from native_prep.skeletons.layouts import COCO17
from native_prep.store.reader import Store


def swapped(people: list[np.ndarray], seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """People (T, V, 3) in an order that changes from frame to frame, and who stands where."""
    rng = np.random.default_rng(seed)
    order = np.stack([rng.permutation(len(people)) for _ in range(len(people[0]))], axis=1)  # (P, T)
    return np.take_along_axis(np.stack(people), order[:, :, None, None], axis=0), order


@pytest.mark.parametrize("known", [True, False])
def test_a_body_stays_itself_where_the_order_swaps(known: bool) -> None:
    people = [walker(40, seed=1, start=100, step=4), walker(40, seed=2, start=400, step=-1)]
    points, order = swapped(people)
    ids = order.astype(np.int64) if known else np.full(order.shape, -1)
    bodies = bodies_of_highest_motion(points, ids, 2, image=True)
    np.testing.assert_array_equal(bodies, people)  # the first one moves more
    # Without the option, the places of the file mix them.
    plain = make_clip(Poses(points, ids, (640, 480)), COCO17, PoseSettings(), "x")
    tracked = make_clip(Poses(points, ids, (640, 480)), COCO17, PoseSettings(track=True), "x")
    assert np.ptp(plain[0, :, 0, 0]) > 0.4 > np.ptp(tracked[1, :, 0, 0])
    np.testing.assert_allclose(tracked[0, ..., 0], people[0][..., 0] / 640 - 0.5, atol=1e-6)


def test_one_number_for_all_is_no_tracking() -> None:
    people = [walker(30, seed=1), walker(30, seed=2, start=400)]
    points, order = swapped(people)
    bodies = bodies_of_highest_motion(points, np.zeros(order.shape, np.int64), 2, image=True)
    assert {float(body[0, 0, 0]) for body in bodies} == {float(one[0, 0, 0]) for one in people}


def test_people_cross_and_are_lost_for_a_while() -> None:
    left, right = walker(60, seed=1, start=100, step=5), walker(60, seed=2, start=400, step=-5)
    left[20 : 20 + LONGEST_GAP - 1] = 0
    points, order = swapped([left, right])
    bodies = bodies_of_highest_motion(points, np.full(order.shape, -1), 2, image=True)
    by_start = sorted(bodies, key=lambda body: float(body[0, 0, 0]))
    np.testing.assert_array_equal(by_start, [left, right])


def test_a_person_out_of_sight_is_known_again_for_ten_frames() -> None:
    for away in (LONGEST_GAP - 1, LONGEST_GAP):
        person_of_two_parts = walker(40, seed=1, step=1)
        person_of_two_parts[8 : 8 + away] = 0
        points = np.stack([person_of_two_parts, walker(40, seed=2, start=400, step=0)])
        body = bodies_of_highest_motion(points, np.full((2, 40), -1), 2, image=True)[0]
        # Not known again, the first eight frames are a body of their own, and too short to be one.
        assert body[:8].any() == (away < LONGEST_GAP) and body[8 + away :].any()


def test_the_published_numbers() -> None:
    assert (SHORTEST, WIDEST, WIDE_SHARE) == (11, 0.8, 0.69754)


def test_a_new_number_continues_a_body_that_was_lost() -> None:
    one, other = walker(60, seed=1), walker(60, seed=2, start=400, step=-1)
    points = np.stack([one, other])
    ids = np.stack([np.where(np.arange(60) < 30, 7, 9), np.full(60, 8)])
    points[0, 28:31] = 0
    bodies = bodies_of_highest_motion(points, ids, 2, image=True)
    np.testing.assert_array_equal(sorted(bodies, key=lambda body: float(body[0, 0, 0])), points)


def test_noise_filters() -> None:
    good = walker(40, seed=1)
    short = walker(40, seed=2)
    short[SHORTEST:] = 0
    just = walker(40, seed=2)
    just[SHORTEST + 1 :] = 0
    wide = walker(40, seed=3)[:, :, [1, 0, 2]]  # a person who lies is no person
    assert [id(body) for body in drop_noise([short, good, wide], True)] == [id(good)]
    assert [id(body) for body in drop_noise([just, good], True)] == [id(just), id(good)]
    half = np.concatenate([wide[:20], good[20:]])
    assert len(drop_noise([half, good], True)) == 2
    assert drop_noise([short], True) == [short]  # alone, nothing is noise
    assert len(drop_noise([short, short.copy()], True)) == 1 and len(drop_noise([wide, wide.copy()], True)) == 1


def skeleton(frames: list[list[tuple[str, np.ndarray]]]) -> bytes:
    """A `.skeleton` file whose bodies have ids."""
    lines = iter(ntu_lines([[joints for _, joints in bodies] for bodies in frames]))
    names = (name for bodies in frames for name, _ in bodies)
    made = []
    for line in lines:
        made.append(line.replace("72057594037931101", next(names)) if line.startswith("72057594037931101") else line)
    return ("\r\n".join(made) + "\r\n").encode()


def two_bodies(frames: int, seed: int = 0) -> list[list[tuple[str, np.ndarray]]]:
    rng = np.random.default_rng(seed)
    tall = np.array((0.2, 1.0, 0.3))
    still = [joints * tall for joints in person(rng, frames)]
    moving = [joints * tall + (1.0 + 0.05 * frame, 0, 0) for frame, joints in enumerate(person(rng, frames))]
    pairs = [
        [("72057594037944738", one), ("72057594037944739", other)] for one, other in zip(still, moving, strict=True)
    ]
    return [pair[:: -1 if frame % 3 == 1 else 1] for frame, pair in enumerate(pairs)]


def test_ntu_bodies_by_id(tmp_path: Path) -> None:
    frames = two_bodies(20)
    path = tmp_path / NAMES[0]
    path.write_bytes(skeleton(frames))
    poses = read_ntu_bodies(str(path))
    assert poses.ids is not None and poses.ids[:, :3].tolist() == [[0, 1, 0], [1, 0, 1]]
    clip, length = read_tracked(str(path), 40)
    assert length == 20
    # The moving body comes first, and is at every frame where it was: it defines the origin of each.
    np.testing.assert_allclose(clip[0, :, 1], 0, atol=1e-6)
    steady = np.diff(np.linalg.norm(clip[1, :20, 1], axis=1))
    mixed = prepare_ntu_clip(path, 40)[:, :20, 1, 1]
    assert np.abs(steady).max() < 0.2 and np.linalg.norm(np.diff(mixed, axis=1), axis=0).max() > 1
    np.testing.assert_array_equal(clip[:, 20:], clip[:, :20])  # repeated as usual


def test_ntu_without_swaps_is_as_usual(tmp_path: Path) -> None:
    path = tmp_path / NAMES[0]
    path.write_bytes(skeleton([pair[:: 1 if pair[0][0].endswith("9") else -1] for pair in two_bodies(20)]))
    np.testing.assert_allclose(
        read_tracked(str(path), 40)[0].transpose(3, 1, 2, 0), prepare_ntu_clip(path, 40), atol=2e-6
    )


def test_prep_ntu_tracked_writes_the_usual_files(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for seed, name in enumerate(NAMES[:3]):
        (raw / name).write_bytes(skeleton(two_bodies(14, seed)))
    options: dict = {"data_path": raw, "out_folder": tmp_path / "out", "track": True, "max_frames": 30}
    result = prep("ntu60", **options, benchmarks=("xview",), formats=("npy", "packed"))
    assert result["clips"] == 3 and result["frames"] == 42
    data = np.load(tmp_path / "out/xview/train_data_joint.npy")
    assert data.shape == (2, 3, 30, 25, 2) and data.dtype == np.float32
    np.testing.assert_allclose(data[0].transpose(3, 1, 2, 0), read_tracked(str(raw / NAMES[1]), 30)[0])
    store = Store(tmp_path / "out/packed")
    assert store.array("xview/train", "joint")[:].tobytes() == data.tobytes()
    assert (store.lengths <= 14).all()  # a period, not what it fills
    with pytest.raises(ValueError, match="--track is for NTU"):
        prep("nw-ucla", **options)
    (tmp_path / "out/custom.json").write_text("{}")
    prep("ntu60", **{**options, "track": False}, benchmarks=("xview",), streams=("joint",))
    left = sorted(path.name for path in (tmp_path / "out/xview").iterdir())
    assert left == ["train_data_joint.npy", "train_label.pkl", "val_data_joint.npy", "val_label.pkl"]
    assert not (tmp_path / "out/custom.json").exists()


ARRAYS = "out: the arrays of xview/train, xview/val were made with other settings than the packed store; where they are"
STORE = "out/packed: was made with other settings than these arrays, which are read first"


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ("npy tracked", "packed", ARRAYS),
        ("npy", "packed tracked", ARRAYS),
        ("packed tracked", "npy", STORE),
        ("packed", "npy tracked", STORE),
        ("packed tracked", "npy tracked", ""),
        ("npy tracked", "packed tracked", ""),
        ("packed", "npy packed tracked", ""),
        ("npy tracked", "npy packed", ""),
    ],
)
def test_arrays_and_stores_of_other_settings_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first: str, then: str, message: str
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for seed, name in enumerate(NAMES[:3]):
        (raw / name).write_bytes(skeleton(two_bodies(14, seed)))
    told = ""
    for words in (first.split(), then.split()):
        assert told == ""
        capsys.readouterr()
        formats, track = tuple(word for word in words if word != "tracked"), "tracked" in words
        options: dict = {"benchmarks": ("xview",), "streams": ("joint",), "max_frames": 30, "formats": formats}
        prep("ntu60", data_path=raw, out_folder=tmp_path / "out", track=track, **options)
        told = "".join(line for line in capsys.readouterr().err.splitlines() if "settings" in line)
    assert told.startswith(f"{tmp_path}/{message}") if message else told == ""


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (lambda lines: lines[:40], 41, "ends after 1 of its 3 frames"),
        (lambda lines: [*lines[:5], "nothing", *lines[6:]], 6, "has 1 numbers instead of 12"),
        (lambda lines: [*lines[:5], "x" + lines[5], *lines[6:]], 6, "not a number"),
        (lambda lines: [*lines[:5], "1e7" + lines[5][lines[5].index(" ") :], *lines[6:]], 6, "out of range"),
        (lambda lines: [*lines[:3], "20", *lines[4:]], 4, "has 20 joints, NTU needs 25"),
        (lambda lines: [*lines[:2], "1 2", *lines[3:]], 3, "has 2 numbers instead of 10"),
        (lambda lines: ["many", *lines[1:]], 1, "whole number"),
        (lambda lines: [*lines, "1"], 0, "goes on after the last of its 3 frames"),
    ],
)
def test_damaged_ntu_files_are_named_with_their_line(tmp_path: Path, change, line: int, words: str) -> None:
    lines = ntu_lines([[joints] for joints in person(np.random.default_rng(0), 3)])
    path = tmp_path / NAMES[0]
    path.write_text("\n".join(change(lines)) + "\n")
    with pytest.raises(BadClip, match=words) as error:
        read_ntu_bodies(str(path))
    assert error.value.bad.path == str(path) and error.value.bad.line == (line or len(lines) + 1)


def test_ntu_files_that_end_early_or_are_none(tmp_path: Path) -> None:
    lines = "\n".join(ntu_lines([[joints] for joints in person(np.random.default_rng(0), 3)])).encode().split(b"\n")
    path = tmp_path / NAMES[0]
    for content in (b"", b"\n", b"  "):
        path.write_bytes(content)
        with pytest.raises(BadClip, match=r"A\d\d\d.skeleton: is empty: fetch it again$"):
            read_ntu_bodies(str(path))
    for count in range(1, 11):
        for end in (b"", b"\n", b"\r\n"):
            path.write_bytes(b"\n".join(lines[:count]) + end)
            with pytest.raises(BadClip, match="ends after 0 of its 3 frames: the file was cut off"):
                read_ntu_bodies(str(path))
        path.write_bytes(b"\n".join([*lines[: count - 1], lines[count - 1][: len(lines[count - 1]) // 2]]))
        with pytest.raises(BadClip, match=r"A\d\d\d.skeleton"):
            read_ntu_bodies(str(path))
    for garbage in (np.random.default_rng(0).bytes(4000), bytes(1000), b"\n".join(lines).decode().encode("utf-16")):
        path.write_bytes(garbage)
        with pytest.raises(BadClip, match=r":1: expected a whole number"):
            read_ntu_bodies(str(path))
