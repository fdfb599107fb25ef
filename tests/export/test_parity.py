"""The parity rule passes what is equal and fails what is not."""

import numpy as np
import pytest
import torch
from exported import three_blocks, trained_looking

from export.graph.network import TwoStream
from export.graph.parity import Logits, check, compare, eager_logits
from export.graph.rounding import RoundLikeTf32
from native_prep.skeletons.layouts import NTU
from native_prep.synth.make import joint_batch


def _answers(seed: int = 0, clips: int = 8, classes: int = 5) -> Logits:
    joint, bone = np.random.default_rng(seed).standard_normal((2, clips, classes))
    return joint, bone, joint + bone


def _moved(answers: Logits, by: float, output: int = 2) -> Logits:
    parts = [part.copy() for part in answers]
    parts[output][3, 2] += by
    return parts[0], parts[1], parts[2]


@pytest.mark.parametrize("output", [0, 1, 2])
def test_single_precision_allows_a_hundred_thousandth(output: int) -> None:
    exact = _answers()
    scale = np.abs(exact[output]).max()
    near = compare(_moved(exact, 0.9e-5 * scale, output), exact, "fp32")
    assert near["passed"]
    assert near["max_rel"] == pytest.approx(0.9e-5)
    assert near["max_abs"] == pytest.approx(0.9e-5 * scale)
    assert (near["tolerance"], near["clips"], near["top1_agreement"]) == (1e-5, 8, 1.0)
    assert not compare(_moved(exact, 1.1e-5 * scale, output), exact, "fp32")["passed"]


def test_single_precision_asks_no_more_than_pytorch_gives() -> None:
    exact = _answers()
    plain = _moved(exact, 1e-3)
    assert compare(_moved(exact, 1.9e-3), exact, "fp32", plain)["passed"]
    assert not compare(_moved(exact, 2.1e-3), exact, "fp32", plain)["passed"]
    assert compare(_moved(exact, 1e-6), exact, "fp32", exact)["tolerance"] == 1e-5


def test_half_precision_allows_twice_what_pytorch_errs() -> None:
    exact = _answers()
    plain = tuple(part + 1e-3 for part in exact)
    near = tuple(part + 1.9e-3 for part in exact)
    far = tuple(part + 2.1e-3 for part in exact)
    assert compare(near, exact, "fp16", plain)["passed"]
    assert not compare(far, exact, "fp16", plain)["passed"]


def test_another_class_on_top_fails_where_the_lead_is_clear() -> None:
    exact = tuple(np.array([[1.0, 0.5], [1.0, 0.99]]) for _ in range(3))
    plain = tuple(part + 0.3 for part in exact)
    close = tuple(part.copy() for part in exact)
    close[2][1] = [0.98, 1.01]
    result = compare(close, exact, "bf16", plain)
    assert (result["passed"], result["top1_agreement"], result["changed_beyond_error"]) == (True, 0.5, 0)
    clear = tuple(part.copy() for part in exact)
    clear[2][0] = [0.7, 0.8]
    result = compare(clear, exact, "bf16", plain)
    assert (result["passed"], result["changed_beyond_error"]) == (False, 1)


def test_what_is_no_number_fails() -> None:
    exact = _answers()
    assert not compare(_moved(exact, np.nan), exact, "fp32")["passed"]
    assert not compare(_moved(exact, np.inf), exact, "fp16", exact)["passed"]
    assert not compare(_moved(exact, 1.0), exact, "fp16", _moved(exact, np.inf))["passed"]


def test_folded_network_passes_and_a_bent_one_fails() -> None:
    with three_blocks():
        joint, bone = (trained_looking("agcn", NTU, seed) for seed in (1, 2))
        joints = joint_batch(NTU, 6, 16, 2, seed=0)
        network = TwoStream(joint, bone, NTU.bone_parents, 0.5, frames=16)

        def measured() -> dict:
            got = tuple(part.numpy() for part in network(torch.from_numpy(joints)))
            return check(got, (joint, bone), (1.0, 0.5), joints, "fp32")

        assert measured()["passed"], measured()
        # As if one batch norm had been folded wrongly.
        network.streams[1].blocks[1].temporal.bias.data *= 1.01
        assert not measured()["passed"]


@pytest.mark.parametrize(("precision", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_rounding_errs_like_autocast(precision: str, dtype: torch.dtype) -> None:
    with three_blocks():
        model = trained_looking("agcn", NTU, 1)
        joints = joint_batch(NTU, 2, 8, 2, seed=0)
        exact, _, _ = eager_logits((model, model), (1.0, 1.0), joints)
        rounded, _, _ = eager_logits((model, model), (1.0, 1.0), joints, precision)
        with torch.no_grad(), torch.autocast("cpu", dtype=dtype):
            autocast = model(torch.from_numpy(joints)).float().numpy()
    errors = [np.sqrt(np.mean((one - exact) ** 2)) for one in (rounded, autocast)]
    assert 0.6 < errors[0] / errors[1] < 1.5


def test_plain_answers_leave_the_models_alone() -> None:
    with three_blocks():
        joint, bone = (trained_looking("agcn", NTU, seed) for seed in (1, 2))
        joints = joint_batch(NTU, 5, 16, 2, seed=0)
        answers = eager_logits((joint, bone), (1.0, 0.5), joints)
        with torch.no_grad():
            expected = joint(torch.from_numpy(joints)).numpy()
    assert joint.fc.weight.dtype == torch.float32
    np.testing.assert_allclose(answers[0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(answers[2], answers[0] + 0.5 * answers[1])


def test_tf32_keeps_ten_bits_of_factors_and_adds_in_float32() -> None:
    step = 2.0**-10
    factors = torch.tensor([[1 + 0.5 * step, 1 + 1.5 * step, 1 + 0.51 * step, 3 + step]])
    kept = torch.tensor([[1.0, 1 + 2 * step, 1 + step, 3.0]])  # ties go to the even one; beyond 2 a step is twice that
    with RoundLikeTf32():
        product, total = factors @ torch.eye(4), factors + step / 4
    torch.testing.assert_close(product, kept, rtol=0, atol=0)
    torch.testing.assert_close(total, factors + step / 4, rtol=0, atol=0)
