"""`bench gpu`: both streams at several batch sizes, each variant after its answers were compared."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agcn.device import AMP_DTYPES, full_float32, to_host
from agcn.model.network import Model
from bench.gpu.context import PACKAGE_FILE, Bench, one_line
from bench.gpu.engines import build_engines, open_engines
from bench.gpu.training import note_formulas, note_kernels
from bench.infer import TwoModels
from bench.part import Check, Limit, Rate
from bench.random_models import made_clips, random_model
from export.engines.aotinductor import build_package
from export.graph.network import RowNetwork, TwoStream, present_rows
from export.graph.parity import Logits, compare, eager_logits
from export.runtime.base import Engine
from native_prep.skeletons.layouts import NTU

BASELINE = "eager fp32"


class Network:
    """Both streams in half precision on the device, the bodies that are there picked outside of what is compiled."""

    def __init__(
        self, pair: tuple[Model, Model], frames: int, dtype: torch.dtype, device: torch.device, fused: bool = False
    ) -> None:
        joint, bone = (copy.deepcopy(model).cpu() for model in pair)
        folded = TwoStream(joint, bone, NTU.bone_parents, frames=frames, dtype=dtype)
        if fused:
            folded.fuse_graph_conv()
        self.fused = fused
        self.rows = RowNetwork(folded).to(device)
        self.answer: Callable[..., tuple[Tensor, ...]] = self.rows
        self.dynamic = False

    def compile(self, dynamic: bool) -> None:
        """Compiles for any number of bodies, or anew for each."""
        self.answer = torch.compile(self.rows, dynamic=None if dynamic else False)
        self.dynamic = dynamic

    def __call__(self, joints: Tensor) -> tuple[Tensor, ...]:
        """Joints (N, C, T, V, M) -> the logits of both streams and their sum."""
        gather_index, body_index, inverse_index = present_rows(joints)
        rows = joints.permute(0, 4, 1, 2, 3).flatten(0, 1).index_select(0, gather_index)
        if self.fused:
            rows = rows.contiguous(memory_format=torch.channels_last)
        if self.dynamic:
            for tensor in (rows, body_index, inverse_index):
                torch._dynamo.maybe_mark_dynamic(tensor, 0)
        return self.answer(rows, body_index, inverse_index)


def _pair(bench: Bench) -> tuple[Model, Model]:
    clips = torch.from_numpy(made_clips(16, bench.frames, 2, 0)).to(bench.device)
    bones = clips - clips[:, :, :, list(NTU.bone_parents)]
    return random_model(0, clips).requires_grad_(False), random_model(1, bones).requires_grad_(False)


def _half(bench: Bench) -> torch.dtype:
    return torch.float16 if bench.on_gpu else torch.float32


@torch.inference_mode()
def compile_infer(bench: Bench) -> None:
    """Compiles what `infer` will time for batches."""
    _compile_infer(bench, 64 if bench.on_gpu else 2, dynamic=True)


@torch.inference_mode()
def compile_fused_infer(bench: Bench) -> None:
    """The same with the graph convolution in kernels of its own, which are compiled too."""
    _compile_infer(bench, 64 if bench.on_gpu else 2, dynamic=True, fused=True)


@torch.inference_mode()
def compile_one(bench: Bench) -> None:
    """Compiles what `infer` will time for one clip."""
    _compile_infer(bench, 1, dynamic=False)


def _compile_infer(bench: Bench, batch: int, dynamic: bool, fused: bool = False) -> None:
    network = Network(_pair(bench), bench.frames, _half(bench), bench.device, fused)
    network.compile(dynamic)
    start = time.perf_counter()
    network(_clips(bench, batch))
    bench.wait()
    bench.part.notes.append(f"batch {batch}: {time.perf_counter() - start:.0f} s to compile beside other work")


def compile_package(bench: Bench) -> None:
    """Builds the package of AOTInductor that `infer` will time."""
    joint, bone = (model.cpu() for model in _pair(bench))
    network = TwoStream(joint, bone, NTU.bone_parents, frames=bench.frames, dtype=_half(bench), skip_absent=False)
    start = time.perf_counter()
    build_package(network, (3, bench.frames, 25, 2), bench.work / PACKAGE_FILE, bench.device.type, max_batch=256)
    bench.part.notes.append(f"AOTInductor package: {time.perf_counter() - start:.0f} s to build beside other work")


def export_all(bench: Bench) -> None:
    """Exports what `infer` will time by ONNX Runtime and TensorRT."""
    build_engines(bench, _pair(bench), _precision(bench))


def _clips(bench: Bench, batch: int, alone: bool = False) -> Tensor:
    """Four of five have one body; a single clip has one, and all have where they are `alone`."""
    clips = made_clips(batch, bench.frames, 2, 0)
    if batch == 1 or alone:
        clips[..., 1] = 0
    return torch.from_numpy(clips).to(bench.device)


@torch.inference_mode()
def infer(bench: Bench) -> None:
    """Both streams at several batch sizes, each variant after its answers were compared with float64's."""
    bench.part.sizes |= {"frames": bench.frames, "one_body": 0.8}
    note_formulas(bench)
    pair, half = _pair(bench), _precision(bench)
    folded = {
        f"folded {name}": (Network(pair, bench.frames, dtype, bench.device), name)
        for name, dtype in AMP_DTYPES.items()
        if bench.on_gpu or name == "bf16"
    }
    package, engines = _open_package(bench), open_engines(bench)
    bench.part.notes.append(f"networks, package and engines at hand after {time.monotonic() - bench.begun:.1f} s")
    compiled, fused = (Network(pair, bench.frames, _half(bench), bench.device, fused) for fused in (False, True))
    for batch in (1, 64, 256) if bench.on_gpu else (1, 2):
        trial = Trial(bench, pair, batch)
        with full_float32():
            trial.time(BASELINE, TwoModels(*pair), "fp32")
        if batch <= 64:  # what is compiled for 64 takes any number
            torch._dynamo.reset()
            compiled.compile(dynamic=batch > 1)
        trial.time(f"compiled {half}", compiled, half, profiled=batch == 64)
        if batch > 1:
            if batch <= 64:
                fused.compile(dynamic=True)
            trial.time(f"compiled {half}, fused graph convolution", fused, half, profiled=batch == 64)
        if batch == 1 and bench.on_gpu:
            _time_graph(trial, compiled, half)
        if package is not None:
            trial.time("AOTInductor", package, half)
        for name, engine in engines.items():
            trial.time(f"{name} {half}", engine.run_on_device, half)
            trial.time(f"{name} {half}, host to host", partial(_from_host, engine), half, trial.clips.cpu())
        for name, (network, precision) in folded.items():
            trial.time(name, network, precision)
        bench.add_group(trial.group, "clips/s", f"{BASELINE}, batch {batch}", trial.contenders)


