"""What `bench gpu` measures, a part a process: `python -m bench.gpu.process NAME OPTIONS`, see `bench/gpu/run.py`.

Without a GPU the same code runs on tiny sizes, as a rehearsal.

Letters: N clips, C channels, T frames, V joints, M bodies.
"""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from bench.gpu.context import Bench, one_line, rehearsal
from bench.gpu.convolution import graph_convolution
from bench.gpu.data import feed, nw_ucla
from bench.gpu.inference import compile_fused_infer, compile_infer, compile_one, compile_package, export_all, infer
from bench.gpu.kernels import kernels, machine, prep
from bench.gpu.training import compile_fused_train, compile_train, train

PARTS: dict[str, Callable[[Bench], None]] = {
    "machine": machine,
    "kernels": kernels,
    "compile train": compile_train,
    "compile fused train": compile_fused_train,
    "compile infer": compile_infer,
    "compile fused infer": compile_fused_infer,
    "compile one clip": compile_one,
    "compile package": compile_package,
    "engines": export_all,
    "prep": prep,
    "train": train,
    "infer": infer,
    "feed": feed,
    "graph convolution": graph_convolution,
    "nw-ucla": nw_ucla,
}


def main(name: str, options: Mapping[str, Any]) -> None:
    """Measures one part and writes what it has found, also where it breaks off."""
    bench = Bench(name, options)
    try:
        with nullcontext() if bench.on_gpu else rehearsal():
            PARTS[name](bench)
    except (ValueError, OSError, RuntimeError, MemoryError, ImportError, AttributeError) as error:
        bench.part.error = f"{type(error).__name__}: {one_line(error, 500)}"
        raise
    finally:
        bench.save()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
