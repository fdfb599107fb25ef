"""The adaptive graph convolution in kernels of its own, for GPUs.

PyTorch's operations write the products with the weights to memory and read them again for the products with the graphs,
whose inner length of V joints cuBLAS gives to slow kernels. Triton's kernels (`agcn.model.graph_conv_kernels`) keep
them within the multiprocessor: x is read and y written once, and the backward pass recomputes what it needs. On a CPU
the same is computed by formulas that are easy to read, for comparison.

Letters: N rows, C channels, T frames, V joints, K = 3 subsets, E channels that joints are compared in. Features lie
with their channels last.
"""

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

NAMESPACE = "two_stream_agcn"
# Two frames of more would not fit into a tile.
MAX_JOINTS = 64


def missing_for_kernels(device: torch.device, joints: int) -> str:
    """What the kernels need and do not have on `device`; "" where they run."""
    if device.type != "cuda" or torch.version.cuda is None:
        return "an NVIDIA GPU"
    if find_spec("triton") is None:
        return "Triton"
    if torch.cuda.get_device_capability(device) < (8, 0):  # whose tiles have too little shared memory
        return "a GPU of compute capability 8.0 or more"
    return "" if joints <= MAX_JOINTS else f"at most {MAX_JOINTS} joints"


def fused_graph_conv(x: Tensor, graphs: Tensor, weight: Tensor) -> Tensor:
    """The sum over subsets of graph times x times weight, in the precision of x.

    Args:
        x: (N, C, T, V).
        graphs: (N, K, V, V), from joint (row) to joint (column).
        weight: (K, out, C).

    Returns:
        (N, out, T, V) with its channels last.
    """
    return _convolve(x.permute(0, 2, 3, 1), graphs, weight, False).permute(0, 3, 1, 2)


