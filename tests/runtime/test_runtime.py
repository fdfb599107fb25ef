"""Running an exported folder: the right numbers, any batch, and one line for what does not fit."""

import ctypes
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from exported import CLASSES, FRAMES, eager_answers, export_job

from export.runtime import onnx as runtime
from export.runtime.onnx import OnnxEngine
from export.runtime.open import open_engine
from export.runtime.tensorrt import TensorRtEngine
from native_prep.io.hashes import sha256
from native_prep.skeletons.layouts import NTU
from native_prep.synth.make import joint_batch


@pytest.fixture
def dense_graph(exported: Path, tmp_path: Path) -> Path:
    """A graph that computes absent bodies too."""
    assert export_job(exported, tmp_path / "dense", dense=True, targets=["none"])["passed"]
    return tmp_path / "dense" / "two_stream.onnx"


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported / "engine", tmp_path / "engine"))


def test_gives_the_models_answers_at_any_batch(exported: Path) -> None:
    joints = joint_batch(NTU, 12, FRAMES, 2, seed=9)
    engine = open_engine(exported / "engine", "onnxruntime", threads=1)
    expected = eager_answers(exported, joints)
    # 12 clips are more than the largest batch of 5.
    for got, exact in zip(engine.run(joints), expected, strict=True):
        assert (got.dtype, got.shape) == (np.float32, exact.shape)
        assert np.abs(got - exact).max() < 1e-5 * np.abs(exact).max()
    alone = [engine.run(joints[place : place + 1])[2][0] for place in range(3)]
    np.testing.assert_allclose(np.stack(alone), expected[2][:3], rtol=1e-4, atol=1e-4)


def test_auto_is_onnx_runtime_without_a_fitting_gpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.runtime.open.present_target", lambda: None)
    engine = open_engine(folder)
    assert isinstance(engine, OnnxEngine)
    assert engine.runtime == "onnxruntime"
    with pytest.raises(ValueError, match="no tensorrt-rtx engine for the CPU"):
        open_engine(folder, "tensorrt-rtx")
    with pytest.raises(ValueError, match="runtime 'trt' is not known"):
        open_engine(folder, "trt")


def test_input_of_another_shape(exported: Path) -> None:
    engine = open_engine(exported / "engine", "onnxruntime")
    with pytest.raises(ValueError, match="engine for T=16, the input gives T=17"):
        engine.run(np.zeros((1, 3, 17, 25, 2), np.float32))
    for wrong in (np.zeros((0, 3, 16, 25, 2)), np.zeros((3, 16, 25, 2))):
        with pytest.raises(ValueError, match="give at least one clip"):
            engine.run(wrong)


