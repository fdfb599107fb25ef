"""The network as it is deployed: joints in, the logits of two or four streams and their sum out.

Equal to the trained models with less work: batch norms are part of the convolutions before them, the fixed and
the learned graph are one constant, theta and phi of all subsets are one convolution and so are the three conv_d, and
bones and motions are made inside. Letters: N clips, C channels, T frames, V joints, M bodies of a clip, B bodies that
are computed, K subsets, F features.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from agcn.data.pyskl import make_pyskl_stream
from agcn.model.network import Model
from export.graph.folded import FoldedBlock, FoldedGraphConv, bn_affine, copy_linear
from native_prep.skeletons.streams import STREAMS


class TwoStream(nn.Module):
    """Joints (N, C, T, V, M) float32 -> the logits of each stream and last `scores`, each (N, num_class) float32.

    scores = joint_logits + alpha * bone_logits, and with four streams + motion_alpha * each motion's logits.

    A body that is not there (zeros everywhere) is the same input in every clip, so its share of the logits is a
    constant of the weights: only bodies that are there are computed.

    Args:
        joint_model, bone_model: trained models of one shape; they are copied and stay as they are.
        bone_parents: for each joint, the joint that its bone starts from (`Layout.bone_parents`).
        alpha: weight of the bone stream.
        motion_models: those of joint_motion and bone_motion, for four streams.
        motion_alpha: weight of both motion streams.
        frames: T; the graph is divided by T, and that is part of the weights here.
        dtype: what the ten blocks compute in; bones, the first normalisation and the classifier stay float32.
        prepare: makes prepared joints of raw ones, see `export.graph.preprocess`; None where the input is prepared.
        skip_absent: False computes every body, for runtimes without a data-dependent number of rows.
        convention: the feeder's, which says how bones and motions are made; with "pyskl" and four streams the input has
            2 * T frames, see `agcn.data.pyskl.sample_frames`.

    Raises:
        ValueError: the models differ in shape, or `bone_parents` is for another number of joints.
    """

    parents: Tensor

    def __init__(
        self,
        joint_model: Model,
        bone_model: Model,
        bone_parents: Sequence[int],
        alpha: float = 1.0,
        *,
        motion_models: tuple[Model, Model] | None = None,
        motion_alpha: float = 1.0,
        frames: int,
        dtype: torch.dtype = torch.float32,
        prepare: nn.Module | None = None,
        skip_absent: bool = True,
        convention: str = "",
    ) -> None:
        super().__init__()
        models = [joint_model, bone_model, *(motion_models or ())]
        for stream, model in zip(STREAMS, models, strict=False):
            for what in ("num_class", "num_point", "num_person", "in_channels"):
                ours, theirs = getattr(joint_model, what), getattr(model, what)
                if ours != theirs:
                    raise ValueError(
                        f"the joint model has {what} {ours}, the {stream} model {theirs}: give models of one kind"
                    )
        if len(bone_parents) != joint_model.num_point:
            raise ValueError(
                f"bones for {len(bone_parents)} joints, the model has {joint_model.num_point}: give the same layout"
            )
        self.persons = joint_model.num_person
        self.skip_absent = skip_absent and self.persons > 1
        self.weights = (1.0, float(alpha), float(motion_alpha), float(motion_alpha))[: len(models)]
        self.register_buffer("parents", torch.tensor(list(bone_parents)))
        self.streams = nn.ModuleList(Stream(model, frames, dtype) for model in models)
        self.prepare = prepare
        self.convention, self.image = convention, joint_model.layout.coordinates == "image"
        self.eval().requires_grad_(False)

    def fuse_graph_conv(self) -> None:
        """Convolves by custom Triton kernels (`agcn.model.fused_graph_conv`): for GPUs, in half precision."""
        for module in self.modules():
            if isinstance(module, FoldedGraphConv):
                module.fused = True

    def forward(self, joints: Tensor) -> tuple[Tensor, ...]:
        """Joints (N, C, T, V, M) -> the logits of each stream, and last their weighted sum."""
        if self.prepare is not None:
            joints = self.prepare(joints)
        rows = joints.permute(0, 4, 1, 2, 3).flatten(0, 1)  # (N*M, C, T, V)
        if self.skip_absent:
            gather_index, body_index, inverse_index = present_rows(joints)
            return self.answer(rows.index_select(0, gather_index), body_index, inverse_index)
        return self.answer(rows, None, None)

    def answer(self, rows: Tensor, body_index: Tensor | None, inverse_index: Tensor | None) -> tuple[Tensor, ...]:
        """The answers from bodies, see `present_rows`; without both indices, from all bodies of all clips.

        Args:
            rows: (B, C, T, V), bodies.
            body_index: int64 (B,), each one's place in its clip.
            inverse_index: int64 (N*M,), for each body its row, or B + its place in the clip where it is not there.
        """
        inputs = make_streams(rows, len(self.streams), self.parents, self.convention, self.image)
        logits = [stream(x, body_index, inverse_index) for stream, x in zip(self.streams, inputs, strict=True)]
        scores = logits[0]
        for weight, one in zip(self.weights[1:], logits[1:], strict=True):
            scores = scores + weight * one
        return (*logits, scores)


class RowNetwork(nn.Module):
    """`TwoStream.answer` as a network of its own, for runtimes around which `present_rows` is done."""

    def __init__(self, network: TwoStream) -> None:
        super().__init__()
        self.network = network

    def forward(self, rows: Tensor, body_index: Tensor, inverse_index: Tensor) -> tuple[Tensor, ...]:
        """See `TwoStream.answer`."""
        return self.network.answer(rows, body_index, inverse_index)


def present_rows(joints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which bodies of (N, C, T, V, M) are there; the first of each clip counts as there, so that there is a row.

    Returns:
        gather_index: int64 (B,), their numbers, counted clip by clip; body_index and inverse_index, see
            `TwoStream.answer`.
    """
    clips, persons = joints.shape[0], joints.shape[4]
    there = (joints != 0).permute(0, 4, 1, 2, 3).flatten(2).any(dim=2)  # (N, M)
    there = torch.cat([torch.ones_like(there[:, :1]), there[:, 1:]], dim=1).flatten()  # (N*M,)
    gather_index = torch.nonzero(there).flatten()
    bodies = gather_index.shape[0]
    # Said because torch.export cannot know it, and 1 would be taken for a size of its own.
    torch._check(bodies >= 1)
    slot = torch.arange(persons, device=joints.device).repeat(clips)  # (N*M,)
    inverse_index = torch.where(there, torch.cumsum(there.long(), dim=0) - 1, slot + bodies)
    return gather_index, gather_index % persons, inverse_index


