"""What a training run says: lines on stderr and in WORK_DIR/log.txt, curves for TensorBoard."""

import sys
import time
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


class RunLog:
    """The log of one run; only the main process writes.

    Args:
        work_dir: log.txt and the folder `tensorboard` go here.
        is_main_process: False says and writes nothing.
        to_file: whether lines go to log.txt as well.
        step: a resumed run's number of steps; curves that a killed run drew beyond it are dropped.
    """

    def __init__(self, work_dir: Path, is_main_process: bool, to_file: bool, step: int = 0) -> None:
        self.is_main_process = is_main_process
        self.file = work_dir / "log.txt" if is_main_process and to_file else None
        self._writers: dict[str, SummaryWriter] = {}
        if is_main_process:
            work_dir.mkdir(parents=True, exist_ok=True)
            for name in ("train", "val"):
                folder = str(work_dir / "tensorboard" / name)
                self._writers[name] = SummaryWriter(folder, purge_step=step + 1 if step else None)

    def line(self, text: str) -> None:
        """One line, with the time."""
        if not self.is_main_process:
            return
        text = f"[{time.strftime('%Y-%m-%d %H:%M:%S')}] {text}"
        print(text, file=sys.stderr, flush=True)
        if self.file is not None:
            with self.file.open("a", encoding="utf-8") as out:
                print(text, file=out)

    def curve(self, part: str, step: int, **values: float) -> None:
        """One point of each named curve of "train" or "val"."""
        for name, value in values.items():
            if part in self._writers:
                self._writers[part].add_scalar(name, value, step)

    def close(self) -> None:
        """Ends the curves' files."""
        for writer in self._writers.values():
            writer.close()