def _precision(bench: Bench) -> str:
    return "fp16" if bench.on_gpu else "fp32"


def _time_graph(trial: "Trial", compiled: Network, half: str) -> None:
    try:
        graph = CudaGraph(compiled, trial.clips)
    except Exception as failure:  # what cannot be recorded leaves the rest to be timed
        trial.bench.part.left_out[f"CUDA graph {half}"] = one_line(failure)
        return
    trial.time(f"CUDA graph {half}", graph, half, profiled=True)
    trial.time(f"CUDA graph {half}, host to host", graph.from_host, half, trial.clips.cpu())


def _from_host(engine: Engine, joints: Tensor) -> Logits:
    return engine.run(joints.numpy())


def _open_package(bench: Bench) -> Any:
    path = bench.work / PACKAGE_FILE
    if not path.is_file():
        bench.part.left_out["AOTInductor"] = "its package was not built"
        return None
    return torch._inductor.aoti_load_package(str(path), run_single_threaded=True)


class CudaGraph:
    """A network for clips of one body each, recorded once and started as a whole."""

    def __init__(self, network: Network, clips: Tensor) -> None:
        self.joints = clips.clone()
        rows = self.joints[..., 0].contiguous()  # (1, C, T, V)
        body_index = torch.zeros(1, dtype=torch.long, device=clips.device)
        inverse_index = torch.tensor([0, 2], device=clips.device)
        self.rows = rows
        for _ in range(3):
            network.answer(rows, body_index, inverse_index)
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.answers = network.answer(rows, body_index, inverse_index)
        self.host = [answer.cpu().pin_memory() for answer in self.answers]
        self.given = torch.empty(rows.shape, pin_memory=True)

    def __call__(self, joints: Tensor) -> tuple[Tensor, ...]:
        """Joints (1, C, T, V, M) on the device -> logits, which the next call overwrites."""
        self.rows.copy_(joints[..., 0])
        self.graph.replay()
        return self.answers

    def from_host(self, joints: Tensor) -> tuple[Tensor, ...]:
        """The same from memory of the host and back to it."""
        self.given.copy_(joints[..., 0])
        self.rows.copy_(self.given, non_blocking=True)
        self.graph.replay()
        for target, answer in zip(self.host, self.answers, strict=True):
            target.copy_(answer, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return tuple(self.host)


class Trial:
    """Variants to answer for one batch: each is compared with float64, then timed."""

    def __init__(self, bench: Bench, pair: tuple[Model, Model], batch: int) -> None:
        self.bench, self.clips = bench, _clips(bench, batch)
        self.base: Rate | None = None
        self.group = (
            f"Two-stream inference, a batch of {batch} clips" if batch > 1 else "One clip of one body at a time"
        )
        # Of full precision, and of less.
        self.contenders: tuple[dict[str, Limit | None], dict[str, Limit | None]] = ({}, {})
        # One clip's error alone says little: one at a time, eight are compared.
        few = self.clips[:8] if batch > 1 else _clips(bench, 8, alone=True)
        self.compared = [few] if batch > 1 else list(few.split(1))
        plain, start = TwoModels(*pair), time.perf_counter()
        self.exact: Logits = eager_logits(pair, (1.0, 1.0), few.cpu().numpy())
        took = time.perf_counter() - start
        bench.part.notes.append(f"batch {batch}: float64's answers for {len(few)} clips took {took:.1f} s")
        bench.save()
        # What plain PyTorch gives at each precision.
        self.plain: dict[str, Logits] = {}
        for precision, dtype in AMP_DTYPES.items():
            with torch.autocast(bench.device.type, dtype=dtype):
                self.plain[precision] = _numbers(plain(few))
        with full_float32():
            self.plain["fp32"] = _numbers(plain(few))

    def time(
        self,
        name: str,
        network: Callable[[Tensor], Any],
        precision: str,
        clips: Tensor | None = None,
        profiled: bool = False,
    ) -> None:
        """Compares `network` by the parity rule, then times it on `clips` (the trial's where not given)."""
        bench, clips = self.bench, self.clips if clips is None else clips
        name = f"{name}, batch {len(clips)}"
        if bench.left < 5:
            bench.part.left_out[name] = "too little time was left"
            return
        start = time.perf_counter()
        try:
            answers = self._answers(network, clips)
        except Exception as failure:  # whatever one of them raises, the others are still to be timed
            bench.part.left_out[name] = one_line(failure)
            return
        note = f"first run {time.perf_counter() - start:.1f} s"
        found = compare(answers, self.exact, precision, self.plain[precision])
        # Another class on top fails too, whatever the error.
        error = math.inf if found["changed_beyond_error"] else found["max_rel"]
        told = "logits, largest error relative to the largest"
        bench.part.checks.append(Check(name, error, found["tolerance"], told))
        bench.save()
        if not found["passed"]:
            return
        taken = bench.time(lambda: network(clips), 300 if len(clips) == 1 else 20, 2.0)
        if len(clips) == 1:
            note += f", p99 {1000 * taken.p99:.3g} ms"
        rate = bench.add(name, taken, len(clips), "clips/s", self.base, note, self.group)
        if name.startswith(BASELINE):
            self.base = rate
        else:
            self.contenders[precision != "fp32"][name] = None
        if profiled:
            note_kernels(bench, name, lambda: network(clips))

    def _answers(self, network: Callable[[Tensor], Any], clips: Tensor) -> Logits:
        """For the clips that are compared: the first of a batch, or one at a time."""
        if len(clips) > 1:
            return _numbers(network(clips))
        parts = [_numbers(network(clip.to(clips.device))) for clip in self.compared]
        return tuple(np.concatenate(answers) for answers in zip(*parts, strict=True))


def _numbers(answers: Sequence[Tensor | np.ndarray]) -> Logits:
    """The first eight clips' as float32."""
    return to_host(torch.as_tensor(answer[:8]).float() for answer in answers)