def test_single_precision_on_a_gpu_is_not_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Session:
        def __init__(self, path: str, options: object, providers: list) -> None:
            asked.append(providers)

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    monkeypatch.setattr(runtime.onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(runtime.onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    runtime.open_session("two_stream.onnx")
    ((name, options), last) = asked[0]
    assert (name, last) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert (options["use_tf32"], options["device_id"]) == ("0", "1")


@pytest.mark.filterwarnings("ignore:Duplicate provider:UserWarning")  # ONNX Runtime's
def test_a_cuda_provider_that_does_not_load(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime only warns where CUDA's libraries are missing, and goes on without: this very machine does so."""
    monkeypatch.setattr(runtime, "has_provider", lambda name: name == "CUDAExecutionProvider")
    monkeypatch.setattr(runtime, "_cuda", lambda: "CPUExecutionProvider")
    engine = open_engine(exported / "engine", "onnxruntime")
    assert engine.device == "cpu" and "it runs on the CPU" in capsys.readouterr().err
    assert np.isfinite(engine.run(np.zeros((1, 3, 16, 25, 2), np.float32))[-1]).all()


def test_tensorrt_by_onnxruntime(exported: Path, dense_graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="onnxruntime-tensorrt: needs a GPU, onnxruntime-gpu and the TensorRT"):
        open_engine(exported / "engine", "onnxruntime-tensorrt")
    asked = []
    given: dict[str, str] = {}

    class Session:
        def __init__(self, path: str, options: object, providers: list) -> None:
            asked.append([one if isinstance(one, str) else one[0] for one in providers])
            self.asked = asked[-1]
            given.clear()
            given.update(providers[0][1])

        def get_providers(self) -> list[str]:
            return self.asked if works else self.asked[1:]

    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    names = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(runtime.onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(runtime.onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    works = True
    # It picks bodies: where the provider cuts it in two, their number is in no profile of its input.
    picks = exported / "engine" / "two_stream.onnx"
    runtime.open_tensorrt_session(picks, tf32=True)
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "1" and not any("profile" in name for name in given)
    runtime.open_tensorrt_session(dense_graph, max_batch=5)
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0" and asked == [names, names]
    shapes = {name: value for name, value in given.items() if "profile" in name}
    assert shapes == {f"trt_profile_{which}_shapes": "joints:1x3x16x25x2".replace(":1", f":{size}")
                      for which, size in (("min", 1), ("opt", 5), ("max", 5))}  # fmt: skip
    works = False
    with pytest.raises(ValueError, match="onnxruntime-tensorrt: needs"):
        runtime.open_tensorrt_session(picks)


def test_on_the_device_without_copies(exported: Path) -> None:
    """By ONNX Runtime's bindings: joints and answers lie where the engine computes, the processor here."""
    engine = open_engine(exported / "engine", "onnxruntime", threads=1)
    joints = joint_batch(NTU, 4, FRAMES, 2, seed=9)
    turned = torch.from_numpy(joints).transpose(2, 3).contiguous().transpose(2, 3)
    assert not turned.is_contiguous()
    answers = engine.run_on_device(turned)
    assert {answer.device.type for answer in answers} == {"cpu"}
    for got, expected in zip(answers, engine.run(joints), strict=True):
        np.testing.assert_array_equal(got.numpy(), expected)


class _FakeApi:
    """As much of TensorRT's interface as running an engine uses; it adds up the joints."""

    def __init__(self, loads: bool = True) -> None:
        self.loads, self.works = loads, True
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.done: list[str] = []

    def Runtime(self, logger: object) -> "_FakeApi":
        return self

    def deserialize_cuda_engine(self, data: bytes) -> "_FakeApi | None":
        return self if self.loads else None

    def create_execution_context(self) -> "_FakeApi":
        return self

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> None:
        self.shapes[name] = shape

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        self.done.append(f"execute on {stream}")
        (joints,) = (self._array(name, shape) for name, shape in self.shapes.items())
        for name in set(self.addresses) - set(self.shapes):
            self._array(name, (len(joints), CLASSES))[:] = joints.sum(axis=(1, 2, 3, 4))[:, None]
        return self.works

    def _array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.ctypeslib.as_array(ctypes.cast(self.addresses[name], ctypes.POINTER(ctypes.c_float)), shape)


class _FakeStream:
    """A stream of a GPU that notes who waits for whom."""

    def __init__(self, number: int, done: list[str]) -> None:
        self.cuda_stream, self.done = number, done

    def wait_stream(self, other: "_FakeStream") -> None:
        self.done.append(f"{self.cuda_stream} waits for {other.cuda_stream}")


class _FakeFlavor:
    name, version = "tensorrt-rtx", "1"

    def __init__(self, api: _FakeApi) -> None:
        self.api = api
        self.logger = type("Logger", (), {"last_error": lambda self: "made for another GPU"})()


def _with_engine(folder: Path, version: str = "1") -> None:
    """Puts an engine for sm_99 into the manifest."""
    (folder / "two_stream_sm_99.engine").write_bytes(b"plan")
    path = folder / "manifest.json"
    raw = json.loads(path.read_text())
    digest = sha256(folder / "two_stream_sm_99.engine")
    raw["engines"] = [
        {"file": "two_stream_sm_99.engine", "flavor": "tensorrt-rtx", "version": version, "target": "sm_99",
         "bytes": 4, "sha256": digest}
    ]  # fmt: skip
    path.write_text(json.dumps(raw))


def test_an_engine_that_fits_the_gpu_is_taken_and_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_engine(folder)
    monkeypatch.setattr("export.runtime.open.present_target", lambda: "sm_99")
    monkeypatch.setattr("export.runtime.open.is_installed", lambda name: True)
    monkeypatch.setattr("export.runtime.tensorrt.load_flavor", lambda name: _FakeFlavor(_FakeApi()))
    monkeypatch.setattr(torch.cuda, "Stream", lambda: None)
    engine = open_engine(folder)
    assert isinstance(engine, TensorRtEngine)
    assert (engine.runtime, engine.device) == ("tensorrt-rtx", "cuda")
    monkeypatch.setattr("export.runtime.tensorrt.load_flavor", lambda name: _FakeFlavor(_FakeApi(loads=False)))
    with pytest.raises(ValueError, match=r"sm_99.engine: does not load: made for another GPU"):
        open_engine(folder)
    (folder / "two_stream_sm_99.engine").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"sm_99.engine: is not the file that was exported"):
        open_engine(folder)


def test_an_engine_of_tensorrt_is_waited_for_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs on a stream of its own, after what made its joints and before what takes its answers."""
    _with_engine(folder)
    api = _FakeApi()
    monkeypatch.setattr("export.runtime.open.present_target", lambda: "sm_99")
    monkeypatch.setattr("export.runtime.open.is_installed", lambda name: True)
    monkeypatch.setattr("export.runtime.tensorrt.load_flavor", lambda name: _FakeFlavor(api))
    monkeypatch.setattr(torch.cuda, "Stream", lambda: _FakeStream(7, api.done))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: _FakeStream(0, api.done))
    monkeypatch.setattr(TensorRtEngine, "device", "cpu")
    engine, joints = open_engine(folder), joint_batch(NTU, 7, FRAMES, 2, seed=9)
    answers = engine.run(joints)  # five of them, then two
    assert [answer.shape for answer in answers] == [(7, CLASSES)] * 3
    np.testing.assert_allclose(answers[-1][:, 0], joints.sum(axis=(1, 2, 3, 4)), rtol=1e-3)
    assert api.done == ["7 waits for 0", "execute on 7", "0 waits for 7"] * 2
    api.works = False
    with pytest.raises(ValueError, match="the engine failed: made for another GPU"):
        engine.run(joints)


def test_a_stale_engine_is_one_clear_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_engine(folder, version="0")
    monkeypatch.setattr("export.runtime.open.present_target", lambda: "sm_99")
    monkeypatch.setattr("export.runtime.open.is_installed", lambda name: True)
    monkeypatch.setattr("export.runtime.tensorrt.load_flavor", lambda name: _FakeFlavor(_FakeApi()))
    with pytest.raises(ValueError, match=r"sm_99.engine: built by tensorrt-rtx 0, 1 is installed: run"):
        open_engine(folder)
