"""`bench gpu`: a training step of every variant, after its loss and gradients were compared."""

import copy
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from agcn.device import full_float32
from agcn.model.absent_bodies import deduplicate_absent_bodies
from agcn.model.network import Model
from bench.gpu.context import BF16, COMPILED, FUSED, Bench, one_line
from bench.part import Check, Limit, Rate
from bench.random_models import CLASSES, made_clips, random_model, relative
from bench.timer import Timing
from bench.train import ALLOWED, Step, Variant

ORIGINAL, TF32 = "original fp32", "original, TF32 convolutions"


def _training_batch(bench: Bench, batch: int) -> tuple[Model, Tensor, Tensor]:
    clips = torch.from_numpy(made_clips(batch, bench.frames, 2, 0)).to(bench.device)
    return random_model(0, clips), clips, torch.arange(batch, device=bench.device) % CLASSES


COMPILED_VARIANTS = {
    COMPILED: Variant(COMPILED, "bf16", compiled=True),
    FUSED: Variant(FUSED, "bf16", compiled=True, fused=True),
}


def compile_train(bench: Bench) -> None:
    """Compiles what `train` will time; the compiled code stays on the disk for it."""
    _compile_step(bench, COMPILED_VARIANTS[COMPILED])


def compile_fused_train(bench: Bench) -> None:
    """The same with the graph convolution in kernels of its own, which are compiled too."""
    _compile_step(bench, COMPILED_VARIANTS[FUSED])


def _compile_step(bench: Bench, variant: Variant) -> None:
    model, clips, labels = _training_batch(bench, 64 if bench.on_gpu else 2)
    start = time.perf_counter()
    Step(model, variant, clips, labels).differentiate()
    bench.wait()
    bench.part.notes.append(f"{variant.name}: {time.perf_counter() - start:.0f} s to compile beside other work")


def train(bench: Bench) -> None:
    """A step of every variant, after its loss and gradients were compared with the original's in float32."""
    part = bench.part
    part.sizes |= {"frames": bench.frames, "one_body": 0.8}
    note_formulas(bench)
    variants = [
        Variant(ORIGINAL, plain=True),
        Variant("eager fp32"),
        Variant("amp bf16", "bf16"),
        Variant("amp fp16", "fp16"),
        Variant("amp bf16, fused graph convolution", "bf16", fused=True),
    ]
    if not bench.on_gpu:
        del variants[3]
    _train_batch(bench, 64 if bench.on_gpu else 2, [*variants, *COMPILED_VARIANTS.values()])
    if bench.on_gpu:  # another size is another compilation
        _train_batch(bench, 128, variants)


def _train_batch(bench: Bench, batch: int, variants: list[Variant]) -> None:
    part = bench.part
    model, clips, labels = _training_batch(bench, batch)
    plain: Rate | None = None
    loss, gradients, work = torch.zeros(()), torch.zeros(1), 0.0
    group = f"Training steps, a batch of {batch} clips"
    full: dict[str, Limit | None] = {}
    reduced: dict[str, Limit | None] = {}
    for variant in variants:
        name = f"{variant.name}, batch {batch}"
        if bench.left < 5:
            part.left_out[name] = "too little time was left"
            continue
        step = Step(copy.deepcopy(model), variant, clips, labels)
        if bench.on_gpu:
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        try:
            with full_float32():
                found = step.differentiate()
        except Exception as error:  # whatever a compiler raises
            part.left_out[name] = f"{type(error).__name__}: {one_line(error)}"
            continue
        bench.wait()
        note = f"first step {time.perf_counter() - start:.1f} s"
        if variant.plain:
            loss, gradients = found, step.gradients()
        else:
            allowed = ALLOWED[variant.amp_dtype]
            part.checks.append(Check(name, relative(found, loss), allowed[0], "loss, relative"))
            part.checks.append(
                Check(name, relative(step.gradients(), gradients), allowed[1], "all gradients, relative")
            )
        if not (variant.compiled or variant.fused):  # the counter knows PyTorch's own operations
            with FlopCounterMode(display=False) as counter:
                step.differentiate()
            work = counter.get_total_flops()
        with full_float32():
            taken = bench.time(step.take)
        rate = bench.add(name, taken, batch, "clips/s", plain, f"{note}; {_of_peak(bench, work, taken)}", group)
        plain = plain or rate
        if not variant.plain and part.agrees(name):
            (full if variant.amp_dtype is None else reduced)[name] = _limit(bench, variant, work / batch)
        if bench.on_gpu:
            part.notes.append(f"{name}: {torch.cuda.max_memory_allocated() / 1e9:.3g} GB at most")
        if variant.plain:
            name = f"{TF32}, batch {batch}"
            bench.add(name, bench.time(step.take), batch, "clips/s", plain, "as PyTorch comes", group)
        if variant.compiled:
            _count_compilations(bench, variant.name, step)
        if batch == 64 and variant.amp_dtype == "bf16":
            note_kernels(bench, name, step.take)
        del step
        if bench.on_gpu:
            torch.cuda.empty_cache()
    bench.add_group(group, "clips/s", f"{ORIGINAL}, batch {batch}", [full, reduced])


