"""Triton's kernels in its interpreter, which has to be chosen before Triton is imported: so in a process of its own.

Writes one JSON line: for each kernel and case the largest difference from the formulas in float64, as a share of the
largest number.
"""

import json
import os

os.environ["TRITON_INTERPRET"] = "1"

import torch
from torch import Tensor

from agcn.model import fused_graph_conv as formulas
from agcn.model import graph_conv_kernels as kernels

# Rows, frames, joints, channels before and after: less than a tile, several tiles, many joints.
SIZES = [(1, 3, 25, 3, 4), (2, 5, 17, 72, 40), (1, 2, 40, 16, 8)]


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def distance(found: Tensor, right: Tensor) -> float:
    assert found.shape == right.shape
    return float((found.double() - right).abs().max() / right.abs().max())


def distances(sizes: tuple[int, ...], dtype: torch.dtype) -> dict[str, float]:
    rows, frames, joints, channels, out = sizes
    x, graphs = random(rows, frames, joints, channels).to(dtype), random(rows, 3, joints, joints).to(dtype)
    weight, dy = random(3, out, channels).to(dtype), random(rows, frames, joints, out).to(dtype)
    embedding, bias = random(2, 3, out, channels).to(dtype), random(2, 3, out).to(dtype)
    back = weight.transpose(1, 2).contiguous()
    exact_x, exact_graphs, exact_dy = x.double(), graphs.double(), dy.double()
    compared = (exact_x, embedding.double(), bias.double())
    return {
        "convolve": distance(
            kernels.convolve(x, graphs, weight, False),
            formulas._convolve(exact_x, exact_graphs, weight.double(), False),
        ),
        "convolve, turned": distance(
            kernels.convolve(dy, graphs, back, True), formulas._convolve(exact_dy, exact_graphs, back.double(), True)
        ),
        "graph gradients": distance(
            kernels.graph_gradients(x, weight, dy), formulas._graph_gradients(exact_x, weight.double(), exact_dy)
        ),
        "weight gradients": distance(
            kernels.weight_gradients(x, graphs, dy), formulas._weight_gradients(exact_x, exact_graphs, exact_dy)
        ),
        "similarities": distance(kernels.similarities(x, embedding, bias), formulas._similarity(*compared)),
        "embedding gradients": distance(
            kernels.embedding_gradients(x, embedding, bias, graphs),
            formulas._embedding_gradients(*compared, exact_graphs),
        ),
    }


def main() -> None:
    found = {f"{sizes}, float32": distances(sizes, torch.float32) for sizes in SIZES}
    found["float16"] = distances(SIZES[1], torch.float16)
    kernels._sizes = lambda *_, **__: {"BV": 16, "BT": 1, "BC": 16, "BD": 16}
    for programs in (100, 3, 1):  # sums of many parts, of a few, of one
        kernels._PROGRAMS = programs
        found[f"{programs} programs, float32"] = distances((2, 5, 5, 4, 20), torch.float32)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
