"""The three graphs of a layer, for looking at: fixed A, learned B, and C, which each clip makes for itself."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import torch

from agcn.model.network import Model


class LayerGraphs(NamedTuple):
    """Each float32 (K, V, V), K subsets: what a joint (column) takes from the others (rows).

    Attributes:
        fixed: A, the skeleton's own, divided by how many joints it is from.
        learned: B, the same for all clips (in AAGCN it starts as A, which is not added again).
        data_dependent: C, the clip's; in AAGCN with its learned weight.
    """

    fixed: np.ndarray
    learned: np.ndarray
    data_dependent: np.ndarray


def layer_graphs(model: Model, clip: np.ndarray, layer: int = 1) -> LayerGraphs:
    """The graphs that one layer, 1 to 10, of a trained model uses for a clip; the rest as `all_layer_graphs`.

    Source: Shi et al., Two-Stream Adaptive Graph Convolutional Networks, CVPR 2019, equation 3 and figures 4, 8 and 9.
    """
    return all_layer_graphs(model, clip, (layer,))[layer]


@torch.no_grad()
def all_layer_graphs(model: Model, clip: np.ndarray, layers: Collection[int] | None = None) -> dict[int, LayerGraphs]:
    """The graphs that the layers of a trained model use for a clip, by the layer's number, in one pass.

    Args:
        model: in eval mode, on a CPU.
        clip: (C, T, V, M) as a feeder makes it; C is that of its first body.
        layers: some of 1 to 10; None for all.

    Raises:
        ValueError: no such layer, a clip of another shape, or a model without such graphs.
    """
    wanted = range(1, len(model.blocks) + 1) if layers is None else layers
    for layer in wanted:
        if not 1 <= layer <= len(model.blocks):
            raise ValueError(f"layer {layer}: the model has {len(model.blocks)}: count them from 1")
    if not model.adaptive:
        raise ValueError("the model is not adaptive: all its layers use the fixed graph: look at graph A")
    expected = (model.in_channels, model.num_point, model.num_person)
    if clip.ndim != 4 or (clip.shape[0], *clip.shape[2:]) != expected:
        raise ValueError(f"clip of shape {clip.shape}: give ({expected[0]}, T, {expected[1]}, {expected[2]})")
    # In eval mode a body's row does not depend on the others'.
    x = model.normalise_input(torch.from_numpy(np.asarray(clip, np.float32))[None])[:1]  # (1, C, T, V)
    found = {}
    for layer, block in enumerate(model.blocks[: max(wanted, default=0)], 1):
        if layer in wanted:
            conv = block.gcn1
            own = conv.data_dependent_graphs(x)[0].numpy()
            found[layer] = LayerGraphs(conv.A.numpy().copy(), conv.PA.numpy().copy(), own)
        if layer < max(wanted):
            x = block(x)
    return found
