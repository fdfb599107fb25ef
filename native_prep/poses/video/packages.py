"""Packages that only videos need, which need not be installed."""

from importlib import import_module
from typing import Any


def load(name: str) -> Any:
    """A package.

    Raises:
        ValueError: it does not load; says how to install it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        # OpenCV's wheels show windows: they want a library of screens, which servers have not.
        advice = "apt install libgl1" if "libGL" in str(error) else "install the extra `video`, see docs/index.md"
        raise ValueError(f"{name}: is needed for videos, but does not load ({error}): {advice}") from error
