"""Jobs that a cluster of tests does: they square numbers, lose their process, are slow, or go wrong."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from native_prep.datasets.recordings import BadClip


@dataclass(frozen=True)
class Square:
    """Notes in `folder` each time that it is opened; at the numbers named, it does something else before or instead."""

    folder: Path
    dies_once_at: int | None = None
    dies_always_at: int | None = None
    waits_at: int | None = None
    fails_at: int | None = None
    opens: bool = True
    dies_opening: bool = False

    def open(self) -> Callable[[int], int]:
        if self.dies_opening:
            os.kill(os.getpid(), signal.SIGKILL)
        if not self.opens:
            raise ValueError("model.onnx: no such file: give another")
        Path(self.folder / f"opened-{os.getpid()}").touch()
        return self._square

    def _square(self, number: int) -> int:
        died = self.folder / "died"
        if number == self.dies_always_at or (number == self.dies_once_at and not died.exists()):
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        Path(self.folder / f"seen-{number}").touch()
        while number == self.waits_at and not (self.folder / "seen-8").exists():
            time.sleep(0.01)
        if number == self.fails_at:
            raise BadClip("clip.json", "is bad: fix it", 7)
        return number * number
