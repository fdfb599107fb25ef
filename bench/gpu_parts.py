"""What `bench gpu` measures, a part a process: `python -m bench.gpu_parts NAME OPTIONS`, see `bench/gpu.py`.

Without a GPU the same code runs on tiny sizes, as a rehearsal.

Letters: N clips, C channels, T frames, V joints, M bodies.
"""

import copy
import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from agcn.data import open_clips
from agcn.device import AMP_DTYPES, full_float32
from agcn.feed import Feed, training_chunks
from agcn.model import Model
from agcn.rows import plan_rows
from agcn.score_files import SCORE_FILE
from agcn.settings import FeederArgs
from bench.infer import TwoModels
from bench.part import Check, Part, Rate
from bench.timer import Timing
from bench.train import ALLOWED, COMPILE_ERRORS, Step, Way
from bench.work import CLASSES, lively_model, made_clips, relative
from export.aot import build_package
from export.inference import RowNetwork, TwoStream, present_rows
from export.parity import Answers, compare, plain_answers
from native_prep.files import whole_file
from native_prep.layouts import NTU

_ROOT = Path(__file__).resolve().parent.parent
_KERNEL_TESTS = _ROOT / "tests" / "test_prep_cuda.py"
BF16 = "bf16 matrix product"
ORIGINAL, TF32 = "original fp32", "original, TF32 convolutions"
COMPILED = "compiled amp bf16"
# Name of the package that `compile package` leaves for `infer`.
_PACKAGE = "two_stream.pt2"


class Bench:
    """One part at work: what it was asked for, and what it has found so far."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self.begun = time.monotonic()
        self.seconds = float(options["seconds"])
        self.device = torch.device(options["device"])
        self.on_gpu = self.device.type == "cuda"
        self.out, self.work = Path(options["out"]), Path(options["work"])
        self.peaks: dict[str, float] = options["peaks"]
        self.nw_ucla: str | None = options["nw_ucla"]
        self.frames = 300 if self.on_gpu else 16
        self.part = Part(f"gpu {name}", {"device": str(self.device)})

    @property
    def left(self) -> float:
        """Seconds until this process is stopped, less a few to end by itself."""
        return self.seconds - (time.monotonic() - self.begun) - 5.0

    def save(self) -> None:
        """What was found stays, whatever happens next."""
        with whole_file(self.out) as part:
            part.write_text(json.dumps(self.part.as_dict()))

    def wait(self) -> None:
        """Until the GPU is done."""
        if self.on_gpu:
            torch.cuda.synchronize()

    def time(self, work: Callable[[], object], runs: int = 20, seconds: float = 3.0) -> Timing:
        """The runs after three that are not counted."""
        warm_up, taken = 0.0, []
        for turn in range(-3 if self.on_gpu else 0, runs if self.on_gpu else 1):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            if turn >= 0:
                taken.append(time.perf_counter() - start)
            else:
                warm_up = warm_up or time.perf_counter() - start
            if sum(taken) > seconds:
                break
        return Timing(tuple(taken), warm_up)

    def add(
        self, name: str, taken: Timing, amount: float, unit: str, plain: Rate | None = None, note: str = ""
    ) -> Rate:
        """Adds amount / median as a rate, and its ratio to `plain`'s."""
        speed = amount / taken.median
        ratio = speed / plain.rate if plain is not None else None
        rate = Rate(name, speed, unit, taken.median, len(taken.runs), taken.spread, ratio, note)
        self.part.rates.append(rate)
        self.save()
        return rate


