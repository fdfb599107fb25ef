"""`bench gpu`: the graph convolution of three layers, forward and backward, by PyTorch's operations and by kernels."""

import time
from importlib.util import find_spec

import torch
from torch import Tensor

from agcn.device import autocast
from agcn.model.graph import adjacency
from agcn.model.layers import GraphConv
from bench.gpu.context import Bench, one_line
from bench.gpu.training import note_formulas, note_kernels
from bench.part import Check, Limit, Rate
from bench.random_models import relative
from native_prep.skeletons.layouts import NTU

# Channels and frames: the fourth, seventh and last layer's.
LAYERS = ((64, 300), (128, 150), (256, 75))
# Joints and frames in a tile of the kernels, and the warps that compute it.
TILES = ((128, 8), (64, 4), (64, 8))
# Half precision: two or three significant digits.
_ALLOWED = 0.05


def graph_convolution(bench: Bench) -> None:
    """Each way's gradients are compared with float32's, then it is timed; rows are the bodies of 64 clips."""
    rows = 78 if bench.on_gpu else 2
    note_formulas(bench)
    bench.part.sizes |= {"rows": rows, "joints": NTU.num_joints}
    for channels, frames in LAYERS if bench.on_gpu else ((8, 4),):
        _layer(bench, rows, channels, frames)


def _layer(bench: Bench, rows: int, channels: int, frames: int) -> None:
    graph = torch.from_numpy(adjacency(NTU.edges, NTU.num_joints)).float()
    torch.manual_seed(0)
    conv = GraphConv(channels, channels, graph, "agcn", True, False).to(bench.device)
    shape = (rows, channels, frames, NTU.num_joints)
    x, dy = (torch.randn(shape, device=bench.device).bfloat16() for _ in range(2))
    right = _Pass(conv, x.float(), dy.float(), None).results()
    baseline = f"PyTorch's operations, {channels} channels"
    group = f"Graph convolution of {channels} channels, {frames} frames, forward and backward"
    trial = _Trial(bench, right, group, baseline)
    trial.time(baseline, _Pass(conv, x, dy, "bf16"))
    conv.fused = True
    x, dy = (part.contiguous(memory_format=torch.channels_last) for part in (x, dy))
    step = _Pass(conv, x, dy, "bf16")
    for tile_rows, warps in TILES if bench.on_gpu else TILES[:1]:
        if find_spec("triton") is not None:
            from agcn.model import graph_conv_kernels

            graph_conv_kernels.tile_rows, graph_conv_kernels.num_warps = tile_rows, warps
        kind = f"kernels, {tile_rows} rows, {warps} warps" if bench.on_gpu else "formulas in place of the kernels"
        trial.time(f"{kind}, {channels} channels", step)
    bench.add_group(trial.group, "rows/s", baseline, [trial.ours])


class _Trial:
    """Ways to convolve, each compared with float32's answers and gradients, then timed."""

    def __init__(self, bench: Bench, right: dict[str, Tensor], group: str, baseline_name: str) -> None:
        self.bench, self.right, self.group, self.baseline_name = bench, right, group, baseline_name
        self.baseline: Rate | None = None
        self.ours: dict[str, Limit | None] = {}

    def time(self, name: str, step: "_Pass") -> None:
        bench = self.bench
        if bench.left < 5:
            bench.part.left_out[name] = "too little time was left"
            return
        start = time.perf_counter()
        try:
            found = step.results()
        except Exception as error:  # whatever a compiler raises
            bench.part.left_out[name] = f"{type(error).__name__}: {one_line(error)}"
            return
        note = f"first run {time.perf_counter() - start:.1f} s"
        furthest = max(relative(found[what], right) for what, right in self.right.items())
        check = Check(name, furthest, _ALLOWED, "answers or gradients of one tensor, relative")
        bench.part.checks.append(check)
        if not check.passed:
            return
        rate = bench.add(name, bench.time(step), len(step.x), "rows/s", self.baseline, note, self.group)
        if name == self.baseline_name:
            self.baseline = rate
        else:
            self.ours[name] = None
        note_kernels(bench, name, step)


class _Pass:
    """Forward and backward of one graph convolution, its input's gradient too."""

    def __init__(self, conv: GraphConv, x: Tensor, dy: Tensor, amp_dtype: str | None) -> None:
        self.conv, self.x, self.dy, self.amp_dtype = conv, x.detach().requires_grad_(), dy, amp_dtype

    def __call__(self) -> Tensor:
        for tensor in (self.x, *self.conv.parameters()):
            tensor.grad = None
        with autocast(self.x.device, self.amp_dtype):
            y: Tensor = self.conv.convolve(self.x)
        y.backward(self.dy)
        return y.detach()

    def results(self) -> dict[str, Tensor]:
        """The answer and the gradients of x and all weights and graphs, on the host.

        Those of theta's and phi's biases are left out: softmax lets nothing but rounding through.
        """
        found = {"y": self(), "x": self.x.grad}
        found |= {name: one.grad for name, one in self.conv.named_parameters() if not name.endswith("bias")}
        return {name: tensor.float().cpu() for name, tensor in found.items() if tensor is not None}
