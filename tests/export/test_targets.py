"""Engines: for which GPUs, in which precision, by which TensorRT, and what is refused."""

import importlib.util
import json
import sys
from pathlib import Path

import onnx
import pytest
import torch
from export_configs import joint_config
from exported import FRAMES, export_job, three_blocks

from agcn.model.network import build_model
from export import build, request
from export.engines import flavors as trt_flavors
from export.engines import tensorrt as engines
from export.engines.tensorrt import build_engine
from export.graph.network import TwoStream
from export.graph.onnx_graph import export_graph
from export.manifest import read_manifest
from native_prep.io.hashes import sha256
from native_prep.skeletons.layouts import NTU

needs_rtx = pytest.mark.skipif(not trt_flavors.is_installed("tensorrt-rtx"), reason="tensorrt-rtx is not installed")


@pytest.fixture(scope="module")
def dense(exported: Path, tmp_path_factory) -> Path:
    """A graph that finds out nothing about its bodies."""
    path = tmp_path_factory.mktemp("dense") / "two_stream.onnx"
    with three_blocks():
        model = build_model("agcn", joint_config(exported).model_args).eval()
        network = TwoStream(model, model, NTU.bone_parents, frames=FRAMES, skip_absent=False)
        export_graph(network, (3, FRAMES, 25, 2), path, {})
    return path


@needs_rtx
def test_engine_is_built_and_named_after_its_target(exported: Path) -> None:
    manifest = read_manifest(exported / "engine")
    (engine,) = manifest.engines
    path = exported / "engine" / "two_stream_sm_86.engine"
    assert (engine.file, engine.target, engine.flavor) == (path.name, "sm_86", "tensorrt-rtx")
    assert (engine.bytes, engine.sha256) == (path.stat().st_size, sha256(path))
    assert engine.bytes > 1_000_000
    assert list(engine.layers["convolutions"]) == ["FLOAT"]


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precisions(exported: Path, tmp_path: Path, precision: str) -> None:
    result = export_job(exported, tmp_path / "out", precision=precision)
    assert result["passed"], result["parity"]
    assert 1e-6 < result["parity"]["max_rel"] <= result["parity"]["tolerance"]
    half = {"fp16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}[precision]
    graph = onnx.load(result["onnx"]).graph
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer}
    assert all(weights[node.input[1]] == half for node in graph.node if node.op_type == "Conv")
    for engine in read_manifest(tmp_path / "out").engines:
        assert list(engine.layers["convolutions"]) == [{"fp16": "HALF", "bf16": "BF16"}[precision]]


@needs_rtx
def test_engine_in_another_precision_than_asked_for_is_refused(dense: Path) -> None:
    flavor = trt_flavors.load_flavor("tensorrt-rtx")
    with pytest.raises(ValueError, match=r"convolutions in .*FLOAT.*, fp16 was asked for"):
        build_engine(flavor, dense, (3, FRAMES, 25, 2), 4, "fp16", "sm_86")


@needs_rtx
def test_builder_errors_are_told(dense: Path, tmp_path: Path) -> None:
    flavor = trt_flavors.load_flavor("tensorrt-rtx")
    with pytest.raises(ValueError, match=r"two_stream.onnx: tensorrt-rtx cannot build it for sm_86: .*joints"):
        build_engine(flavor, dense, (3, FRAMES + 1, 25, 2), 4, "fp32", "sm_86")
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(ValueError, match=r"bad.onnx: tensorrt-rtx does not take this graph"):
        build_engine(flavor, tmp_path / "bad.onnx", (3, FRAMES, 25, 2), 4, "fp32", "sm_86")


