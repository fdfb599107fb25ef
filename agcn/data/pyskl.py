"""Clips as PYSKL and MMAction2 make them, whose published weights expect them so: `convention: pyskl`.

Source: PreNormalize2D, PreNormalize3D, JointToBone, ToMotion and UniformSampleFrames of MMAction2 1.2
(mmaction/datasets/transforms/pose_transforms.py), the first of which PYSKL has too. Letters: B clips, C channels,
T frames, V joints, M bodies, W frames that the network sees. Everything but what is drawn at random can be exported.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agcn.data.augment_rng import constant
from native_prep.skeletons.layouts import COCO17, Layout

# A vector, or an angle, is none below this.
_SHORTEST = 1e-6
# A body is not there where all of its coordinates are nearer to zero.
_NOWHERE = 1e-8
# Their seed for the frames of test clips.
_SEED = 255
# In their bones, unlike in their graph and in this project's, the hips of COCO's skeleton hang from the nose.
_HIPS = {COCO17.joints.index(f"{side} hip"): COCO17.joints.index("nose") for side in ("left", "right")}


class View(NamedTuple):
    """Which of how many views of a test's clip."""

    number: int
    views: int


ONE_VIEW = View(0, 1)


def bone_parents(layout: Layout, convention: str) -> tuple[int, ...]:
    """For each joint, the joint that its bone starts from."""
    if convention and layout.joints == COCO17.joints:
        return tuple(_HIPS.get(joint, parent) for joint, parent in enumerate(layout.bone_parents))
    return layout.bone_parents


