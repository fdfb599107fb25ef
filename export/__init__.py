"""Trained streams to engines, and engines at work.

>>> from export import export_engines, open_engine
"""

from typing import TYPE_CHECKING

from native_prep.lazy import lazy_names

if TYPE_CHECKING:
    from export.build import export_engines
    from export.runtime.open import open_engine

__all__ = ["export_engines", "open_engine"]

__getattr__ = lazy_names(__name__, {"export_engines": "build", "open_engine": "runtime.open"})
