"""One part of `bench gpu` at work: what it was asked for, how it times, and what it has found so far."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch._inductor.config

from agcn.model.network import Model
from bench.part import Contenders, Part, Rate
from bench.timer import Timing
from native_prep.io.atomic import atomic_file

ROOT = Path(__file__).resolve().parent.parent.parent
BF16 = "bf16 matrix product"
COMPILED = "compiled amp bf16"
FUSED = "compiled amp bf16, fused graph convolution"
# Name of the package that `compile package` leaves for `infer`.
PACKAGE_FILE = "two_stream.pt2"


@contextmanager
def rehearsal() -> Iterator[None]:
    """Models run three of their ten blocks, one of every kind; torch.compile traces, but generates no code.

    Otherwise a processor compiles for minutes what is never timed on it.
    """
    ten, compile_fully = Model.blocks, torch.compile
    Model.blocks = property(lambda model: (model.l1, model.l5, model.l8))  # type: ignore[assignment, method-assign]
    torch.compile = partial(compile_fully, backend="aot_eager")
    try:
        with torch._inductor.config.patch({"aot_inductor.debug_compile": True}):
            yield
    finally:
        Model.blocks, torch.compile = ten, compile_fully  # type: ignore[method-assign]


def one_line(error: Exception, longest: int = 300) -> str:
    """What an error says, in one line, cut off where compilers say pages."""
    return " ".join(str(error).split())[:longest]


class Bench:
    """One part at work: what it was asked for, and what it has found so far.

    Attributes:
        peaks: what the part `machine` has measured, name -> rate.
        training_rates: the same of the training steps of the part `train` that gave the original's answers, in clips/s.
    """

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self.begun = time.monotonic()
        self.seconds = float(options["seconds"])
        self.device = torch.device(options["device"])
        self.on_gpu = self.device.type == "cuda"
        self.out, self.work = Path(options["out"]), Path(options["work"])
        self.peaks: dict[str, float] = options["peaks"]
        self.training_rates: dict[str, float] = options["training_rates"]
        self.nw_ucla: str | None = options["nw_ucla"]
        self.frames = 300 if self.on_gpu else 16
        self.part = Part(f"gpu {name}", {"device": str(self.device)})

    @property
    def left(self) -> float:
        """Seconds until this process is stopped, less a few to end by itself."""
        return self.seconds - (time.monotonic() - self.begun) - 5.0

    def save(self) -> None:
        """What was found stays, whatever happens next."""
        with atomic_file(self.out) as part:
            part.write_text(json.dumps(self.part.as_dict()), encoding="utf-8")

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
        self, name: str, taken: Timing, amount: float, unit: str, plain: Rate | None = None, note: str = "",
        group: str = "",
    ) -> Rate:  # fmt: skip
        """Adds amount / median as a rate of `group`, and its ratio to `plain`'s."""
        speed = amount / taken.median
        ratio = speed / plain.rate if plain is not None else None
        rate = Rate(name, speed, unit, taken.median, len(taken.runs), taken.spread, ratio, note, group, name)
        self.part.rates.append(rate)
        self.save()
        return rate

    def add_group(self, title: str, unit: str, baseline: str, contenders: Sequence[Contenders]) -> None:
        """Ends a group of rates; see `Part.add_group`. Without its baseline nothing stands beside it."""
        if any(rate.name == baseline for rate in self.part.rates):
            self.part.add_group(title, unit, baseline, contenders)
            self.save()