def normalise(x: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    """Clips as `prep custom` makes them where they are normalised as theirs, and how many frames each has.

    Args:
        x: (B, C, T, V, M), x y as shares of the picture from its middle, y up, and score; or x y z in metres.
        layout: the skeleton.

    Returns:
        The same shape. Of x y score, x and y go from -1 to 1 in the picture, y down, and frames stay. Of x y z only
        the frames stay in which body 0 is, which is the one that is there more often; its centre in the first of them
        is the origin, its spine there points to z and its shoulders to x. And int64 (B,), at least 1.
    """
    if layout.coordinates == "image":
        there = (x != 0).any(dim=4).any(dim=3).any(dim=1)  # (B, T)
        count = torch.arange(1, x.shape[2] + 1, device=x.device)
        x = x * constant((2.0, -2.0, 1.0), x.device)[:, None, None, None]
        return x, (there * count).amax(dim=1).clamp(min=1)
    return _normalise_world(x, layout)


def _normalise_world(x: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    if x.shape[4] == 2:
        frames = _there(x).sum(dim=1)  # (B, M)
        swapped = frames[:, 0] < frames[:, 1]
        x = torch.where(swapped[:, None, None, None, None], x.flip(4), x)
    there = _there(x)[:, :, 0]  # (B, T)
    length = there.sum(dim=1)
    number = torch.arange(x.shape[2], device=x.device)  # (T,)
    # Frames with body 0 come first, in order; as numbers that are all different, which every runtime sorts alike.
    order = torch.topk(torch.where(there, number, number + x.shape[2]).float(), x.shape[2], largest=False).indices
    x = _taken(x, order) * (number < length[:, None])[:, None, :, None, None]
    # Joints at the origin are none: they stay there.
    seen = (x != 0).any(dim=1, keepdim=True)
    x = (x - x[:, :, :1, layout.centre, None, :1]) * seen
    assert layout.spine is not None and layout.shoulders is not None, "checked by FeederArgs' user"
    bottom, top = layout.spine
    x = _turned(x, x[:, :, 0, top, 0] - x[:, :, 0, bottom, 0], 2)
    right, left = layout.shoulders
    x = _turned(x, x[:, :, 0, right, 0] - x[:, :, 0, left, 0], 0)
    return x, length.clamp(min=1)


def _there(x: Tensor) -> Tensor:
    """Which bodies are in which frames: (B, C, T, V, M) -> bool (B, T, M)."""
    return (x.abs() > _NOWHERE).any(dim=3).any(dim=1)


def _turned(x: Tensor, vector: Tensor, axis: int) -> Tensor:
    """Clips (B, 3, T, V, M), each turned the shortest way so that its vector (B, 3) points along an axis."""
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
    eye = torch.eye(3, dtype=x.dtype, device=x.device)
    matrix = eye + sine[:, :, None] * cross + (1 - cosine) * torch.matmul(cross, cross)
    still = (vector.abs().sum(dim=1) < _SHORTEST) | ((sine * length)[:, 0] < _SHORTEST)
    matrix = torch.where(still[:, None, None], eye, matrix)
    return torch.matmul(matrix, x.flatten(2)).view(x.shape)


def _taken(x: Tensor, index: Tensor) -> Tensor:
    """Frames of each clip by number: (B, C, T, V, M), (B, W) -> (B, C, W, V, M)."""
    batch, channels, _, joints, bodies = x.shape
    return torch.gather(x, 2, index[:, None, :, None, None].expand(batch, channels, index.shape[1], joints, bodies))


def sampled(x: Tensor, index: Tensor, length: Tensor, followed: bool, image: bool) -> Tensor:
    """Frames of each clip by number; (B, C, T, V, M), (B, W) -> (B, C, W, V, M).

    Args:
        index: which frames, within 0 .. length - 1.
        length: how many frames each clip has, (B,).
        followed: 2 * W frames, each behind it the one that was recorded next, so that motions can be made of them. The
            last frame of a clip is followed by itself; of x y score with scores below zero: then the mean of both is 0
            as theirs is.
        image: whether channels are x y score.
    """
    if not followed:
        return _taken(x, index)
    last = (length - 1)[:, None]
    pairs = _taken(x, torch.stack([index, torch.minimum(index + 1, last)], dim=2).flatten(1))  # (B, C, 2 * W, V, M)
    if not image:
        return pairs
    ends = torch.stack([torch.zeros_like(index, dtype=torch.bool), index == last], dim=2).flatten(1)
    sign = 1 - 2 * ends.to(x.dtype)[:, None, :, None, None]  # (B, 1, 2 * W, 1, 1)
    return torch.cat([pairs[:, :2], pairs[:, 2:] * sign], dim=1)


def stream_of(x: Tensor, stream: str, parents: Tensor, image: bool) -> Tensor:
    """A stream of joints (B, C, T, V, ...), which for motions are pairs of frames, see `sampled`.

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
        return torch.from_numpy(np.stack([_fixed(count, size, *view) for count in length.tolist()]))
    return frame_table(longest, size, view).to(length.device)[length]


@lru_cache(maxsize=16)
def frame_table(longest: int, size: int, view: View = ONE_VIEW) -> Tensor:
    """`fixed_frames` of clips of 0 to `longest` frames, int64 (longest + 1, size)."""
    return torch.from_numpy(np.stack([_fixed(max(count, 1), size, *view) for count in range(longest + 1)]))


@lru_cache(maxsize=8192)
def _fixed(length: int, size: int, number: int, count: int) -> np.ndarray:
    """The frames of one view of a clip of `length` frames, int64 (size,)."""
    if length < size:
        start = number if length < count else number * length // count
        return (start + np.arange(size)) % length
    rng = np.random.RandomState(_SEED)
    bounds = np.arange(size + 1) * length // size
    for _ in range(number + 1):  # the views of a clip are drawn one after the other
        if length < 2 * size:
            kept = np.zeros(size + 1, np.int64)
            kept[rng.choice(size + 1, length - size, replace=False)] = 1
            index = np.arange(size) + np.cumsum(kept)[:-1]
        else:
            index = bounds[:-1] + rng.randint(np.diff(bounds))
    return np.asarray(index, np.int64)
