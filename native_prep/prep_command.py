"""Which kind of `prep` is meant, and which options belong to it."""

from typing import Any

from native_prep.custom import prepare_custom
from native_prep.prepare import prepare

# Options of either kind, as calls name them and as users write them.
_OWN = ("layout", "source", "label", "class_list", "split", "image_size", "align", "max_bodies")
_USUAL = ("benchmarks", "ignored_samples", "workers")
_SPELLING = {"benchmarks": "--benchmark", "ignored_samples": "--ignored-sample-path"}


def prep(dataset: str, **options: Any) -> dict[str, Any]:
    """Prepares a data set (`prepare.prepare`) or one's own poses (`custom.prepare_custom`).

    Args:
        dataset: one of `catalog.DATASETS`, or custom.
        options: of the two calls; None where an option was not given.

    Raises:
        ValueError: an option of the other kind; else as the two calls.
        OSError: as the two calls.
    """
    own = dataset == "custom"
    for name in _USUAL if own else _OWN:
        if options.pop(name, None) is not None:
            option = _SPELLING.get(name, "--" + name.replace("_", "-"))
            raise ValueError(f"{option} is not for prep {dataset}: leave it out")
    if not own:
        return prepare(dataset, **options)
    if tuple(options.pop("formats", ("npy",))) != ("npy",) or options.pop("device", "cpu") != "cpu":
        raise ValueError("prep custom writes npy on the processor: leave --format and --device out")
    return prepare_custom(**{name: value for name, value in options.items() if value is not None})
