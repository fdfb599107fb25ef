"""Trained weights as an engine that `predict` takes: exported once, kept in the user's cache."""

import re
import sys
from contextlib import suppress
from pathlib import Path

from agcn.config import to_yaml
from export.build import export_engines
from export.manifest import FILE_NAME, read_manifest
from export.pretrained.catalog import PACK, fetch_weights, find
from export.pretrained.download import cache_folder
from native_prep.io.hashes import hash_value, sha256
from native_prep.skeletons.streams import STREAMS


def pretrained_engine(name: str) -> Path:
    """The folder of an engine of the joint and the bone stream, as ONNX.

    Raises:
        ValueError: see `catalog.find` and `catalog.fetch_weights`; weights that the graph does not match.
        OSError: a file cannot be read or written.
    """
    pretrained = find(name)
    config = pretrained.load_config()
    files = fetch_weights(pretrained, STREAMS[:2])
    described = sha256(Path(pretrained.folder) / PACK) if pretrained.folder else to_yaml(config)
    key = hash_value([described, *(sha256(path) for path in files.values())])
    slug = re.sub(r"[^\w.-]", "_", pretrained.name)[:60]
    folder = cache_folder() / "engines" / f"{slug}-{key[:12]}"
    if (folder / FILE_NAME).is_file():
        with suppress(ValueError):  # of another version: exported again
            read_manifest(folder)
            return folder
    print(f"{pretrained.name}: exported once, into {folder}", file=sys.stderr)
    result = export_engines(files["joint"], files["bone"], config, folder, targets=("none",), alpha=pretrained.alpha)
    if not result["passed"]:
        raise ValueError(f"{name}: its graph differs from the weights by more than the parity rule allows: report it")
    return folder
