"""Ctrl-C and SIGTERM in training: the step under way is finished, so that nothing of what was computed is lost."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """While active, notes a first Ctrl-C or SIGTERM (SLURM's, before it kills) in `requested`; a second one interrupts.

    Args:
        active: False leaves them as they are: of several processes, each would stop at a step of its own.
    """

    def __init__(self, active: bool) -> None:
        self.requested = False
        self._active = active and threading.current_thread() is threading.main_thread()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        if self._active:
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        again = b"; Ctrl-C again stops at once" if number == signal.SIGINT else b""
        os.write(2, b"\nstopping after this step" + again + b"\n")  # print may be under way
