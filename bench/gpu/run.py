"""`bench gpu`: everything that needs a GPU, in one call that needs no attention.

Each part runs in a process of its own with its own time, so that one that fails or hangs leaves the others, and what
was found is written after each. `bench/gpu/process.py` is what such a process runs.
"""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agcn.device import pick_device
from bench.gpu.targets import agreeing_rates, targets
from bench.machine import describe
from bench.part import Part
from bench.report import failures, read_results, summary, was_run, write_report

# Minutes that the shares below are of.
_WHOLE = 9.0
_TOO_LATE = "too little time was left"
ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Section:
    """One process of the benchmark; of nine minutes `seconds` is what it may take, and `kept` what others leave it."""

    name: str
    seconds: float
    kept: float = 0.0


# In order of worth. Those in one row run side by side on a GPU's machine: none of them times anything.
# On an H100 machine with 16 cores they took 15, 135 (all compilation but that of the training step was done after 80),
# 22 and about 125 s up to `train`.
ROWS: tuple[tuple[Section, ...], ...] = (
    (Section("machine", 30),),
    (
        Section("kernels", 150),
        Section("compile train", 150),
        Section("compile fused train", 150),
        Section("compile infer", 150),
        Section("compile fused infer", 150),
        Section("compile one clip", 150),
        Section("compile package", 150),
        Section("engines", 150),
    ),
    (Section("prep", 45, kept=25),),
    (Section("train", 170, kept=110),),
    (Section("infer", 130, kept=80),),
    (Section("feed", 40, kept=20),),
    (Section("graph convolution", 45, kept=20),),
    (Section("nw-ucla", 540, kept=100),),
)
SECTIONS = tuple(section.name for row in ROWS for section in row)


def run_gpu(
    out: str | Path = "bench_out",
    minutes: float = _WHOLE,
    device: str = "auto",
    nw_ucla: str | Path | None = None,
    only: Sequence[str] = (),
) -> dict[str, Any]:
    """Run all parts, and write `results.json` and `report.md` into `out` after each row of them.

    Args:
        out: folder, made if missing.
        minutes: for everything; a part that finds too little left is listed as not run.
        device: "cuda", "cpu" for a rehearsal of the same code on tiny sizes, or "auto".
        nw_ucla: folder of NW-UCLA's raw files, for the last part.
        only: names of `SECTIONS`; all where none is given.

    Returns:
        passed (something ran, and all that did passed), failed, device, rates and ratios (part -> variant -> number),
        summary, left_out, outputs, seconds.

    Raises:
        ValueError: no such part, no time, or no such folder.
    """
    unknown = [name for name in only if name not in SECTIONS]
    if unknown:
        raise ValueError(f"bench gpu has no part {unknown[0]!r}: use some of {', '.join(SECTIONS)}")
    if not 0 < minutes < math.inf:
        raise ValueError(f"--minutes {minutes:g}: give a number above 0")
    if nw_ucla is not None and not Path(nw_ucla).is_dir():
        raise ValueError(f"--nw-ucla {nw_ucla}: no such folder: name that of NW-UCLA's raw files")
    if nw_ucla is not None and next(Path(nw_ucla).rglob("*.json"), None) is None:
        raise ValueError(f"--nw-ucla {nw_ucla}: holds no *.json: name the folder of NW-UCLA's raw files")
    if Path(out).is_file():
        raise ValueError(f"--out {out}: is a file: name a folder")
    start, stop = time.monotonic(), time.monotonic() + 60 * minutes
    kind = pick_device(device).type
    options = {"device": kind, "nw_ucla": nw_ucla and str(Path(nw_ucla).resolve())}
    rows = _rows(only, kind == "cuda", trains=nw_ucla is not None)
    # Few parts may take longer than their share of nine minutes.
    together = sum(max(section.seconds for section in row) for row in rows)
    share = max(minutes / _WHOLE, 60 * minutes / together)
    Path(out).mkdir(parents=True, exist_ok=True)  # what cannot be written is told before anything is measured
    parts = read_results(out)
    outputs: list[str] = []
    found: dict[str, Any] = {}
    interruption: BaseException | None = None
    with tempfile.TemporaryDirectory(prefix="bench_gpu_") as work:
        for place, row in enumerate(rows):
            machine = describe()  # before the processes, whose own load is no other work
            measured = {
                "peaks": _agreeing(parts, "gpu machine", kind),
                "training_rates": _agreeing(parts, "gpu train", kind),
            }
            kept = share * sum(section.kept for later in rows[place + 1 :] for section in later)
            running: list[_Child] = []
            try:
                running += (_Child(section, work, {**options, **measured}, stop - kept, share) for section in row)
                for child in running:
                    part = child.finish(waits=interruption is None) | {"machine": machine}
                    if was_run(part) and kind == "cuda":
                        part["notes"] += targets(child.key, part)
                    elif was_run(part):
                        part["notes"].insert(0, "a rehearsal on tiny sizes: its rates say nothing of a GPU")
                    found[child.key] = part
                    interruption = interruption or child.interruption
            finally:
                for child in running:
                    child.stop()
            if interruption is not None:
                for section in (section for later in rows[place + 1 :] for section in later):
                    found[f"gpu {section.name}"] = _not_run(section, "interrupted before") | {"machine": machine}
            # What an earlier run has measured stays where this one measures nothing.
            parts |= {name: part for name, part in found.items() if was_run(part) or name not in parts}
            outputs = write_report(out, parts, plots=False)
            if interruption is not None:
                raise interruption
    failed = [line for name, part in found.items() for line in failures(name, part)]
    measured_any = any(map(was_run, found.values()))
    if not measured_any:
        reasons = sorted({reason for part in found.values() for reason in part["left_out"].values()})
        if reasons == [_TOO_LATE]:
            reasons = [f"in {minutes:g} minutes: give more --minutes"]
        failed.append(f"nothing was measured: {'; '.join(reasons)}")
    return {
        "passed": measured_any and all(part["passed"] for part in found.values()),
        "failed": failed,
        "device": kind,
        "rates": _by_variant(found, "rate"),
        "ratios": _by_variant(found, "ratio"),
        "summary": summary(found),
        "left_out": {name: part["left_out"] for name, part in found.items() if part["left_out"]},
        "outputs": outputs,
        "seconds": time.monotonic() - start,
    }


