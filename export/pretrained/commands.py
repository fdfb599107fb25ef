"""Trained weights by name in commands as they are typed: `weights`, `weights get`, `train`, `test`, `export-trt`."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agcn.commands import test_streams, train_streams
from agcn.defaults import default_config
from agcn.streams import load_streams
from export.build import export_engines
from export.pretrained.catalog import Pretrained, fetch_weights, find, is_here, known
from native_prep.skeletons.streams import STREAMS


def list_weights() -> dict[str, Any]:
    """The known weights.

    Returns:
        weights: of each name, skeleton, classes, data, top1 {joint, bone, joint_motion, bone_motion, two_streams,
        four_streams} as published, bytes (about, of a stream), licence, source, files {stream: URL}, here (whether
        joint and bone are fetched).
    """
    return {"weights": [_described(one) for one in known().values()]}


def _described(one: Pretrained) -> dict[str, Any]:
    config = one.load_config()
    return {
        "name": one.name,
        "skeleton": config.model_args["graph"],
        "classes": config.model_args["num_class"],
        "data": one.data,
        "top1": {stream: file.top1 for stream, file in one.files.items()}
        | {"two_streams": one.two_streams, "four_streams": one.four_streams},
        "bytes": one.bytes,
        "licence": one.licence,
        "source": one.source,
        "files": {stream: file.location for stream, file in one.files.items()},
        "here": all(is_here(one, stream) for stream in STREAMS[:2]),
    }


def get_weights(names: Sequence[str], streams: Sequence[str] = (), origin: str | None = None) -> dict[str, Any]:
    """Fetches weights into the user's cache.

    Args:
        names: known ones, or packs by their folder or URL.
        streams: which; () for all that there are.
        origin: see `catalog.fetch_weights`; then there is one name only, as files of several may be called the same.

    Returns:
        weights: of each name, pretrained (what was asked for), files {stream: path}.

    Raises:
        ValueError: as `catalog.find` and `catalog.fetch_weights`; several names with an origin.
    """
    if origin is not None and len(names) > 1:
        raise ValueError(f"--from {origin}: files of several names may be called the same: get them one by one")
    found = []
    for name in names:
        one = find(name)
        files = fetch_weights(one, streams or list(one.files), origin)
        paths = {stream: str(path) for stream, path in files.items()}
        found.append({"name": one.name, "pretrained": name, "files": paths})
    return {"weights": found}


def train_pretrained(name: str, **options: Any) -> dict[str, Any]:
    """`agcn.commands.train_streams`, beginning with trained weights."""
    return train_streams(**_with_weights(name, options))


def test_pretrained(name: str, **options: Any) -> dict[str, Any]:
    """`agcn.commands.test_streams` of trained weights."""
    if options.get("weights") is not None:
        raise ValueError("--pretrained and --weights each name weights: give one of them")
    return test_streams(**_with_weights(name, options))


def _with_weights(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """A command's options with the configuration's `weights` for every stream; their files are fetched."""
    pretrained, overrides = find(name), options["overrides"]
    runs = load_streams(default_config(options["dataset"], options["config"]), options["streams"], overrides)
    (first, *_) = fetch_weights(pretrained, [run.stream for run in runs]).items()
    stream, path = first
    pattern = path.with_name(path.name.replace(stream, "{stream}"))  # each is called after its stream
    return options | {"overrides": (*overrides, f"weights={json.dumps(str(pattern))}")}


def export_pretrained(
    name: str, overrides: Sequence[str], out: str | None, streams: int, **options: Any
) -> dict[str, Any]:
    """`export.build.export_engines` of trained weights, into `engines/pretrained/NAME` where no folder is named."""
    found = find(name)
    files = fetch_weights(found, found.check_streams(streams))
    config = replace(found, overrides=(*found.overrides, *overrides)).load_config()
    if options.get("motion_alpha") is None and streams > 2 and found.motion_alpha is not None:
        options["motion_alpha"] = found.motion_alpha
    weights: dict[str, Any] = {f"{stream}_weights": path for stream, path in files.items()}
    folder = out if out is not None else f"engines/pretrained/{found.name}"
    result = export_engines(config=config, out=folder, streams=streams, **weights, **options)
    return result | {"pretrained": found.name}