def _limit(bench: Bench, variant: Variant, work: float) -> Limit | None:
    """The product at the variant's precision, where the part `machine` has timed it; `work` is FLOP a clip."""
    product = f"{variant.amp_dtype or 'fp32'} matrix product"
    peak = bench.peaks.get(product)
    return Limit(f"the {product}", 1e12 * peak / work) if peak else None


def _of_peak(bench: Bench, work: float, taken: Timing) -> str:
    rate = work / taken.median / 1e12
    peak = bench.peaks.get(BF16)
    return f"{rate:.3g} TFLOP/s" + (f", {rate / peak:.0%} of the bf16 product's" if peak else "")


def _count_compilations(bench: Bench, name: str, step: Step, steps: int = 200) -> None:
    """How often a compiled step is compiled again while the number of bodies that are there changes."""
    clips = step.given[0]
    assert isinstance(clips, Tensor)
    rng = np.random.default_rng(1)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    done = 0
    for _ in range(steps if bench.on_gpu else 3):
        if bench.left < 10:
            break
        present = np.ones((len(clips), clips.shape[4]), bool)
        present[:, 1] = rng.random(len(clips)) < rng.uniform(0.05, 0.5)
        rows = deduplicate_absent_bodies(present).to(bench.device)
        rows.mark()
        step.given = (clips, rows)
        step.take()
        done += 1
    bench.wait()
    again = torch._dynamo.utils.counters["stats"]["unique_graphs"] - before
    what = f"recompilations in {done} steps of changing numbers of bodies"
    bench.part.checks.append(Check(name, float(again), 3.0, what))
    bench.save()


def note_formulas(bench: Bench) -> None:
    """Says what stands for the kernels of the graph convolution in a rehearsal."""
    if not bench.on_gpu:
        bench.part.notes.append("fused graph convolution: computed by formulas, as its kernels need a GPU")


def note_kernels(bench: Bench, name: str, work: Callable[[], object], top: int = 12) -> None:
    """Notes the kernels that take most of the GPU's time."""
    if not bench.on_gpu:
        return
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(3):
            work()
        bench.wait()
    rows = [row for row in profile.key_averages() if row.self_device_time_total > 0]
    rows.sort(key=lambda row: -row.self_device_time_total)
    total = sum(row.self_device_time_total for row in rows) or 1.0
    launches = sum(row.count for row in rows) / 3
    bench.part.notes.append(f"{name}: kernels take {total / 3000:.2f} ms a run, in {launches:.0f} launches")
    for row in rows[:top]:
        share = row.self_device_time_total / total
        bench.part.notes.append(f"{name}: {share:.1%} in {row.count / 3:.0f} x `{row.key[:110]}`")
    bench.save()
