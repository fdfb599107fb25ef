"""The network as an AOTInductor package (`.pt2`): compiled for one kind of processor or GPU, run without Python too.

`export/cpp` holds the program that runs it without Python; what it needs to know is noted in the package.
"""

import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from export.engines.flavors import present_target
from export.manifest import EngineFile, Manifest
from native_prep.io.hashes import sha256

RUNTIME = "aotinductor"


def build_package(
    network: nn.Module,
    shape: tuple[int, int, int, int],
    path: str | os.PathLike[str],
    device: str = "cpu",
    max_batch: int = 64,
    notes: Mapping[str, str] | None = None,
) -> EngineFile:
    """Compile `network` for the processor or the GPU at hand, for 1 to `max_batch` clips at a time.

    How many rows it computes may depend on the data (`torch.nonzero`), but not on a GPU where one clip is to run as a
    CUDA graph.

    Args:
        network: joints (N, C, T, V, M) float32 to a tuple of arrays, the fused scores last. It is moved to `device`.
        shape: (C, T, V, M).
        path: the `.pt2` file to write.
        device: "cpu" or "cuda".
        notes: kept in the package, see `package_notes`.

    Raises:
        ValueError: there is no C++ compiler, no GPU to compile for, or PyTorch cannot compile it here.
    """
    target = check_can_build(device)
    network = network.to(device)
    # A batch of 1 would be taken for a constant.
    example = torch.zeros(2, *shape, device=device)
    # PyTorch warns of its own deprecated calls here.
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        batch = torch.export.Dim("N", min=1, max=max_batch)
        program = torch.export.export(network, (example,), dynamic_shapes=({0: batch},))
        # CUDA graphs hold kernels alone: numbers of rows that the processor must wait for are none.
        fixed = not any(str(symbol).startswith("u") for symbol in program.range_constraints)
        config = _inductor_config({**(notes or {}), "device": device, "max_batch": str(max_batch)})
        try:
            torch._inductor.aoti_compile_and_package(program, package_path=os.fspath(path), inductor_configs=config)
        except (RuntimeError, OSError) as error:  # for a GPU it needs the headers of a CUDA toolkit too
            reason = str(error).strip().splitlines()[0]
            more = " and a CUDA toolkit (CUDA_HOME)" if device == "cuda" else ""
            raise ValueError(f"--aot {device}: PyTorch cannot compile: {reason}: install g++{more}") from error
    path = Path(path)
    layers = {"cuda_graph": device == "cuda" and fixed}
    return EngineFile(path.name, RUNTIME, torch_version(), target, path.stat().st_size, sha256(path), layers)


def check_can_build(device: str) -> str:
    """What a package for `device` will be for: "cpu", or the GPU at hand.

    Raises:
        ValueError: there is no C++ compiler, or no GPU to compile for.
    """
    target = "cpu" if device == "cpu" else present_target()
    if target is None:
        raise ValueError("--aot cuda: a package is compiled on a machine with the GPU, and none is at hand: use cpu")
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ValueError(f"--aot: no C++ compiler {compiler!r} is found: install g++, or name one in CXX")
    return target


def _inductor_config(notes: dict[str, str]) -> dict[str, Any]:
    return {
        "aot_inductor.metadata": notes,
        # With it, convolutions over a number of rows that depends on the data give wrong answers (PyTorch 2.13): they
        # come with channels last, and what follows reads them as if channels came first. On a CPU it gains nothing.
        "layout_optimization": False,
        # The code between kernels: half a minute less to compile, and nothing is slower.
        "aot_inductor.compile_wrapper_opt_level": "O0",
        "aot_inductor.precompile_headers": False,
    }


def package_notes(manifest: Manifest) -> dict[str, str]:
    """What programs without Python know of a package: text only, the classes' names one a line.

    `input` is "raw" where the network prepares clips itself, else "prepared".
    """
    keys = ("channels", "frames", "joints", "bodies", "layout", "dataset", "num_class", "precision", "alpha")
    return {
        **{key: str(getattr(manifest, key)) for key in keys},
        "streams": " ".join(manifest.streams),
        "classes": "\n".join(manifest.class_names),
        "input": "raw" if manifest.with_prep else "prepared",
    }


def torch_version() -> str:
    """PyTorch's, without what it was built for."""
    return torch.__version__.split("+")[0]