def make_streams(x: Tensor, count: int, parents: Tensor, convention: str, image: bool) -> list[Tensor]:
    """Two or four streams of joints (B, C, T, V, ...), see `TwoStream`."""
    names = STREAMS[:count]
    if convention:
        frames = x[:, :, 0::2] if count > 2 else x
        return [make_pyskl_stream(x if name.endswith("motion") else frames, name, parents, image) for name in names]
    bones = x - x.index_select(3, parents)
    return [x, bones, *((_motion(x), _motion(bones)) if count > 2 else ())]


def _motion(x: Tensor) -> Tensor:
    """What moves until the next frame, zero in the last: (B, C, T, V, ...)."""
    return torch.cat([x[:, :, 1:] - x[:, :, :-1], torch.zeros_like(x[:, :, :1])], dim=2)


class Stream(nn.Module):
    """One stream, folded: bodies (B, C, T, V) float32 -> logits (N, num_class) float32; see `TwoStream.answer`."""

    scale: Tensor
    shift: Tensor
    absent: Tensor

    def __init__(self, model: Model, frames: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.persons, self.dtype = model.num_person, dtype
        scale, shift = bn_affine(model.data_bn)
        # The batch norm counts its channels as (M, V, C).
        shape = (model.num_person, model.num_point, model.in_channels)
        self.register_buffer("scale", scale.view(shape).transpose(1, 2)[:, :, None].float().contiguous())  # (M,C,1,V)
        self.register_buffer("shift", shift.view(shape).transpose(1, 2)[:, :, None].float().contiguous())
        blocks = []
        left = frames
        for block in model.blocks:
            blocks.append(FoldedBlock(block, left))
            left = blocks[-1].frames
        self.blocks = nn.Sequential(*blocks)
        self.fc = copy_linear(model.fc)
        self.register_buffer("absent", self._share_of_absent(frames))  # (M, num_class)
        self.blocks.to(dtype)

    def forward(self, x: Tensor, body_index: Tensor | None, inverse_index: Tensor | None) -> Tensor:
        """Bodies (B, C, T, V) -> (N, num_class); see `TwoStream.answer` for the indices."""
        if body_index is None:
            x = x.reshape(-1, self.persons, *x.shape[1:])  # (N, M, C, T, V)
            x = (x * self.scale + self.shift).flatten(0, 1)  # (B, C, T, V)
        else:
            x = x * self.scale.index_select(0, body_index) + self.shift.index_select(0, body_index)
        shares = self._shares(self.blocks(x.to(self.dtype)))  # (B, num_class)
        if inverse_index is not None:
            shares = torch.cat([shares, self.absent]).index_select(0, inverse_index)  # (N*M, num_class)
        return shares.reshape(-1, self.persons, shares.shape[1]).mean(dim=1) + self.fc.bias

    def _shares(self, x: Tensor) -> Tensor:
        """What each body adds to the logits, before the mean over bodies: (B, F, T / 4, V) -> (B, num_class)."""
        # In float32: the mean of thousands of values, and the logits, are where half precision would lose most.
        x = x.float().mean(dim=(2, 3))  # (B, F)
        # Written out because TensorRT-RTX has no float32 matrix product for sm_75; it is F numbers a class.
        return (x[:, None] * self.fc.weight).sum(dim=-1)

    @torch.no_grad()
    def _share_of_absent(self, frames: int) -> Tensor:
        x = self.shift.double().expand(-1, -1, frames, -1)  # (M, C, T, V)
        return self._shares(copy.deepcopy(self.blocks).double()(x))
