"""The parity rule: when an exported network counts as equal to the trained models in plain PyTorch.

Everything is compared with the models in float64.
- fp32: the largest error is at most 1e-5 of the largest value. A model that amplifies rounding (an untrained AAGCN on
  some clips) misses that in plain PyTorch too; there it is at most twice plain PyTorch's float32 error.
- tf32, fp16, bf16: the largest error is at most twice that of plain PyTorch at that precision (as autocast rounds), the
  rule of flash-attention's tests. Both errors are the largest of a few numbers, hence the factor.
- Always there: no other class on top, for clips whose lead over the second class exceeds the error.
- int8 rounds to 256 steps of a measured range, so no error of PyTorch's is its measure. Against the float32 graph,
  which has met its own rule: the scores' error (root mean square) is at most a tenth of the spread of a clip's scores,
  98 % of the clips keep their class, and where labels are known half a point of accuracy is lost at most. One clip may
  always change: few clips have coarse percentages.
"""

import copy
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from agcn.data.pyskl import bone_parents, make_pyskl_stream
from agcn.device import AMP_DTYPES
from agcn.model.network import Model
from export.graph.onnx_graph import output_names
from export.graph.rounding import RoundLikeAutocast, RoundLikeTf32
from native_prep.skeletons.layouts import Layout
from native_prep.skeletons.streams import STREAMS, stream_of

TOLERANCE = 1e-5
FACTOR = 2.0
INT8_TOLERANCE = 0.1
INT8_AGREEMENT = 0.98
INT8_COST = 0.005
# Clips at a time: the reference is float64.
_BATCH = 4
# The logits of each stream, and last the fused scores.
Logits = tuple[np.ndarray, ...]


def eager_logits(
    models: Sequence[Model],
    weights: Sequence[float],
    joints: np.ndarray,
    precision: str = "fp64",
    convention: str = "",
) -> Logits:
    """The logits of two or four models as trained and their weighted sum, in eager PyTorch on the CPU.

    Args:
        models, weights: one a stream, in the order of `STREAMS`.
        joints: (N, C, T, V, M) float32, prepared.
        precision: "fp64", "fp32", or rounded as autocast to "fp16" or "bf16" rounds, or as TF32's products do.
        convention: see `export.graph.network.TwoStream`.
    """
    dtype = torch.float64 if precision == "fp64" else torch.float32
    models = [copy.deepcopy(model).cpu().eval().to(dtype) for model in models]
    rounding: AbstractContextManager[object] = nullcontext()
    if precision in AMP_DTYPES:
        rounding = RoundLikeAutocast(AMP_DTYPES[precision])
    elif precision == "tf32":
        rounding = RoundLikeTf32()
    rows: list[list[np.ndarray]] = [[] for _ in models]
    with torch.no_grad():
        for start in range(0, len(joints), _BATCH):
            # Bones and motions of float32 joints, as prep makes them: their differences are exact in float64.
            clips = torch.from_numpy(joints[start : start + _BATCH]).to(dtype)
            for answers, model, stream in zip(rows, models, STREAMS, strict=False):
                x = _make_stream(clips, stream, model.layout, convention, len(models) > 2)
                with rounding:
                    logits = model(x)
                answers.append(logits.numpy())
    logits = [np.concatenate(answers) for answers in rows]
    return (*logits, sum((weight * one for weight, one in zip(weights, logits, strict=True)), np.zeros((), np.float32)))


def _make_stream(clips: torch.Tensor, stream: str, layout: Layout, convention: str, paired: bool) -> torch.Tensor:
    """A stream of prepared joints (N, C, T, V, M), made as the feeder makes it and not as the graph does."""
    if not convention:
        return torch.from_numpy(stream_of(clips.numpy(), stream, layout))
    frames = clips[:, :, 0::2] if paired and not stream.endswith("motion") else clips
    parents = torch.tensor(bone_parents(layout, convention))
    return make_pyskl_stream(frames, stream, parents, layout.coordinates == "image")


