"""The graph convolution as an operation of its own: its gradients, layout and precision."""

import copy

import pytest
import torch
from torch import Tensor

from agcn.device import autocast
from agcn.model.fused_graph_conv import fused_graph_conv, fused_similarity
from agcn.model.layers import Block

CPU = torch.device("cpu")


def random(*shape: int) -> Tensor:
    made = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)
    return made.requires_grad_()


@pytest.mark.parametrize("channels", [3, 8])
def test_gradients_are_those_of_finite_differences(channels: int) -> None:
    x, graphs, weight = random(2, channels, 3, 5), random(2, 3, 5, 5), random(3, 4, channels)
    assert torch.autograd.gradcheck(fused_graph_conv, (x, graphs, weight))
    assert torch.autograd.gradcheck(fused_similarity, (x, random(2, 3, 4, channels), random(2, 3, 4)))


def test_torch_compile_may_rely_on_what_is_registered() -> None:
    x, graphs, weight = random(2, 3, 5, 8), random(2, 3, 5, 5), random(3, 4, 8)
    torch.library.opcheck(torch.ops.two_stream_agcn.graph_conv, (x, graphs, weight, False))
    torch.library.opcheck(torch.ops.two_stream_agcn.similarity, (x, random(2, 3, 4, 8), random(2, 3, 4)))


@pytest.mark.parametrize("variant", ["agcn", "aagcn"])
def test_a_block_in_half_precision_with_channels_last(variant: str) -> None:
    """The fused block is as near to float64 as the other, and turns nothing back to channels first."""
    torch.manual_seed(0)
    exact = Block(8, 16, torch.rand(3, 5, 5), stride=2, variant=variant, attention=variant == "aagcn").double()
    with torch.no_grad():
        for parameter in exact.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    x = torch.randn(3, 8, 10, 5)
    right = exact(x.double())
    plain, fused = copy.deepcopy(exact).float(), copy.deepcopy(exact).float()
    fused.gcn1.fused = True
    with autocast(CPU, "bf16"):
        apart = (plain(x) - right).norm()
        found = fused(x.contiguous(memory_format=torch.channels_last))
    assert found.is_contiguous(memory_format=torch.channels_last) and found.dtype == torch.bfloat16
    assert (found - right).norm() < 2 * apart < 0.05 * right.norm()


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("sizes", [(5, 3, 30, 25, 64), (3, 64, 7, 17, 128), (2, 128, 75, 25, 256)])
def test_kernels_on_a_gpu(sizes: tuple[int, ...], dtype: torch.dtype, allowed: float) -> None:
    """Answers and gradients are those of the formulas in float64 on a CPU, of the same rounded numbers."""
    if dtype == torch.float32 and torch.cuda.get_device_properties(0).shared_memory_per_block_optin < 163_840:
        pytest.skip("tiles of float32 need more shared memory")
    rows, channels, frames, joints, out = sizes
    convolved = (random(rows, channels, frames, joints), random(rows, 3, joints, joints), random(3, out, channels))
    compared = (convolved[0], random(2, 3, out // 4, channels), random(2, 3, out // 4))
    for function, given in ((fused_graph_conv, convolved), (fused_similarity, compared)):
        rounded = [tensor.detach().to("cuda", dtype).requires_grad_() for tensor in given]
        exact = [tensor.detach().cpu().double().requires_grad_() for tensor in rounded]
        found, right = function(*rounded), function(*exact)
        gradient = torch.randn_like(found)
        found.backward(gradient)
        right.backward(gradient.cpu().double())
        pairs = [(found, right), *((one.grad, other.grad) for one, other in zip(rounded, exact, strict=True))]
        for one, other in pairs:
            assert one is not None and other is not None
            assert (one.cpu().double() - other).abs().max() < allowed * other.abs().max()
