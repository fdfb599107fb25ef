"""TensorRT and TensorRT-RTX: the one module that imports them. Their Python interfaces are the same.

TensorRT builds for the GPU at hand, whose kernels it times. TensorRT-RTX builds for named GPU generations, also where
there is no GPU.
"""

import importlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

FLAVORS = ("tensorrt", "tensorrt-rtx")
_MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx_bindings"}
# Between them the generations of GeForce and RTX cards in use; sm_121 is the DGX Spark.
RTX_TARGETS = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_120", "sm_121")


@dataclass(frozen=True)
class Flavor:
    """One of the two, imported.

    Attributes:
        name: "tensorrt" or "tensorrt-rtx".
        api: its Python module.
        logger: what its builders and runtimes report to; each process has one.
    """

    name: str
    api: Any
    logger: Any

    @property
    def version(self) -> str:
        """The version that engines are tied to."""
        return str(self.api.__version__)


def is_installed(name: str) -> bool:
    """Whether the flavour's package is there, more than stubs for type checkers; it may still lack its libraries."""
    found = importlib.util.find_spec(_MODULES[name])
    return found is not None and found.origin is not None


@cache
def load_flavor(name: str) -> Flavor:
    """Import a flavour.

    Raises:
        ValueError: no such flavour, or it is not installed or cannot be loaded.
    """
    if name not in FLAVORS:
        raise ValueError(f"flavor {name!r} is not known: use one of {', '.join(FLAVORS)}")
    try:
        # The bindings' package loads the libraries' package itself where that is installed.
        api = importlib.import_module(_MODULES[name])
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{name} is not usable here ({reason}): install the extra of that name (pip install '.[{name}]')"
        ) from error
    return Flavor(name, api, _logger(api))


def choose_flavor(name: str) -> Flavor | None:
    """The flavour to build with; "auto" means TensorRT on a machine that can use it, else TensorRT-RTX, else None.

    Raises:
        ValueError: the flavour named is not usable here.
    """
    if name == "auto":
        if is_installed("tensorrt") and torch.cuda.is_available():
            return load_flavor("tensorrt")
        return load_flavor("tensorrt-rtx") if is_installed("tensorrt-rtx") else None
    flavor = load_flavor(name)
    if name == "tensorrt" and not torch.cuda.is_available():
        raise ValueError(
            "flavor tensorrt: no GPU here, and TensorRT builds on the GPU that it is for: "
            "use --flavor tensorrt-rtx, which needs none"
        )
    return flavor


def present_target() -> str | None:
    """The generation of the GPU at hand, "sm_86" say, or None."""
    if not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability()
    return f"sm_{major}{minor}"


def pick_targets(flavor: Flavor, targets: tuple[str, ...] | list[str], precision: str) -> list[str]:
    """The generations to build for: those named; none named, the GPU at hand; no GPU either, all that RTX knows.

    Turing (sm_75) is for fp16 only: TensorRT-RTX has neither float32 products nor bfloat16 for it.

    Raises:
        ValueError: a target that this flavour cannot build for here.
    """
    present = present_target()
    if flavor.name == "tensorrt":
        for target in targets:
            if target != present:
                raise ValueError(
                    f"target {target}: TensorRT builds for the GPU at hand, {present}: "
                    "export on such a GPU or use --flavor tensorrt-rtx"
                )
        return [present] if present else []
    usable = RTX_TARGETS if precision == "fp16" else tuple(name for name in RTX_TARGETS if name != "sm_75")
    for target in targets:
        if target == "sm_75" and target not in usable:
            raise ValueError(f"target sm_75: TensorRT-RTX has no {precision} there: use --precision fp16")
        if target not in RTX_TARGETS:
            raise ValueError(
                f"target {target!r}: TensorRT-RTX has no such GPU generation: use {', '.join(RTX_TARGETS)}, "
                "or --flavor tensorrt for a datacentre GPU"
            )
    if targets:
        return list(dict.fromkeys(targets))
    return [present] if present in usable else list(usable)


def _logger(api: Any) -> Any:
    """A logger that keeps the errors, for the text of ours, and prints nothing."""

    class Collected(api.ILogger):
        def __init__(self) -> None:
            api.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (api.ILogger.Severity.ERROR, api.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(msg)

        def last_error(self) -> str:
            """The errors so far on one line, and forgets them."""
            text = "; ".join(" ".join(error.split()) for error in self.errors) or "no reason given"
            self.errors.clear()
            return text

    return Collected()
