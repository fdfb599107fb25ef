"""The network: ten blocks between a batch norm of the input and a linear classifier.

Letters: N clips, C channels, T frames, V joints, M bodies; F = 4 * base_channels features.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from agcn.model.absent_bodies import BodyRows
from agcn.model.graph import adjacency, resolve_graph
from agcn.model.layers import Block, init_bn
from agcn.validate import coerce, nearest

# What a configuration may call each variant: the original's class names, or ours.
MODEL_NAMES = {
    "model.agcn.Model": "agcn",
    "model.aagcn.Model": "aagcn",
    "agcn": "agcn",
    "aagcn": "aagcn",
}


class Model(nn.Module):
    """AGCN or AAGCN: (N, C, T, V, M) skeleton clips -> (N, num_class) logits.

    Args:
        num_class: classes.
        num_point: V; must be the graph's.
        num_person: M.
        graph, graph_args: the skeleton, see `agcn.model.graph.resolve_graph`.
        in_channels: C.
        base_channels: of the first four blocks; the next three have twice as many, the last three four times.
        drop_out: share of the features dropped before the classifier when training (AAGCN of the original).
        variant: "agcn" or "aagcn".
        adaptive: False leaves the fixed graph alone.
        attention: joint, frame and channel attention; None means the variant's own (AAGCN has it).

    Raises:
        ValueError: joints and graph disagree, a number below 1, an unknown variant.

    Source: model/agcn.py and model/aagcn.py of 2s-AGCN; the state dict's names are theirs.
    """

    fused = False

    def __init__(
        self,
        num_class: int = 60,
        num_point: int = 25,
        num_person: int = 2,
        graph: str | None = None,
        graph_args: Mapping[str, Any] | None = None,
        in_channels: int = 3,
        base_channels: int = 64,
        drop_out: float = 0.0,
        variant: str = "agcn",
        adaptive: bool = True,
        attention: bool | None = None,
    ) -> None:
        super().__init__()
        if variant not in ("agcn", "aagcn"):
            raise ValueError(f"model_args: variant {variant!r} is not known: use 'agcn' or 'aagcn'")
        for name, value in (("num_class", num_class), ("num_person", num_person), ("in_channels", in_channels)):
            if value < 1:
                raise ValueError(f"model_args: {name} is {value}: must be at least 1")
        if base_channels < 4 or base_channels % 4:
            raise ValueError(f"model_args: base_channels is {base_channels}: must be a multiple of 4")
        self.layout = resolve_graph(graph, graph_args)
        if num_point != self.layout.num_joints:
            raise ValueError(
                f"model_args: num_point is {num_point}, but the graph {self.layout.name} has "
                f"{self.layout.num_joints} joints: set num_point: {self.layout.num_joints} or another graph"
            )
        self.num_class, self.num_point = num_class, num_point
        self.num_person, self.in_channels = num_person, in_channels
        self.variant, self.adaptive = variant, adaptive
        self.attention = variant == "aagcn" if attention is None else attention
        self.data_bn = nn.BatchNorm1d(num_person * in_channels * num_point)
        self.base_channels = base_channels
        self._add_blocks(torch.from_numpy(adjacency(self.layout.edges, num_point)).float())
        self.fc = nn.Linear(4 * base_channels, num_class)
        self.drop_out = nn.Dropout(drop_out)
        nn.init.normal_(self.fc.weight, 0.0, math.sqrt(2.0 / num_class))
        init_bn(self.data_bn, 1.0)

    def _add_blocks(self, graph: Tensor) -> None:
        kind: dict[str, Any] = {"variant": self.variant, "adaptive": self.adaptive, "attention": self.attention}
        first, middle, last = (factor * self.base_channels for factor in (1, 2, 4))
        self.l1 = Block(self.in_channels, first, graph, shortcut=False, **kind)
        self.l2 = Block(first, first, graph, **kind)
        self.l3 = Block(first, first, graph, **kind)
        self.l4 = Block(first, first, graph, **kind)
        self.l5 = Block(first, middle, graph, stride=2, **kind)
        self.l6 = Block(middle, middle, graph, **kind)
        self.l7 = Block(middle, middle, graph, **kind)
        self.l8 = Block(middle, last, graph, stride=2, **kind)
        self.l9 = Block(last, last, graph, **kind)
        self.l10 = Block(last, last, graph, **kind)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The ten blocks in order."""
        return (self.l1, self.l2, self.l3, self.l4, self.l5, self.l6, self.l7, self.l8, self.l9, self.l10)

    def fuse_graph_conv(self) -> None:
        """Convolves by custom Triton kernels (`agcn.model.fused_graph_conv`): for GPUs, in half precision."""
        self.fused = True
        for block in self.blocks:
            block.gcn1.fused = True

    def forward(self, x: Tensor, rows: BodyRows | None = None) -> Tensor:
        """(N, C, T, V, M) -> (N, num_class) logits; `rows` says which bodies to compute, see `features`."""
        return self.fc(self.drop_out(self.features(x, rows)))

    def features(self, x: Tensor, rows: BodyRows | None = None) -> Tensor:
        """What the classifier sees: (N, C, T, V, M) -> (N, F), the mean over frames, joints and bodies.

        Args:
            rows: which bodies to compute; the others are equal to one of them. None computes all.
        """
        x = self.normalise_input(x)  # (N*M, C, T, V)
        count = None
        if rows is not None:
            x = x.index_select(0, rows.gather_index)  # (R, C, T, V)
            count = rows.multiplicity if self.training else None
        if self.fused:
            x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x, count)
        x = x.flatten(2).mean(dim=2)  # (R, F)
        if rows is not None:
            x = x.index_select(0, rows.inverse_index)  # (N*M, F)
        return x.reshape(-1, self.num_person, x.shape[1]).mean(dim=1)

    def normalise_input(self, x: Tensor) -> Tensor:
        """One batch norm channel for each body, joint and coordinate: (N, C, T, V, M) -> (N*M, C, T, V)."""
        channels, frames, joints, persons = x.shape[1:]
        x = x.permute(0, 4, 3, 1, 2).reshape(-1, persons * joints * channels, frames)  # (N, M*V*C, T)
        x = self.data_bn(x)
        x = x.view(-1, persons, joints, channels, frames).permute(0, 1, 3, 4, 2)  # (N, M, C, T, V)
        return x.reshape(-1, channels, frames, joints)


