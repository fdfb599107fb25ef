"""What is done about memory: how much is free, kept on a processor, advised upon where there is too little."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from agcn.settings import Config

# M_TRIM_THRESHOLD and M_MMAP_MAX of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
# Parts of what PyTorch says on a processor that has too little.
_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory")


def keep_freed_memory() -> bool:
    """Lets this process keep memory that it frees, for the next step; returns whether the C library can.

    glibc hands large arrays back to the system and gets them anew, zeroed page by page: on two cores 18 % of a training
    step (4.3 MB arrays; PyTorch caches memory of a GPU, but not of a processor).
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    return bool(library.mallopt(_MMAP_MAX, 0) and library.mallopt(_TRIM_THRESHOLD, -1))


@contextmanager
def explain_out_of_memory(config: Config, processes: int) -> Iterator[None]:
    """Runs a block; running out of memory becomes a MemoryError that names a batch size to try.

    Raises:
        MemoryError: there was too little.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        is_out_of_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not is_out_of_memory and not any(part in str(error) for part in _OUT_OF_MEMORY):
            raise
        raise MemoryError(f"{config.config}: {_advice(config, processes)}") from error


def _advice(config: Config, processes: int) -> str:
    size, parts = config.batch_size, config.accumulate
    share = size // processes // parts
    text = f"out of memory with batch_size {size}" + (f" in {parts} parts" if parts > 1 else "")
    if share < 2:
        return f"{text}: set a smaller window_size, or use a larger device"
    half = share // 2
    ways = [f"set batch_size to {half * parts * processes}"]
    if share % 2 == 0:
        ways.append(f"keep it and set accumulate to {2 * parts}")
    if torch.cuda.is_available() and config.train_feeder_args.resident is not False:
        ways.append("leave the clips off the GPU (resident: False of both feeders)")
    return f"{text}: {', or '.join(ways)}"
