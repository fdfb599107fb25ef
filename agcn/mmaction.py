"""Weights that MMAction2 and PYSKL publish: read without running what else their files hold, under our names.

Their AAGCN without attention is what they call 2s-AGCN. Blocks are counted from 0, the learned graph is called A, and
the classifier `cls_head.fc` (MMAction2) or `cls_head.fc_cls` (PYSKL).
"""

import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

SUFFIX = ".pth"
_BLOCK = re.compile(
    r"backbone\.gcn\.(\d)\.(?:gcn\.(A|alpha|bn\.\w+|conv_[abd]\.\d\.\w+|down\.[01]\.\w+|conv_[ts]a\.\w+|fc[12]c\.\w+)"
    r"|(tcn|residual)\.((?:conv|bn)\.\w+))"
)
_OTHERS = re.compile(r"(?:backbone\.(data_bn)|cls_head\.(fc)(?:_cls)?)\.(\w+)")
# The fixed graph, which their networks start from and do not use any more.
_FIXED = "backbone.A"
# All that files of weights need of what a pickle may name; storages are torch.load's own affair.
_NEEDED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
}


def is_of_mmaction(names: Mapping[str, Any]) -> bool:
    """Whether weights are named as a recogniser of MMAction2 or PYSKL names them."""
    return any(str(name).removeprefix("module.").startswith("backbone.") for name in names)


def with_our_names(state: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    """The weights of their AAGCN under the names of ours.

    Args:
        state: theirs, by name.
        path: the file, for messages.

    Raises:
        ValueError: they are of another architecture.
    """
    ours = {}
    for name, value in state.items():
        plain = str(name).removeprefix("module.")
        if plain == _FIXED:
            continue
        block, other = _BLOCK.fullmatch(plain), _OTHERS.fullmatch(plain)
        if block:
            number, graph, part, rest = block.groups()
            place = f"gcn1.{'PA' if graph == 'A' else graph}" if graph else f"{_PARTS[part]}.{rest}"
            ours[f"l{int(number) + 1}.{place}"] = value
        elif other:
            bn, fc, rest = other.groups()
            ours[f"{bn or fc}.{rest}"] = value
        else:
            raise ValueError(
                f"{path}: is of MMAction2 or PYSKL, but not of their 2s-AGCN or AAGCN, which have no {plain}: give "
                "weights of one of these"
            )
    return ours


_PARTS = {"tcn": "tcn1", "residual": "residual"}


class _Unknown:
    """Stands for everything that is no tensor: whatever is done to it while a file is read does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> "_Unknown":
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """As lists have it."""

    def extend(self, items: Any) -> None:
        """As lists have it."""


class _WeightsUnpickler(pickle.Unpickler):
    """Makes tensors and plain values; of every other class only `_Unknown`, so that nothing of a file is run."""

    def find_class(self, module: str, name: str) -> Any:
        return _NEEDED.get((module, name), _Unknown)


def load_pth(path: Path) -> Any:
    """What a `.pth` file holds, without what is no tensor or plain value, as logs and configurations.

    PyTorch's own reader of weights refuses files in which anything else lies.
    """
    reader = SimpleNamespace(
        __name__="agcn.mmaction",
        Unpickler=_WeightsUnpickler,
        load=lambda file, **how: _WeightsUnpickler(file, **how).load(),
    )
    return torch.load(path, map_location="cpu", weights_only=False, pickle_module=reader)