@needs_rtx
@pytest.mark.parametrize(
    ("target", "message"),
    [("sm_90", "TensorRT-RTX has no such GPU generation: use sm_75"), ("sm_75", "no fp32 there: use --precision fp16")],
)
def test_wrong_targets(exported: Path, tmp_path: Path, target: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        export_job(exported, tmp_path / "out", targets=[target])


def test_no_engines_on_request(exported: Path, tmp_path: Path) -> None:
    result = export_job(exported, tmp_path / "out", targets=["none"])
    assert result["passed"] and result["engines"] == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.json", "two_stream.onnx"]
    for options in ({"targets": ["none", "sm_86"]}, {"targets": ["none"], "refittable": True}):
        with pytest.raises(ValueError, match="--target none: builds no engine"):
            export_job(exported, tmp_path / "other", **options)


@needs_rtx
def test_engines_of_a_graph_that_computes_something_else_are_not_published(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = []

    def bent(network, shape, path, notes, takes) -> None:
        if takes == "rows":
            network.weights = (1.0, 1.001)
        graphs.append(takes)
        export_graph(network, shape, path, notes, takes)

    monkeypatch.setattr(build, "export_graph", bent)
    result = export_job(exported, tmp_path / "out", targets=["sm_86"])
    assert graphs == ["joints", "rows"]
    assert not result["passed"] and not result["parity"]["engines"]["their graph"]["passed"]
    assert not (tmp_path / "out").exists()


@needs_rtx
def test_targets_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    flavor = trt_flavors.load_flavor("tensorrt-rtx")
    monkeypatch.setattr(trt_flavors, "present_target", lambda: None)
    assert trt_flavors.pick_targets(flavor, (), "fp16") == list(trt_flavors.RTX_TARGETS)
    assert trt_flavors.pick_targets(flavor, (), "fp32") == list(trt_flavors.RTX_TARGETS[1:])
    assert trt_flavors.pick_targets(flavor, ("sm_89", "sm_86", "sm_89"), "fp32") == ["sm_89", "sm_86"]
    monkeypatch.setattr(trt_flavors, "present_target", lambda: "sm_120")
    assert trt_flavors.pick_targets(flavor, (), "fp32") == ["sm_120"]


def test_missing_flavour_names_the_extra(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str):
        raise ImportError(f"No module named {name!r}")

    trt_flavors.load_flavor.cache_clear()
    monkeypatch.setattr(trt_flavors.importlib, "import_module", absent)
    for name in trt_flavors.FLAVORS:
        with pytest.raises(ValueError, match=rf"{name} is not usable here .* install .*\[{name}\]"):
            trt_flavors.load_flavor(name)
    trt_flavors.load_flavor.cache_clear()
    monkeypatch.setattr(request, "choose_flavor", lambda name: None)
    with pytest.raises(ValueError, match="--target, --refittable and --refit are for TensorRT"):
        export_job(exported, tmp_path / "out", targets=["sm_86"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_tensorrt_needs_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt_flavors, "load_flavor", lambda name: name)
    with pytest.raises(ValueError, match=r"no GPU here.*use --flavor tensorrt-rtx"):
        trt_flavors.choose_flavor("tensorrt")


def test_inspector_finds_a_silently_single_engine(tmp_path: Path) -> None:
    class Flavor:
        name, version = "tensorrt", "11.0"

        class logger:
            pass

        class api:
            class LayerInformationFormat:
                JSON = 0

            class Runtime:
                def __init__(self, logger: object) -> None:
                    pass

    def engine_of(field: str, kinds: tuple[str, ...]):
        text = json.dumps({"Layers": ["an old one's name"] + [{"Outputs": [{field: kind}]} for kind in kinds]})
        inspector = type("Inspector", (), {"get_engine_information": lambda self, form: text})()
        return type("Engine", (), {"create_engine_inspector": lambda self: inspector})()

    def inspect(precision: str, *kinds: str, field: str = "Format/Datatype") -> None:
        Flavor.api.Runtime.deserialize_cuda_engine = lambda self, engine: engine_of(field, kinds)
        engines._inspect(Flavor, b"", precision, tmp_path / "two_stream.onnx")

    inspect("fp16", "Row major linear FP16 format", "Float")
    inspect("bf16", "BFloat16")
    for precision in ("fp32", "tf32"):
        inspect(precision, "Float", "Row major linear FP32")
        with pytest.raises(ValueError, match=rf"the engine has layers in .*bfloat16.*{precision} was asked for"):
            inspect(precision, "BFloat16", "Row major linear BF16 format")
    with pytest.raises(ValueError, match=r"the engine has layers in .*float.*fp16 was asked for"):
        inspect("fp16", "Float", "Row major linear FP32")
    inspect("fp16", "Half", "Float", field="DataType")  # TensorRT 11, which has Format beside it
    with pytest.raises(ValueError, match=r"the engine has layers in {'float': 2}, fp16 was asked for"):
        inspect("fp16", "Float", "Float", field="DataType")
    with pytest.raises(ValueError, match=r"tensorrt 11\.0 does not say in which types"):
        inspect("fp16", "Half", field="Type")


def test_stubs_are_no_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tensorrt").mkdir()
    (tmp_path / "tensorrt" / "__init__.pyi").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    if importlib.util.find_spec("tensorrt").origin is None:  # else a real one is there, and is found first
        assert not trt_flavors.is_installed("tensorrt")
