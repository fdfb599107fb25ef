"""Raw recordings and poses of one's own to the arrays that networks are trained on.

>>> from native_prep import Clip, prepare, write_clips
"""

from typing import TYPE_CHECKING

from native_prep.lazy import lazy_names

if TYPE_CHECKING:
    from native_prep.pipeline.prepare import prepare
    from native_prep.poses.write_clips import Clip, write_clips

__all__ = ["Clip", "prepare", "write_clips"]

__getattr__ = lazy_names(
    __name__, {"Clip": "poses.write_clips", "prepare": "pipeline.prepare", "write_clips": "poses.write_clips"}
)
