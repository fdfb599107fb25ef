"""The learned graphs of a stream for a page: A, B and the clip's own C of its layers, and a pose to draw them on."""

from typing import Any

import numpy as np

from agcn.model.layer_graphs import all_layer_graphs
from agcn.model.network import Model
from agcn.plots import seen_from_front
from bench.pages.charts import TEXT, packed


def graphs_for_page(model: Model, clip: np.ndarray, stream: str, pose: np.ndarray, most_bytes: int) -> dict[str, Any]:
    """What `report.js` draws of a stream.

    Args:
        model: in eval mode, on a CPU.
        clip: (C, T, V, M) as the stream's feeder makes it.
        stream: its name.
        pose: joints of one frame of one body, (3, V), to draw on.
        most_bytes: of all layers together; where they take more, some are left out, the first and the last never.

    Returns:
        stream, layers (their numbers from 1), fixed (A), and for each layer learned (B) and dependent (C), all of them
        packed arrays (K, V, V); joints, edges, pose (2, V), text.

    Raises:
        ValueError: a model that is not adaptive, or a clip that does not fit it.
    """
    number = len(model.blocks)
    a_layer = 2 * 4 * model.blocks[0].gcn1.A.numel() * 4 / 3  # B and C, in base64
    fit = int(np.clip(most_bytes // a_layer, 2, number))
    layers = sorted({int(layer) for layer in np.linspace(1, number, fit).round()})
    found = all_layer_graphs(model, clip, layers)
    flat = seen_from_front(pose[:, None, :, None], model.layout)[:, 0, :, 0]
    last = found[layers[-1]]
    between = np.abs(last.learned + last.data_dependent).sum(axis=0) * ~np.eye(model.num_point, dtype=bool)
    giver, taker = np.unravel_index(int(between.argmax()), between.shape)
    names = model.layout.joints
    return {
        "stream": TEXT[stream],
        "layers": layers,
        "fixed": packed(found[layers[0]].fixed),
        "learned": [packed(found[layer].learned) for layer in layers],
        "dependent": [packed(found[layer].data_dependent) for layer in layers],
        "joints": list(names),
        "edges": [list(edge) for edge in model.layout.edges],
        "pose": [[None if np.isnan(value) else round(float(value), 4) for value in axis] for axis in flat],
        "text": (
            f"Of B and C together, the strongest link of layer {layers[-1]} is what {names[taker]} takes "
            f"from {names[giver]}."
        ),
    }
