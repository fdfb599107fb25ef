"""Half precision as PyTorch's autocast rounds it, at float32's speed.

A CPU without half precision arithmetic takes seven times float64's time for a forward pass under autocast, minutes
for the clips of one comparison. What autocast loses is known: products take rounded numbers, add up in float32, and
every result is rounded. This does the same to float32 operations; a test holds its error against autocast's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_PRODUCTS = {"aten::convolution", "aten::mm", "aten::bmm", "aten::addmm"}
# The sum of softmax and the fixed graph stays float32 under autocast, as its second summand is.
_EXACT = {"aten::_softmax"}


class RoundLikeAutocast(TorchDispatchMode):
    """While active, float32 operations round like autocast to `dtype`."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func._schema.name
        if name in _PRODUCTS:
            args = tuple(self._round(value) for value in args)
        result = func(*args, **(kwargs or {}))
        if name in _EXACT or func.is_view:
            return result
        if isinstance(result, tuple | list):
            return type(result)(self._round(value) for value in result)
        return self._round(result)

    def _round(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
            return value.to(self.dtype).to(torch.float32)
        return value


class RoundLikeTf32(TorchDispatchMode):
    """While active, the factors of float32 products keep ten bits of their mantissa, as in TF32; sums are float32."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func._schema.name in _PRODUCTS:
            args = tuple(_ten_bits(value) for value in args)
        return func(*args, **(kwargs or {}))


def _ten_bits(value: Any) -> Any:
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
        return value
    bits = value.contiguous().view(torch.int32)
    # To the nearest, ties to even, as tensor cores' conversion does.
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)
