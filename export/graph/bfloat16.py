"""A bfloat16 graph on a machine whose ONNX Runtime has no bfloat16 convolutions: the CPU.

The same graph in float32, with every result rounded to bfloat16. That is what a GPU computes, which multiplies
bfloat16, adds in float32 and rounds the sum, so accuracy is that of the engine; speed is float32's at best.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# What only moves or drops values cannot leave bfloat16.
_EXACT = {"Reshape", "Transpose", "Gather", "Unsqueeze", "Squeeze", "Relu", "Identity", "Flatten", "Slice", "Expand"}


def has_bfloat16(model: onnx.ModelProto) -> bool:
    """Whether any weight of the graph is bfloat16."""
    return any(tensor.data_type == TensorProto.BFLOAT16 for tensor in model.graph.initializer)


def with_rounding(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in float32 with each bfloat16 result rounded to bfloat16.

    Raises:
        ValueError: the graph's inputs or outputs are bfloat16 (ours are float32).
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.BFLOAT16:
            raise ValueError(f"{value.name} is bfloat16: only graphs with float32 inputs and outputs are known")
    rounded = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.BFLOAT16}
    for tensor in graph.initializer:
        if tensor.name in rounded:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    nodes = [part for node in graph.node for part in _rounded_node(node, rounded)]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    return result


def _rounded_node(node: onnx.NodeProto, rounded: set[str]) -> list[onnx.NodeProto]:
    """`node` in float32 and what rounds its outputs; notes them in `rounded` where they are bfloat16."""
    target = next((part.i for part in node.attribute if part.name == "to"), None) if node.op_type == "Cast" else None
    is_half = target == TensorProto.BFLOAT16 if target is not None else any(name in rounded for name in node.input)
    if not is_half:
        return [node]
    rounded.update(node.output)
    if node.op_type in _EXACT:
        return [node]
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    if target is not None:
        half_name = f"{node.output[0]}/half"
        copy.output[0] = half_name
        return [copy, helper.make_node("Cast", [half_name], [node.output[0]], to=TensorProto.FLOAT)]
    parts = [copy]
    for place, name in enumerate(node.output):
        copy.output[place] = f"{name}/exact"
        parts.append(helper.make_node("Cast", [f"{name}/exact"], [f"{name}/half"], to=TensorProto.BFLOAT16))
        parts.append(helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT))
    return parts
