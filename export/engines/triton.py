"""A model repository for NVIDIA's Triton Inference Server.

    DIR/NAME/config.pbtxt       inputs, outputs, dynamic batching
    DIR/NAME/labels.txt         the classes of `scores`
    DIR/NAME/1/model.onnx       for the onnxruntime backend
    DIR/NAME_sm_90/...          the same with 1/model.plan for the tensorrt backend, one for each of its engines

Source: Triton's model_configuration.md and model_repository.md.
"""

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import onnx

from export.manifest import Manifest, read_manifest
from native_prep.io.atomic import atomic_folder

CONFIG, LABELS = "config.pbtxt", "labels.txt"
# How long the first clip of a batch waits for others: much less than a batch takes.
QUEUE_MICROSECONDS = 1000
_TYPES = {onnx.TensorProto.FLOAT: "TYPE_FP32", onnx.TensorProto.FLOAT16: "TYPE_FP16"}


@dataclass(frozen=True)
class _Tensor:
    """An input or output of the graph: its name, Triton's type, and its shape without the batch."""

    name: str
    kind: str
    dims: tuple[int, ...]


def write_repository(
    folder: str | os.PathLike[str], out: str | os.PathLike[str], name: str = "two_stream"
) -> dict[str, str]:
    """Writes an exported folder as models that Triton serves, each whole or not at all.

    TensorRT-RTX's engines are left out: Triton has no backend for them; so are engines that take bodies instead of
    clips, see `dense` of `export_engines`.

    Args:
        folder: what `export-trt` wrote.
        out: the repository; models of other names in it stay.
        name: of the model; those of TensorRT engines have their target behind it.

    Returns:
        The models' folders, by name.

    Raises:
        ValueError: no exported folder, a name that is not a folder's, or a folder of that name that is not a model.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"model name {name!r}: use letters, digits, _ . and -")
    manifest = read_manifest(folder)
    inputs, outputs = _tensors(Path(folder) / manifest.onnx)
    files = {name: (Path(folder) / manifest.onnx, "onnxruntime")}
    for engine in manifest.engines:
        # One that takes bodies needs somebody to find them.
        if engine.flavor == "tensorrt" and engine.takes == "joints":
            files[f"{name}_{engine.target}"] = (Path(folder) / engine.file, "tensorrt")
    written = {}
    for model, (source, backend) in files.items():
        with atomic_folder(Path(out) / model, CONFIG) as part:
            (part / "1").mkdir()
            shutil.copyfile(source, part / "1" / ("model.plan" if backend == "tensorrt" else "model.onnx"))
            labels = manifest.class_names or [str(label) for label in range(manifest.num_class)]
            (part / LABELS).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
            (part / CONFIG).write_text(_config(model, backend, manifest, inputs, outputs), encoding="utf-8")
        written[model] = str(Path(out) / model)
    return written


def _tensors(path: Path) -> tuple[list[_Tensor], list[_Tensor]]:
    """Inputs and outputs as the graph names them."""
    graph = onnx.load(path, load_external_data=False).graph
    both = []
    for values in (graph.input, graph.output):
        found = []
        for value in values:
            tensor = value.type.tensor_type
            dims = tuple(dim.dim_value for dim in tensor.shape.dim[1:])
            assert tensor.elem_type in _TYPES and all(dims), f"{value.name}: our graphs are of floats, the batch free"
            found.append(_Tensor(value.name, _TYPES[tensor.elem_type], dims))
        both.append(found)
    return both[0], both[1]


def _config(model: str, backend: str, manifest: Manifest, inputs: list[_Tensor], outputs: list[_Tensor]) -> str:
    """The text of config.pbtxt, a ModelConfig in protobuf's text form."""
    lines = [
        f"name: {json.dumps(model)}",
        f"backend: {json.dumps(backend)}",
        f"max_batch_size: {manifest.max_batch}",
        *(_tensor("input", tensor) for tensor in inputs),
        *(_tensor("output", tensor, LABELS if tensor.name == "scores" else "") for tensor in outputs),
        f"dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_MICROSECONDS} }}",
        f"instance_group [ {{ count: 1 kind: {'KIND_GPU' if backend == 'tensorrt' else 'KIND_AUTO'} }} ]",
    ]
    return "\n".join(lines) + "\n"


def _tensor(role: str, tensor: _Tensor, labels: str = "") -> str:
    dims = ", ".join(map(str, tensor.dims))
    more = f" label_filename: {json.dumps(labels)}" if labels else ""
    return f"{role} [ {{ name: {json.dumps(tensor.name)} data_type: {tensor.kind} dims: [ {dims} ]{more} }} ]"
