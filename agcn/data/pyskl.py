"""Clips as MMAction2 makes them for its published weights, after PYSKL's recipes: `convention: pyskl`.

Source: PreNormalize2D, PreNormalize3D, JointToBone, ToMotion and UniformSampleFrames of MMAction2 1.2
(mmaction/datasets/transforms/pose_transforms.py). PYSKL's own differ in two places: joints of a score up to 0.01 count
as not seen there, and its tests draw other frames. Letters: B clips, C channels, T frames, V joints, M bodies, W frames
that the network sees. Everything but what is drawn at random can be exported.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from native_prep.skeletons.layouts import COCO17, Layout

# Shorter vectors, and smaller angles, are not turned.
_SHORTEST = 1e-6
# A body whose coordinates are all this close to zero is absent.
_ABSENT = 1e-8
# Their seed for the frames of test clips.
_SEED = 255
# In their bones, unlike in their graph and in this project's, the hips of COCO's skeleton hang from the nose.
_HIPS = {COCO17.joints.index(f"{side} hip"): COCO17.joints.index("nose") for side in ("left", "right")}


class View(NamedTuple):
    """One of the views of a test's clip: its number from 0, and how many there are."""

    number: int
    views: int


ONE_VIEW = View(0, 1)
_CPU = torch.device("cpu")


def bone_parents(layout: Layout, convention: str) -> tuple[int, ...]:
    """For each joint, the joint that its bone starts from."""
    if convention and layout.joints == COCO17.joints:
        return tuple(_HIPS.get(joint, parent) for joint, parent in enumerate(layout.bone_parents))
    return layout.bone_parents


def check_layout(layout: Layout) -> None:
    """Raises ValueError for a layout of x y z that does not say what its spine and shoulders are."""
    if layout.coordinates == "world" and (layout.spine is None or layout.shoulders is None):
        raise ValueError(f"convention: layout {layout.name} has no spine and shoulders: name them in its YAML")


