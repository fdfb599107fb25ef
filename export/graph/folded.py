"""The layers of a trained network with less work and the same answers.

Batch norms are part of the convolutions before them, the fixed and the learned graph are one constant, theta and phi of
all subsets are one convolution and so are the three conv_d. Letters: B bodies, C channels, T frames, V joints, K
subsets.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from agcn.model.fused_graph_conv import fused_graph_conv, fused_similarity
from agcn.model.layers import Block, GraphConv, TemporalConv


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
        """(B, C, T, V) -> (B, out, T / stride, V)."""
        y = self.temporal(self.graph_conv(x))
        if self.residual is not None:
            y = y + self.residual(x)
        return torch.relu(y)


class FoldedGraphConv(nn.Module):
    """A graph convolution with merged products: (B, C, T, V) -> (B, out, T, V).

    Attributes:
        fused: whether it is computed by `agcn.model.fused_graph_conv`, for GPUs without a runtime of their own.
    """

    graph: Tensor
    fused = False

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
        """(B, C, T, V) -> (B, out, T, V)."""
        graph = self.graph_of(x) if self.adaptive else self.graph
        if self.fused:
            weight = self.mix.weight.view(-1, self.subsets, x.shape[1]).transpose(0, 1)  # (K, out, C)
            y = fused_graph_conv(x, graph.expand(x.shape[0], -1, -1, -1), weight)
            y = y if self.mix.bias is None else y + self.mix.bias[:, None, None]
        else:
            flat = x.flatten(1, 2).unsqueeze(1)  # (B, 1, C*T, V)
            mixed = torch.matmul(flat, graph)  # (B, K, C*T, V)
            y = self.mix(mixed.reshape(-1, self.subsets * x.shape[1], x.shape[2], self.joints))
        y = torch.relu(y + (x if self.down is None else self.down(x)))  # (B, out, T, V)
        return y if self.attention is None else self.attention(y)

    def graph_of(self, x: Tensor) -> Tensor:
        """The K graphs of each clip: (B, C, T, V) -> (B, K, V, V)."""
        similar = self._similarity(x)
        if self.softmax:
            return torch.softmax(similar, dim=-2) + self.graph
        return torch.tanh(similar) * self.gain + self.graph

    def _similarity(self, x: Tensor) -> Tensor:
        """Theta' phi of each subset: (B, C, T, V) -> (B, K, V, V)."""
        if self.fused:
            shape = (2, self.subsets, self.embed.out_channels // (2 * self.subsets))
            assert self.embed.bias is not None
            return fused_similarity(x, self.embed.weight.view(*shape, -1), self.embed.bias.view(shape))
        pair = self.embed(x)  # (B, 2 * K * E, T, V)
        size = pair.shape[1] // (2 * self.subsets) * pair.shape[2]  # E * T
        pair = pair.reshape(-1, 2, self.subsets, size, self.joints)
        return torch.matmul(pair[:, 0].transpose(-1, -2), pair[:, 1])


class FoldedAttention(nn.Module):
    """AAGCN's attention over joints, frames and channels, with `y + y * a` as one product `y * (1 + a)`."""

    def __init__(self, conv: GraphConv) -> None:
        super().__init__()
        self.joint = _copy_conv1d(conv.conv_sa)
        self.frame = _copy_conv1d(conv.conv_ta)
        self.squeeze, self.widen = copy_linear(conv.fc1c), copy_linear(conv.fc2c)

    def forward(self, y: Tensor) -> Tensor:
        """(B, C, T, V) -> the same shape."""
        y = y * (1 + torch.sigmoid(self.joint(y.mean(dim=2)))).unsqueeze(2)  # (B, C, T, V)
        y = y * (1 + torch.sigmoid(self.frame(y.mean(dim=3)))).unsqueeze(3)
        channel = torch.sigmoid(self.widen(torch.relu(self.squeeze(y.mean(dim=(2, 3))))))  # (B, C)
        return y * (1 + channel)[:, :, None, None]


def bn_affine(bn: nn.modules.batchnorm._BatchNorm) -> tuple[Tensor, Tensor]:
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
    scale, shift = bn_affine(temporal.bn)
    return _conv2d(weight * scale[:, None, None, None], bias * scale + shift, temporal.conv.stride)


def _merged_embedding(conv: GraphConv, frames: int) -> nn.Conv2d:
    """Theta of all subsets, then phi of all subsets, in one 1x1 convolution.

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
    scale, shift = bn_affine(conv.bn)
    weight = torch.cat([weight for weight, _ in parts], dim=1) * scale[:, None, None, None]  # (out, K * C, 1, 1)
    bias = torch.stack([bias for _, bias in parts]).sum(0) * scale + shift
    if not isinstance(conv.down, nn.Sequential):
        return _conv2d(weight, bias), None
    down_conv, down_bn = conv.down
    assert isinstance(down_bn, nn.BatchNorm2d)
    down_weight, down_bias = _weight_and_bias(down_conv)
    down_scale, down_shift = bn_affine(down_bn)
    down = _conv2d(down_weight * down_scale[:, None, None, None], None)
    return _conv2d(weight, bias + down_bias * down_scale + down_shift), down


def _copy_conv1d(conv: nn.Conv1d) -> nn.Conv1d:
    copy = nn.Conv1d(conv.in_channels, conv.out_channels, conv.kernel_size[0], padding=int(conv.padding[0]))
    copy.weight.data, copy.bias.data = (part.float() for part in _weight_and_bias(conv))  # type: ignore[union-attr]
    return copy


def copy_linear(linear: nn.Linear) -> nn.Linear:
    """The same linear layer in float32, without gradients of the original."""
    copy = nn.Linear(linear.in_features, linear.out_features)
    copy.weight.data, copy.bias.data = (part.float() for part in _weight_and_bias(linear))
    return copy
