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
        raise ValueError(
            f"videos need {name}, which does not load ({error}): pip install rtmlib av, as extra [video] does"
        ) from error
