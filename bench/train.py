"""Training steps: the original's, eager in float32, is the baseline; ours must agree with it, and then is timed."""

import copy
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from agcn.data.clips import Clips
from agcn.data.loader import BatchIndices, BatchLoader
from agcn.device import autocast, free_memory, has_half, pick_device
from agcn.model.absent_bodies import BodyRows, deduplicate_absent_bodies, present_bodies
from agcn.model.network import Model
from agcn.settings import FeederArgs
from agcn.training.memory import keep_freed_memory
from bench.machine import MatrixProduct
from bench.part import Check, Limit, Part
from bench.plain_model import PlainModel
from bench.random_models import CLASSES, made_clips, random_model, relative
from bench.timer import measure
from native_prep.skeletons.layouts import NTU

BASELINE = "original fp32"
OURS = "eager fp32"
# (loss, gradients), relative to eager float32. Half precision: two or three significant digits, through ten blocks and
# back.
ALLOWED = {None: (1e-5, 2e-3), "bf16": (2e-2, 0.2), "fp16": (5e-3, 0.05)}
# What torch.compile raises where there is no compiler, or one that fails.
COMPILE_ERRORS = (RuntimeError, ImportError, OSError)


@dataclass(frozen=True)
class Variant:
    """One variant of a step."""

    name: str
    amp_dtype: str | None = None
    compiled: bool = False
    plain: bool = False
    fused: bool = False


VARIANTS = (
    Variant(BASELINE, plain=True),
    Variant(OURS),
    Variant("amp bf16", "bf16"),
    Variant("amp fp16", "fp16"),
    Variant("compiled fp32", None, True),
    Variant("compiled amp bf16", "bf16", True),
)


class Step:
    """A training step on one batch, the same for every variant: forward, loss, backward, SGD."""

    def __init__(self, model: Model, variant: Variant, clips: Tensor, labels: Tensor) -> None:
        self.model, self.variant, self.labels = model.train(), variant, labels
        self.given: tuple[Tensor | BodyRows, ...] = (clips,)
        if variant.fused:
            model.fuse_graph_conv()
        self.network: Callable[..., Tensor] = PlainModel(model) if variant.plain else model
        if not variant.plain:
            rows = deduplicate_absent_bodies(present_bodies(clips).cpu().numpy()).to(clips.device)
            rows.mark()
            self.given = (clips, rows)
        if variant.compiled:
            self.network = torch.compile(model)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, nesterov=True)
        self.device = clips.device
        self.flop = 0.0  # arithmetic of a step, where it was counted
        # A run would find such a scale after some steps without an update; the usual first one overflows here.
        self.scaler = torch.amp.GradScaler(clips.device.type, init_scale=256.0, enabled=variant.amp_dtype == "fp16")

    def differentiate(self) -> Tensor:
        """Sets the gradients, scaled as the scaler wants them; returns the loss."""
        with autocast(self.device, self.variant.amp_dtype):
            logits = self.network(*self.given)
        loss = nn.functional.cross_entropy(logits.float(), self.labels)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        return loss.detach()

    def take(self) -> None:
        """A whole step."""
        self.differentiate()
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def gradients(self) -> Tensor:
        """All of them in one row, unscaled."""
        parts = [parameter.grad.flatten() for parameter in self.model.parameters() if parameter.grad is not None]
        return torch.cat(parts) / self.scaler.get_scale()


