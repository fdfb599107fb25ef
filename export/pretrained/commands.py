"""`weights` as it is typed: list, get; `weights pack` is `pack.pack`."""

from collections.abc import Sequence
from typing import Any

from export.pretrained.catalog import Pretrained, fetch_weights, find, is_here, known
from native_prep.skeletons.streams import STREAMS

# Published are 3.5 million numbers a stream (with attention 3.8), of four bytes.
_BYTES = {False: 14_000_000, True: 15_000_000}


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
        "bytes": _BYTES[bool(config.model_args["attention"])],
        "licence": one.licence,
        "source": one.source,
        "files": {stream: file.place for stream, file in one.files.items()},
        "here": all(is_here(one, stream) for stream in STREAMS[:2]),
    }


def get_weights(names: Sequence[str], streams: Sequence[str] = (), origin: str | None = None) -> dict[str, Any]:
    """Fetches weights into the user's cache.

    Args:
        names: known ones, or folders or URLs of packed ones.
        streams: which; () for all that there are.
        origin: see `catalog.fetch_weights`.

    Returns:
        weights: of each name, files {stream: path}.

    Raises:
        ValueError: as `catalog.find` and `catalog.fetch_weights`.
    """
    found = []
    for name in names:
        one = find(name)
        if missing := [stream for stream in streams if stream not in one.files]:
            raise ValueError(f"{name}: has no weights of {missing[0]}: it has {', '.join(one.files)}")
        files = fetch_weights(one, streams or list(one.files), origin)
        found.append({"name": one.name, "files": {stream: str(path) for stream, path in files.items()}})
    return {"weights": found}
