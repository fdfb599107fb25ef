"""Triton's kernels for the graph convolution: right in its interpreter, and compiled for GPUs, which needs none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

triton = pytest.importorskip("triton", reason="Triton is not installed")
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from agcn.model import graph_conv_kernels as kernels  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
# What a program may have of shared memory, in bytes, by compute capability.
SHARED_MEMORY = {86: 101_376, 90: 232_448}


@pytest.mark.skipif(triton.__version__.startswith("3.6."), reason="this interpreter does not take NumPy 2.4")
def test_same_as_the_formulas() -> None:
    script = ROOT / "tests" / "helpers" / "interpreted_kernels.py"
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    given = os.environ | {"PYTHONPATH": path}
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, env=given, timeout=300)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert len(found) == 7
    for case, distances in found.items():
        allowed = 1e-6 if "float32" in case else 2e-3
        assert len(distances) == 6 and max(distances.values()) < allowed, f"{case}: {distances}"


@pytest.mark.parametrize(("capability", "joints", "dtype"), [(86, 25, "bf16"), (90, 25, "bf16"), (86, 64, "fp16")])
@pytest.mark.parametrize(
    "name", ["_convolve", "_graph_gradients", "_weight_gradients", "_similarities", "_embedding_gradients"]
)
def test_compiles(name: str, capability: int, joints: int, dtype: str) -> None:
    """For 128 and 256 channels, and takes no more shared memory than there is."""
    kernel = getattr(kernels, name)
    widest = 64 if name == "_convolve" else 32
    constants = {"channels": 128, "joints": joints, **kernels._sizes(joints, 128, 64, widest=widest)}
    constants |= {"out_channels": 256, "embedding": 64, "transposed": True}
    constants = {key: value for key, value in constants.items() if key in kernel.arg_names}
    tensors = ("x", "graphs", "weight", "bias", "y", "dy", "dgraphs")
    kinds = dict.fromkeys(tensors, f"*{dtype}") | {"parts": "*fp32"} | dict.fromkeys(constants, "constexpr")
    signature = {key: kinds.get(key, "i32") for key in kernel.arg_names}
    aligned = {(place,): [["tt.divisibility", 16]] for place, key in enumerate(signature) if signature[key][0] == "*"}
    source = ASTSource(kernel, signature, constants, aligned)
    compiled = triton.compile(source, GPUTarget("cuda", capability, 32), {"num_warps": kernels.num_warps})
    assert 0 < compiled.metadata.shared <= SHARED_MEMORY[capability]
    assert ("wgmma" if capability == 90 else "mma.sync") in compiled.asm["ptx"]
