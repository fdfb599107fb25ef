"""The CUDA driver: files in, prepared clips out, on the host or left on the GPU.

It gives the numbers of `cpu.reader.Reader`: text is read by the same functions, a thread a line, and clips are made by
the same steps, a thread a frame. The host reads files into memory that the GPU copies from on its own; two batches take
turns, so that reading, copying and computing overlap. Of NTU files in which the GPU finds anything odd, the CPU's
reader says what it is, and where: bad files are few, and there is one place that explains them.
"""

from collections import deque
from collections.abc import Iterable
from itertools import cycle
from typing import Any

import numpy as np

from native_prep.cpu import reader as cpu
from native_prep.cpu.reader import CODE, path_table, text_table
from native_prep.cuda.batches import BATCHES, device_rows, host_rows
from native_prep.cuda.target import check_device, cuda
from native_prep.datasets.catalog import Dataset
from native_prep.kernels import status
from native_prep.skeletons.streams import STREAMS

# Bytes of rows that a reader holds, once on the host and once on the GPU.
_ROWS = 64 << 20


def files_at_once(row_bytes: int) -> int:
    """How many files a reader should take at a time, for rows of that many bytes."""
    return max(2, min(256, _ROWS // max(row_bytes, 1)))


class Reader:
    """Reads raw files of one data set through the GPU, as `cpu.reader.Reader` does, but for packing.

    Args:
        dataset: which kind of files.
        streams: which of `streams.STREAMS` to make, in that order; none to read and check only.
        frames: T; longer clips are bad.
        capacity: how many files `run` can take.

    Attributes:
        rows: float32 (capacity, S, 3, T, V, M) in host memory, what `run` made last.

    Raises:
        ValueError: there is no GPU, or nothing to program it with.
    """

    def __init__(self, dataset: Dataset, streams: tuple[str, ...], frames: int, capacity: int) -> None:
        check_device()
        self.dataset = dataset
        shape = (capacity, len(streams), 3, frames, dataset.layout.num_joints, dataset.num_person)
        self._cpu = cpu.Reader(dataset, streams, frames, 1)
        self.rows = host_rows(shape)
        self._device_rows = device_rows(shape) if self.rows.size else self.rows
        self._streams = cuda.to_device(np.array([STREAMS.index(name) for name in streams] or [0]))
        self._batches = [BATCHES[dataset.layout.name](dataset, frames, -(-capacity // 2) or 1) for _ in range(2)]

    def run(self, paths: list[str]) -> np.ndarray:
        """Prepares files; whatever the bytes, it raises nothing.

        Returns:
            int64 (len(paths), 7), see `cpu.reader.Reader.run`. `rows` holds the clips of the files with status 0.
        """
        return self._run(path_table(paths), self.rows)

    def run_texts(self, texts: Iterable[bytes | int]) -> np.ndarray:
        """`run` of files whose bytes are in memory, see `cpu.reader.Reader.run_texts`."""
        held = list(texts)
        return self._run(text_table(held), self.rows)

    def run_on_device(self, paths: list[str]) -> tuple[np.ndarray, Any]:
        """`run` without the copy to the host.

        Returns:
            The reports, and float32 (len(paths), S, 3, T, V, M) on the GPU, with `__cuda_array_interface__`: complete,
            and valid until the next run. Rows of files whose status is not 0 hold anything.
        """
        return self._run(path_table(paths), None), self._device_rows[: len(paths)]

    def _run(self, table: np.ndarray, host: np.ndarray | None) -> np.ndarray:
        reports = np.zeros((len(table), 7), np.int64)
        busy: deque[tuple[Any, int, int]] = deque()
        start = 0
        for batch in cycle(self._batches):
            if len(busy) == len(self._batches) or start == len(table):
                self._finish(*busy.popleft(), table, reports)
            if start < len(table):
                count = batch.read(table[start:], reports[start:])
                stop = start + count
                on_host = None if host is None else host[start:stop]
                batch.launch(count, self._streams, self._device_rows[start:stop], on_host)
                busy.append((batch, start, stop))
                start = stop
            if not busy:
                break
        return reports

    def _finish(self, batch: Any, start: int, stop: int, table: np.ndarray, reports: np.ndarray) -> None:
        for place in batch.finish(reports[start:stop]):
            place += start
            reports[place] = self._cpu.run_table(table[place : place + 1])[0]
            if reports[place, CODE] == status.OK and self.rows.size:
                self.rows[place] = self._cpu.rows[0]
                self._device_rows[place].copy_to_device(self._cpu.rows[0])
