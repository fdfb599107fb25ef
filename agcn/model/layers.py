"""The layers of AGCN and AAGCN.

Letters: N clips times bodies, C channels, T frames, V joints, K subsets of the graph (self, inward, outward).
In training, rows may stand for several bodies each; `count` says how many (see `agcn.model.absent_bodies`).
The names of modules and parameters are those of the original's checkpoints.

Source: Shi et al., Two-Stream Adaptive Graph Convolutional Networks, CVPR 2019 (AGCN), and Skeleton-Based Action
Recognition with Multi-Stream Adaptive Graph Convolutional Networks, TIP 2020 (AAGCN).
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from agcn.model.absent_bodies import norm_rows
from agcn.model.fused_graph_conv import fused_graph_conv, fused_similarity

NUM_SUBSETS = 3
# Of the out_channels of a graph convolution, the share that theta and phi compare joints in.
EMBEDDING_SHARE = 4


class TemporalConv(nn.Module):
    """Convolution over time and a batch norm: (N, C, T, V) -> (N, out, T / stride, V)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 9, stride: int = 1) -> None:
        super().__init__()
        pad = (kernel_size - 1) // 2
        self.conv = nn.Conv2d(in_channels, out_channels, (kernel_size, 1), (stride, 1), (pad, 0))
        self.bn = nn.BatchNorm2d(out_channels)
        init_conv(self.conv)
        init_bn(self.bn, 1.0)

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """(N, C, T, V) -> (N, out, T / stride, V); each row counts `count` (N,) times, once where it is None."""
        return norm_rows(self.bn, self.conv(x), count)


