"""Exporting: the graph, the engines, what is published and what is refused."""

import importlib.util
import json
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from exported import CLASSES, FRAMES, export_job, three_blocks, write_job

from agcn.config import load_config, to_yaml
from agcn.model.network import build_model
from export import build, request
from export.build import export_engines
from export.engines import flavors as trt_flavors
from export.engines import tensorrt as engines
from export.engines.tensorrt import build_engine
from export.graph.network import TwoStream
from export.graph.onnx_graph import export_graph
from export.inputs import comparison_clips, dataset_of, input_shape
from export.manifest import EngineFile, read_manifest, sha256
from export.runtime.onnx import OnnxEngine
from export.runtime.open import open_engine, runs_here
from native_prep.skeletons.layouts import KINETICS, NTU, NW_UCLA, layout_from_edges

needs_rtx = pytest.mark.skipif(not trt_flavors.is_installed("tensorrt-rtx"), reason="tensorrt-rtx is not installed")


@pytest.fixture(scope="module")
def dense(exported: Path, tmp_path_factory) -> Path:
    """A graph that finds out nothing about its bodies."""
    path = tmp_path_factory.mktemp("dense") / "two_stream.onnx"
    with three_blocks():
        model = build_model("agcn", _config(exported).model_args).eval()
        network = TwoStream(model, model, NTU.bone_parents, frames=FRAMES, skip_absent=False)
        export_graph(network, (3, FRAMES, 25, 2), path, {})
    return path


def _config(folder: Path):
    return load_config(folder / "config.yaml", stream="joint")


def test_graph_has_the_contracts_names_and_a_free_batch(exported: Path) -> None:
    model = onnx.load(exported / "engine" / "two_stream.onnx")
    (joints,) = model.graph.input
    dims = [dim.dim_param or dim.dim_value for dim in joints.type.tensor_type.shape.dim]
    assert (joints.name, dims) == ("joints", ["N", 3, FRAMES, 25, 2])
    assert [output.name for output in model.graph.output] == ["joint_logits", "bone_logits", "scores"]
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    assert {item.key for item in model.metadata_props} == {"precision", "alpha", "layout"}
    assert str(Path(torch.__file__).parent) not in str(model)


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


