"""The network as one ONNX file: input `joints`, outputs `joint_logits`, `bone_logits`, ..., `scores`."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch

from export.graph.network import RowNetwork, TwoStream, present_rows
from native_prep.skeletons.streams import STREAMS

INPUT = "joints"
# The bodies that are there, their place among the M of a clip, and each body's row: see `present_rows`.
ROW_INPUTS = ("rows", "slots", "place")
# 22 is the first whose convolution may be bfloat16.
OPSET = 22


def output_names(streams: int) -> tuple[str, ...]:
    """The outputs of a graph of two or four streams."""
    return (*(f"{stream}_logits" for stream in STREAMS[:streams]), "scores")


OUTPUTS = output_names(2)


def export_graph(
    network: TwoStream,
    shape: tuple[int, int, int, int],
    path: str | os.PathLike[str],
    notes: Mapping[str, str],
    takes: str = "joints",
) -> onnx.ModelProto:
    """Write `network` as ONNX with a free batch.

    Args:
        network: in the precision that the graph is to have.
        takes: "joints", or "rows" for the graph of `RowNetwork`, with inputs `rows`, `slots` and `place`.
        shape: (C, T, V, M).
        path: the file to write.
        notes: kept as the file's metadata.

    Returns:
        The checked model.
    """
    channels, frames, joints, bodies = shape
    # A batch of 1 would be taken for a constant.
    example: tuple[torch.Tensor, ...] = (torch.zeros(2, *shape),)
    free: tuple[dict[int, Any], ...] = ({0: torch.export.Dim("N")},)
    if takes == "rows":
        count = 2 * bodies
        rows, numbers = torch.zeros(count - 1, channels, frames, joints), torch.arange(count)
        example = (rows, numbers[1:] % bodies, numbers)
        # Found out by the exporter: the length of `place` is a multiple of M.
        free = ({0: torch.export.Dim.AUTO},) * 3
    with _quiet():
        program = torch.onnx.export(
            RowNetwork(network).eval() if takes == "rows" else network,
            example,
            dynamo=True,
            verbose=False,
            input_names=[INPUT] if takes == "joints" else list(ROW_INPUTS),
            output_names=list(output_names(len(network.streams))),
            dynamic_shapes=free,
            opset_version=OPSET,
        )
    assert program is not None
    model = program.model_proto
    model.producer_name = "two-stream-agcn"
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(notes))
    strip_traces(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, os.fspath(path))
    return model


def strip_traces(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes on each node: source lines and paths of the machine that it ran on."""
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    for tensor in model.graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on packages that it does without, and on its own deprecated calls."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def engine_inputs(joints: torch.Tensor, takes: str) -> dict[str, torch.Tensor]:
    """What an engine is fed for joints (N, C, T, V, M): they, or the bodies among them that are there."""
    if takes == "joints":
        return {INPUT: joints}
    gather_index, body_index, inverse_index = present_rows(joints)
    rows = joints.permute(0, 4, 1, 2, 3).flatten(0, 1).index_select(0, gather_index)
    return dict(zip(ROW_INPUTS, (rows, body_index, inverse_index), strict=True))


def numpy_inputs(joints: np.ndarray, takes: str) -> dict[str, np.ndarray]:
    """`engine_inputs` for ONNX Runtime."""
    return {name: tensor.numpy() for name, tensor in engine_inputs(torch.from_numpy(joints), takes).items()}
