"""The two-stream network as it is deployed: joints in, both streams' logits and their sum out.

Equal to the two trained models with less work: batch norms are part of the convolutions before them, the fixed and
the learned graph are one constant, theta and phi of all subsets are one convolution and so are the three conv_d, and
bones are made inside. Letters: N clips, C channels, T frames, V joints, M bodies, B = N*M, K subsets.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from agcn.blocks import Block, GraphConv, TemporalConv
from agcn.model import FEATURES, Model


class TwoStream(nn.Module):
    """Joints (N, C, T, V, M) float32 -> (joint_logits, bone_logits, scores), each (N, num_class) float32.

    scores = joint_logits + alpha * bone_logits.

    Args:
        joint_model, bone_model: trained models of one shape; they are copied and stay as they are.
        bone_parents: for each joint, the joint that its bone starts from (`Layout.bone_parents`).
        alpha: weight of the bone stream.
        frames: T; the graph is divided by T, and that is part of the weights here.
        dtype: what the ten blocks compute in; bones, the first normalisation and the classifier stay float32.

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
        frames: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        for what in ("num_class", "num_point", "num_person", "in_channels"):
            ours, theirs = getattr(joint_model, what), getattr(bone_model, what)
            if ours != theirs:
                raise ValueError(f"the joint model has {what} {ours}, the bone model {theirs}: give two of one kind")
        if len(bone_parents) != joint_model.num_point:
            raise ValueError(
                f"bones for {len(bone_parents)} joints, the model has {joint_model.num_point}: give the same layout"
            )
        self.alpha = float(alpha)
        self.register_buffer("parents", torch.tensor(list(bone_parents)))
        self.joint = Stream(joint_model, frames, dtype)
        self.bone = Stream(bone_model, frames, dtype)
        self.eval().requires_grad_(False)

    def forward(self, joints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        bones = joints - joints.index_select(3, self.parents)  # (N, C, T, V, M)
        joint_logits, bone_logits = self.joint(joints), self.bone(bones)
        return joint_logits, bone_logits, joint_logits + self.alpha * bone_logits


class Stream(nn.Module):
    """One stream, folded: (N, C, T, V, M) float32 -> logits (N, num_class) float32."""

    scale: Tensor
    shift: Tensor

    def __init__(self, model: Model, frames: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.persons, self.dtype = model.num_person, dtype
        scale, shift = _bn_affine(model.data_bn)
        # The batch norm counts its channels as (M, V, C).
        shape = (model.num_person, model.num_point, model.in_channels)
        self.register_buffer("scale", scale.view(shape).permute(2, 1, 0)[:, None].float().contiguous())  # (C, 1, V, M)
        self.register_buffer("shift", shift.view(shape).permute(2, 1, 0)[:, None].float().contiguous())
        blocks = []
        for block in model.blocks:
            blocks.append(FoldedBlock(block, frames))
            frames = blocks[-1].frames
        self.blocks = nn.Sequential(*blocks).to(dtype)
        self.fc = _copy_linear(model.fc)

    def forward(self, x: Tensor) -> Tensor:
        x = (x * self.scale + self.shift).to(self.dtype)
        x = x.permute(0, 4, 1, 2, 3).flatten(0, 1)  # (B, C, T, V)
        x = self.blocks(x)  # (B, 256, T / 4, V)
        # In float32: the mean of thousands of values, and the logits, are where half precision would lose most.
        x = x.float().mean(dim=(2, 3)).reshape(-1, self.persons, FEATURES)  # (N, M, 256)
        # Written out because TensorRT-RTX has no float32 matrix product for sm_75; it is 256 numbers a class.
        return (x.mean(dim=1, keepdim=True) * self.fc.weight).sum(dim=-1) + self.fc.bias  # (N, num_class)


class FoldedBlock(nn.Module):
    """A block without batch norms: (B, C, T, V) -> (B, out, T / stride, V)."""

    def __init__(self, block: Block, frames: int) -> None:
        super().__init__()
        self.graph_conv = FoldedGraphConv(block.gcn1, frames)
        self.temporal = _folded_temporal(block.tcn1)
        stride = int(block.tcn1.conv.stride[0])
        self.frames = (frames - 1) // stride + 1
        self.residual: nn.Module | None = block.residual
        if isinstance(block.residual, TemporalConv):
            self.residual = _folded_temporal(block.residual)

    def forward(self, x: Tensor) -> Tensor:
        y = self.temporal(self.graph_conv(x))
        if self.residual is not None:
            y = y + self.residual(x)
        return torch.relu(y)


class FoldedGraphConv(nn.Module):
    """A graph convolution with merged products: (B, C, T, V) -> (B, out, T, V)."""

    graph: Tensor

    def __init__(self, conv: GraphConv, frames: int) -> None:
        super().__init__()
        self.subsets, self.joints = conv.A.shape[0], conv.A.shape[-1]
        self.adaptive, self.softmax = conv.adaptive, conv.variant == "agcn"
        self.gain = 1.0
        graph = conv.A.double()
        if conv.adaptive:
            graph = conv.A.double() + conv.PA.double() if self.softmax else conv.PA.double()
            self.gain = 1.0 if self.softmax else conv.alpha.item()
            self.embed = _merged_embedding(conv, frames)
        self.register_buffer("graph", graph.detach().float()[None].contiguous())  # (1, K, V, V)
        self.mix, self.down = _merged_mix(conv)
        self.attention = FoldedAttention(conv) if conv.attention else None

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1, 2).unsqueeze(1)  # (B, 1, C*T, V)
        mixed = torch.matmul(flat, self.graph_of(x) if self.adaptive else self.graph)  # (B, K, C*T, V)
        y = self.mix(mixed.reshape(-1, self.subsets * x.shape[1], x.shape[2], self.joints))
        y = torch.relu(y + (x if self.down is None else self.down(x)))  # (B, out, T, V)
        return y if self.attention is None else self.attention(y)

    def graph_of(self, x: Tensor) -> Tensor:
        """The K graphs of each clip: (B, C, T, V) -> (B, K, V, V)."""
        pair = self.embed(x)  # (B, 2 * K * E, T, V)
        size = pair.shape[1] // (2 * self.subsets) * pair.shape[2]  # E * T
        pair = pair.reshape(-1, 2, self.subsets, size, self.joints)
        similar = torch.matmul(pair[:, 0].transpose(-1, -2), pair[:, 1])  # (B, K, V, V)
        if self.softmax:
            return torch.softmax(similar, dim=-2) + self.graph
        return torch.tanh(similar) * self.gain + self.graph


class FoldedAttention(nn.Module):
    """AAGCN's attention over joints, frames and channels, with `y + y * a` as one product `y * (1 + a)`."""

    def __init__(self, conv: GraphConv) -> None:
        super().__init__()
        self.joint = _copy_conv1d(conv.conv_sa)
        self.frame = _copy_conv1d(conv.conv_ta)
        self.squeeze, self.widen = _copy_linear(conv.fc1c), _copy_linear(conv.fc2c)

    def forward(self, y: Tensor) -> Tensor:
        y = y * (1 + torch.sigmoid(self.joint(y.mean(dim=2)))).unsqueeze(2)  # (B, C, T, V)
        y = y * (1 + torch.sigmoid(self.frame(y.mean(dim=3)))).unsqueeze(3)
        channel = torch.sigmoid(self.widen(torch.relu(self.squeeze(y.mean(dim=(2, 3))))))  # (B, C)
        return y * (1 + channel)[:, :, None, None]


def _bn_affine(bn: nn.modules.batchnorm._BatchNorm) -> tuple[Tensor, Tensor]:
    """The batch norm as `x * scale + shift`, float64 (C,) each."""
    assert bn.running_mean is not None and bn.running_var is not None
    scale = bn.weight.detach().double() / torch.sqrt(bn.running_var.double() + bn.eps)
    return scale, bn.bias.detach().double() - bn.running_mean.double() * scale


def _conv2d(weight: Tensor, bias: Tensor | None, stride: Sequence[int] = (1, 1)) -> nn.Conv2d:
    """A convolution with these float64 weights (out, in, kernel, 1), padded to keep T at stride 1."""
    out_channels, in_channels, kernel, _ = weight.shape
    conv = nn.Conv2d(
        in_channels, out_channels, (kernel, 1), (stride[0], stride[1]), ((kernel - 1) // 2, 0), bias=bias is not None
    )
    conv.weight.data = weight.float().contiguous()
    if bias is not None and conv.bias is not None:
        conv.bias.data = bias.float().contiguous()
    return conv


def _weight_and_bias(conv: nn.Module) -> tuple[Tensor, Tensor]:
    assert isinstance(conv, nn.Conv1d | nn.Conv2d | nn.Linear) and conv.bias is not None
    return conv.weight.detach().double(), conv.bias.detach().double()


def _folded_temporal(temporal: TemporalConv) -> nn.Conv2d:
    weight, bias = _weight_and_bias(temporal.conv)
    scale, shift = _bn_affine(temporal.bn)
    return _conv2d(weight * scale[:, None, None, None], bias * scale + shift, temporal.conv.stride)


def _merged_embedding(conv: GraphConv, frames: int) -> nn.Conv2d:
    """theta of all subsets, then phi of all subsets, in one 1x1 convolution.

    Each is divided by the root of the length of their product (E * T), here in the weights: the product's sum would
    pass half precision's largest number.
    """
    parts = [_weight_and_bias(part) for part in (*conv.conv_a, *conv.conv_b)]
    scale = 1.0 / math.sqrt(parts[0][0].shape[0] * frames)
    return _conv2d(torch.cat([weight for weight, _ in parts]) * scale, torch.cat([bias for _, bias in parts]) * scale)


def _merged_mix(conv: GraphConv) -> tuple[nn.Conv2d, nn.Conv2d | None]:
    """conv_d of all subsets and the batch norm after them as one 1x1 convolution, and the shortcut's, if it has one.

    All biases go to the first.
    """
    parts = [_weight_and_bias(part) for part in conv.conv_d]
    scale, shift = _bn_affine(conv.bn)
    weight = torch.cat([weight for weight, _ in parts], dim=1) * scale[:, None, None, None]  # (out, K * C, 1, 1)
    bias = torch.stack([bias for _, bias in parts]).sum(0) * scale + shift
    if not isinstance(conv.down, nn.Sequential):
        return _conv2d(weight, bias), None
    down_conv, down_bn = conv.down
    assert isinstance(down_bn, nn.BatchNorm2d)
    down_weight, down_bias = _weight_and_bias(down_conv)
    down_scale, down_shift = _bn_affine(down_bn)
    down = _conv2d(down_weight * down_scale[:, None, None, None], None)
    return _conv2d(weight, bias + down_bias * down_scale + down_shift), down


def _copy_conv1d(conv: nn.Conv1d) -> nn.Conv1d:
    copy = nn.Conv1d(conv.in_channels, conv.out_channels, conv.kernel_size[0], padding=int(conv.padding[0]))
    copy.weight.data, copy.bias.data = (part.float() for part in _weight_and_bias(conv))  # type: ignore[union-attr]
    return copy


def _copy_linear(linear: nn.Linear) -> nn.Linear:
    copy = nn.Linear(linear.in_features, linear.out_features)
    copy.weight.data, copy.bias.data = (part.float() for part in _weight_and_bias(linear))
    return copy
