"""Which frames of its clips a batch shows, as tensor operations on the device of the batch.

Letters: B clips, C channels, T frames, V joints, M bodies, W frames after sampling.
"""

import math

import torch
from torch import Tensor

from agcn.data.augment_rng import AugmentRng
from agcn.settings import FeederArgs

# `reorder`: a step between frames is a break where it is so many times the usual one, and the seam, from the last frame
# to the first, is not;
BREAK = 3.0
# and where it is so many times the next largest step and the seam.
ALONE = 1.3


def valid_span(x: Tensor) -> tuple[Tensor, Tensor]:
    """First frame that is not all zero, and the number of frames from it to the last one: (B,), (B,).

    A clip without any counts as valid throughout.
    """
    frames = (x != 0).any(dim=4).any(dim=3).any(dim=1).int()  # (B, T)
    first = frames.argmax(dim=1)
    last = x.shape[2] - 1 - frames.flip(1).argmax(dim=1)
    return first, last - first + 1


def take_frames(x: Tensor, index: Tensor) -> Tensor:
    """Frames of each clip by number: (B, C, T, V, M), (B, W) -> (B, C, W, V, M); zeros where outside 0 .. T-1."""
    inside = (index >= 0) & (index < x.shape[2])
    clips = torch.arange(len(x), device=x.device)[:, None]
    taken = x.transpose(1, 2)[clips, index.clamp(0, x.shape[2] - 1)]  # (B, W, C, V, M)
    return (taken * inside[:, :, None, None, None]).transpose(1, 2)


def reorder_clips(x: Tensor) -> Tensor:
    """Turns the frames of clips that begin in their middle, so that they begin at their beginning.

    Frames sorted by name put 100 to 115 before 82 to 99. Such a clip jumps once, from 115 to 82, and its last frame
    goes on in its first, which the frames of a whole action rarely do; then those behind the jump come first. Steps
    are those of body 0's joints, on average. Who comes back to where he began, and is lost for a while just once, is
    taken for such a clip too.

    Args:
        x: joints (B, C, T, V, M).

    Returns:
        The same shape; frames outside the valid ones stay.
    """
    if x.shape[2] < 3:
        return x
    first, length = valid_span(x)
    body, clips = x[..., 0], torch.arange(len(x), device=x.device)
    steps = (body[:, :, 1:] - body[:, :, :-1]).norm(dim=1).mean(dim=2)  # (B, T - 1)
    place = torch.arange(x.shape[2], device=x.device)[None] - first[:, None]  # (B, T), within the valid frames
    inside = ((place >= 0) & (place < length[:, None] - 1))[:, :-1]
    usual = steps.masked_fill(~inside, math.nan).nanmedian(dim=1).values
    (largest, second), at = (found.unbind(1) for found in steps.masked_fill(~inside, 0.0).topk(2, dim=1))
    seam = (body[clips, :, first + length - 1] - body[clips, :, first]).norm(dim=1).mean(dim=1)
    broken = (largest > BREAK * usual) & (seam < BREAK * usual) & (largest > ALONE * torch.maximum(second, seam))
    turned = (place + (at[0] + 1 - first)[:, None]) % length[:, None]
    valid = (place >= 0) & (place < length[:, None])
    return take_frames(x, torch.where(valid & broken[:, None], turned, place) + first[:, None])


def random_shift(x: Tensor, rng: AugmentRng) -> Tensor:
    """Moves the valid frames to a random place, zeros around them."""
    frames = x.shape[2]
    first, length = valid_span(x)
    bias = rng.below(frames - length + 1)
    place = torch.arange(frames, device=x.device)[None] - bias[:, None]  # (B, T)
    outside = (place < 0) | (place >= length[:, None])
    return take_frames(x, (place + first[:, None]).masked_fill(outside, -1))


def random_choose(x: Tensor, size: int, rng: AugmentRng) -> Tensor:
    """A random part of `size` frames, or all frames at a random place among zeros."""
    frames = x.shape[2]
    free = torch.full((len(x),), abs(frames - size) + 1, device=x.device)
    begin = rng.below(free) * (1 if frames >= size else -1)
    return take_frames(x, begin[:, None] + torch.arange(size, device=x.device)[None])


def resample(x: Tensor, args: FeederArgs, rng: AugmentRng) -> Tensor:
    """`window_size` frames of the valid ones, by interpolation ("linear", "crop") or as recorded ("uniform")."""
    first, length = valid_span(x)
    size = args.window_size
    steps = torch.arange(size, device=x.device)[None]  # (1, W)
    if args.sample == "uniform":
        place = (steps + rng.uniform(size)) * (length[:, None] / size)  # each in its part of the clip
        return take_frames(x, first[:, None] + place.long().clamp(max=length[:, None] - 1))
    begin, span = first.float(), (length - 1).float()
    if args.sample == "crop":
        share, where = rng.uniform(2).unbind(1)
        kept = span * (args.crop[0] + (args.crop[1] - args.crop[0]) * share)
        begin, span = begin + (span - kept) * where, kept
    elapsed = steps / max(size - 1, 1)
    if args.random_warp:
        elapsed = elapsed ** torch.exp((2.0 * rng.uniform(1) - 1.0) * args.random_warp)  # (B, W)
    place = begin[:, None] + span[:, None] * elapsed  # (B, W), between frames
    lower = place.floor()
    weight = (place - lower)[:, None, :, None, None]
    lower_index = lower.long()
    upper_index = (lower_index + 1).minimum((first + length - 1)[:, None])
    return torch.lerp(take_frames(x, lower_index), take_frames(x, upper_index), weight)
