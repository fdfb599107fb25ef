"""Exporting: the graph, what is published and what is refused."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from export_configs import joint_config
from exported import CLASSES, FRAMES, export_job, write_job

from agcn.config import load_config, to_yaml
from agcn.model.network import build_model
from export import build, request
from export.build import export_engines
from export.comparison import comparison_clips
from export.graph.network import TwoStream
from export.inputs import dataset_of, input_shape
from export.manifest import EngineFile, read_manifest
from export.runtime.onnx import OnnxEngine
from export.runtime.open import open_engine, runs_here
from native_prep.io.hashes import sha256
from native_prep.skeletons.layouts import KINETICS, NTU, NW_UCLA, layout_from_edges


def test_graph_has_the_contracts_names_and_a_free_batch(exported: Path) -> None:
    model = onnx.load(exported / "engine" / "two_stream.onnx")
    (joints,) = model.graph.input
    dims = [dim.dim_param or dim.dim_value for dim in joints.type.tensor_type.shape.dim]
    assert (joints.name, dims) == ("joints", ["N", 3, FRAMES, 25, 2])
    assert [output.name for output in model.graph.output] == ["joint_logits", "bone_logits", "scores"]
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    assert {item.key for item in model.metadata_props} == {"precision", "alpha", "layout"}
    assert str(Path(torch.__file__).parent) not in str(model)


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
    result = export_job(exported, out, targets=["none"])
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

    graph = exported / "engine" / "two_stream.onnx"
    monkeypatch.setattr(build, "export_graph", lambda network, shape, path, *_: shutil.copy(graph, path))
    monkeypatch.setattr(build, "build_package", package)
    monkeypatch.setattr(build, "open_file", partial(answers, kind=Bent))
    result = export_job(exported, tmp_path / "out", aot="cpu", targets=["none"])
    assert not result["passed"] and not result["parity"]["engines"]["two_stream.cpu.pt2"]["passed"]
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(build, "open_file", answers)
    result = export_job(exported, tmp_path / "out", aot="cpu", targets=["none"], dense=False)
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


def test_wrong_places_and_checkpoints(exported: Path, tmp_path: Path) -> None:
    config = joint_config(exported)
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