def fused_similarity(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Theta' phi of each subset, summed over frames and the channels of the embedding.

    Args:
        x: (N, C, T, V).
        weight, bias: theta's and phi's, (2, K, E, C) and (2, K, E).

    Returns:
        (N, K, V, V), float32 where x is less.
    """
    return _similarity(x.permute(0, 2, 3, 1), weight, bias)


@torch.library.custom_op(f"{NAMESPACE}::graph_conv", mutates_args=())
def _convolve(x: Tensor, graphs: Tensor, weight: Tensor, transposed: bool) -> Tensor:
    """(N, T, V, C), (N, K, V, V), (K, D, C) -> (N, T, V, D); with the graphs transposed, or not."""
    graphs, weight = graphs.to(x.dtype), weight.to(x.dtype)
    if x.is_cuda:
        from agcn.model import graph_conv_kernels

        return graph_conv_kernels.convolve(x.contiguous(), graphs.contiguous(), weight.contiguous(), transposed)
    return torch.einsum("ntvc,nkwv,kdc->ntwd" if transposed else "ntvc,nkvw,kdc->ntwd", x, graphs, weight).contiguous()


@torch.library.custom_op(f"{NAMESPACE}::graph_conv_graph_gradients", mutates_args=())
def _graph_gradients(x: Tensor, weight: Tensor, dy: Tensor) -> Tensor:
    """(N, T, V, C), (K, D, C), (N, T, V, D) -> (N, K, V, V), float32 where x is less."""
    weight = weight.to(x.dtype)
    if x.is_cuda:
        from agcn.model import graph_conv_kernels

        return graph_conv_kernels.graph_gradients(x.contiguous(), weight.contiguous(), dy.contiguous())
    return torch.einsum("ntvc,kdc,ntwd->nkvw", x, weight, dy).to(_sum_dtype(x)).contiguous()


@torch.library.custom_op(f"{NAMESPACE}::graph_conv_weight_gradients", mutates_args=())
def _weight_gradients(x: Tensor, graphs: Tensor, dy: Tensor) -> Tensor:
    """(N, T, V, C), (N, K, V, V), (N, T, V, D) -> (K, D, C), float32 where x is less."""
    graphs = graphs.to(x.dtype)
    if x.is_cuda:
        from agcn.model import graph_conv_kernels

        return graph_conv_kernels.weight_gradients(x.contiguous(), graphs.contiguous(), dy.contiguous())
    return torch.einsum("ntvc,nkvw,ntwd->kdc", x, graphs, dy).to(_sum_dtype(x)).contiguous()


@torch.library.custom_op(f"{NAMESPACE}::similarity", mutates_args=())
def _similarity(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(N, T, V, C), (2, K, E, C), (2, K, E) -> (N, K, V, V), float32 where x is less."""
    weight, bias = weight.to(x.dtype), bias.to(x.dtype)
    if x.is_cuda:
        from agcn.model import graph_conv_kernels

        return graph_conv_kernels.similarities(x.contiguous(), weight.contiguous(), bias.contiguous())
    theta, phi = _embed(x, weight, bias)
    return torch.einsum("nktve,nktwe->nkvw", theta, phi).to(_sum_dtype(x)).contiguous()


@torch.library.custom_op(f"{NAMESPACE}::embedding_gradients", mutates_args=())
def _embedding_gradients(x: Tensor, weight: Tensor, bias: Tensor, dgraphs: Tensor) -> Tensor:
    """As `_similarity`, and the gradient of what that returns -> those of theta and phi, (N, T, V, 2 * K * E)."""
    weight, bias, dgraphs = weight.to(x.dtype), bias.to(x.dtype), dgraphs.to(x.dtype)
    if x.is_cuda:
        from agcn.model import graph_conv_kernels

        given = (x.contiguous(), weight.contiguous(), bias.contiguous(), dgraphs.contiguous())
        return graph_conv_kernels.embedding_gradients(*given)
    theta, phi = _embed(x, weight, bias)
    dtheta = torch.einsum("nkvw,nktwe->ntvke", dgraphs, phi)
    dphi = torch.einsum("nkvw,nktve->ntwke", dgraphs, theta)
    return torch.stack([dtheta, dphi], dim=3).flatten(3).contiguous()


def _embed(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Theta and phi of x, each (N, K, T, V, E)."""
    theta, phi = (torch.einsum("ntvc,kec->nktve", x, part) for part in weight)
    return theta + bias[0][:, None, None], phi + bias[1][:, None, None]


def _sum_dtype(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


@_convolve.register_fake
def _(x: Tensor, graphs: Tensor, weight: Tensor, transposed: bool) -> Tensor:
    return x.new_empty(*x.shape[:3], weight.shape[1])


@_graph_gradients.register_fake
def _(x: Tensor, weight: Tensor, dy: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[0], x.shape[2], x.shape[2], dtype=_sum_dtype(x))


@_weight_gradients.register_fake
def _(x: Tensor, graphs: Tensor, dy: Tensor) -> Tensor:
    return x.new_empty(graphs.shape[1], dy.shape[3], x.shape[3], dtype=_sum_dtype(x))


@_similarity.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[1], x.shape[2], x.shape[2], dtype=_sum_dtype(x))


@_embedding_gradients.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor, dgraphs: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:3], weight[..., 0].numel())


def _save_inputs(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])


def _backward_of_convolve(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    x, graphs, weight = ctx.saved_tensors
    dx = _convolve(dy, graphs, weight.transpose(1, 2), True)
    dgraphs = _graph_gradients(x, weight, dy).to(graphs.dtype) if ctx.needs_input_grad[1] else None
    return dx, dgraphs, _weight_gradients(x, graphs, dy).to(weight.dtype), None


_convolve.register_autograd(_backward_of_convolve, setup_context=_save_inputs)


def _backward_of_similarity(ctx: Any, dgraphs: Tensor) -> tuple[Tensor, ...]:
    x, weight, bias = ctx.saved_tensors
    dy = _embedding_gradients(x, weight, bias, dgraphs)
    dx = dy @ weight.to(x.dtype).flatten(0, 2)
    dweight = dy.flatten(0, 2).t() @ x.flatten(0, 2)  # (2*K*E, C)
    return dx, dweight.view_as(weight).to(weight.dtype), dy.sum(dim=(0, 1, 2)).view_as(bias).to(bias.dtype)


_similarity.register_autograd(_backward_of_similarity, setup_context=_save_inputs)