def normalise(x: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    """Normalised clips, and how many frames each has.

    Args:
        x: clips as `prep custom` makes them, (B, C, T, V, M): x and y as shares of the picture from its middle, y up,
            and score; or x y z in metres.
        layout: the skeleton.

    Returns:
        The same shape: of x y score, x and y go from -1 to 1 in the picture, y down. Of x y z, body 0 is the one that
        is there more often, and only frames stay that it is in; its centre in the first of them is the origin, its
        spine there points to z and its shoulders to x. And the numbers of frames, int64 (B,), at least 1: up to the
        last frame with somebody (theirs also counts empty frames behind it, which prepared clips do not have).
    """
    if layout.coordinates == "image":
        there = (x != 0).any(dim=4).any(dim=3).any(dim=1)  # (B, T)
        count = torch.arange(1, x.shape[2] + 1, device=x.device)
        # Plain numbers: a tensor that is kept from a trace is of no use outside of it.
        x = torch.cat([x[:, :1] * 2.0, x[:, 1:2] * -2.0, x[:, 2:]], dim=1)
        return x, (there * count).amax(dim=1).clamp(min=1)
    return _normalise_world(x, layout)


def _normalise_world(x: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    if x.shape[4] == 2:
        frames = _body_present(x).sum(dim=1)  # (B, M)
        swapped = frames[:, 0] < frames[:, 1]
        x = torch.where(swapped[:, None, None, None, None], x.flip(4), x)
    there = _body_present(x)[:, :, 0]  # (B, T)
    length = there.sum(dim=1)
    number = torch.arange(x.shape[2], device=x.device)  # (T,)
    # Frames with body 0 come first, in order; as numbers that are all different, which every runtime sorts alike.
    order = torch.topk(torch.where(there, number, number + x.shape[2]).float(), x.shape[2], largest=False).indices
    x = _gather_frames(x, order) * (number < length[:, None])[:, None, :, None, None]
    # Joints at the origin are none: they stay there.
    seen = (x != 0).any(dim=1, keepdim=True)
    x = (x - x[:, :, :1, layout.centre, None, :1]) * seen
    return turn_body(x, layout), length.clamp(min=1)


def _body_present(x: Tensor) -> Tensor:
    """Which bodies are in which frames: (B, C, T, V, M) -> bool (B, T, M)."""
    return (x.abs() > _ABSENT).any(dim=3).any(dim=1)


def turn_body(x: Tensor, layout: Layout) -> Tensor:
    """Clips (B, 3, T, V, M), each turned so that body 0 begins with its spine along z and its shoulders along x."""
    assert layout.spine is not None and layout.shoulders is not None, "check_layout has looked"
    bottom, top = layout.spine
    upright = _turn_to_axis(x[:, :, 0, top, 0] - x[:, :, 0, bottom, 0], 2)
    right, left = layout.shoulders
    across = torch.matmul(upright, (x[:, :, 0, right, 0] - x[:, :, 0, left, 0])[:, :, None])[:, :, 0]
    # Clips are turned once, not twice, as each turn rounds.
    turn = torch.matmul(_turn_to_axis(across, 0), upright)
    return torch.matmul(turn, x.flatten(2)).view(x.shape)


def _turn_to_axis(vector: Tensor, axis: int) -> Tensor:
    """The shortest turn of each vector (B, 3) onto an axis, (B, 3, 3).

    It is none where a vector is nearly zero, or lies along the axis.
    """
    length = torch.linalg.vector_norm(vector, dim=1, keepdim=True)  # (B, 1)
    unit = vector / length.clamp(min=1e-30)
    cosine = unit[:, axis, None, None].clamp(-1, 1)  # (B, 1, 1)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    # unit x axis: with e for the axes it is (u_second) e_first - (u_first) e_second.
    across = [torch.zeros_like(unit[:, 0])] * 3
    across[first], across[second] = unit[:, second], -unit[:, first]
    around = torch.stack(across, dim=1)  # (B, 3), as long as the angle's sine
    sine = torch.linalg.vector_norm(around, dim=1, keepdim=True)  # (B, 1)
    i, j, k = (around / sine.clamp(min=1e-30)).unbind(dim=1)
    none = torch.zeros_like(i)
    cross = torch.stack([none, -k, j, k, none, -i, -j, i, none], dim=1).view(-1, 3, 3)  # (B, 3, 3)
    eye = torch.eye(3, dtype=vector.dtype, device=vector.device)
    matrix = eye + sine[:, :, None] * cross + (1 - cosine) * torch.matmul(cross, cross)
    still = (vector.abs().sum(dim=1) < _SHORTEST) | ((sine * length)[:, 0] < _SHORTEST)
    return torch.where(still[:, None, None], eye, matrix)


def _gather_frames(x: Tensor, index: Tensor) -> Tensor:
    """Frames of each clip by number: (B, C, T, V, M), (B, W) -> (B, C, W, V, M)."""
    batch, channels, _, joints, bodies = x.shape
    return torch.gather(x, 2, index[:, None, :, None, None].expand(batch, channels, index.shape[1], joints, bodies))


def sample_frames(x: Tensor, index: Tensor, length: Tensor, with_next: bool, image: bool) -> Tensor:
    """Frames of each clip by number; (B, C, T, V, M), (B, W) -> (B, C, W, V, M).

    Args:
        index: which frames, within 0 .. length - 1.
        length: how many frames each clip has, (B,).
        with_next: 2 * W frames, each behind it the one that was recorded next, so that motions can be made of them. The
            last frame of a clip is followed by itself; of x y score with negative scores, so that the mean of both is
            0 as theirs is.
        image: whether channels are x y score.
    """
    if not with_next:
        return _gather_frames(x, index)
    last = (length - 1)[:, None]
    both = torch.stack([index, torch.minimum(index + 1, last)], dim=2).flatten(1)  # (B, 2 * W)
    pairs = _gather_frames(x, both)  # (B, C, 2 * W, V, M)
    if not image:
        return pairs
    ends = torch.stack([torch.zeros_like(index, dtype=torch.bool), index == last], dim=2).flatten(1)
    sign = 1 - 2 * ends.to(x.dtype)[:, None, :, None, None]  # (B, 1, 2 * W, 1, 1)
    return torch.cat([pairs[:, :2], pairs[:, 2:] * sign], dim=1)


def make_pyskl_stream(x: Tensor, stream: str, parents: Tensor, image: bool) -> Tensor:
    """A stream of joints (B, C, T, V, ...), which for motions are pairs of frames, see `sample_frames`.

    Bones and motions are differences; of x y score they have the mean score of what they are made of.
    """
    if stream.startswith("bone"):
        x = _difference(x, x.index_select(3, parents), image)
    if stream.endswith("motion"):
        x = _difference(x[:, :, 1::2], x[:, :, 0::2], image)
    return x


def _difference(x: Tensor, other: Tensor, image: bool) -> Tensor:
    if not image:
        return x - other
    return torch.cat([x[:, :2] - other[:, :2], (x[:, 2:] + other[:, 2:]) / 2], dim=1)


def drawn_frames(length: Tensor, size: int, uniform: Tensor) -> Tensor:
    """Frames of training clips, int64 (B, size): theirs, from numbers in [0, 1).

    Clips shorter than `size` begin anywhere and go round; of those below twice that, single frames are left out; of
    longer ones each of `size` equal parts gives a frame.

    Args:
        length: frames of each clip, (B,).
        uniform: (B, size + 1).
    """
    step, count = torch.arange(size, device=length.device)[None], length[:, None]
    around = ((uniform[:, :1] * count).long() + step) % count
    rank = uniform.argsort(dim=1).argsort(dim=1)
    left_out = torch.cumsum(rank < count - size, dim=1)[:, :-1]
    begin, end = step * count // size, (step + 1) * count // size
    parts = begin + (uniform[:, :size] * (end - begin)).long()
    index = torch.where(count < size, around, torch.where(count < 2 * size, step + left_out, parts))
    return index.clamp(max=count - 1)


def fixed_frames(length: Tensor, longest: int, size: int, view: View) -> Tensor:
    """Frames of test clips, int64 (B, size): theirs, the same at each test.

    Args:
        length: frames of each clip, (B,), at least 1 and at most `longest`.
        view: the first of one is the first of many.
    """
    if length.device.type == "cpu":
        return torch.from_numpy(np.stack([_fixed_frames(frames, size, view) for frames in length.tolist()]))
    return frame_table(longest, size, view, length.device)[length]


@lru_cache(maxsize=32)
def frame_table(longest: int, size: int, view: View = ONE_VIEW, device: torch.device = _CPU) -> Tensor:
    """`fixed_frames` of clips of 0 to `longest` frames, int64 (longest + 1, size)."""
    rows = [_fixed_frames(max(frames, 1), size, view) for frames in range(longest + 1)]
    return torch.from_numpy(np.stack(rows)).to(device)


@lru_cache(maxsize=8192)
def _fixed_frames(frames: int, size: int, view: View) -> np.ndarray:
    """Which of so many frames one view of a clip shows, int64 (size,)."""
    if frames < size:
        start = view.number if frames < view.views else view.number * frames // view.views
        return (start + np.arange(size)) % frames
    rng = np.random.RandomState(_SEED)
    bounds = np.arange(size + 1) * frames // size
    for _ in range(view.number + 1):  # the views of a clip are drawn one after the other
        if frames < 2 * size:
            left_out = np.zeros(size + 1, np.int64)
            left_out[rng.choice(size + 1, frames - size, replace=False)] = 1
            index = np.arange(size) + np.cumsum(left_out)[:-1]
        else:
            index = bounds[:-1] + rng.randint(np.diff(bounds))
    return np.asarray(index, np.int64)
