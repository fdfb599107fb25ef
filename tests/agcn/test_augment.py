"""Each change to the joints of a batch, against a plain restatement for one clip."""

import math

import numpy as np
import pytest
import torch
from one_clip import SKELETON, M, T, V, many
from torch import Tensor

from agcn.data.augment import ANGLES, OFFSETS, SCALES, augment, numbers_per_clip
from agcn.data.augment_rng import draw, middle
from agcn.settings import FeederArgs
from native_prep.skeletons.layouts import COCO17, NW_UCLA
from native_prep.skeletons.streams import STREAMS, stream_of


def test_draws_fit_together() -> None:
    whole = draw(1, 2, 0, 10, 7)
    assert whole.shape == (10, 7) and whole.dtype == np.float32
    np.testing.assert_array_equal(whole[4:], draw(1, 2, 4, 6, 7))
    assert not np.array_equal(whole, draw(1, 3, 0, 10, 7)) and not np.array_equal(whole, draw(2, 2, 0, 10, 7))
    assert len(np.unique(whole)) == 70
    assert whole.min() >= 0 and whole.max() < 1 and abs(draw(0, 0, 0, 10000, 4).mean() - 0.5) < 0.01
    assert draw(0, 0, 0, 5, 0).shape == (5, 0)


def test_nothing_asked_nothing_changed(clip: Tensor) -> None:
    assert torch.equal(many(clip, 2), clip.expand(2, *clip.shape))
    # As the original, a window shorter than the clip cuts nothing off.
    assert torch.equal(many(clip, 1, window_size=8)[0], clip)


def test_random_move(clip: Tensor) -> None:
    moved = many(clip, 3000, random_move=True)
    assert torch.equal(moved[:, 2], clip[2].expand(3000, T, V, M))
    # An absent body shows the translation alone; it drifts evenly from one setting to another.
    offset = moved[:, :2, :, 0, 1][:, :, [0, T - 1]]  # (B, 2, 2)
    assert set(offset.flatten().mul(10).round().int().tolist()) == {round(value * 10) for value in OFFSETS}
    middle = moved[:, :2, 1, 0, 1]
    torch.testing.assert_close(middle, offset[:, :, 0] + (offset[:, :, 1] - offset[:, :, 0]) / (T - 1))
    # What is left turns and scales; at frame 3 by 3/19 of the way from one choice to another.
    frame, share = 3, 3 / (T - 1)
    away = moved[:, :2, frame, :, 0] - moved[:, :2, frame, :1, 1]
    expected = {
        (round(a + (b - a) * share, 3), round(c + (d - c) * share, 3))
        for a in ANGLES for b in ANGLES for c in SCALES for d in SCALES
    }  # fmt: skip
    point = torch.complex(away[:, 0, 0], away[:, 1, 0]) / torch.complex(clip[0, frame, 0, 0], clip[1, frame, 0, 0])
    found = {
        (round(math.degrees(angle), 3), round(scale, 3))
        for angle, scale in zip(point.angle().tolist(), point.abs().tolist(), strict=True)
    }
    assert len(found) > 150
    close = [min(abs(a - x) + abs(s - y) for x, y in expected) for a, s in found]
    assert max(close) < 0.01


def test_the_middle_changes_nothing(clip: Tensor) -> None:
    args = FeederArgs(
        random_move=True, random_rotate=(10.0, 20.0, 30.0), random_scale=(0.5, 1.5), random_flip=0.5, sample="linear",
        window_size=T, random_warp=0.5,
    )  # fmt: skip
    clips = clip[None, :, :, :1].repeat(1, 1, 1, 20, 1)
    uniform = torch.from_numpy(middle(1, numbers_per_clip(args)))
    plain = FeederArgs(sample="linear", window_size=T)
    torch.testing.assert_close(
        augment(clips, args, uniform, NW_UCLA), augment(clips, plain, torch.zeros(1, 0), NW_UCLA), rtol=1e-5, atol=1e-5
    )
    shifted = FeederArgs(random_shift=True, random_choose=True, window_size=12)
    kept = augment(clips, shifted, torch.from_numpy(middle(1, 2)), NW_UCLA)
    torch.testing.assert_close(kept[0], clips[0, :, 3:15])  # 12 of 20 frames: in the middle, and cut from there


def test_centring(clip: Tensor) -> None:
    centred = many(clip, 1, centre=True)[0]
    assert not centred[:, 3, 1, 0].any()
    torch.testing.assert_close(centred[:, 3:15, :, 0], clip[:, 3:15, :, 0] - clip[:, 3, 1, 0][:, None, None])
    assert torch.equal(centred == 0, (clip == 0) | (centred == 0)) and not centred[:, :3].any()
    assert not centred[:, 9:, :, 1].any()


