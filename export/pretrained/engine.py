"""Trained weights as an engine that `predict` takes: exported once, kept in the user's cache."""

import sys
from pathlib import Path
from typing import Any

import torch

from agcn.config import to_yaml
from export.build import export_engines
from export.manifest import FILE_NAME, read_manifest
from export.manifest import VERSION as MANIFEST
from export.pretrained.catalog import PACK, fetch_weights, find
from export.pretrained.download import cache_folder
from native_prep.io.hashes import hash_value, sha256
from native_prep.io.locks import locked
from native_prep.skeletons.streams import STREAMS


def pretrained_engine(name: str) -> tuple[Path, dict[str, Any]]:
    """The folder of an engine of the joint and the bone stream, as ONNX.

    Returns:
        The folder, and {}; or, where the graph does not meet the parity rule, what `export_engines` returns.

    Raises:
        ValueError: see `catalog.find` and `catalog.fetch_weights`.
        OSError: a file cannot be read or written.
    """
    pretrained = find(name)
    config = pretrained.load_config()
    files = fetch_weights(pretrained, STREAMS[:2])
    described = sha256(Path(pretrained.folder) / PACK) if pretrained.folder else to_yaml(config)
    key = hash_value([described, MANIFEST, torch.__version__, *(sha256(path) for path in files.values())])
    folder = cache_folder() / "engines" / f"{pretrained.name}-{key[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f".{folder.name}.lock")):
        if (folder / FILE_NAME).is_file():
            try:
                read_manifest(folder)
                return folder, {}
            except ValueError as error:
                print(f"{error}: exported again", file=sys.stderr)
        else:
            print(f"{pretrained.name}: exported once, into {folder}", file=sys.stderr)
        result = export_engines(files["joint"], files["bone"], config, folder, targets=("none",))
    return folder, {} if result["passed"] else result
