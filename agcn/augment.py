"""What happens to a batch of clips before the model sees it, as tensor operations on the device of the batch.

Letters: B clips, C channels, T frames, V joints, M bodies, W frames after sampling. The first half are the original's
operations (feeders/tools.py) with the same distributions; numbers are drawn by clip and epoch, so that a batch is the
same whatever the batch size, the number of processes or where a run was resumed.
"""

import math

import numpy as np
import torch
from torch import Tensor

from agcn.settings import FeederArgs
from native_prep.layouts import Layout

# random_move of the original.
ANGLES = (-10.0, -5.0, 0.0, 5.0, 10.0)
SCALES = (0.9, 1.0, 1.1)
OFFSETS = (-0.2, -0.1, 0.0, 0.1, 0.2)
# Frames that `align` looks at.
ALIGNED_BY = 5


def draw(seed: int, epoch: int, first: int, count: int, per_clip: int) -> np.ndarray:
    """Uniform numbers in [0, 1) for `count` clips from place `first` of an epoch: float32 (count, per_clip).

    Philox counts in blocks of four numbers, so any place can be jumped to: slices of an epoch fit together.
    """
    blocks = -(-per_clip // 4)
    key = np.random.SeedSequence([seed, epoch, 1]).generate_state(2, np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key, counter=first * blocks))
    return generator.random((count, 4 * blocks))[:, :per_clip].astype(np.float32).clip(max=1.0 - 2.0**-24)


def draws_per_clip(args: FeederArgs) -> int:
    """How many uniform numbers `augment` uses for a clip."""
    sampling = {"crop": 2, "uniform": args.window_size}.get(args.sample, 0) + (args.random_warp > 0)
    moving = 8 * args.random_move + 3 * any(args.random_rotate) + (args.random_scale != (1.0, 1.0))
    hiding = (args.random_flip > 0) + 2 * (args.random_drop > 0)
    return args.random_shift + args.random_choose + sampling + moving + hiding


class _Draws:
    """Hands out columns of uniform numbers (B, K), each once."""

    def __init__(self, uniform: Tensor) -> None:
        self.uniform, self.used = uniform, 0

    def take(self, count: int) -> Tensor:
        self.used += count
        return self.uniform[:, self.used - count : self.used]

    def below(self, limit: Tensor) -> Tensor:
        """One whole number in 0 .. limit - 1 for each clip: (B,) -> (B,)."""
        return (self.take(1)[:, 0] * limit).long()

    def choose(self, values: tuple[float, ...], count: int) -> Tensor:
        """Some of `values`: (B, count)."""
        table = torch.tensor(values, device=self.uniform.device)
        return table[(self.take(count) * len(values)).long()]


def augment(x: Tensor, args: FeederArgs, uniform: Tensor, layout: Layout) -> Tensor:
    """Apply what `args` asks for, in the original's order: (B, C, T, V, M) -> (B, C, W, V, M).

    Args:
        uniform: numbers from `draw`, (B, draws_per_clip(args)).
        layout: knows the joint that `args.centre` moves to the origin, and the bones of `args.make_stream`.
    """
    draws = _Draws(uniform)
    if args.centre:
        x = centre_clips(x, layout.centre)
    if args.align:
        x = align_clips(x, layout)
    if args.random_shift:
        x = random_shift(x, draws)
    if args.random_choose:
        x = random_choose(x, args.window_size, draws)
    elif args.sample:
        x = resample(x, args, draws)
    elif args.window_size > x.shape[2]:
        x = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, args.window_size - x.shape[2]))
    if args.random_flip:
        x = random_flip(x, args.random_flip, layout, draws)
    if args.random_move:
        x = random_move(x, draws)
    if any(args.random_rotate):
        x = random_rotate(x, args.random_rotate, draws)
    if args.random_scale != (1.0, 1.0):
        low, high = args.random_scale
        x = x * (low + (high - low) * draws.take(1))[:, :, None, None, None]
    if args.fit:
        x = fit_clips(x, args.fit)
    x = make_stream(x, args.make_stream, layout)
    if args.random_drop:
        x = random_drop(x, args.random_drop, layout, draws)
    assert draws.used == uniform.shape[1], "every number drawn has its use"
    return x


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


