"""Ctrl-C in training: the step under way is finished, so that nothing of what was computed is lost."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Stop:
    """While active, notes a first Ctrl-C in `asked`; a second one interrupts at once.

    Args:
        active: False leaves Ctrl-C as it is: of several processes, each would stop at a step of its own.
    """

    def __init__(self, active: bool) -> None:
        self.asked = False
        self._active = active and threading.current_thread() is threading.main_thread()
        self._before: Any = None

    def __enter__(self) -> "Stop":
        if self._active:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._active:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        os.write(2, b"\nstopping after this step; Ctrl-C again stops at once\n")  # print may be under way
