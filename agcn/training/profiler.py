"""A trace of a few training steps: what ran when, for a browser's trace viewer."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import torch
from torch.profiler import ProfilerAction, ProfilerActivity

from native_prep.io.atomic import atomic_file

TRACE_FILE = "profile.json"
# Steps that are left out (compilation, first allocations), and steps that are recorded.
_SKIPPED, _RECORDED = 3, 5


class StepTrace:
    """Records a few steps of a training into `path` (chrome://tracing, ui.perfetto.dev).

    PyTorch's profiler is started where the first recorded step begins and stopped once, whenever the training ends: of
    its schedules, that of PyTorch 2.11 could end the process where training ended during the warm-up.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self.path, self.say = path, say
        self._begun = 0
        self._profile: torch.profiler.profile | None = None

    def __enter__(self) -> "StepTrace":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._finish()
        if self._begun <= _SKIPPED:
            self.say(
                f"no {self.path.name}: the first {_SKIPPED} steps are not recorded, there were {self._begun}: "
                "train longer"
            )

    def begin_step(self) -> None:
        """To be called before every step."""
        self._begun += 1
        if self._begun == _SKIPPED + 1:
            activities = [ProfilerActivity.CPU]
            if torch.cuda.is_available():
                activities.append(ProfilerActivity.CUDA)
            # A schedule, if only one that always records, makes the profiler mark the steps.
            self._profile = torch.profiler.profile(
                activities=activities, schedule=lambda step: ProfilerAction.RECORD, acc_events=True
            )
            self._profile.start()
        elif self._begun == _SKIPPED + _RECORDED + 1:
            self._finish()
        elif self._profile is not None:
            self._profile.step()

    def _finish(self) -> None:
        if self._profile is not None:
            self._profile.stop()
            with atomic_file(self.path) as part:
                self._profile.export_chrome_trace(str(part))
            self._profile = None