def model_variant(model: str) -> str:
    """The variant, agcn or aagcn, for what a configuration calls the model.

    Raises:
        ValueError: no such model.
    """
    if model not in MODEL_NAMES:
        raise ValueError(f"model {model!r} is not known: {nearest(model, list(MODEL_NAMES))}")
    return MODEL_NAMES[model]


def model_keys() -> dict[str, Any]:
    """What `model_args` may hold: the arguments of `Model` and their types."""
    return {key: item.annotation for key, item in inspect.signature(Model).parameters.items() if key != "variant"}


def model_arguments(model_args: Mapping[str, Any], where: Callable[[str], str] = lambda key: "") -> dict[str, Any]:
    """`model_args` as `Model` wants them.

    Args:
        model_args: as YAML gives them.
        where: what to say before an error about the dotted key that it is called with.

    Raises:
        ValueError: a key that `Model` does not take, naming the nearest one; a value of another kind.
    """
    known = model_keys()
    values = {}
    for key, value in model_args.items():
        name = f"model_args.{key}"
        if key not in known:
            raise ValueError(f"{where(name)}unknown key {name!r}: {nearest(str(key), list(known))}")
        # The graph's own arguments are checked by the graph.
        values[key] = value if key == "graph_args" else coerce(value, known[key], f"{where(name)}{name}")
    return values


def build_model(model: str, model_args: Mapping[str, Any]) -> Model:
    """The model that a configuration describes.

    Args:
        model: `model.agcn.Model`, `model.aagcn.Model`, `agcn` or `aagcn`.
        model_args: the arguments of `Model`, but `variant`.

    Raises:
        ValueError: an unknown model or argument, or arguments that disagree.
    """
    return Model(variant=model_variant(model), **model_arguments(model_args))
