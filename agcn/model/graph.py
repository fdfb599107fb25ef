"""The fixed graph A of a skeleton, and which skeleton a configuration means."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agcn.validate import nearest
from native_prep.pipeline.outputs import CUSTOM
from native_prep.poses.custom import custom_metadata
from native_prep.skeletons.layouts import (
    KINETICS,
    LAYOUTS,
    NTU,
    NW_UCLA,
    SUFFIXES,
    Edge,
    Layout,
    layout_from_dict,
    layout_from_edges,
    load_layout,
)

# The original's configurations name a Python class; NW-UCLA's name is the one that later forks agreed on.
_CLASS_NAMES = {
    "graph.ntu_rgb_d.Graph": NTU,
    "graph.kinetics.Graph": KINETICS,
    "graph.ucla.Graph": NW_UCLA,
}
_GRAPH_ARGS = ("labeling_mode", "edges", "num_joints", "centre")


def adjacency(edges: Sequence[Edge], num_joints: int) -> np.ndarray:
    """The three subsets of A: self links, inward edges, outward edges; each column sums to 1 or 0.

    Args:
        edges: (child, parent) pairs, counted from 0, pointing inwards.
        num_joints: V.

    Returns:
        float64 (3, V, V), as `get_spatial_graph` of the original (graph/tools.py).
    """
    inward = np.zeros((num_joints, num_joints))
    for child, parent in edges:
        inward[parent, child] = 1.0
    return np.stack([np.eye(num_joints), _normalise_columns(inward), _normalise_columns(inward.T)])  # (3, V, V)


def _normalise_columns(matrix: np.ndarray) -> np.ndarray:
    total = matrix.sum(axis=0)
    return matrix / np.where(total > 0, total, 1.0)


def resolve_graph(graph: str | None, graph_args: Mapping[str, Any] | None = None) -> Layout:
    """The skeleton layout that a configuration's `graph` and `graph_args` mean.

    Args:
        graph: a class name of the original (`graph.ntu_rgb_d.Graph`), the name of a layout (`ntu`), a YAML file that
            describes one (see `native_prep.skeletons.layouts`), the `custom.json` of `prep custom`, or, with `edges` in
            graph_args, any name for one's own skeleton, or None.
        graph_args: `labeling_mode` ("spatial" is the only one), `edges` [[child, parent], ...] counted from 0,
            `num_joints`, `centre`.

    Raises:
        ValueError: no such graph, an unknown argument, another labelling mode, edges outside the joints, a wrong file.
        OSError: the file cannot be read.
    """
    args = dict(graph_args or {})
    for key in args:
        if key not in _GRAPH_ARGS:
            raise ValueError(f"graph_args: unknown key {key!r}: {nearest(key, _GRAPH_ARGS)}")
    if args.get("labeling_mode", "spatial") not in ("spatial", None):
        raise ValueError(f"graph_args: labeling_mode {args['labeling_mode']!r} is not known: use 'spatial'")
    if "edges" in args:
        return _own_layout(graph, args)
    if graph is None:
        known = ", ".join(_CLASS_NAMES)
        raise ValueError(f"model_args: no graph: run prep custom first, whose data say it, or use one of {known}")
    if graph in _CLASS_NAMES:
        return _CLASS_NAMES[graph]
    if graph in LAYOUTS:
        return LAYOUTS[graph]
    if graph.endswith(SUFFIXES):
        return load_layout(graph)
    if Path(graph).name == CUSTOM:
        metadata = custom_metadata(graph)
        if not metadata:
            raise ValueError(f"{graph}: no such file: run prep custom again, or set model_args.graph")
        return layout_from_dict(metadata["layout"])
    raise ValueError(f"model_args: graph {graph!r} is not known: {nearest(graph, [*_CLASS_NAMES, *LAYOUTS])}")


def _own_layout(graph: str | None, args: dict[str, Any]) -> Layout:
    try:
        edges = [(int(child), int(parent)) for child, parent in args["edges"]]
    except (TypeError, ValueError) as error:
        raise ValueError("graph_args: edges must be a list of [child, parent] pairs of whole numbers") from error
    return layout_from_edges(edges, args.get("num_joints"), args.get("centre", 0), graph or "custom")
