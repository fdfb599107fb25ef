"""Bodies that are not there, computed as one row: the same losses, gradients and statistics as one by one."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from exported import three_blocks
from functorch.compile import make_boxed_func
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd

from agcn.device import autocast
from agcn.model.absent_bodies import BodyRows, deduplicate_absent_bodies
from agcn.model.network import Model, build_model
from agcn.settings import FeederArgs

MODEL = {"num_class": 3, "num_point": 4, "num_person": 2, "graph": "mine", "graph_args": {"edges": [[1, 0], [3, 1]]}}
# Which of five clips lack a second body, and whether one lacks both.
CASES = {"none": [], "some": [(1, 1), (3, 1)], "all": [(n, 1) for n in range(5)], "both": [(0, 0), (0, 1), (2, 0)]}
LABELS = torch.tensor([0, 1, 2, 0, 1])


def clips_without(absent: list[tuple[int, int]]) -> Tensor:
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 3, 12, 4, 2)))
    for clip, body in absent:
        x[clip, ..., body] = 0.0
    return x


def lively(variant: str) -> Model:
    torch.manual_seed(0)
    model = build_model(variant, MODEL).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("bn.weight", "PA", "alpha")) or "conv_" in name or "fc" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.train()


def present(x: Tensor) -> np.ndarray:
    return (x != 0).flatten(1, 3).any(dim=1).numpy()


def test_plan() -> None:
    rows = deduplicate_absent_bodies(np.array([[True, False], [True, True], [False, False]]))
    assert rows.gather_index.tolist() == [0, 1, 2, 3, 4] and rows.multiplicity.tolist() == [1, 2, 1, 1, 1]
    assert rows.inverse_index.tolist() == [0, 1, 2, 3, 4, 1]
    assert len(deduplicate_absent_bodies(np.ones((3, 2), bool)).gather_index) == 6
    assert deduplicate_absent_bodies(np.zeros((3, 2), bool)).multiplicity.tolist() == [3, 3]


@pytest.mark.parametrize(("fused", "case"), [*((False, case) for case in CASES), (True, "some")])
@pytest.mark.parametrize("variant", ["agcn", "aagcn"])
def test_same_as_one_by_one(variant: str, fused: bool, case: str) -> None:
    x = clips_without(CASES[case])
    plain = lively(variant)
    shared = copy.deepcopy(plain)
    if fused:  # the other way to convolve, whose features lie with their channels last
        shared.fuse_graph_conv()
    rows = deduplicate_absent_bodies(present(x))
    losses = []
    for model, given in ((plain, None), (shared, rows)):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
        for _ in range(3):
            loss = torch.nn.functional.cross_entropy(model(x, given), LABELS)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    np.testing.assert_allclose(losses[:3], losses[3:], rtol=0, atol=1e-10)
    for (name, one), other in zip(plain.named_parameters(), shared.parameters(), strict=True):
        torch.testing.assert_close(
            other.grad, one.grad, rtol=1e-8, atol=1e-10, msg=lambda text, at=name: f"{at}: {text}"
        )
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], value, rtol=0, atol=1e-10)
    torch.testing.assert_close(shared.eval()(x, rows), plain.eval()(x), rtol=1e-10, atol=1e-10)


def gradients(model: Model, x: Tensor, rows: BodyRows | None, amp_dtype: str | None) -> Tensor:
    with autocast(torch.device("cpu"), amp_dtype):
        logits = model(x, rows)
    torch.nn.functional.cross_entropy(logits.float(), LABELS).backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def test_mixed_precision() -> None:
    x = clips_without(CASES["some"]).float()
    exact, plain, shared = (lively("agcn").float() for _ in range(3))
    right = gradients(exact, x, None, None)
    apart = (gradients(plain, x, None, "bf16") - right).norm()
    assert (
        (gradients(shared, x, deduplicate_absent_bodies(present(x)), "bf16") - right).norm()
        < 2 * apart
        < 0.6 * right.norm()
    )
    torch.testing.assert_close(shared.l5.tcn1.bn.running_var, exact.l5.tcn1.bn.running_var, rtol=0.05, atol=1e-3)


@pytest.mark.filterwarnings("ignore:.*autograd.function.Function.*:DeprecationWarning")  # PyTorch's own
@pytest.mark.parametrize("fused", [False, True])
def test_rows_of_any_number_compile_once(fused: bool) -> None:
    """One graph forward and one backward, and the gradients of the network as it is."""
    compiled = []

    def counting(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable:
        compiled.append(len(inputs))
        return make_boxed_func(graph.forward)

    torch._dynamo.reset()
    with three_blocks():
        traced = lively("agcn")
        if fused:
            traced.fuse_graph_conv()
        network = torch.compile(traced, backend=aot_autograd(fw_compiler=counting))
        for case in (*CASES, "some", "both"):
            x, plain = clips_without(CASES[case]), lively("agcn")
            traced.load_state_dict(plain.state_dict())
            traced.zero_grad(set_to_none=True)
            rows = deduplicate_absent_bodies(present(x))
            rows.mark()
            for one in (plain, network):
                torch.nn.functional.cross_entropy(one(x, rows), LABELS).backward()
            for (name, right), other in zip(plain.named_parameters(), traced.parameters(), strict=True):
                torch.testing.assert_close(
                    other.grad, right.grad, rtol=1e-8, atol=1e-10, msg=lambda text, at=name: f"{at}: {text}"
                )
            torch.testing.assert_close(traced.state_dict(), plain.state_dict(), rtol=0, atol=1e-10)
    assert len(compiled) == 2


@pytest.mark.parametrize("change", [{"random_move": True}, {"normalization": True}])
def test_moved_bodies_are_not_shared(change: dict) -> None:
    assert not FeederArgs(**change).keeps_absent and FeederArgs(random_shift=True).keeps_absent
