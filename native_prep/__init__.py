"""Raw recordings and poses of one's own to the arrays that networks are trained on.

>>> from native_prep import Clip, prepare, write_clips
"""

from typing import TYPE_CHECKING

from native_prep.lazy import lazy_names

if TYPE_CHECKING:
    from native_prep.own_clips import Clip, write_clips
    from native_prep.preparation import prepare

__all__ = ["Clip", "prepare", "write_clips"]

__getattr__ = lazy_names(__name__, {"Clip": "own_clips", "prepare": "preparation", "write_clips": "own_clips"})