def random_shift(x: Tensor, draws: _Draws) -> Tensor:
    """Moves the valid frames to a random place, zeros around them."""
    frames = x.shape[2]
    first, length = valid_span(x)
    bias = draws.below(frames - length + 1)
    place = torch.arange(frames, device=x.device)[None] - bias[:, None]  # (B, T)
    outside = (place < 0) | (place >= length[:, None])
    return take_frames(x, (place + first[:, None]).masked_fill(outside, -1))


def random_choose(x: Tensor, size: int, draws: _Draws) -> Tensor:
    """A random part of `size` frames, or all frames at a random place among zeros."""
    frames = x.shape[2]
    free = torch.full((len(x),), abs(frames - size) + 1, device=x.device)
    begin = draws.below(free) * (1 if frames >= size else -1)
    return take_frames(x, begin[:, None] + torch.arange(size, device=x.device)[None])


def random_move(x: Tensor, draws: _Draws) -> Tensor:
    """Turns, scales and moves the first two channels, drifting over time between two random settings."""
    time = torch.linspace(0.0, 1.0, x.shape[2], device=x.device)[None]  # (1, T)

    def drift(values: tuple[float, ...]) -> Tensor:
        ends = draws.choose(values, 2)
        return (ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * time)[:, :, None, None]  # (B, T, 1, 1)

    angle, scale = drift(ANGLES) * (math.pi / 180.0), drift(SCALES)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    moved_x = cos * x[:, 0] - sin * x[:, 1] + drift(OFFSETS)  # (B, T, V, M)
    moved_y = sin * x[:, 0] + cos * x[:, 1] + drift(OFFSETS)
    return torch.cat([moved_x[:, None], moved_y[:, None], x[:, 2:]], dim=1)


def resample(x: Tensor, args: FeederArgs, draws: _Draws) -> Tensor:
    """`window_size` frames of the valid ones, by interpolation ("linear", "crop") or as recorded ("uniform")."""
    first, length = valid_span(x)
    size = args.window_size
    steps = torch.arange(size, device=x.device)[None]  # (1, W)
    if args.sample == "uniform":
        place = (steps + draws.take(size)) * (length[:, None] / size)  # each in its part of the clip
        return take_frames(x, first[:, None] + place.long().clamp(max=length[:, None] - 1))
    begin, span = first.float(), (length - 1).float()
    if args.sample == "crop":
        share, where = draws.take(2).unbind(1)
        kept = span * (args.crop[0] + (args.crop[1] - args.crop[0]) * share)
        begin, span = begin + (span - kept) * where, kept
    elapsed = steps / max(size - 1, 1)
    if args.random_warp:
        elapsed = elapsed ** torch.exp((2.0 * draws.take(1) - 1.0) * args.random_warp)  # (B, W)
    place = begin[:, None] + span[:, None] * elapsed  # (B, W), between frames
    lower = place.floor()
    weight = (place - lower)[:, None, :, None, None]
    lower_index = lower.long()
    upper_index = (lower_index + 1).minimum((first + length - 1)[:, None])
    return torch.lerp(take_frames(x, lower_index), take_frames(x, upper_index), weight)


def centre_clips(x: Tensor, centre: int) -> Tensor:
    """Moves joint `centre` of body 0 in the first valid frame to the origin; absent bodies stay zero."""
    first, _ = valid_span(x)
    origin = x[torch.arange(len(x), device=x.device), :, first, centre, 0]  # (B, C)
    present = (x != 0).any(dim=3, keepdim=True).any(dim=1, keepdim=True)  # (B, 1, T, 1, M)
    return (x - origin[:, :, None, None, None]) * present


def fit_clips(x: Tensor, fit: str) -> Tensor:
    """Scales each clip so that its joints just fill -1 .. 1, on each axis ("axes") or on the longest ("clip").

    Absent bodies stay zero; an axis along which nothing differs becomes 0.
    """
    present = (x != 0).any(dim=3, keepdim=True).any(dim=1, keepdim=True)  # (B, 1, T, 1, M)
    low = x.masked_fill(~present, math.inf).amin(dim=(2, 3, 4), keepdim=True)  # (B, C, 1, 1, 1)
    high = x.masked_fill(~present, -math.inf).amax(dim=(2, 3, 4), keepdim=True)
    half = (high - low) / 2
    if fit == "clip":
        half = half.amax(dim=1, keepdim=True)
    fitted = (x - (high + low) / 2) / half.masked_fill(half == 0, 1.0)
    return torch.where(present, fitted, 0.0)


