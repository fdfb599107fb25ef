"""Which device computes, and at which precision."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor

from native_prep.io import whole

AMP_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str = "auto", index: int = 0) -> torch.device:
    """The device called `name`: "cpu", "cuda", or "auto" for a GPU where there is one.

    Args:
        index: which GPU; the first where there are fewer.

    Raises:
        ValueError: "cuda" where PyTorch sees no GPU, or another name.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device {name!r} is not known: use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda: PyTorch sees no GPU here: use --device cpu, or install PyTorch for CUDA")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", index if index < torch.cuda.device_count() else 0)


def has_half(device: torch.device, amp_dtype: str) -> bool:
    """Whether `device` multiplies "bf16" or "fp16" numbers faster than by emulation.

    A processor without such instructions does it a hundred times slower than fp32 (measured: 1 against 150 GFLOP/s).
    """
    if device.type == "cuda":
        return amp_dtype == "fp16" or torch.cuda.is_bf16_supported(including_emulation=False)
    if not torch.backends.mkldnn.is_available():
        return False
    ops = torch.ops.mkldnn
    return bool(ops._is_mkldnn_fp16_supported() if amp_dtype == "fp16" else ops._is_mkldnn_bf16_supported())


def autocast(device: torch.device, amp_dtype: str | None) -> AbstractContextManager[object]:
    """The block in which the forward pass runs: at `amp_dtype` ("bf16", "fp16"), or as it is (None)."""
    if amp_dtype is None:
        return nullcontext()
    if amp_dtype not in AMP_DTYPES:
        raise ValueError(f"amp dtype {amp_dtype!r} is not known: use bf16 or fp16")
    return torch.autocast(device.type, dtype=AMP_DTYPES[amp_dtype])


@contextmanager
def full_float32() -> Iterator[None]:
    """The block in which a GPU's convolutions keep all of float32; PyTorch lets them round to TF32, ten bits."""
    # The older switch: once the newer one is set (cudnn.conv.fp32_precision), reading this one fails, as torch.compile
    # does for convolutions (PyTorch 2.13).
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def to_host(tensors: Iterable[Tensor]) -> tuple[np.ndarray, ...]:
    """Tensors as arrays. A GPU copies all of them to pinned memory, and is waited for once."""
    tensors = tuple(tensors)
    # Into pinned memory, as PyTorch allocates it for a copy that it does not wait for.
    copies = [tensor.to("cpu", non_blocking=True) for tensor in tensors]
    if any(tensor.is_cuda for tensor in tensors):
        torch.cuda.current_stream().synchronize()
    return tuple(copy.numpy() for copy in copies)


def free_memory(device: torch.device) -> int:
    """Bytes of `device` that can be had; of a processor's what is available without swapping, on macOS all there is."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return whole.free_memory()
