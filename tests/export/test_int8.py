"""int8: the QDQ graph, what its ranges come from, and the rule that it is held to."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from exported import CLASSES, FRAMES, export_job
from onnx import numpy_helper

from agcn.config import load_config
from agcn.model.network import build_model
from export.engines import flavors as trt_flavors
from export.graph import parity
from export.graph.int8 import calibration_clips, labelled_clips
from export.graph.parity import compare_int8
from export.manifest import read_manifest
from export.runtime.open import open_engine
from native_prep.skeletons.layouts import NTU
from native_prep.synth.make import joint_batch

needs_rtx = pytest.mark.skipif(not trt_flavors.is_installed("tensorrt-rtx"), reason="tensorrt-rtx is not installed")


@pytest.fixture(scope="module")
def quantised(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("int8") / "out"
    result = export_job(exported, out, precision="int8")
    assert result["passed"], result["parity"]
    return out


@pytest.fixture
def config(exported: Path):
    return load_config(exported / "config.yaml", stream="joint")


def test_every_convolution_but_the_first_is_int8(quantised: Path) -> None:
    model = onnx.load(quantised / "two_stream.onnx")
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    makers = {node.output[0]: node for node in model.graph.node}
    whole = 0
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        if node.input[1] in weights:  # float32
            whole += 1
            assert weights[node.input[1]].shape[1] == 3
            continue
        data, weight = makers[node.input[0]], makers[node.input[1]]
        assert data.op_type == weight.op_type == "DequantizeLinear"
        assert weights[data.input[2]].dtype == np.uint8
        values, scale = weights[weight.input[0]], weights[weight.input[1]]
        assert values.dtype == np.int8 and scale.shape == values.shape[:1]
        # Pairs of uint8 * int8 fit into 16 bits.
        assert np.abs(values.astype(int)).max() <= 64
    assert whole == 2 * 2, "embedding and shortcut of the first block, both streams"
    assert {item.key: item.value for item in model.metadata_props}["precision"] == "int8"


def test_manifest_tells_where_the_ranges_are_from_and_what_int8_costs(exported: Path, quantised: Path) -> None:
    manifest = read_manifest(quantised)
    assert manifest.precision == "int8"
    data = str(exported / "val_data_joint.npy")
    assert manifest.parity["calibration"] == {"clips": 12, "source": data} and manifest.parity["source"] == data
    assert manifest.parity["float"]["passed"] and manifest.parity["float"]["tolerance"] == parity.TOLERANCE
    assert 1e-4 < manifest.parity["rms_rel"] <= manifest.parity["tolerance"]
    assert {"float_top1", "top1", "top1_cost", "top1_agreement"} <= set(manifest.parity)


def test_it_runs_as_every_export_does(exported: Path, quantised: Path) -> None:
    clips = joint_batch(NTU, 3, FRAMES, 2, seed=1, one_body_share=0.5)
    floats, ours = open_engine(exported / "engine").run(clips), open_engine(quantised).run(clips)
    assert [answer.shape for answer in ours] == [(3, CLASSES)] * 3
    for got, exact in zip(ours, floats, strict=True):
        error = np.abs(got - exact).max() / np.abs(exact).max()
        assert 1e-5 < error < 0.05


def test_ranges_come_from_training_clips_where_they_are_at_hand(config, tmp_path: Path) -> None:
    model = build_model(config.model, config.model_args)
    shape = (3, FRAMES, 25, 2)
    np.save(tmp_path / "train.npy", 7 * joint_batch(NTU, 12, FRAMES, 2, seed=6))
    args = replace(
        config.train_feeder_args,
        data_path=str(tmp_path / "train.npy"), label_path=config.test_feeder_args.label_path,
    )  # fmt: skip
    clips, source = calibration_clips(replace(config, train_feeder_args=args), model, shape)
    assert (source, clips.shape) == (args.data_path, (12, *shape))
    assert np.abs(clips).max() > 6
    nowhere = replace(config.test_feeder_args, data_path="nowhere.npy")
    clips, source = calibration_clips(replace(config, test_feeder_args=nowhere), model, shape)
    assert (source, clips.shape) == ("made clips", (64, *shape))
    assert labelled_clips(replace(config, test_feeder_args=nowhere), model) is None


def _answers(changed: int, noise: float = 0.0) -> tuple[parity.Logits, parity.Logits, np.ndarray]:
    """A hundred clips, their classes in turn on top; `changed` of them with another one on top."""
    rng = np.random.default_rng(0)
    labels = np.arange(100) % 5
    exact = np.eye(5)[labels] * 4 + rng.uniform(0, 1, (100, 5))
    got = exact + noise * rng.standard_normal(exact.shape)
    got[:changed] = np.roll(got[:changed], 1, axis=1)
    return (got,), (exact,), labels


def test_rule_allows_small_errors() -> None:
    got, exact, labels = _answers(0, 0.1)
    found = compare_int8(got, exact, labels)
    assert found["passed"] and found["top1_agreement"] == 1.0
    assert (found["float_top1"], found["top1"], found["top1_cost"]) == (1.0, 1.0, 0.0)
    assert 0.04 < found["rms_rel"] < 0.08


def test_rule_refuses_large_errors_and_what_is_no_number() -> None:
    got, exact, _ = _answers(0, 0.2)
    assert not compare_int8(got, exact)["passed"]
    got[0][3, 1] = np.nan
    assert not compare_int8(got, exact)["passed"]


def test_rule_counts_changed_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "INT8_TOLERANCE", 10.0)
    for changed, agrees, keeps in ((1, True, True), (2, True, False), (3, False, False)):
        got, exact, labels = _answers(changed)
        assert compare_int8(got, exact)["passed"] is agrees
        found = compare_int8(got, exact, labels)
        assert found["passed"] is keeps
        assert found["top1_cost"] == pytest.approx(changed / 100)


def test_export_that_costs_too_much_is_not_published(exported: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(parity, "INT8_TOLERANCE", 1e-6)
    result = export_job(exported, tmp_path / "out", precision="int8")
    assert not result["passed"] and result["onnx"] is None
    assert not (tmp_path / "out").exists()


@needs_rtx
def test_engines_are_quantised_too(quantised: Path) -> None:
    (engine,) = read_manifest(quantised).engines
    assert engine.takes == "rows" and engine.layers["convolutions"]["QUANTIZE"] > 10
    assert read_manifest(quantised).parity["engines"]["their graph"]["passed"]


def test_no_refit(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="int8: new weights have other ranges"):
        export_job(exported, tmp_path / "out", precision="int8", refittable=True)
