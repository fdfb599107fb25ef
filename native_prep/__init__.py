"""Raw recordings and poses of one's own to the arrays that networks are trained on.

>>> from native_prep import Clip, write_clips

The names are looked up when they are used: importing the package alone loads nothing else.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from native_prep.own_clips import Clip, write_clips

__all__ = ["Clip", "write_clips"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from native_prep import own_clips

    return getattr(own_clips, name)
