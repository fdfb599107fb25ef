"""The parity rule: when an exported network counts as equal to the trained models in plain PyTorch.

Everything is compared with the models in float64.
- fp32: the largest error is at most 1e-5 of the largest value. A model that amplifies rounding (an untrained AAGCN on
  some clips) misses that in plain PyTorch too; there it is at most twice plain PyTorch's float32 error.
- tf32, fp16, bf16: the largest error is at most twice that of plain PyTorch at that precision (as autocast rounds), the
  rule of flash-attention's tests. Both errors are the largest of a few numbers, hence the factor.
- Always: no other class on top, for clips whose lead over the second class exceeds the error.
"""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from agcn.device import AMP_DTYPES
from agcn.model import Model
from export.onnx_graph import output_names
from export.rounding import RoundLikeAutocast, RoundLikeTf32

TOLERANCE = 1e-5
FACTOR = 2.0
# Clips at a time: the reference is float64.
_BATCH = 4

# The logits of each stream, and last the fused scores.
Answers = tuple[np.ndarray, ...]


def plain_answers(
    models: Sequence[Model],
    bone_parents: Sequence[int],
    weights: Sequence[float],
    joints: np.ndarray,
    precision: str = "fp64",
) -> Answers:
    """The logits of two or four models as trained and their weighted sum, in eager PyTorch on the CPU.

    Args:
        models, weights: one a stream, in the order of `STREAMS`.
        joints: (N, C, T, V, M) float32, prepared.
        precision: "fp64", "fp32", or rounded as autocast to "fp16" or "bf16" rounds, or as TF32's products do.
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
            clips = torch.from_numpy(np.ascontiguousarray(joints[start : start + _BATCH])).to(dtype)
            # Bones from float32 joints, as prep makes them: the difference is exact in float64.
            bones = clips - clips[:, :, :, list(bone_parents)]
            inputs = (clips, bones, _motion(clips), _motion(bones))
            for answers, model, x in zip(rows, models, inputs, strict=False):
                with rounding:
                    logits = model(x)
                answers.append(logits.numpy())
    logits = [np.concatenate(answers) for answers in rows]
    return (*logits, sum((weight * one for weight, one in zip(weights, logits, strict=True)), np.zeros((), np.float32)))


def _motion(x: torch.Tensor) -> torch.Tensor:
    moved = torch.zeros_like(x)
    moved[:, :, :-1] = x[:, :, 1:] - x[:, :, :-1]
    return moved


def compare(got: Answers, exact: Answers, precision: str, plain: Answers | None = None) -> dict[str, Any]:
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
        "passed": all(one["max_rel"] <= one["tolerance"] for one in outputs.values()) and changed == 0,
        **worst,
        "top1_agreement": same,
        "changed_beyond_error": changed,
        "clips": len(got[-1]),
        "outputs": outputs,
    }


def check(
    got: Answers,
    models: Sequence[Model],
    bone_parents: Sequence[int],
    weights: Sequence[float],
    joints: np.ndarray,
    precision: str,
) -> dict[str, Any]:
    """`compare` with the answers that the models give for `joints`."""
    exact = plain_answers(models, bone_parents, weights, joints)
    if precision == "fp32":
        result = compare(got, exact, precision)
        if result["passed"]:
            return result
    plain = plain_answers(models, bone_parents, weights, joints, precision)
    return compare(got, exact, precision, plain)


def _largest_error(got: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(got.astype(np.float64) - exact).max())


def _changed_tops(got: np.ndarray, exact: np.ndarray, error: float) -> int:
    """Clips with another class on top although their lead exceeds the error."""
    if exact.shape[1] < 2:
        return 0
    ordered = np.sort(exact, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > error
    return int((clear & (got.argmax(axis=1) != exact.argmax(axis=1))).sum())
