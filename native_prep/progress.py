"""A progress bar on a terminal, a line every ten seconds elsewhere; always on stderr."""

import sys
import time
from types import TracebackType


class Progress:
    """Counts work done out of `total`, with rate and time left.

    >>> with Progress(total=1000, what="prep", unit="clip") as progress:
    ...     progress.update(64)
    """

    def __init__(self, total: int, what: str, unit: str, every: float = 10.0) -> None:
        self.total, self.what, self.unit, self.every = total, what, unit, every
        self.done = 0
        self.note = ""
        self._start = self._last = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=what, unit=unit, dynamic_ncols=True, leave=False)

    def update(self, amount: int, note: str = "") -> None:
        """Adds `amount` of work; `note` (a loss, say) stands behind the rate."""
        self.done += amount
        self.note = note or self.note
        if self._bar is not None:
            self._bar.set_postfix_str(self.note, refresh=False)
            self._bar.update(amount)
        elif time.monotonic() - self._last >= self.every:
            self._last = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)

    def _line(self) -> str:
        rate = self.done / max(time.monotonic() - self._start, 1e-9)
        left = (self.total - self.done) / rate if rate else float("inf")
        tail = f", {self.note}" if self.note else ""
        return f"{self.what}: {self.done}/{self.total} {self.unit}s, {rate:.1f} {self.unit}s/s, {left:.0f} s left{tail}"

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
