"""A trace of a few training steps: what ran when, for a browser's trace viewer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from native_prep.files import whole_file

FILE = "profile.json"
# Steps that are left out (compilation, first allocations), and steps that are recorded.
_SKIPPED, _RECORDED = 3, 5


@contextmanager
def traced(path: Path, say: Callable[[str], None]) -> Iterator[torch.profiler.profile]:
    """The block whose steps, told by `step()`, are recorded into `path` (chrome://tracing, ui.perfetto.dev).

    A block of too few steps leaves no file; `say` gets a line that says so.
    """
    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)

    def write(profile: torch.profiler.profile) -> None:
        if profile.step_num > _SKIPPED:
            with whole_file(path) as part:
                profile.export_chrome_trace(str(part))

    schedule = torch.profiler.schedule(wait=_SKIPPED - 1, warmup=1, active=_RECORDED, repeat=1)
    with torch.profiler.profile(activities=activities, schedule=schedule, on_trace_ready=write) as profile:
        yield profile
    if profile.step_num <= _SKIPPED:
        say(f"no {path.name}: the first {_SKIPPED} steps are not recorded, there were {profile.step_num}: train longer")