def make_stream(x: Tensor, stream: str, layout: Layout) -> Tensor:
    """What `native_prep.streams.stream_of` makes of joints, for a batch on any device."""
    if stream.startswith("bone"):
        x = x - x[:, :, :, list(layout.bone_parents)]
    if stream.endswith("motion"):
        x = torch.nn.functional.pad(x[:, :, 1:] - x[:, :, :-1], (0, 0, 0, 0, 0, 1))
    return x


def align_clips(x: Tensor, layout: Layout) -> Tensor:
    """Turns each clip about y so that body 0's shoulders and hips lie along x, by the mean of its first valid frames.

    Raises:
        ValueError: the layout names no shoulders or hips.
    """
    lines = [(f"left {part}", f"right {part}") for part in ("shoulder", "hip")]
    missing = [name for line in lines for name in line if name not in layout.joints]
    if missing:
        raise ValueError(f"align: the layout {layout.name} has no joint {missing[0]!r}: leave align out")
    first, length = valid_span(x)
    index = torch.arange(ALIGNED_BY, device=x.device)[None].minimum(length[:, None] - 1) + first[:, None]
    start = take_frames(x[..., :1], index).mean(dim=2)[..., 0]  # (B, C, V)
    left, right = ([layout.joints.index(line[side]) for line in lines] for side in (0, 1))
    across = (start[:, :, right] - start[:, :, left]).sum(dim=2)  # (B, C)
    turn = _about(1, torch.atan2(across[:, 2], across[:, 0]))
    return torch.einsum("bij,bjtvm->bitvm", turn, x)


def random_flip(x: Tensor, share: float, layout: Layout, draws: _Draws) -> Tensor:
    """Mirrors a `share` of the clips along x: left joints take the places of right ones.

    Raises:
        ValueError: the layout does not say which joints are left and right.
    """
    mirrored = list(layout.mirrored)
    if mirrored == list(range(layout.num_joints)):
        raise ValueError(f"random_flip: the layout {layout.name} names no left and right joints: leave random_flip out")
    flipped = x[:, :, :, mirrored]
    flipped = torch.cat([-flipped[:, :1], flipped[:, 1:]], dim=1)
    return torch.where((draws.take(1) < share)[:, :, None, None, None], flipped, x)


def random_drop(x: Tensor, share: float, layout: Layout, draws: _Draws) -> Tensor:
    """Sets a random joint and its neighbours to zero throughout a `share` of the clips.

    Source: Cheng et al., Decoupling GCN with DropGraph Module, ECCV 2020, which does so to the features of every layer.
    """
    near = torch.eye(layout.num_joints, dtype=torch.bool, device=x.device)
    child, parent = torch.tensor(layout.edges, device=x.device).T
    near[child, parent] = near[parent, child] = True
    asked, where = draws.take(2).unbind(1)
    hidden = near[(where * layout.num_joints).long()] & (asked < share)[:, None]  # (B, V)
    return x.masked_fill(hidden[:, None, None, :, None], 0.0)


def random_rotate(x: Tensor, largest: tuple[float, ...], draws: _Draws) -> Tensor:
    """Turns each clip about x, then y, then z, by angles within +- `largest` degrees."""
    limits = torch.tensor(largest, device=x.device) * (math.pi / 180.0)
    angles = (2.0 * draws.take(3) - 1.0) * limits  # (B, 3)
    turn = torch.eye(3, device=x.device).expand(len(x), 3, 3)
    for axis in range(3):
        turn = _about(axis, angles[:, axis]) @ turn
    return torch.einsum("bij,bjtvm->bitvm", turn, x)


def _about(axis: int, angle: Tensor) -> Tensor:
    """Rotation matrices about one axis: (B,) -> (B, 3, 3)."""
    one, two = (axis + 1) % 3, (axis + 2) % 3
    turn = torch.zeros(len(angle), 3, 3, device=angle.device)
    turn[:, axis, axis] = 1.0
    turn[:, one, one] = turn[:, two, two] = torch.cos(angle)
    turn[:, two, one] = torch.sin(angle)
    turn[:, one, two] = -torch.sin(angle)
    return turn
