"""What happens to a batch of clips before the model sees it, as tensor operations on the device of the batch.

Letters: B clips, C channels, T frames, V joints, M bodies, W frames after sampling. What the original has too
(feeders/tools.py) has its distributions. Where channels are x y score, joints are turned and fitted in the plane of the
picture, as if they had no depth: scores stay what they are, and joints whose score is 0 stay zero.
"""

import math
from functools import cache

import torch
from torch import Tensor

from agcn.data import pyskl
from agcn.data.augment_rng import AugmentRng, constant
from agcn.data.frame_sampling import random_choose, random_shift, reorder_clips, resample, take_frames, valid_span
from agcn.model.graph import adjacency
from agcn.settings import JOINT_PAIRS, FeederArgs
from native_prep.skeletons.layouts import Layout

# random_move of the original.
ANGLES = (-10.0, -5.0, 0.0, 5.0, 10.0)
SCALES = (0.9, 1.0, 1.1)
OFFSETS = (-0.2, -0.1, 0.0, 0.1, 0.2)
# Frames that `align` looks at.
ALIGNED_BY = 5


def numbers_per_clip(args: FeederArgs) -> int:
    """How many uniform numbers `augment` uses for a clip."""
    sampling = {"crop": 2, "uniform": args.window_size + bool(args.convention)}.get(args.sample, 0)
    sampling += args.random_warp > 0
    moving = 8 * args.random_move + 3 * any(args.random_rotate) + (args.random_scale != (1.0, 1.0))
    hiding = (args.random_flip > 0) + 2 * (args.random_drop > 0)
    return args.random_shift + args.random_choose + sampling + moving + hiding


def augment(x: Tensor, args: FeederArgs, uniform: Tensor, layout: Layout, view: pyskl.View | None = None) -> Tensor:
    """Apply what `args` asks for, where the original has it in its order: (B, C, T, V, M) -> (B, C, W, V, M).

    Args:
        uniform: numbers from `agcn.data.augment_rng.draw` or `middle`, (B, numbers_per_clip(args)).
        layout: knows which joints are the centre, neighbours, left and right, and the bones of `args.make_stream`.
        view: of a test, which `convention: pyskl` draws in its own way; None in training.

    Raises:
        ValueError: the layout names no joints that `args.align`, `args.random_flip` or `args.convention` needs.
    """
    rng, image = AugmentRng(uniform), layout.coordinates == "image"
    if args.reorder:
        x = reorder_clips(x)
    if args.centre:
        x = centre_clips(x, layout.centre, image)
    if args.align:
        x = align_clips(x, layout)
    if args.random_shift:
        x = random_shift(x, rng)
    if args.random_choose:
        x = random_choose(x, args.window_size, rng)
    elif args.convention:
        x = pyskl_frames(x, args, rng, layout, view)
    elif args.sample:
        x = resample(x, args, rng)
    elif args.window_size > x.shape[2]:
        x = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, args.window_size - x.shape[2]))
    if args.random_flip:
        x = random_flip(x, args.random_flip, layout, rng)
    if args.random_move:
        x = random_move(x, rng)
    if any(args.random_rotate):
        x = random_rotate(x, args.random_rotate, rng, image)
    if args.random_scale != (1.0, 1.0):
        low, high = args.random_scale
        factor = (low + (high - low) * rng.uniform(1))[:, :, None, None, None]
        x = torch.cat([x[:, :2] * factor, x[:, 2:]], dim=1) if image else x * factor
    if args.fit:
        x = fit_clips(x, args.fit, image)
    if args.convention:
        parents = constant(pyskl.bone_parents(layout, args.convention), x.device, torch.int64)
        x = pyskl.make_pyskl_stream(x, args.make_stream, parents, image)
    else:
        x = make_stream(x, args.make_stream, layout)
    if args.random_drop:
        x = random_drop(x, args.random_drop, layout, rng)
    assert rng.used == uniform.shape[1], "every number drawn has its use"
    return x


def pyskl_frames(x: Tensor, args: FeederArgs, rng: AugmentRng, layout: Layout, view: pyskl.View | None) -> Tensor:
    """Normalised and sampled as PYSKL does; pairs of frames for streams of motions, see `pyskl.sample_frames`.

    Raises:
        ValueError: a layout of x y z that does not say what its spine and shoulders are.
    """
    pyskl.check_layout(layout)
    size, longest, uniform = args.window_size, x.shape[2], rng.uniform(args.window_size + 1)
    x, length = pyskl.normalise(x, layout)
    if view is None:
        index = pyskl.drawn_frames(length, size, uniform)
    else:
        index = pyskl.fixed_frames(length, longest, size, view)
    with_next = args.make_stream == JOINT_PAIRS or args.make_stream.endswith("motion")
    return pyskl.sample_frames(x, index, length, with_next, layout.coordinates == "image")


def random_move(x: Tensor, rng: AugmentRng) -> Tensor:
    """Turns, scales and moves the first two channels, drifting over time between two random settings."""
    time = torch.linspace(0.0, 1.0, x.shape[2], device=x.device)[None]  # (1, T)

    def drift(values: tuple[float, ...]) -> Tensor:
        ends = rng.choose(values, 2)
        return (ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * time)[:, :, None, None]  # (B, T, 1, 1)

    angle, scale = drift(ANGLES) * (math.pi / 180.0), drift(SCALES)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    moved_x = cos * x[:, 0] - sin * x[:, 1] + drift(OFFSETS)  # (B, T, V, M)
    moved_y = sin * x[:, 0] + cos * x[:, 1] + drift(OFFSETS)
    return torch.cat([moved_x[:, None], moved_y[:, None], x[:, 2:]], dim=1)


