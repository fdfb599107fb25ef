"""AGCN as the paper and the original's model/agcn.py have it, nothing merged, nothing left out: what ours is held to.

Letters: N clips, C channels, T frames, V joints, M bodies.
"""

import torch
from torch import Tensor, nn

from agcn.model.layers import Block, GraphConv
from agcn.model.network import Model


class PlainModel(nn.Module):
    """The same weights, computed as the original does: (N, C, T, V, M) -> (N, num_class).

    Every body of every clip is computed, and each of the nine 1x1 convolutions of a graph convolution by itself.

    Args:
        model: an AGCN; its modules are used, not copied.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        assert model.variant == "agcn" and model.adaptive, "the original's plain model is the adaptive AGCN"
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V, M) -> (N, num_class) logits."""
        model = self.model
        x = model.normalise_input(x)  # (N*M, C, T, V)
        for block in model.blocks:
            x = _block(block, x)
        bodies = x.flatten(2).mean(dim=2)  # (N*M, 256)
        return model.fc(bodies.view(-1, model.num_person, bodies.shape[1]).mean(dim=1))


def _block(block: Block, x: Tensor) -> Tensor:
    y = block.tcn1.bn(block.tcn1.conv(_graph_conv(block.gcn1, x)))
    if block.residual is not None:
        y = y + block.residual(x)
    return torch.relu(y)


def _graph_conv(layer: GraphConv, x: Tensor) -> Tensor:
    bodies, channels, frames, joints = x.shape
    graph = layer.A + layer.PA  # (K, V, V)
    total: Tensor | None = None
    for subset, (theta_conv, phi_conv, mix_conv) in enumerate(
        zip(layer.conv_a, layer.conv_b, layer.conv_d, strict=True)
    ):
        theta = theta_conv(x).permute(0, 3, 1, 2).reshape(bodies, joints, -1)  # (N*M, V, E*T)
        phi = phi_conv(x).reshape(bodies, -1, joints)  # (N*M, E*T, V)
        alike = torch.softmax(torch.matmul(theta, phi) / theta.shape[-1], dim=-2) + graph[subset]
        mixed = torch.matmul(x.view(bodies, channels * frames, joints), alike)
        part = mix_conv(mixed.view(bodies, channels, frames, joints))
        total = part if total is None else part + total
    return torch.relu(layer.bn(total) + layer.down(x))