def test_a_graph_that_computes_something_else_is_not_published(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "engine"
    shutil.copytree(exported / "engine", out)
    before = {path.name: sha256(path) for path in out.iterdir()}

    def bent(network, shape, path, *_) -> None:
        model = onnx.load(out / "two_stream.onnx")
        weight = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [128, 128, 9, 1])
        values = onnx.numpy_helper.to_array(weight).copy()
        values[0] *= 1.001
        weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        onnx.save(model, path)

    monkeypatch.setattr(build, "export_graph", bent)
    result = export_job(exported, out, targets=[])
    assert not result["passed"]
    assert result["parity"]["max_rel"] > result["parity"]["tolerance"]
    assert (result["onnx"], result["engines"]) == (None, [])
    assert {path.name: sha256(path) for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


def test_a_checkpoint_of_another_feeding_is_told(exported: Path, tmp_path: Path) -> None:
    weights = {stream: tmp_path / stream / "best.pt" for stream in ("joint", "bone")}

    def notes(theirs: list[str], ours: list[str], bone: str = "") -> list[str]:
        for stream, path in weights.items():
            path.parent.mkdir(exist_ok=True)
            shutil.copy(exported / f"{stream}.pt", path)
            own = load_config(exported / "config.yaml", stream, theirs)
            (path.parent / "config.yaml").write_text(bone if bone and stream == "bone" else to_yaml(own))
        asked = request.make_request(
            load_config(exported / "config.yaml", "joint", ours), weights, streams=None, precision="fp32",
            flavor="auto", targets=["none"], max_batch=4, alpha=1.0, motion_alpha=None, with_prep=False,
            refittable=False, refit=None, dense=False, aot=None,
        )  # fmt: skip
        return request.request_notes(asked, ["none"])[:-1]

    centred, turned = ["test_feeder_args.centre=true"], ["test_feeder_args.random_rotate=[0, 10, 0]"]
    assert notes([], turned) == notes(centred, centred) == []  # in the first draw nothing is turned
    assert (
        f"{weights['joint']}: is of a run with test_feeder_args.centre=True, here it is False" in notes(centred, [])[0]
    )
    told = notes(["test_feeder_args.normalization=true"], [])
    assert [note.split(":")[0] for note in told] == [str(path) for path in weights.values()]
    assert "normalization=True, here it is False" in told[1]
    told = notes([], [], bone="stream: nose")
    assert len(told) == 1 and "bone/best.pt: whether it is for such clips is not known: " in told[0]


def test_an_older_export_is_replaced_and_other_files_stay(exported: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "engine"
    shutil.copytree(exported / "engine", out)
    (out / "notes.txt").write_text("mine")
    (out / "two_stream_sm_75.engine").write_bytes(b"old")
    monkeypatch.setattr(request, "choose_flavor", lambda name: None)
    graph = exported / "engine" / "two_stream.onnx"
    monkeypatch.setattr(build, "export_graph", lambda network, shape, path, *_: shutil.copy(graph, path))
    result = export_job(exported, out, targets=[], max_batch=7)
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "notes.txt", "two_stream.onnx"]
    assert read_manifest(out).max_batch == 7
    assert (result["engines"], result["onnx"]) == ([], str(out / "two_stream.onnx"))
    assert "no engines: neither tensorrt" in result["notes"][0]
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


def test_a_failing_build_leaves_nothing(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "export_graph", fail)
    with pytest.raises(KeyboardInterrupt):
        export_job(exported, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_package_lies_beside_the_graph(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def package(network: TwoStream, shape, path: Path, device: str, max_batch: int, notes: dict) -> EngineFile:
        assert (network.skip_absent, shape, device, max_batch) == (True, (3, FRAMES, 25, 2), "cpu", 5)
        assert notes["streams"] == "joint bone"
        path.write_bytes(b"compiled")
        return EngineFile(path.name, "aotinductor", torch.__version__, "cpu", 8, sha256(path))

    class Bent(OnnxEngine):
        def _run(self, joints: np.ndarray):
            return tuple(1.001 * answer for answer in super()._run(joints))

    def answers(folder: Path, manifest, engine: EngineFile, kind: type[OnnxEngine] = OnnxEngine) -> OnnxEngine:
        assert engine.flavor == "aotinductor" and runs_here(engine)
        return kind(folder, manifest)

    monkeypatch.setattr(build, "build_package", package)
    monkeypatch.setattr(build, "open_file", partial(answers, kind=Bent))
    result = export_job(exported, tmp_path / "out", aot="cpu", targets=["none"])
    assert not result["passed"] and not result["parity"]["engines"]["two_stream.cpu.pt2"]["passed"]
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(build, "open_file", answers)
    result = export_job(exported, tmp_path / "out", aot="cpu", targets=[], dense=False)
    assert result["passed"] and result["engines"][-1].endswith("two_stream.cpu.pt2")
    manifest = read_manifest(tmp_path / "out")
    assert manifest.parity["engines"]["two_stream.cpu.pt2"]["passed"]
    with pytest.raises(ValueError, match=r"two_stream\.cpu\.pt2: compiled by PyTorch"):
        open_engine(tmp_path / "out", "aotinductor")


def test_result_is_the_contracts(exported: Path) -> None:
    manifest = json.loads((exported / "engine" / "manifest.json").read_text())
    assert manifest["sources"]["joint"] == {"file": "joint.pt", "sha256": sha256(exported / "joint.pt")}
    assert manifest["class_names"][0] == "drink water" and len(manifest["class_names"]) == CLASSES
    assert manifest["parity"]["source"].endswith("val_data_joint.npy")
    assert manifest["parity"]["clips"] == 8
    assert manifest["parity"]["top1_agreement"] == 1.0
    assert {"torch", "onnx", "onnxruntime"} <= set(manifest["versions"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int4"}, "precision 'int4' is not known"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"max_batch": 0}, "max batch is 0"),
        ({"flavor": "tensort"}, "flavor 'tensort' is not known"),
    ],
)
def test_wrong_options(exported: Path, tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        export_job(exported, tmp_path / "out", **{"targets": [], **options})
    assert list(tmp_path.iterdir()) == []


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


def test_wrong_places_and_checkpoints(exported: Path, tmp_path: Path) -> None:
    config = _config(exported)
    weights = exported / "joint.pt", exported / "bone.pt"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="full: is a folder of other files"):
        export_engines(*weights, config, tmp_path / "full")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file: is a file"):
        export_engines(*weights, config, tmp_path / "file")
    other = write_job(tmp_path / "kinetics", KINETICS)
    with pytest.raises(ValueError, match=r"joint.pt: has 25 joints, the data has 18"):
        export_engines(*weights, load_config(other, stream="joint"), tmp_path / "out")
    more = load_config(exported / "config.yaml", stream="joint", overrides=["model_args.num_class=60"])
    with pytest.raises(ValueError, match=r"joint.pt: has 6 classes, the config asks for 60"):
        export_engines(*weights, more, tmp_path / "out")
    for key in ("normalization=true", "fit=clip", "random_move=true", "reorder=true"):
        apart = load_config(exported / "config.yaml", "joint", [f"test_feeder_args.{key}"])
        with pytest.raises(ValueError, match=f"{key.partition('=')[0]} is on"):
            export_engines(*weights, apart, tmp_path / "out")


def test_where_the_number_of_frames_comes_from(exported: Path, tmp_path: Path) -> None:
    def frames(sample: str, window_size: int, data: str = "") -> int:
        overrides = [f"sample='{sample}'", f"window_size={window_size}", *([f"data_path={data}"] if data else [])]
        config = load_config(exported / "config.yaml", "joint", [f"test_feeder_args.{one}" for one in overrides])
        return input_shape(config, build_model(config.model, config.model_args))[1]

    assert frames("", -1) == FRAMES
    assert frames("linear", 52) == 52
    assert frames("", 8) == FRAMES
    assert frames("", 20) == 20
    assert frames("", -1, "no_joint.npy") == 300
    assert frames("", 64, "no_joint.npy") == 64
    np.save(tmp_path / "flat_joint.npy", np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"flat_joint\.npy: holds float32 \(2, 3\), not"):
        frames("", -1, str(tmp_path / "flat_joint.npy"))


def test_comparison_clips_are_made_where_there_is_no_data(exported: Path) -> None:
    config = load_config(exported / "config.yaml", "joint", ["test_feeder_args.data_path=no_joint.npy"])
    edges = [[joint, joint - 1] for joint in range(1, 30)]
    arguments = {"num_class": 3, "num_point": 30, "num_person": 1, "graph": "mine", "graph_args": {"edges": edges}}
    model = build_model("agcn", arguments)
    clips, source = comparison_clips(config, model, (3, 12, 30, 1), 4)
    assert (clips.shape, clips.dtype, source) == ((4, 3, 12, 30, 1), np.float32, "made clips")
    assert np.abs(np.diff(clips, axis=2)).max() > 0


def test_data_set_of_a_skeleton() -> None:
    assert [dataset_of(NTU, 60), dataset_of(NTU, 61), dataset_of(NTU, 10)] == ["ntu60", "ntu120", "ntu60"]
    assert [dataset_of(KINETICS, 400), dataset_of(NW_UCLA, 10), dataset_of(NW_UCLA, 11)] == ["kinetics", "nw-ucla", ""]
    assert dataset_of(layout_from_edges([(1, 0)]), 2) == ""


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
