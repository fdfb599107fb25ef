"""Which kind of `prep` is meant, and which options belong to it; each kind is imported where it is called."""

from collections.abc import Mapping, Sequence
from typing import Any

from native_prep.datasets.catalog import DATASETS

# Options that one kind alone has, as calls name them.
_OWN = (
    "layout", "convert", "source", "label", "class_list", "split", "image_size", "align", "max_bodies", "unit",
    "keep_empty", "min_quality", "pose_model", "fps",
)  # fmt: skip
_FAST = ("packed_dtype", "device")
# What of one's own data the published data sets that are prepared like them say themselves.
_FIXED = ("layout", "convert", "source", "label", "class_list", "split", "unit", "pose_model", "fps")
_NAMED = ("benchmarks", "ignored_samples")
_SPELLING = {"benchmarks": "--benchmark", "ignored_samples": "--ignored-sample-path"}


def prep(dataset: str, *, track: bool = False, **options: Any) -> dict[str, Any]:
    """Prepares a data set (`prepare`, `prepare_tracked`, `prepare_published`) or one's own poses (`prepare_custom`).

    Args:
        dataset: one of `catalog.DATASETS`, custom, pku-mmd or uav-human.
        track: follows bodies by id.
        options: of these calls; None or () where an option was not given.

    Raises:
        ValueError: an option of another kind; else as these calls.
        OSError: as these calls.
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if dataset == "custom":
        _refuse(given, (*_NAMED, *_FAST), "prep custom")
        from native_prep.poses.custom import prepare_custom

        return prepare_custom(track=track, **given)
    if dataset not in DATASETS:
        _refuse(given, (*_FIXED, *_FAST, "ignored_samples"), f"prep {dataset}")
        from native_prep.poses.published.prepare import prepare_published

        return prepare_published(dataset, track=track, **given)
    _refuse(given, _OWN, f"prep {dataset}")
    if not track:
        from native_prep.pipeline.prepare import prepare

        return prepare(dataset, **given)
    _refuse(given, _FAST, "prep --track")
    from native_prep.poses.ntu_tracked import prepare_tracked

    return prepare_tracked(dataset, **given)


def _refuse(given: Mapping[str, Any], names: Sequence[str], command: str) -> None:
    for name in names:
        if name in given:
            option = _SPELLING.get(name, "--" + name.replace("_", "-"))
            raise ValueError(f"{option} is not for {command}: leave it out")