def _by_variant(found: dict[str, Any], key: str) -> dict[str, dict[str, float | None]]:
    return {
        name: {f"{rate['name']}, {rate['unit']}": rate[key] for rate in part["rates"]}
        for name, part in found.items()
        if part["rates"]
    }


def _rows(only: Sequence[str], on_gpu: bool, trains: bool) -> list[list[Section]]:
    """The sections that are to run; a rehearsal runs one after the other, and each without a thought for the next."""
    rows = [[section for section in row if not only or section.name in only] for row in ROWS]
    if not on_gpu:
        return [[replace(section, kept=0.0)] for row in rows for section in row]
    if not trains:  # on NW-UCLA, so no time is kept for it
        rows = [
            [replace(section, kept=0.0) if section.name == "nw-ucla" else section for section in row] for row in rows
        ]
    return [row for row in rows if row]


def _agreeing(parts: dict[str, Any], name: str, device: str) -> dict[str, float]:
    """What a part has measured on such a device of what met its checks: name -> rate."""
    part = parts.get(name)
    if part is None or part["sizes"].get("device") != device:
        return {}
    return {rate["name"]: rate["rate"] for rate in agreeing_rates(part)}


def _not_run(section: Section, why: str) -> dict[str, Any]:
    return Part(f"gpu {section.name}", {}, left_out={section.name: why}).as_dict()


class _Child:
    """One section's process, and the file that it writes what it has found to."""

    def __init__(self, section: Section, work: str, options: dict[str, Any], stop: float, share: float) -> None:
        self.section, self.key = section, f"gpu {section.name}"
        self.limit = min(section.seconds * share, stop - time.monotonic())
        self.until = time.monotonic() + self.limit
        self.file = Path(work) / f"{section.name}.json"
        self.log = Path(work) / f"{section.name}.log"
        self.interruption: BaseException | None = None
        self.process: subprocess.Popen[bytes] | None = None
        if self.limit < 5:
            return
        print(f"bench gpu: {section.name}, {self.limit:.0f} s at most", file=sys.stderr, flush=True)
        given = json.dumps(options | {"out": str(self.file), "work": work, "seconds": self.limit})
        environment = dict(os.environ)
        # PyTorch keeps what it traced of our autograd functions too: one part compiles for another. It would not see
        # that their code has changed, so nothing is kept for the next run.
        environment["TORCHINDUCTOR_AUTOGRAD_CACHE_ALLOW_CUSTOM_AUTOGRAD"] = "1"
        environment["TORCHINDUCTOR_CACHE_DIR"] = str(Path(work) / "inductor")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH", ""))))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "bench.gpu.process", section.name, given),
                stdout=log, stderr=log, env=environment, start_new_session=True,
            )  # fmt: skip

    def finish(self, waits: bool) -> dict[str, Any]:
        """Waits, at most until the limit, or not at all; what the process has found, and what became of it."""
        if self.process is None:
            return _not_run(self.section, _TOO_LATE)
        error = ""
        try:
            if code := self.process.wait(max(0.0, self.until - time.monotonic()) if waits else 0.0):
                error = f"ended with exit status {code}: {self._last_words()}"
        except subprocess.TimeoutExpired:
            error = f"stopped after {self.limit:.0f} s" if waits else "interrupted"
        except (KeyboardInterrupt, SystemExit) as interruption:  # Ctrl-C, and SIGTERM or SIGHUP to the command
            self.interruption, error = interruption, "interrupted"
        finally:
            self.stop()
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = Part(self.key, {}).as_dict()
        if error:
            print(f"bench gpu: {self.section.name} {error}", file=sys.stderr, flush=True)
            found |= {"error": found["error"] or error, "passed": False}
        return found

    def stop(self) -> None:
        """Ends the process and what it has started, if it runs."""
        if self.process is None:
            return
        if not hasattr(os, "killpg"):  # what it started ends by itself
            self.process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " ".join(lines[-1].split()) if lines else "it said nothing"
