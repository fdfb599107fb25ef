"""Which frames of its clips a batch shows."""

import numpy as np
import torch
from one_clip import M, T, V, many
from torch import Tensor

from agcn.data.frame_sampling import reorder_clips, valid_span


def test_padding_goes_behind(clip: Tensor) -> None:
    padded = many(clip, 1, window_size=26)[0]
    assert torch.equal(padded[:, :T], clip) and padded.shape[1] == 26 and not padded[:, T:].any()


def test_valid_span(clip: Tensor) -> None:
    first, length = valid_span(torch.stack([clip, torch.zeros_like(clip), torch.ones_like(clip)]))
    assert first.tolist() == [3, 0, 0] and length.tolist() == [12, T, T]


def test_random_shift(clip: Tensor) -> None:
    shifted = many(clip, 400, random_shift=True)
    first, length = valid_span(shifted)
    assert set(length.tolist()) == {12} and set(first.tolist()) == set(range(9))
    for one, begin in zip(shifted, first.tolist(), strict=True):
        assert torch.equal(one[:, begin : begin + 12], clip[:, 3:15])
    empty = torch.zeros_like(clip)
    assert not many(empty, 3, random_shift=True).any()


def test_random_choose_cuts(clip: Tensor) -> None:
    clip = clip + torch.arange(1.0, T + 1)[None, :, None, None]
    chosen = many(clip, 400, random_choose=True, window_size=8)
    assert chosen.shape == (400, 3, 8, V, M)
    begins = {begin for one in chosen[:100] for begin in range(13) if torch.equal(one, clip[:, begin : begin + 8])}
    assert begins == set(range(13))


def test_random_choose_pads(clip: Tensor) -> None:
    padded = many(clip, 300, random_choose=True, window_size=24)
    first, _ = valid_span(padded)
    assert set(first.tolist()) == {3, 4, 5, 6, 7} and padded.shape[2] == 24
    assert torch.equal(many(clip, 1, random_choose=True, window_size=T)[0], clip)


def test_linear_sampling(clip: Tensor) -> None:
    same = many(clip, 1, sample="linear", window_size=12)[0]
    torch.testing.assert_close(same, clip[:, 3:15])
    doubled = many(clip, 1, sample="linear", window_size=23)[0]
    torch.testing.assert_close(doubled[:, ::2], clip[:, 3:15])
    torch.testing.assert_close(doubled[:, 1], (clip[:, 3] + clip[:, 4]) / 2)
    fewer = many(clip, 1, sample="linear", window_size=5)[0]
    torch.testing.assert_close(fewer[:, [0, 4]], clip[:, [3, 14]])
    assert many(clip[:, 3:4], 1, sample="linear", window_size=6)[0].equal(clip[:, 3:4].expand(3, 6, V, M))


def test_uniform_sampling(clip: Tensor) -> None:
    clip = torch.arange(1.0, T + 1)[None, :, None, None].expand(3, T, V, M)
    drawn = many(clip, 200, sample="uniform", window_size=5)[:, 0, :, 0, 0]  # (B, 5) frame numbers from 1
    for part in range(5):
        assert set(drawn[:, part].tolist()) == {4 * part + 1, 4 * part + 2, 4 * part + 3, 4 * part + 4}
    more = many(clip, 20, sample="uniform", window_size=40)[:, 0, :, 0, 0]
    assert (more.diff(dim=1) >= 0).all() and more.min() == 1 and more.max() == T


def test_crop_sampling() -> None:
    clip = torch.arange(1.0, 101.0)[None, :, None, None].expand(3, 100, 1, 1)
    kept = many(clip, 500, sample="crop", crop=(0.5, 0.8), window_size=9)[:, 0, :, 0, 0]
    span = kept[:, -1] - kept[:, 0]
    assert span.min() >= 0.5 * 99 - 0.01 and span.max() <= 0.8 * 99 + 0.01 and span.max() - span.min() > 25
    assert kept[:, 0].min() < 4 and kept[:, -1].max() > 97
    torch.testing.assert_close(kept.diff(dim=1), (span / 8)[:, None].expand(500, 8), rtol=1e-3, atol=1e-3)


def test_clips_that_begin_in_their_middle() -> None:
    rng = np.random.default_rng(4)
    time = torch.arange(30.0)
    walk = torch.from_numpy(rng.standard_normal((3, 1, V, 1))).float() + 0.1 * time[None, :, None, None]
    walk = walk + torch.from_numpy(rng.normal(0.0, 0.01, (3, 30, V, 1))).float()
    there_and_back = walk[:, (15.0 - (time - 15.0).abs()).long()]
    still = walk[:, :1].expand_as(walk) + torch.from_numpy(rng.normal(0.0, 0.01, (3, 30, V, 1))).float()
    whole = torch.nn.functional.pad(torch.stack([walk, there_and_back, still]), (0, 0, 0, 0, 4, 2))
    assert torch.equal(reorder_clips(whole), whole)
    for begin in (1, 12, 29):
        broken = whole.clone()
        broken[:, :, 4:34] = whole[:, :, 4:34].roll(-begin, dims=2)
        # Whoever comes back to where he began has no beginning.
        assert torch.equal(reorder_clips(broken)[[0]], whole[[0]])
        assert torch.equal(reorder_clips(broken)[1:], broken[1:])
        both = torch.cat([broken[:1], 2.0 * (broken[:1] != 0)], dim=4)
        assert torch.equal(reorder_clips(both), torch.cat([whole[:1], 2.0 * (whole[:1] != 0)], dim=4))
    lost, glitch, burst = (there_and_back.clone() for _ in range(3))
    lost[:, 8:12] = 0.0
    glitch[:, 20] += 5.0
    burst[:, 10:16] += torch.tensor([0.5, 2.0, 4.0, 4.0, 2.0, 0.5])[:, None, None]
    for clip in (lost, glitch, burst):
        assert torch.equal(reorder_clips(clip[None])[0], clip)
    for short in (torch.zeros(2, 3, 5, V, 1), torch.ones(2, 3, 1, V, 1), whole[:, :, 4:6]):
        assert torch.equal(reorder_clips(short), short)
    assert torch.equal(many(broken[0], 1, reorder=True)[0], whole[0]) and torch.equal(many(broken[0], 1)[0], broken[0])


def test_warping_changes_speed_and_not_the_ends() -> None:
    clip = torch.arange(1.0, 101.0)[None, :, None, None].expand(3, 100, 1, 1)
    seen = many(clip, 500, sample="linear", random_warp=0.5, window_size=9)[:, 0, :, 0, 0]
    assert torch.equal(seen[:, [0, -1]], torch.tensor([1.0, 100.0]).expand(500, 2))
    exponent = torch.log((seen[:, 1:-1] - 1) / 99) / torch.log(torch.arange(1, 8) / 8)
    torch.testing.assert_close(exponent, exponent[:, :1].expand(500, 7), rtol=1e-3, atol=1e-3)
    assert -0.5 <= exponent.log().min() < -0.48 and 0.48 < exponent.log().max() <= 0.5
    parts = many(clip, 500, sample="crop", crop=(0.5, 0.5), random_warp=0.5, window_size=9)[:, 0, :, 0, 0]
    torch.testing.assert_close(parts[:, -1] - parts[:, 0], torch.full((500,), 49.5))