def machine(bench: Bench) -> None:
    """What the device can do at most: copies within its memory, and matrix products."""
    size = 1 << (28 if bench.on_gpu else 20)
    source = torch.randn(size, device=bench.device)
    target = torch.empty_like(source)
    bench.add("copy within memory", bench.time(lambda: target.copy_(source)), 8 * size / 1e9, "GB/s", note="both ways")
    if bench.on_gpu:
        host = torch.empty(size // 4, pin_memory=True)
        bench.add(
            "copy from pinned memory",
            bench.time(lambda: target[: size // 4].copy_(host, non_blocking=True)),
            size / 1e9,
            "GB/s",
        )
    edge = 8192 if bench.on_gpu else 256
    for name, dtype, tf32 in (
        (BF16, torch.bfloat16, False),
        ("fp16 matrix product", torch.float16, False),
        ("tf32 matrix product", torch.float32, True),
        ("fp32 matrix product", torch.float32, False),
    ):
        if tf32 and not bench.on_gpu:
            continue
        torch.backends.cuda.matmul.allow_tf32 = tf32
        left = torch.randn(edge, edge, device=bench.device).to(dtype)
        bench.add(name, bench.time(lambda left=left: left @ left), 2 * edge**3 / 1e12, "TFLOP/s")  # type: ignore[misc]


def kernels(bench: Bench) -> None:
    """The tests of the CUDA kernels, and the smallest under the vendor's checkers."""
    if not _KERNEL_TESTS.is_file():
        bench.part.left_out["tests of the kernels"] = f"{_KERNEL_TESTS} is not here: run it from the source tree"
        return
    command = [sys.executable, "-m", "pytest", "-q", "-W", "default", "-p", "no:cacheprovider", str(_KERNEL_TESTS)]
    if not bench.on_gpu:
        command += ["-k", "without_a_gpu"]
    _run(bench, "tests of the kernels", command)
    sanitizer = shutil.which("compute-sanitizer")
    for tool in ("memcheck", "racecheck"):
        name = f"compute-sanitizer, {tool}"
        if sanitizer is None or not bench.on_gpu:
            bench.part.left_out[name] = "is not installed" if bench.on_gpu else "checks GPUs only"
            continue
        small = [*command, "-k", "test_left_on_the_device or test_batches"]
        _run(bench, name, [sanitizer, "--tool", tool, "--error-exitcode", "1", *small])


def _run(bench: Bench, name: str, command: Sequence[str]) -> None:
    if bench.left < 5:
        bench.part.left_out[name] = "too little time was left"
        return
    start = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=_ROOT, timeout=bench.left)
    except subprocess.TimeoutExpired:
        bench.part.left_out[name] = f"did not end in {time.perf_counter() - start:.0f} s"
        return
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    bench.part.checks.append(Check(name, float(done.returncode), 0.0, "exit status"))
    last = said[-12:] if done.returncode else said[-1:]
    bench.part.notes.append(f"{name}, {time.perf_counter() - start:.0f} s: {' / '.join(last)}")
    bench.save()


def prep(bench: Bench) -> None:
    """Text to clips by the CUDA kernels, beside the CPU's reader and the copy."""
    if find_spec("numba.cuda") is None:
        bench.part.left_out["prep"] = "Numba has no CUDA target here: pip install 'numba-cuda[cu13]'"
        return
    from bench.prep_cuda import add_cuda
    from bench.prep_data import ntu_files

    files = ntu_files(bench.work, None, 64 if bench.on_gpu else 2, 90 if bench.on_gpu else 6, 0, 1)
    add_cuda(bench.part, files, 20, max(1.0, bench.left / 3), *((256, 300) if bench.on_gpu else (2, 40)))


def _training_batch(bench: Bench, batch: int) -> tuple[Model, Tensor, Tensor]:
    clips = torch.from_numpy(made_clips(batch, bench.frames, 2, 0)).to(bench.device)
    return lively_model(0, clips), clips, torch.arange(batch, device=bench.device) % CLASSES


def compile_train(bench: Bench) -> None:
    """Compiles what `train` will time; the compiled code stays on the disk for it."""
    model, clips, labels = _training_batch(bench, 64 if bench.on_gpu else 2)
    start = time.perf_counter()
    Step(model, Way(COMPILED, "bf16", compiled=True), clips, labels).differentiate()
    bench.wait()
    bench.part.notes.append(f"{COMPILED}: {time.perf_counter() - start:.0f} s to compile beside other work")


def train(bench: Bench) -> None:
    """A step of every way, after its loss and gradients were compared with the original's in float32."""
    part = bench.part
    part.sizes |= {"frames": bench.frames, "one_body": 0.8}
    ways = [
        Way(ORIGINAL, plain=True),
        Way("eager fp32"),
        Way("amp bf16", "bf16"),
        Way("amp fp16", "fp16"),
        Way(COMPILED, "bf16", compiled=True),
    ]
    if not bench.on_gpu:
        del ways[3]
    for batch in (64, 128) if bench.on_gpu else (2,):
        _train_batch(bench, batch, ways)
        ways.pop()  # another size is another compilation


def _train_batch(bench: Bench, batch: int, ways: list[Way]) -> None:
    part = bench.part
    model, clips, labels = _training_batch(bench, batch)
    plain: Rate | None = None
    loss, gradients, work = torch.zeros(()), torch.zeros(1), 0.0
    for way in ways:
        name = f"{way.name}, batch {batch}"
        if bench.left < 5:
            part.left_out[name] = "too little time was left"
            continue
        step = Step(copy.deepcopy(model), way, clips, labels)
        start = time.perf_counter()
        try:
            with full_float32():
                found = step.differentiate()
        except COMPILE_ERRORS as error:
            part.left_out[name] = " ".join(str(error).split())[:300]
            continue
        bench.wait()
        note = f"first step {time.perf_counter() - start:.1f} s"
        if way.plain:
            loss, gradients = found, step.gradients()
        else:
            allowed = ALLOWED[way.amp_dtype]
            part.checks.append(Check(name, relative(found, loss), allowed[0], "loss, relative"))
            part.checks.append(
                Check(name, relative(step.gradients(), gradients), allowed[1], "all gradients, relative")
            )
        if not way.compiled:
            with FlopCounterMode(display=False) as counter:
                step.differentiate()
            work = counter.get_total_flops()
        with full_float32():
            taken = bench.time(step.take)
        rate = bench.add(name, taken, batch, "clips/s", plain, f"{note}; {_of_peak(bench, work, taken)}")
        plain = plain or rate
        if way.plain:
            name = f"{TF32}, batch {batch}"
            bench.add(name, bench.time(step.take), batch, "clips/s", plain, "as PyTorch comes")
        if way.compiled:
            _count_compilations(bench, step)
        if batch == 64 and way.amp_dtype == "bf16":
            _note_kernels(bench, name, step.take)
        del step
        if bench.on_gpu:
            torch.cuda.empty_cache()


def _of_peak(bench: Bench, work: float, taken: Timing) -> str:
    rate = work / taken.median / 1e12
    peak = bench.peaks.get(BF16)
    return f"{rate:.3g} TFLOP/s" + (f", {rate / peak:.0%} of the bf16 product's" if peak else "")


def _count_compilations(bench: Bench, step: Step, steps: int = 200) -> None:
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
        rows = plan_rows(present).to(bench.device)
        rows.mark()
        step.given = (clips, rows)
        step.take()
        done += 1
    bench.wait()
    again = torch._dynamo.utils.counters["stats"]["unique_graphs"] - before
    what = f"recompilations in {done} steps of changing numbers of bodies"
    bench.part.checks.append(Check(COMPILED, float(again), 3.0, what))
    bench.save()


def _note_kernels(bench: Bench, name: str, work: Callable[[], object], top: int = 12) -> None:
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


class Network:
    """Both streams in half precision on the device, the bodies that are there picked outside of what is compiled."""

    def __init__(self, pair: tuple[Model, Model], frames: int, dtype: torch.dtype, device: torch.device) -> None:
        joint, bone = (copy.deepcopy(model).cpu() for model in pair)
        folded = TwoStream(joint, bone, NTU.bone_parents, frames=frames, dtype=dtype)
        self.rows = RowNetwork(folded).to(device)
        self.answer: Callable[..., tuple[Tensor, ...]] = self.rows
        self.dynamic = False

    def compile(self, dynamic: bool) -> None:
        """Compiles for any number of bodies, or anew for each."""
        torch._dynamo.reset()
        self.answer = torch.compile(self.rows, dynamic=None if dynamic else False)
        self.dynamic = dynamic

    def __call__(self, joints: Tensor) -> tuple[Tensor, ...]:
        take, slots, place = present_rows(joints)
        rows = joints.permute(0, 4, 1, 2, 3).flatten(0, 1).index_select(0, take)
        if self.dynamic:
            for tensor in (rows, slots, place):
                torch._dynamo.maybe_mark_dynamic(tensor, 0)
        return self.answer(rows, slots, place)


def _pair(bench: Bench) -> tuple[Model, Model]:
    clips = torch.from_numpy(made_clips(16, bench.frames, 2, 0)).to(bench.device)
    bones = clips - clips[:, :, :, list(NTU.bone_parents)]
    return lively_model(0, clips).requires_grad_(False), lively_model(1, bones).requires_grad_(False)


def _half(bench: Bench) -> torch.dtype:
    return torch.float16 if bench.on_gpu else torch.float32


@torch.inference_mode()
def compile_infer(bench: Bench) -> None:
    """Compiles what `infer` will time for batches."""
    _compile_infer(bench, 64 if bench.on_gpu else 2, dynamic=True)


@torch.inference_mode()
def compile_one(bench: Bench) -> None:
    """Compiles what `infer` will time for one clip."""
    _compile_infer(bench, 1, dynamic=False)


def _compile_infer(bench: Bench, batch: int, dynamic: bool) -> None:
    network = Network(_pair(bench), bench.frames, _half(bench), bench.device)
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
    build_package(network, (3, bench.frames, 25, 2), bench.work / _PACKAGE, bench.device.type, max_batch=256)
    bench.part.notes.append(f"AOTInductor package: {time.perf_counter() - start:.0f} s to build beside other work")


def _clips(bench: Bench, batch: int, alone: bool = False) -> Tensor:
    """Four of five have one body; a single clip has one, and all have where they are `alone`."""
    clips = made_clips(batch, bench.frames, 2, 0)
    if batch == 1 or alone:
        clips[..., 1] = 0
    return torch.from_numpy(clips).to(bench.device)


@torch.inference_mode()
def infer(bench: Bench) -> None:
    """Both streams at several batch sizes, each way after its answers were compared with float64's."""
    bench.part.sizes |= {"frames": bench.frames, "one_body": 0.8}
    pair, half = _pair(bench), _precision(bench)
    folded = {
        f"folded {name}": (Network(pair, bench.frames, dtype, bench.device), name)
        for name, dtype in AMP_DTYPES.items()
        if bench.on_gpu or name == "bf16"
    }
    package = _open_package(bench)
    bench.part.notes.append(f"networks and package at hand after {time.monotonic() - bench.begun:.1f} s")
    for batch in (64, 1, 256) if bench.on_gpu else (2, 1):
        trial = Trial(bench, pair, batch)
        with full_float32():
            trial.time("eager fp32", TwoModels(*pair), "fp32")
        for name, (network, precision) in folded.items():
            trial.time(name, network, precision)
        if package is not None:
            trial.time("AOTInductor", package, half)
        compiled = Network(pair, bench.frames, _half(bench), bench.device)
        compiled.compile(dynamic=batch > 1)
        trial.time(f"compiled {half}", compiled, half, profiled=batch == 64)
        if batch == 1 and bench.on_gpu:
            graph = CudaGraph(compiled, trial.clips)
            trial.time("CUDA graph fp16", graph, half, profiled=True)
            trial.time("CUDA graph fp16, host to host", graph.from_host, half, trial.clips.cpu())


def _precision(bench: Bench) -> str:
    return "fp16" if bench.on_gpu else "fp32"


def _open_package(bench: Bench) -> Any:
    path = bench.work / _PACKAGE
    if not path.is_file():
        bench.part.left_out["AOTInductor"] = "its package was not built"
        return None
    return torch._inductor.aoti_load_package(str(path), run_single_threaded=True)


class CudaGraph:
    """A network for clips of one body each, recorded once and started as a whole."""

    def __init__(self, network: Network, clips: Tensor) -> None:
        self.joints = clips.clone()
        rows = self.joints[..., 0].contiguous()  # (1, C, T, V)
        slots = torch.zeros(1, dtype=torch.long, device=clips.device)
        place = torch.tensor([0, 2], device=clips.device)
        self.rows = rows
        for _ in range(3):
            network.answer(rows, slots, place)
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.answers = network.answer(rows, slots, place)
        self.host = [answer.cpu().pin_memory() for answer in self.answers]
        self.given = torch.empty(rows.shape, pin_memory=True)

    def __call__(self, joints: Tensor) -> tuple[Tensor, ...]:
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
    """Ways to answer for one batch: each is compared with float64, then timed. The first is the plain way."""

    def __init__(self, bench: Bench, pair: tuple[Model, Model], batch: int) -> None:
        self.bench, self.clips = bench, _clips(bench, batch)
        self.base: Rate | None = None
        # One clip's error alone says little: one at a time, eight are compared.
        few = self.clips[:8] if batch > 1 else _clips(bench, 8, alone=True)
        self.compared = [few] if batch > 1 else list(few.split(1))
        plain, start = TwoModels(*pair), time.perf_counter()
        self.exact: Answers = plain_answers(pair, (1.0, 1.0), few.cpu().numpy())
        took = time.perf_counter() - start
        bench.part.notes.append(f"batch {batch}: float64's answers for {len(few)} clips took {took:.1f} s")
        bench.save()
        # What plain PyTorch gives at each precision.
        self.plain: dict[str, Answers] = {}
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
        """Compares `network` by the rule of `export.parity`, then times it on `clips` (the trial's where not given)."""
        bench, clips = self.bench, self.clips if clips is None else clips
        name = f"{name}, batch {len(clips)}"
        if bench.left < 5:
            bench.part.left_out[name] = "too little time was left"
            return
        start = time.perf_counter()
        try:
            answers = self._answers(network, clips)
        except COMPILE_ERRORS as failure:
            bench.part.left_out[name] = " ".join(str(failure).split())[:300]
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
        rate = bench.add(name, taken, len(clips), "clips/s", self.base, note)
        self.base = self.base or rate
        if profiled:
            _note_kernels(bench, name, lambda: network(clips))

    def _answers(self, network: Callable[[Tensor], Any], clips: Tensor) -> Answers:
        """For the clips that are compared: the first of a batch, or one at a time."""
        if len(clips) > 1:
            return _numbers(network(clips))
        parts = [_numbers(network(clip.to(clips.device))) for clip in self.compared]
        return tuple(np.concatenate(answers) for answers in zip(*parts, strict=True))


def _numbers(answers: tuple[Tensor, ...] | list[Tensor]) -> Answers:
    """The first eight clips' as float32."""
    return tuple(answer[:8].float().cpu().numpy() for answer in answers)


def feed(bench: Bench) -> None:
    """Clips a second that reach the model from a packed store, read by the host or resident on the device."""
    from native_prep.preparation import prepare
    from native_prep.synth import write_ntu

    raw, out = bench.work / "feed_raw", bench.work / "feed"
    write_ntu(raw, 240 if bench.on_gpu else 24, CLASSES, 0, 90 if bench.on_gpu else 8)
    prepare("ntu60", raw, out, ignored_samples="none", formats=("packed",), benchmarks=("xsub",))
    for moved in (False, True):
        name = "random moves and parts" if moved else "as they are"
        args = FeederArgs(
            data_path=str(out / "packed/xsub/train_data_joint.npy"),
            label_path=str(out / "packed/xsub/train_label.pkl"),
            window_size=150 if moved else -1,
            random_choose=moved,
            random_move=moved,
        )
        clips = open_clips(args)
        batch = min(64, len(clips))
        chunks = training_chunks(len(clips), batch, 0, 0, repeat=20 if bench.on_gpu else 1)
        feeds = {
            place: Feed(clips, replace(args, resident=kept), NTU, bench.device, share_absent=True)
            for place, kept in (("from the host", False), ("resident", True))
        }
        read, gathered = (next(one.batches(chunks[:1], 0)).clips for one in feeds.values())
        bench.part.checks.append(Check(f"feeder resident, {name}", relative(gathered, read), 1e-6, "clips, relative"))
        base = None
        for place, feeder in feeds.items():

            def run(feeder: Feed = feeder, chunks: list[Any] = chunks) -> None:
                for _ in feeder.batches(chunks, 0):
                    pass

            title = f"feeder {place}, {name}"
            rate = bench.add(title, bench.time(run, 3, 5.0), batch * len(chunks), "clips/s", base)
            base = base or rate


def nw_ucla(bench: Bench) -> None:
    """NW-UCLA by its strong recipe, joint and bone side by side: accuracy, and seconds from raw files on."""
    if bench.nw_ucla is None:
        bench.part.left_out["NW-UCLA"] = "give its raw files: --nw-ucla DIR"
        return
    work, start = bench.work / "nw", time.perf_counter()
    work.mkdir()
    cli = (sys.executable, str(_ROOT / "cli.py"))
    prepare = (*cli, "prep", "nw-ucla", "--data-path", bench.nw_ucla, "--out-folder", "data/nw-ucla")
    subprocess.run((*prepare, "--format", "npy"), cwd=work, check=True, capture_output=True)
    bench.part.notes.append(f"prep: {time.perf_counter() - start:.1f} s")
    for seed in range(1, 100 if bench.on_gpu else 2):
        if bench.left < 20:
            break
        begun = time.perf_counter() if seed > 1 else start
        device = ("--device", bench.device.type, *(("--set", "num_epoch=1") if not bench.on_gpu else ()))
        running = {}
        for stream in ("joint", "bone"):
            command = (
                *cli,
                "train",
                "--config",
                "nw-ucla-strong",
                "--stream",
                stream,
                "--amp",
                "--no-compile",
                *device,
            )
            command = (*command, "--work-dir", f"seed{seed}/{stream}", "--set", f"seed={seed}")
            running[stream] = subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        found = {}
        for stream, process in running.items():
            try:
                said, wrong = process.communicate(timeout=max(1.0, bench.left))
            except subprocess.TimeoutExpired:
                for other in running.values():
                    other.kill()
                bench.part.left_out[f"seed {seed}"] = f"was not done in {time.perf_counter() - begun:.0f} s"
                return
            if process.returncode:
                raise RuntimeError(f"seed {seed}, {stream}: {wrong.decode(errors='replace').strip().splitlines()[-1]}")
            found[stream] = json.loads(said.splitlines()[-1])
        scores = [f"--{stream}-scores={work / f'seed{seed}' / stream / SCORE_FILE}" for stream in found]
        fused = subprocess.run(
            (*cli, "fuse-eval", "--label", "data/nw-ucla/val_label.pkl", *scores),
            cwd=work, capture_output=True, text=True,
        )  # fmt: skip
        told = ", ".join(f"{name} {result['best_top1']:.2%}" for name, result in found.items())
        bench.part.notes.append(
            f"seed {seed}: {told}; fused {fused.stdout.strip() or fused.stderr.strip()}; "
            f"{time.perf_counter() - begun:.0f} s from raw files to both streams"
        )
        bench.save()


PARTS: dict[str, Callable[[Bench], None]] = {
    "machine": machine,
    "kernels": kernels,
    "compile train": compile_train,
    "compile infer": compile_infer,
    "compile one clip": compile_one,
    "compile package": compile_package,
    "prep": prep,
    "train": train,
    "infer": infer,
    "feed": feed,
    "nw-ucla": nw_ucla,
}


def main(name: str, options: Mapping[str, Any]) -> None:
    """Measures one part and writes what it has found, also where it breaks off."""
    bench = Bench(name, options)
    try:
        PARTS[name](bench)
    except (ValueError, OSError, RuntimeError, MemoryError, ImportError, AttributeError) as error:
        bench.part.error = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        raise
    finally:
        bench.save()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