def test_rotation_and_scale_keep_shapes(clip: Tensor) -> None:
    turned = many(clip, 200, random_rotate=(10.0, 20.0, 30.0))
    torch.testing.assert_close(turned.norm(dim=1), clip.norm(dim=0).expand(200, T, V, M))
    about_z = many(clip, 200, random_rotate=(0.0, 0.0, 30.0))
    torch.testing.assert_close(about_z[:, 2], clip[2].expand(200, T, V, M))
    cos = (about_z[:, :2, 5, 0, 0] * clip[:2, 5, 0, 0]).sum(dim=1) / clip[:2, 5, 0, 0].square().sum()
    assert cos.min() >= math.cos(math.radians(30)) - 1e-5 and cos.min() < math.cos(math.radians(25))
    scaled = many(clip, 200, random_scale=(0.5, 1.5))
    factor = scaled[:, 0, 5, 0, 0] / clip[0, 5, 0, 0]
    assert 0.5 <= factor.min() < 0.6 and 1.4 < factor.max() <= 1.5


def test_poses_in_pictures_are_changed_in_their_plane() -> None:
    """Scores stay, joints that were not seen stay zero, and turning a picture's people makes them narrower at most."""
    rng = np.random.default_rng(4)
    clip = torch.from_numpy(rng.uniform(-0.4, 0.5, (3, 8, 17, 2))).float()
    clip[2] = torch.from_numpy(rng.uniform(0.3, 1.0, (8, 17, 2))).float()
    clip[:, 2:5, 3] = 0
    clip[:, 6:, :, 1] = 0
    unseen = clip[2] == 0
    settings = FeederArgs(centre=True, random_rotate=(45.0, 45.0, 45.0), random_scale=(0.5, 2.0), fit="axes")
    uniform = torch.from_numpy(draw(0, 0, 0, 100, numbers_per_clip(settings)))
    seen = augment(clip.expand(100, *clip.shape), settings, uniform, COCO17)
    assert torch.equal(seen[:, 2], clip[2].expand(100, *clip[2].shape))
    assert not seen[:, :2].masked_select(unseen.expand_as(seen[:, :2])).any()
    low, high = (getattr(seen[:, :2].flatten(2), name)(dim=2) for name in ("amin", "amax"))
    torch.testing.assert_close(low, -torch.ones_like(low))
    torch.testing.assert_close(high, torch.ones_like(high))
    flat = FeederArgs(random_rotate=(60.0, 60.0, 0.0))
    turned = augment(clip.expand(100, *clip.shape), flat, torch.from_numpy(draw(0, 0, 0, 100, 3)), COCO17)
    assert (turned[:, :2].norm(dim=1) <= clip[:2].norm(dim=0) + 1e-5).all()
    with pytest.raises(ValueError, match="align: is for x y z, the layout coco17 has x y score"):
        augment(clip[None], FeederArgs(align=True), torch.zeros(1, 0), COCO17)


def test_flip() -> None:
    clip = torch.from_numpy(np.random.default_rng(2).standard_normal((3, 6, 20, 2))).float()
    clip[:, :, :, 1] = 0.0
    settings = FeederArgs(random_flip=0.3)
    seen = augment(clip.expand(500, *clip.shape), settings, torch.from_numpy(draw(3, 0, 0, 500, 1)), NW_UCLA)
    mirrored = (seen != clip).flatten(1).any(dim=1)
    assert 0.2 < mirrored.float().mean() < 0.4 and not seen[..., 1].any()
    left, right, head = (NW_UCLA.joints.index(name) for name in ("left knee", "right knee", "head"))
    across = torch.tensor([-1.0, 1.0, 1.0])[:, None]
    for flipped in seen[mirrored]:
        for theirs, ours in ((left, right), (right, left), (head, head)):
            assert torch.equal(flipped[:, :, theirs, 0], clip[:, :, ours, 0] * across)
    with pytest.raises(ValueError, match=r"no joints called left \.\.\. and right \.\.\.: leave random_flip out"):
        augment(clip[None, :, :, :V], settings, torch.zeros(1, 1), SKELETON)


