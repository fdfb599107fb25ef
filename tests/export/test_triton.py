"""The model repository for Triton: its configuration parses as Triton's own message, and says what the ONNX does."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from exported import CLASSES, FRAMES
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from export.engines.triton import write_repository
from export.manifest import EngineFile, read_manifest, write_manifest
from export.runtime.open import open_engine
from native_prep.datasets.catalog import class_names
from native_prep.io.hashes import sha256
from native_prep.skeletons.layouts import NTU
from native_prep.synth.make import joint_batch

_OPTIONAL, _REPEATED = 1, 3
_STRING, _BOOL, _INT32, _INT64, _UINT64, _ENUM, _MESSAGE = 9, 8, 5, 3, 4, 14, 11


def _model_config() -> Any:
    """The parts of Triton's model_config.proto that a repository may need, as a message class; others are unknown."""
    file = descriptor_pb2.FileDescriptorProto(name="part_of_model_config.proto", package="inference", syntax="proto3")
    kinds = {
        "DataType": ["TYPE_INVALID", "TYPE_BOOL", *(f"TYPE_{kind}{size}" for kind in ("UINT", "INT") for size in
                     (8, 16, 32, 64)), "TYPE_FP16", "TYPE_FP32", "TYPE_FP64", "TYPE_STRING", "TYPE_BF16"],
        "Kind": ["KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL"],
    }  # fmt: skip
    for name, values in kinds.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    tensor = [("name", 1, _STRING, ""), ("data_type", 2, _ENUM, "DataType"), ("dims", 3, _INT64, "repeated")]
    messages = {
        "ModelInput": tensor,
        "ModelOutput": [*tensor, ("label_filename", 4, _STRING, "")],
        "ModelInstanceGroup": [("name", 1, _STRING, ""), ("count", 2, _INT32, ""), ("kind", 4, _ENUM, "Kind")],
        "ModelDynamicBatching": [
            ("preferred_batch_size", 1, _INT32, "repeated"), ("max_queue_delay_microseconds", 2, _UINT64, ""),
            ("preserve_ordering", 3, _BOOL, ""),
        ],
        "ModelConfig": [
            ("name", 1, _STRING, ""), ("platform", 2, _STRING, ""), ("backend", 17, _STRING, ""),
            ("max_batch_size", 4, _INT32, ""), ("input", 5, _MESSAGE, "repeated ModelInput"),
            ("output", 6, _MESSAGE, "repeated ModelOutput"), ("dynamic_batching", 11, _MESSAGE, "ModelDynamicBatching"),
            ("instance_group", 7, _MESSAGE, "repeated ModelInstanceGroup"),
        ],
    }  # fmt: skip
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, number, kind, more in fields:
            label = _REPEATED if more.startswith("repeated") else _OPTIONAL
            about = {"name": field, "number": number, "type": kind, "label": label}
            target = more.removeprefix("repeated").strip()
            message.field.add(**about, **({"type_name": f".inference.{target}"} if target else {}))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


def _tritons_own() -> Any:
    """The class that NVIDIA's client package holds, where it is installed; its other modules are not imported."""
    package = importlib.util.find_spec("tritonclient")
    if package is None or not package.submodule_search_locations:
        return None
    path = Path(package.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ModelConfig


def _parse(path: Path) -> Any:
    config = text_format.Parse(path.read_text(), _model_config()())
    own = _tritons_own()
    if own is not None:
        theirs = text_format.Parse(path.read_text(), own())
        assert text_format.MessageToString(theirs) == text_format.MessageToString(config)
    return config


def test_configuration_says_what_the_graph_does(exported: Path, tmp_path: Path) -> None:
    written = write_repository(exported / "engine", tmp_path / "models", "actions")
    folder = tmp_path / "models" / "actions"
    assert written == {"actions": str(folder)}
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "1/model.onnx", "config.pbtxt", "labels.txt",
    ]  # fmt: skip
    config = _parse(folder / "config.pbtxt")
    assert (config.name, config.backend, config.max_batch_size) == ("actions", "onnxruntime", 5)
    assert config.HasField("dynamic_batching") and config.dynamic_batching.max_queue_delay_microseconds > 0
    assert config.instance_group[0].count == 1
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    fp32 = 11
    for ours, theirs in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [(one.name, list(one.dims)) for one in ours] == [(one.name, one.shape[1:]) for one in theirs]
        assert {one.data_type for one in ours} == {fp32} and {one.type for one in theirs} == {"tensor(float)"}
        assert all(isinstance(one.shape[0], str) for one in theirs), "the batch is free"
    labelled = {one.name: one.label_filename for one in config.output}
    assert labelled == {"joint_logits": "", "bone_logits": "", "scores": "labels.txt"}
    assert (folder / "labels.txt").read_text().splitlines() == class_names("ntu60")[:CLASSES]


def test_the_graph_in_it_answers_as_the_engine(exported: Path, tmp_path: Path) -> None:
    write_repository(exported / "engine", tmp_path)
    config = _parse(tmp_path / "two_stream" / "config.pbtxt")
    joints = joint_batch(NTU, 3, FRAMES, 2, seed=3)
    session = onnxruntime.InferenceSession(tmp_path / "two_stream/1/model.onnx", providers=["CPUExecutionProvider"])
    got = session.run([one.name for one in config.output], {config.input[0].name: joints})
    for ours, theirs in zip(got, open_engine(exported / "engine", "onnxruntime").run(joints), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_engines_of_tensorrt_are_models_too(exported: Path, tmp_path: Path) -> None:
    source = tmp_path / "engine"
    source.mkdir()
    manifest = read_manifest(exported / "engine")
    (source / manifest.onnx).write_bytes((exported / "engine" / manifest.onnx).read_bytes())
    engines = []
    for flavor, target in (("tensorrt", "sm_90"), ("tensorrt-rtx", "sm_86")):
        path = source / f"two_stream_{target}.engine"
        path.write_bytes(flavor.encode())
        engines.append(EngineFile(path.name, flavor, "11.0", target, 8, sha256(path)))
    write_manifest(source, replace(manifest, engines=engines, class_names=[]))
    written = write_repository(source, tmp_path / "models")
    assert list(written) == ["two_stream", "two_stream_sm_90"]
    config = _parse(tmp_path / "models/two_stream_sm_90/config.pbtxt")
    assert (config.name, config.backend, config.instance_group[0].kind) == ("two_stream_sm_90", "tensorrt", 1)
    assert (tmp_path / "models/two_stream_sm_90/1/model.plan").read_bytes() == b"tensorrt"
    labels = (tmp_path / "models/two_stream_sm_90/labels.txt").read_text().split()
    assert labels == [str(label) for label in range(CLASSES)]


def test_only_models_are_replaced(exported: Path, tmp_path: Path) -> None:
    write_repository(exported / "engine", tmp_path)
    write_repository(exported / "engine", tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"other: is a folder of other files, without a config.pbtxt"):
        write_repository(exported / "engine", tmp_path, "other")
    with pytest.raises(ValueError, match=r"model name '\.\./x'"):
        write_repository(exported / "engine", tmp_path, "../x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "two_stream"]