def run_train(
    *,
    frames: int | None = None,
    batch: int | None = None,
    runs: int = 5,
    seconds: float = 40.0,
    seed: int = 0,
    without: tuple[str, ...] = (),
) -> Part:
    """Compare, then time, the variants to train AGCN on NTU-like clips, 80 % of them with one body.

    Args:
        frames, batch: T and N; by default 300 and 64 on a GPU, 300 and 16 on a CPU, or less where memory is short.
        runs, seconds: rounds of steps, and after how long no further round begins.
        without: names of variants to leave out; the report says so.
    """
    device = pick_device("auto")
    if device.type == "cpu":
        keep_freed_memory()
    on_gpu = device.type == "cuda"
    frames, batch = frames or 300, batch or (64 if on_gpu else _fitting_batch())
    part = Part("train", {"device": str(device), "batch": batch, "frames": frames, "joints": 25, "bodies": 2})
    part.sizes["one_body"] = 0.8
    clips = torch.from_numpy(made_clips(batch, frames, 2, seed)).to(device)
    labels = torch.arange(batch, device=device) % CLASSES
    model = random_model(seed, clips.cpu()).to(device)
    part.left_out.update(dict.fromkeys(without, "left out on request"))
    for variant in VARIANTS:
        if variant.amp_dtype and not has_half(device, variant.amp_dtype):
            part.left_out.setdefault(variant.name, f"this device has no {variant.amp_dtype} instructions")
        elif not on_gpu and (variant.compiled or variant.amp_dtype == "fp16"):
            why = (
                "compiling takes minutes and gains nothing on a processor"
                if variant.compiled
                else "trains on a GPU only"
            )
            part.left_out.setdefault(variant.name, why)
    steps, notes = _agreeing_steps(part, model, clips, labels)
    synchronise = torch.cuda.synchronize if on_gpu else None
    timed = {name: step for name, step in steps.items() if part.agrees(name)}
    # PyTorch lets a GPU's convolutions round to TF32.
    plain = "tf32" if on_gpu and torch.backends.cudnn.allow_tf32 else "fp32"
    products = {
        precision: MatrixProduct(device, precision)
        for precision in dict.fromkeys(step.variant.amp_dtype or plain for step in timed.values())
    }
    works: dict[str, Callable[[], object]] = {name: step.take for name, step in timed.items()}
    works |= {product.name: product for product in products.values()}
    timings = measure(works, runs, seconds, synchronise)
    timings = {name: timings[name] for name in timed}
    if OURS in timings:
        read, kept = (seconds_of_feeding(clips, labels, resident) for resident in (False, True))
        share = read / timings[OURS].median
        notes[OURS] = f"reading and changing its clips takes {share:.1%} of the time of a step"
        notes[OURS] += f"; with clips resident on the device {kept / read:.3g} of that"
    part.limit |= {f"{product.name}, GFLOP/s": product.rate / 1e9 for product in products.values()}
    contenders: list[dict[str, Limit | None]] = []
    if OURS in steps:
        flop = steps[OURS].flop / batch  # also of those that are compiled
        part.limit["arithmetic of a clip, GFLOP"] = flop / 1e9
        limits = {name: Limit(f"the {product.name}", product.rate / flop) for name, product in products.items()}
        ours = {name: step.variant for name, step in timed.items() if not step.variant.plain}
        contenders.append({name: limits[plain] for name, variant in ours.items() if variant.amp_dtype is None})
        contenders.append({name: limits[variant.amp_dtype] for name, variant in ours.items() if variant.amp_dtype})
    title = f"Training steps, a batch of {batch} clips"
    amounts = dict.fromkeys(timings, batch)
    part.add_rates(timings, amounts, "clips/s", BASELINE, notes, title=title, contenders=contenders)
    return part


def _fitting_batch() -> int:
    """16, halved until the steps' memory fits into what is free: about 0.8 GB a clip of 300 frames on a processor."""
    batch = 16
    while batch > 2 and batch * 800_000_000 > free_memory(torch.device("cpu")):
        batch //= 2
    return batch


def seconds_of_feeding(clips: Tensor, labels: Tensor, resident: bool, batches: int = 15) -> float:
    """Median seconds that a batch like `clips` takes from memory through the original's random shift to the device."""
    data = Clips("made clips", clips.cpu().numpy(), labels.cpu().numpy(), [""] * len(labels))
    args = FeederArgs(random_shift=True, resident=resident)
    loader = BatchLoader(data, args, NTU, clips.device, share_absent=True)
    chunk = BatchIndices(0, np.arange(len(data)))
    taken = []
    for epoch in range(batches):
        start = time.perf_counter()
        next(loader.batches([chunk], epoch))
        if clips.device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _agreeing_steps(part: Part, model: Model, clips: Tensor, labels: Tensor) -> tuple[dict[str, Step], dict[str, str]]:
    """The steps of every variant that runs here, each compared with the plain one; notes on compilation."""
    steps: dict[str, Step] = {}
    notes: dict[str, str] = {}
    loss, gradients = torch.zeros(()), torch.zeros(1)
    for variant in VARIANTS:
        if variant.name in part.left_out:
            continue
        step = Step(copy.deepcopy(model), variant, clips, labels)
        start = time.perf_counter()
        try:
            with FlopCounterMode(display=False) if variant.name == OURS else nullcontext() as counter:
                found = step.differentiate()
        except COMPILE_ERRORS as error:
            if not variant.compiled:
                raise
            part.left_out[variant.name] = f"torch.compile failed: {str(error).strip().splitlines()[0]}"
            continue
        if counter is not None:
            step.flop = counter.get_total_flops()
        if variant.compiled:
            notes[variant.name] = f"first step, with compilation: {time.perf_counter() - start:.1f} s"
        if variant.name == BASELINE:
            loss, gradients = found, step.gradients()
        else:
            loss_allowed, allowed = ALLOWED[variant.amp_dtype]
            part.checks.append(Check(variant.name, relative(found, loss), loss_allowed, "loss, relative"))
            error_of_all = relative(step.gradients(), gradients)
            part.checks.append(Check(variant.name, error_of_all, allowed, "all gradients, relative"))
        steps[variant.name] = step
    return steps, notes
