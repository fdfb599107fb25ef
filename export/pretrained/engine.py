"""Trained weights as an engine that `predict` takes: exported once, kept in the user's cache."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from agcn.config import to_yaml
from agcn.model.network import build_model
from agcn.settings import Config
from export.build import export_engines
from export.manifest import FILE_NAME, read_manifest
from export.manifest import VERSION as MANIFEST
from export.pretrained.catalog import PACK, fetch_weights, find, is_here
from export.pretrained.download import cache_folder
from export.raw_clips import raw_clips_for
from native_prep.datasets.recordings import EmptyClip
from native_prep.io.hashes import hash_value, sha256
from native_prep.io.locks import locked
from native_prep.poses.custom import parse_size
from native_prep.skeletons.layouts import COCO17
from native_prep.skeletons.streams import STREAMS


def pretrained_engine(
    name: str, clips: Sequence[str] = (), image_size: str | None = None, images: bool = False
) -> tuple[Path, dict[str, Any]]:
    """The folder of an engine of the joint and the bone stream, as ONNX.

    Args:
        name: see `catalog.find`.
        clips, image_size, images: what will be looked at; what is wrong with it is told before the long work.

    Returns:
        The folder, and {}; or, where the graph does not meet the parity rule, what `export_engines` returns.

    Raises:
        ValueError: see `catalog.find` and `catalog.fetch_weights`; a clip that cannot be read.
        OSError: a file cannot be read or written.
    """
    pretrained = find(name)
    config = pretrained.load_config()
    if not all(is_here(pretrained, stream) for stream in STREAMS[:2]):
        _look(config, clips, image_size, images)
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
            _look(config, clips, image_size, images)
            print(f"{pretrained.name}: exported once, into {folder}", file=sys.stderr)
        result = export_engines(files["joint"], files["bone"], config, folder, targets=("none",))
    return folder, {} if result["passed"] else result


def _look(config: Config, clips: Sequence[str], image_size: str | None, images: bool) -> None:
    """Raises ValueError for recordings that the network cannot take, or that cannot be read."""
    raw = raw_clips_for(config, build_model(config.model, config.model_args), parse_size(image_size))
    if images:
        raw.check_images(COCO17)
    for clip in clips:
        with suppress(EmptyClip):
            raw.read(clip)