def _present(x: Tensor, image: bool) -> Tensor:
    """Which bodies are in which frames, bool (B, 1, T, 1, M), or of x y score which joints, (B, 1, T, V, M)."""
    return x[:, 2:3] != 0 if image else (x != 0).any(dim=3, keepdim=True).any(dim=1, keepdim=True)


def centre_clips(x: Tensor, centre: int, image: bool = False) -> Tensor:
    """Moves joint `centre` of body 0 in the first valid frame to the origin; absent bodies stay zero."""
    first, _ = valid_span(x)
    origin = x[torch.arange(len(x), device=x.device), :, first, centre, 0]  # (B, C)
    if image:
        origin = torch.cat([origin[:, :2], torch.zeros_like(origin[:, 2:])], dim=1)
    return (x - origin[:, :, None, None, None]) * _present(x, image)


def fit_clips(x: Tensor, fit: str, image: bool = False) -> Tensor:
    """Scales each clip so that its joints just fill -1 .. 1, on each axis ("axes") or on the longest ("clip").

    Absent bodies stay zero; an axis along which nothing differs becomes 0.
    """
    if image:
        return torch.cat([_fitted(x[:, :2], _present(x, image), fit), x[:, 2:]], dim=1)
    return _fitted(x, _present(x, image), fit)


def _fitted(x: Tensor, present: Tensor, fit: str) -> Tensor:
    low = x.masked_fill(~present, math.inf).amin(dim=(2, 3, 4), keepdim=True)  # (B, C, 1, 1, 1)
    high = x.masked_fill(~present, -math.inf).amax(dim=(2, 3, 4), keepdim=True)
    half = (high - low) / 2
    if fit == "clip":
        half = half.amax(dim=1, keepdim=True)
    fitted = (x - (high + low) / 2) / half.masked_fill(half == 0, 1.0)
    return torch.where(present, fitted, 0.0)


def make_stream(x: Tensor, stream: str, layout: Layout) -> Tensor:
    """What `native_prep.skeletons.streams.stream_of` makes of joints, for a batch on any device."""
    if stream.startswith("bone"):
        x = x - x[:, :, :, constant(layout.bone_parents, x.device, torch.int64)]
    if stream.endswith("motion"):
        x = torch.nn.functional.pad(x[:, :, 1:] - x[:, :, :-1], (0, 0, 0, 0, 0, 1))
    return x


def align_clips(x: Tensor, layout: Layout) -> Tensor:
    """Turns each clip about y so that body 0's shoulders and hips lie along x, by the mean of its first valid frames.

    Raises:
        ValueError: the layout names no shoulders or hips, or is of x y score.
    """
    if layout.coordinates == "image":
        raise ValueError(f"align: is for x y z, the layout {layout.name} has x y score: leave align out")
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


def random_flip(x: Tensor, share: float, layout: Layout, rng: AugmentRng) -> Tensor:
    """Mirrors a `share` of the clips, x to -x: left joints take the places of right ones.

    Raises:
        ValueError: the layout does not say which joints are left and right.
    """
    if layout.mirrored == tuple(range(layout.num_joints)):
        raise ValueError(
            f"random_flip: the layout {layout.name} has no joints called left ... and right ...: leave random_flip out"
        )
    flipped = x[:, :, :, constant(layout.mirrored, x.device, torch.int64)]
    flipped = torch.cat([-flipped[:, :1], flipped[:, 1:]], dim=1)
    return torch.where((rng.uniform(1) < share)[:, :, None, None, None], flipped, x)


def random_drop(x: Tensor, share: float, layout: Layout, rng: AugmentRng) -> Tensor:
    """Sets a random joint and its neighbours to zero throughout a `share` of the clips.

    Source: Cheng et al., Decoupling GCN with DropGraph Module, ECCV 2020, which does so to the features of every layer.
    """
    near = _neighbours(layout, x.device)  # (V, V)
    asked, where = rng.uniform(2).unbind(1)
    hidden = near[(where * layout.num_joints).long()] & (asked < share)[:, None]  # (B, V)
    return x.masked_fill(hidden[:, None, None, :, None], 0.0)


@cache
def _neighbours(layout: Layout, device: torch.device) -> Tensor:
    """Which joints are one another's neighbours, or the same, bool (V, V)."""
    return torch.from_numpy(adjacency(layout.edges, layout.num_joints).any(axis=0)).to(device)


def random_rotate(x: Tensor, largest: tuple[float, ...], rng: AugmentRng, image: bool = False) -> Tensor:
    """Turns each clip about x, then y, then z, by angles within +- `largest` degrees."""
    limits = constant(largest, x.device) * (math.pi / 180.0)
    angles = (2.0 * rng.uniform(3) - 1.0) * limits  # (B, 3)
    turn = torch.eye(3, device=x.device).expand(len(x), 3, 3)
    for axis in range(3):
        turn = _about(axis, angles[:, axis]) @ turn
    if image:  # in the picture again: those turned away from it are only narrower
        return torch.cat([torch.einsum("bij,bjtvm->bitvm", turn[:, :2, :2], x[:, :2]), x[:, 2:]], dim=1)
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