def compare(got: Logits, exact: Logits, precision: str, plain: Logits | None = None) -> dict[str, Any]:
    """Apply the rule.

    Args:
        got: what the export computes.
        exact: the models' answers in float64.
        precision: fp32, tf32, fp16 or bf16, of the export.
        plain: the models' answers in plain PyTorch at that precision; needed for the half precisions, and in fp32 it
            raises the tolerance where PyTorch's own error is large.

    Returns:
        passed, max_abs and max_rel (of the output that uses most of its tolerance, relative to the output's largest
        value), tolerance (on max_rel), top1_agreement (share of all clips), clips, and `outputs` with the errors of
        each.
    """
    assert plain is not None or precision == "fp32", "half precisions are measured against PyTorch's own error"
    outputs = {}
    for place, name in enumerate(output_names(len(exact) - 1)):
        scale = float(np.abs(exact[place]).max()) or 1.0
        error = _largest_error(got[place], exact[place])
        own = FACTOR * _largest_error(plain[place], exact[place]) / scale if plain is not None else 0.0
        tolerance = max(TOLERANCE, own) if precision == "fp32" else own
        outputs[name] = {"max_abs": error, "max_rel": error / scale, "tolerance": tolerance}
    worst = max(outputs.values(), key=lambda one: one["max_rel"] / max(one["tolerance"], 1e-30))
    changed = _changed_tops(got[-1], exact[-1], outputs["scores"]["max_abs"])
    same = float((got[-1].argmax(axis=1) == exact[-1].argmax(axis=1)).mean())
    return {
        # Not `>`: an error that is not a number must fail.
        # An infinite tolerance comes from models that overflow at this precision: nothing can be said of them.
        "passed": all(one["max_rel"] <= one["tolerance"] < math.inf for one in outputs.values()) and changed == 0,
        **worst,
        "top1_agreement": same,
        "changed_beyond_error": changed,
        "clips": len(got[-1]),
        "outputs": outputs,
    }


def check(
    got: Logits,
    models: Sequence[Model],
    weights: Sequence[float],
    joints: np.ndarray,
    precision: str,
    convention: str = "",
) -> dict[str, Any]:
    """`compare` with the answers that the models give for `joints`."""
    exact = eager_logits(models, weights, joints, convention=convention)
    if precision == "fp32":
        result = compare(got, exact, precision)
        if result["passed"]:
            return result
    plain = eager_logits(models, weights, joints, precision, convention)
    return compare(got, exact, precision, plain)


def compare_int8(got: Logits, floats: Logits, labels: np.ndarray | None = None) -> dict[str, Any]:
    """Apply the rule of int8.

    Args:
        got, floats: answers of the int8 graph, and of the float32 graph that it was made from.
        labels: (N,), the clips' classes, where they are known.

    Returns:
        passed, max_abs and max_rel (of the scores, as in `compare`), rms_rel (the error relative to the spread of a
        clip's scores), tolerance (on rms_rel), top1_agreement, clips; with labels float_top1, top1 and top1_cost, of
        the scores.
    """
    scores, exact = got[-1].astype(np.float64), floats[-1].astype(np.float64)
    error = _largest_error(scores, exact)
    spread = float(np.sqrt(np.square(exact - exact.mean(axis=1, keepdims=True)).mean())) or 1.0
    rms = float(np.sqrt(np.square(scores - exact).mean())) / spread
    tops, exact_tops = scores.argmax(axis=1), exact.argmax(axis=1)
    clips, changed = len(tops), int((tops != exact_tops).sum())
    passed = rms <= INT8_TOLERANCE and changed <= max(1, (1 - INT8_AGREEMENT) * clips)
    result = {
        "max_abs": error,
        "max_rel": error / (float(np.abs(exact).max()) or 1.0),
        "rms_rel": rms,
        "tolerance": INT8_TOLERANCE,
        "top1_agreement": 1 - changed / clips,
        "clips": clips,
    }
    if labels is not None:
        right, float_right = int((tops == labels).sum()), int((exact_tops == labels).sum())
        result |= {"float_top1": float_right / clips, "top1": right / clips, "top1_cost": (float_right - right) / clips}
        passed = passed and float_right - right <= max(1, INT8_COST * clips)
    return {"passed": passed, **result}


def _largest_error(got: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(got.astype(np.float64) - exact).max())


def _changed_tops(got: np.ndarray, exact: np.ndarray, error: float) -> int:
    """Clips with another class on top although their lead exceeds the error."""
    if exact.shape[1] < 2:
        return 0
    ordered = np.sort(exact, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > error
    return int((clear & (got.argmax(axis=1) != exact.argmax(axis=1))).sum())