def test_dropped_joints_are_neighbours(clip: Tensor) -> None:
    clip = clip + 9.0 * (clip != 0)
    seen = many(clip, 600, random_drop=0.25)
    hidden = (seen[:, :, 3:15, :, 0] == 0).all(dim=2).all(dim=1)  # (B, V)
    assert 0.2 < hidden.any(dim=1).float().mean() < 0.3
    # 0 - 1 - 2, and 3 and 4 hang from 2: what is hidden with each joint.
    parts = {(), (0, 1), (0, 1, 2), (1, 2, 3, 4), (2, 3), (2, 4)}
    assert {tuple(row.nonzero().flatten().tolist()) for row in hidden} == parts
    kept = ~hidden[:, None, None, :, None]
    assert torch.equal(seen, clip * kept)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_joint_is_dropped_from_the_stream_itself(clip: Tensor, stream: str) -> None:
    seen = many(clip, 50, random_drop=1.0, make_stream=stream)
    whole = torch.from_numpy(stream_of(clip.numpy(), stream, SKELETON))
    assert torch.equal(seen[seen != 0], whole.expand(50, *whole.shape)[seen != 0])
    assert (seen[..., 0] != 0).flatten(1).any(dim=1).all()
    assert (seen != 0).sum() < 0.8 * 50 * (whole != 0).sum()


@pytest.mark.parametrize("stream", STREAMS)
def test_flipped_streams_are_streams_of_flipped_joints(stream: str) -> None:
    joints = torch.from_numpy(np.random.default_rng(3).standard_normal((1, 3, 6, 20, 1))).float()
    always, there = FeederArgs(random_flip=1.0), torch.zeros(1, 1)
    made = torch.from_numpy(stream_of(joints.numpy(), stream, NW_UCLA))
    flipped = stream_of(augment(joints, always, there, NW_UCLA).numpy(), stream, NW_UCLA)
    torch.testing.assert_close(augment(made, always, there, NW_UCLA), torch.from_numpy(flipped))


def test_fitting(clip: Tensor) -> None:
    for fit in ("clip", "axes"):
        fitted = many(clip + 0.5 * (clip != 0), 1, fit=fit)[0]
        assert torch.equal(fitted[:, :3], torch.zeros(3, 3, V, M)) and not fitted[:, 9:, :, 1].any()
        there = torch.cat([fitted[:, 3:15, :, 0].flatten(1), fitted[:, 6:9, :, 1].flatten(1)], dim=1)
        torch.testing.assert_close(there.amax(dim=1), -there.amin(dim=1))
        size = there.amax(dim=1)
        assert size.max().item() == pytest.approx(1.0) and (fit == "clip") == bool(size.min() < 0.99)
    still = torch.ones(3, 4, V, 1)
    assert not many(still, 1, fit="axes").any()


def test_alignment() -> None:
    rng = np.random.default_rng(1)
    clip = torch.from_numpy(rng.standard_normal((3, 9, 20, 1))).float()
    settings = FeederArgs(align=True)
    turned = augment(clip[None], settings, torch.zeros(1, 0), NW_UCLA)[0]
    torch.testing.assert_close(turned.norm(dim=0), clip.norm(dim=0))
    torch.testing.assert_close(turned[1], clip[1])
    left, right = (
        [NW_UCLA.joints.index(f"{side} {part}") for part in ("shoulder", "hip")] for side in ("left", "right")
    )
    across = (turned[:, :5, right, 0] - turned[:, :5, left, 0]).mean(dim=(1, 2))
    assert across[0] > 0 and abs(across[2]) < 1e-5
    with pytest.raises(ValueError, match="has no joint 'left shoulder': leave align out"):
        augment(clip[None, :, :, :V], settings, torch.zeros(1, 0), SKELETON)


@pytest.mark.parametrize("stream", STREAMS)
def test_streams_made_from_joints(clip: Tensor, stream: str) -> None:
    made = many(clip, 2, make_stream=stream)[1].numpy()
    np.testing.assert_array_equal(made, stream_of(clip.numpy(), stream, SKELETON))


def test_every_change_is_the_same_in_parts(clip: Tensor) -> None:
    args = FeederArgs(
        reorder=True, centre=True, align=True, sample="crop", window_size=9, random_warp=0.5, random_flip=0.5,
        random_rotate=(10.0, 20.0, 30.0), random_scale=(0.5, 1.5), fit="clip", random_drop=0.5, make_stream="bone",
    )  # fmt: skip
    rng = np.random.default_rng(5)
    clips = torch.from_numpy(rng.standard_normal((6, 3, T, 20, 2))).float()
    clips[2], clips[4, ..., 1], clips[1, :, :5] = 0.0, 0.0, 0.0
    uniform = torch.from_numpy(draw(1, 1, 0, 6, numbers_per_clip(args)))
    whole = augment(clips, args, uniform, NW_UCLA)
    parts = [augment(clips[part], args, uniform[part], NW_UCLA) for part in (slice(0, 1), slice(1, 6))]
    assert torch.equal(whole, torch.cat(parts)) and whole.isfinite().all()
    assert not whole[2].any() and not whole[4, ..., 1].any() and whole[3].any()
