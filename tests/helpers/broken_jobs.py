"""Jobs of `predict --store` that fail, in a module that the processes of a cluster can import."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import cli
from export.runtime import stores
from export.runtime.stores import Piece, ScoreJob

GONE = "frames.npy: its disk has gone: copy it again"


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not reached")


class KilledOnce(ScoreJob):
    """The first process that is given a shard is killed at it, and leaves an empty file `mark`."""

    def open(self) -> Callable[[Piece], str]:
        work = super().open()

        def killed_once(piece: Piece) -> str:
            try:
                self.mark.touch(exist_ok=False)
            except FileExistsError:
                return work(piece)
            _die()

        return killed_once

    @property
    def mark(self) -> Path:
        return Path(f"{self.folder}.killed")


class Failing(ScoreJob):
    """The third shard of a store cannot be read."""

    def open(self) -> Callable[[Piece], str]:
        work = super().open()

        def failing(piece: Piece) -> str:
            if piece.number == 2:
                raise ValueError(GONE)
            return work(piece)

        return failing


def die_after_a_shard(*words: str) -> None:
    """A command whose own process is killed when it hears of a finished shard."""

    class Fatal(stores.Progress):
        def update(self, amount: int, note: str = "") -> None:
            _die()

    stores.Progress = Fatal
    cli.main(list(words))


if __name__ == "__main__":
    die_after_a_shard(*sys.argv[1:])
