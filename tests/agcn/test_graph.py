"""The fixed graph, and which skeleton a configuration means."""

import numpy as np
import pytest

from agcn.model.graph import adjacency, resolve_graph
from native_prep.skeletons.layouts import KINETICS, NTU, NW_UCLA


def test_subsets_of_a_chain() -> None:
    graph = adjacency([(1, 0), (2, 1), (3, 1)], 4)
    assert graph.shape == (3, 4, 4)
    np.testing.assert_array_equal(graph[0], np.eye(4))
    # Inwards: from each child to its one parent. Outwards: joint 1 reaches two children, half each.
    np.testing.assert_array_equal(graph[1], [[0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(graph[2], [[0, 0, 0, 0], [1, 0, 0, 0], [0, 0.5, 0, 0], [0, 0.5, 0, 0]])


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("graph.ntu_rgb_d.Graph", NTU),
        ("graph.kinetics.Graph", KINETICS),
        ("graph.ucla.Graph", NW_UCLA),
        ("ntu", NTU),
        ("nw-ucla", NW_UCLA),
    ],
)
def test_names(name: str, layout: object) -> None:
    assert resolve_graph(name, {"labeling_mode": "spatial"}) is layout


@pytest.mark.parametrize("layout", [NTU, KINETICS, NW_UCLA])
def test_every_column_sums_to_one_or_nothing(layout) -> None:
    sums = adjacency(layout.edges, layout.num_joints).sum(axis=1)
    assert np.all(np.isclose(sums, 1) | (sums == 0))
    assert np.all(sums[0] == 1) and sums[1:].any(axis=0).all()


def test_own_edges() -> None:
    layout = resolve_graph("mine", {"edges": [[1, 0], [2, 0]], "num_joints": 4, "centre": 2})
    assert (layout.name, layout.num_joints, layout.centre) == ("mine", 4, 2)
    assert resolve_graph(None, {"edges": [[1, 0]]}).num_joints == 2


@pytest.mark.parametrize(
    ("graph", "args", "text"),
    [
        ("graph.ntu_rgbd.Graph", {}, "did you mean 'graph.ntu_rgb_d.Graph'"),
        (None, {}, "no graph"),
        ("ntu", {"labeling_mode": "uniform"}, "labeling_mode 'uniform'"),
        ("ntu", {"labelling_mode": "spatial"}, "did you mean 'labeling_mode'"),
        ("mine", {"edges": [1, 2]}, r"list of \[child, parent\]"),
        ("mine", {"edges": [[1, 7]], "num_joints": 4}, "outside its 4 joints"),
    ],
)
def test_errors(graph: str | None, args: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        resolve_graph(graph, args)
