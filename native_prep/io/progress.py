"""A progress bar on a terminal, a line every ten seconds elsewhere, always on stderr; numbers as people read them."""

import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType

# Kernels that are being compiled, which takes half a minute once a machine; `native_prep.kernels.jit` counts them.
compiling: set[str] = set()
_COMPILING = "compiling, first use only"


def first_names(names: Sequence[str]) -> str:
    """The first three of some names, for a message."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def percent(share: float | None) -> str:
    """0.9375 as 93.75 %."""
    return "-" if share is None else f"{100 * share:.2f} %"


def duration(seconds: float) -> str:
    """126 as 2 min 6 s; below ten seconds with one digit."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Progress:
    """Counts work done out of `total`, with rate and time left.

    >>> with Progress(total=1000, what="prep", unit="clip") as progress:
    ...     progress.update(64)
    """

    def __init__(self, total: int, what: str, unit: str, every: float = 10.0, quiet: bool = False) -> None:
        self.total, self.what, self.unit, self.every = total, what, unit, every
        self.done = 0
        self._begun = False
        self.note = ""
        self._start = time.monotonic()
        self._over = threading.Event()
        self._bar = None
        self._speaks = not quiet and not sys.stderr.isatty()
        self._watched: threading.Thread | None = None
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=what, unit=unit, dynamic_ncols=True, leave=False)

    def update(self, amount: int, note: str = "") -> None:
        """Adds `amount` of work; `note` (a loss, say) stands behind the rate."""
        self.done += amount
        self._begun = True
        self.note = note or self.note
        if self._bar is not None:
            self._stop_watching()
            self._bar.set_postfix_str(self.note, refresh=False)
            self._bar.update(amount)

    def _tell(self) -> None:
        """A line now and then, also while a long piece of work reports nothing."""
        while not self._over.wait(self.every):
            print(self._line(), file=sys.stderr, flush=True)

    def _watch(self) -> None:
        """Until something is told: says where kernels are compiled, for a bar that stands still looks dead."""
        assert self._bar is not None
        while not self._over.wait(0.5) and not self._begun:
            if compiling:
                self._bar.bar_format = f"{{desc}}: {_COMPILING} ({{elapsed}})"
                self._bar.refresh()

    def _stop_watching(self) -> None:
        if self._bar is not None and self._watched is not None:
            self._watched.join()
            self._watched, self._bar.bar_format = None, None

    def _line(self) -> str:
        if compiling and not self.done:
            return f"{self.what}: {_COMPILING}"
        rate = self.done / max(time.monotonic() - self._start, 1e-9)
        shown = f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
        left = f"{duration((self.total - self.done) / rate)} left" if rate else "time left not known yet"
        parts = [f"{self.done}/{self.total} {self.unit}s", f"{shown} {self.unit}s/s" if rate else "", left, self.note]
        return f"{self.what}: {', '.join(filter(None, parts))}"

    def __enter__(self) -> "Progress":
        if self._speaks:
            threading.Thread(target=self._tell, daemon=True).start()
        elif self._bar is not None:
            self._watched = threading.Thread(target=self._watch, daemon=True)
            self._watched.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._bar is not None:
            self._stop_watching()
            self._bar.close()
