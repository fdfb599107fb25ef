"""The ONNX graph with int8 convolutions, as QDQ: ranges measured on clips, everything but convolutions in float32.

Which layers, and how, was measured: docs/LOG.md has what was tried.
"""

import os
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from agcn.data.clips import is_there, open_clips
from agcn.model.network import Model
from agcn.settings import Config
from export.comparison import comparison_clips
from export.graph.onnx_graph import numpy_inputs, strip_traces
from export.graph.parity import Logits
from export.inputs import feeder_from, feeder_settings, input_batches, spread

CALIBRATION_CLIPS = 64
# Clips of the test split whose answers are compared.
COMPARED_CLIPS = 512
# Clips that calibration runs at a time.
_BATCH = 4
# What the quantiser looks for before it advises to simplify the graph first; ours has nothing to simplify.
_SIMPLIFIED = {"onnx.quant.pre_process": "onnxruntime.quant"}


class _Clips(CalibrationDataReader):
    """Clips (N, C, T, V, M) in small batches, the way the quantiser asks for them."""

    def __init__(self, clips: np.ndarray, takes: str) -> None:
        self._batches = iter([clips[start : start + _BATCH] for start in range(0, len(clips), _BATCH)])
        self._takes = takes

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        if batch is None:
            return None
        return numpy_inputs(batch, self._takes)


def quantise(
    graph: str | os.PathLike[str],
    out: str | os.PathLike[str],
    clips: np.ndarray,
    takes: str = "joints",
    for_engines: bool = False,
) -> None:
    """Write the float32 graph `graph` with int8 convolutions to `out`; both may be one file.

    Weights are int8, a scale for each channel of the output; what a convolution takes and gives is uint8, between the
    smallest and the largest value that `clips` (N, C, T, V, M) lead to. Convolutions of the joints themselves stay
    float32: three channels are no work.

    Args:
        takes: what the graph takes, see `export.graph.onnx_graph.engine_inputs`.
        for_engines: as TensorRT wants it: int8 around zero for what convolutions take, and float32 biases.
    """
    model = onnx.load(graph)
    notes = {item.key: item.value for item in model.metadata_props} | {"precision": "int8"}
    onnx.helper.set_model_props(model, notes | _SIMPLIFIED)
    quantize_static(
        model,
        os.fspath(out),
        _Clips(clips, takes),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=_first_convolutions(model),
        per_channel=True,
        activation_type=QuantType.QInt8 if for_engines else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        # Weights of seven bits: AVX2 adds pairs of uint8 * int8 into 16 bits, which overflow with eight.
        reduce_range=not for_engines,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={"ActivationSymmetric": True, "QuantizeBias": False} if for_engines else {},
    )
    made = onnx.load(out)
    made.producer_name = "two-stream-agcn"
    del made.metadata_props[:]
    onnx.helper.set_model_props(made, notes)
    strip_traces(made)
    onnx.save(made, os.fspath(out))


def logits_in_float32(graph: str | os.PathLike[str], joints: np.ndarray, takes: str = "joints") -> Logits:
    """What a QDQ graph says for joints (N, C, T, V, M), each node computed by itself as it is written.

    Only rounding to int8 is in it, none of what int8 kernels do with sums.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(os.fspath(graph), options, providers=["CPUExecutionProvider"])
    return tuple(session.run(None, numpy_inputs(joints, takes)))


def _first_convolutions(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions that see as few channels as the joints have."""
    channels = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return [node.name for node in model.graph.node if node.op_type == "Conv" and weights[node.input[1]][1] == channels]


def calibration_config(config: Config) -> Config:
    """`config` with the training data, where they are at hand, in the place of the test data, changed as those are."""
    train = config.train_feeder_args
    if not (is_there(train.data_path) and is_there(train.label_path)):
        return config
    args = replace(config.test_feeder_args, data_path=train.data_path, label_path=train.label_path)
    return replace(config, test_feeder_args=args)


def calibration_clips(
    config: Config, model: Model, shape: tuple[int, int, int, int], streams: int = 2
) -> tuple[np.ndarray, str]:
    """Clips (N, C, T, V, M) to measure ranges on, and where they are from.

    They are of the training data where that is at hand, else those of the test data, else made ones.

    Raises:
        ValueError: the data does not fit the model.
    """
    return comparison_clips(calibration_config(config), model, shape, CALIBRATION_CLIPS, streams)


def labelled_clips(config: Config, model: Model, streams: int = 2) -> tuple[np.ndarray, np.ndarray, str] | None:
    """Clips (N, C, T, V, M) spread over the test split and their labels (N,), and where they are from.

    None where the test split is not at hand.

    Raises:
        ValueError: the data does not fit the model.
    """
    args = config.test_feeder_args
    if not (is_there(args.data_path) and is_there(args.label_path)):
        return None
    clips = open_clips(args, "test_feeder_args")
    clips.check(model)
    if not len(clips):
        return None
    index = spread(len(clips), COMPARED_CLIPS)
    pairs = list(input_batches(clips, feeder_from(feeder_settings(config, streams)), model.layout, index))
    joints, labels = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return joints, labels, clips.path