class GraphConv(nn.Module):
    """Graph convolution whose graph is partly fixed, partly learned, partly computed from each clip.

    The graph of subset k is, in AGCN, `A + PA + softmax(theta' phi / size)` (paper, equation 3), in AAGCN
    `PA + alpha tanh(theta' phi / size)` where PA starts as A. Not adaptive, it is A alone.

    Args:
        in_channels, out_channels: C before and after.
        fixed_graph: A, (K, V, V).
        variant: "agcn" or "aagcn".
        adaptive: with the learned and the computed part.
        attention: over joints, then frames, then channels (AAGCN only).

    Attributes:
        fused: whether features lie with their channels last and are convolved by `fused_graph_conv`.
    """

    A: Tensor
    fused = False

    def __init__(
        self, in_channels: int, out_channels: int, fixed_graph: Tensor, variant: str, adaptive: bool, attention: bool
    ) -> None:
        super().__init__()
        self.variant, self.adaptive = variant, adaptive
        self.register_buffer("A", fixed_graph.clone(), persistent=False)
        embedding = out_channels // EMBEDDING_SHARE
        if adaptive:
            start = fixed_graph.clone() if variant == "aagcn" else torch.full_like(fixed_graph, 1e-6)
            self.PA = nn.Parameter(start)
            if variant == "aagcn":
                self.alpha = nn.Parameter(torch.zeros(1))
            self.conv_a = nn.ModuleList(nn.Conv2d(in_channels, embedding, 1) for _ in range(NUM_SUBSETS))
            self.conv_b = nn.ModuleList(nn.Conv2d(in_channels, embedding, 1) for _ in range(NUM_SUBSETS))
        self.conv_d = nn.ModuleList(nn.Conv2d(in_channels, out_channels, 1) for _ in range(NUM_SUBSETS))
        self.down: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.down = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))
        self.bn = nn.BatchNorm2d(out_channels)
        self._initialise()
        self.attention = attention
        if attention:
            self._add_attention(out_channels, fixed_graph.shape[-1])

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init_conv(module)
            elif isinstance(module, nn.BatchNorm2d):
                init_bn(module, 1.0)
        # The convolution starts as nothing beside its shortcut.
        init_bn(self.bn, 1e-6)
        for conv in self.conv_d:
            init_branch(conv, NUM_SUBSETS)

    def _add_attention(self, channels: int, num_joints: int) -> None:
        joint_kernel = num_joints - 1 + num_joints % 2  # the largest odd number up to V
        self.conv_ta = nn.Conv1d(channels, 1, 9, padding=4)
        self.conv_sa = nn.Conv1d(channels, 1, joint_kernel, padding=(joint_kernel - 1) // 2)
        self.fc1c = nn.Linear(channels, channels // 2)
        self.fc2c = nn.Linear(channels // 2, channels)
        nn.init.xavier_normal_(self.conv_sa.weight)
        nn.init.kaiming_normal_(self.fc1c.weight)
        for tensor in (self.conv_ta.weight, self.fc2c.weight):
            nn.init.zeros_(tensor)
        for bias in (self.conv_ta.bias, self.conv_sa.bias, self.fc1c.bias, self.fc2c.bias):
            if bias is not None:
                nn.init.zeros_(bias)

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """(N, C, T, V) -> (N, out, T, V); each row counts `count` (N,) times, once where it is None."""
        y = norm_rows(self.bn, self.convolve(x), count) + self.shortcut(x, count)
        y = torch.relu(y)
        return self.attend(y) if self.attention else y

    def shortcut(self, x: Tensor, count: Tensor | None) -> Tensor:
        """What is added to the convolution: (N, C, T, V) -> (N, out, T, V)."""
        if not isinstance(self.down, nn.Sequential):
            return x
        conv, bn = self.down
        y = conv(x) if self.fused else _product(*_joined([conv]), x)
        return norm_rows(bn, y, count)

    def convolve(self, x: Tensor) -> Tensor:
        """The sum over subsets: (N, C, T, V) -> (N, out, T, V)."""
        clips, channels, frames, joints = x.shape
        graphs = self.graphs(x)  # (N, K, V, V)
        weight, biases = _joined(self.conv_d)  # (K*out, C), (K*out,)
        bias = biases.view(NUM_SUBSETS, -1).sum(dim=0)  # (out,)
        out_channels = len(bias)
        if self.fused:
            x = _as_autocast(x)
            y = fused_graph_conv(x, graphs, weight.view(NUM_SUBSETS, out_channels, channels))
            return y + bias.to(y.dtype)[:, None, None]
        if channels < out_channels // 2:
            # Few channels (the first layer): cheaper to mix them before there are more.
            flat = x.reshape(clips, channels * frames, joints)
            mixed = torch.cat([torch.bmm(flat, graph) for graph in graphs.unbind(1)], dim=1)  # (N, K*C*T, V)
            weight = torch.cat(weight.chunk(NUM_SUBSETS), dim=1)  # (out, K*C)
            return _product(weight, bias, mixed.view(clips, NUM_SUBSETS * channels, frames, joints))
        parts = torch.bmm(weight.expand(clips, -1, -1), x.reshape(clips, channels, frames * joints))  # (N, K*out, T*V)
        total = bias[:, None].expand(-1, frames).reshape(1, out_channels * frames, 1)
        for part, graph in zip(parts.view(clips, NUM_SUBSETS, -1, joints).unbind(1), graphs.unbind(1), strict=True):
            total = torch.baddbmm(total, part, graph)  # (N, out*T, V)
        return total.view(clips, out_channels, frames, joints)

    def graphs(self, x: Tensor) -> Tensor:
        """The graph of each subset for each clip: (N, C, T, V) -> (N, K, V, V)."""
        if not self.adaptive:
            return self.A.expand(x.shape[0], *self.A.shape)
        shared = self.PA if self.variant == "aagcn" else self.A + self.PA
        return self.data_dependent_graphs(x) + shared

    def data_dependent_graphs(self, x: Tensor) -> Tensor:
        """The part that each clip makes for itself, the paper's C: (N, C, T, V) -> (N, K, V, V)."""
        similar = self.similarity(x)
        return torch.tanh(similar) * self.alpha if self.variant == "aagcn" else torch.softmax(similar, dim=-2)

    def similarity(self, x: Tensor) -> Tensor:
        """Theta' phi over channels and frames, divided by their number: (N, C, T, V) -> (N, K, V, V).

        theta and phi of all subsets are one product; in the state dict they are six convolutions.
        """
        clips, _, frames, joints = x.shape
        weight, bias = _joined([*self.conv_a, *self.conv_b])  # (2*K*E, C), (2*K*E,)
        size = frames * len(bias) // (2 * NUM_SUBSETS)
        # Each factor is scaled before their product: its sum over C*T would pass half precision's largest number.
        scale = 1.0 / math.sqrt(size)
        if self.fused:
            shape = (2, NUM_SUBSETS, len(bias) // (2 * NUM_SUBSETS))
            weight, bias = (weight * scale).view(*shape, -1), (bias * scale).view(shape)
            return fused_similarity(_as_autocast(x), weight, bias)
        theta, phi = _product(weight * scale, bias * scale, x).view(clips, 2, NUM_SUBSETS, size, joints).unbind(1)
        return torch.matmul(theta.transpose(2, 3), phi)

    def attend(self, y: Tensor) -> Tensor:
        """Weighs joints, then frames, then channels, each by 1 plus a share: (N, C, T, V) -> (N, C, T, V)."""
        joint = torch.sigmoid(self.conv_sa(y.mean(dim=2)))  # (N, 1, V)
        y = y * joint.unsqueeze(2) + y
        frame = torch.sigmoid(self.conv_ta(y.mean(dim=3)))  # (N, 1, T)
        y = y * frame.unsqueeze(3) + y
        hidden = torch.relu(self.fc1c(y.mean(dim=(2, 3))))  # (N, C / 2)
        channel = torch.sigmoid(self.fc2c(hidden))  # (N, C)
        return y * channel[:, :, None, None] + y


class Block(nn.Module):
    """Graph convolution, then temporal convolution, with a shortcut: (N, C, T, V) -> (N, out, T / stride, V)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        fixed_graph: Tensor,
        *,
        stride: int = 1,
        shortcut: bool = True,
        variant: str = "agcn",
        adaptive: bool = True,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.gcn1 = GraphConv(in_channels, out_channels, fixed_graph, variant, adaptive, attention)
        self.tcn1 = TemporalConv(out_channels, out_channels, stride=stride)
        self.residual: nn.Module | None = None
        if shortcut:
            same = in_channels == out_channels and stride == 1
            self.residual = nn.Identity() if same else TemporalConv(in_channels, out_channels, 1, stride)

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """(N, C, T, V) -> (N, out, T / stride, V); each row counts `count` (N,) times, once where it is None."""
        y = self.tcn1(self.gcn1(x, count), count)
        if isinstance(self.residual, TemporalConv):
            y = y + self.residual(x, count)
        elif self.residual is not None:
            y = y + x
        return torch.relu(y)


def _joined(convs: Iterable[nn.Module]) -> tuple[Tensor, Tensor]:
    """Several 1x1 convolutions as one: weights (sum of out, C), biases (sum of out,)."""
    weights, biases = zip(*((conv.weight, conv.bias) for conv in convs), strict=True)
    return torch.cat(weights).flatten(1), torch.cat(biases)


def _as_autocast(x: Tensor) -> Tensor:
    """The tensor in the precision that autocast would give a matrix product."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


def _product(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """A 1x1 convolution: (out, C), (out,), (N, C, T, V) -> (N, out, T, V).

    On two cores 1.3 times as fast as `conv2d`; `matmul` would copy x to fold N into T*V.
    """
    flat = x.reshape(*x.shape[:2], -1)
    return torch.baddbmm(bias[:, None], weight.expand(x.shape[0], -1, -1), flat).view(x.shape[0], -1, *x.shape[2:])


def init_conv(conv: nn.Conv2d) -> None:
    """He's initialisation by fan-out, bias 0."""
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def init_branch(conv: nn.Module, branches: int) -> None:
    """A normal distribution narrower the more branches are added up."""
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    out_channels, in_channels, kernel = conv.weight.shape[:3]
    nn.init.normal_(conv.weight, 0.0, math.sqrt(2.0 / (out_channels * in_channels * kernel * branches)))
    nn.init.zeros_(conv.bias)


def init_bn(bn: nn.modules.batchnorm._BatchNorm, scale: float) -> None:
    """Weight `scale`, bias 0."""
    nn.init.constant_(bn.weight, scale)
    nn.init.zeros_(bn.bias)
