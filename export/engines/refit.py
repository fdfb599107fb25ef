"""New weights for an engine that is built already: seconds instead of a build's minutes."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export.engines.flavors import Flavor, present_target
from export.manifest import EngineFile, check_file, read_manifest


def refittable_engine(folder: str | os.PathLike[str], flavor: Flavor, wanted: Mapping[str, Any]) -> EngineFile:
    """The engine of an older export that new weights fit into here.

    Args:
        folder: what `export-trt --refittable` wrote.
        flavor: of the export that the weights are for.
        wanted: what its manifest will hold that no weights can change: attribute -> value.

    Raises:
        ValueError: no GPU, or no engine for it that is of this kind and was built to be refitted.
    """
    manifest, target = read_manifest(folder), present_target()
    if target is None:
        raise ValueError(f"--refit {folder}: an engine takes new weights on the GPU that it is for: none is here")
    for engine in manifest.engines:
        if engine.target == target and engine.flavor == flavor.name:
            break
    else:
        built = ", ".join(f"{engine.flavor} {engine.target}" for engine in manifest.engines) or "none"
        raise ValueError(f"--refit {folder}: no {flavor.name} engine for {target} (it has: {built}): export anew")
    if not engine.refittable:
        raise ValueError(f"--refit {folder}: {engine.file} was built without --refittable: export anew")
    for what, value in {**wanted, "version": flavor.version}.items():
        theirs = getattr(engine if hasattr(engine, what) else manifest, what)
        if value != theirs:
            raise ValueError(f"--refit {folder}: its {what} is {theirs}, asked for is {value}: export anew")
    check_file(Path(folder) / engine.file, engine.sha256)
    return engine


def refit_engine(flavor: Flavor, path: Path, graph: Path) -> bytes:
    """The engine at `path` with the weights of `graph`, a graph like the one that it was built from.

    Raises:
        ValueError: the engine does not load, or the graph's weights are not its own.
    """
    api: Any = flavor.api
    flavor.logger.errors.clear()
    engine = api.Runtime(flavor.logger).deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise ValueError(f"{path}: does not load: {flavor.logger.last_error()}: export without --refit")
    refitter = api.Refitter(engine, flavor.logger)
    parser = api.OnnxParserRefitter(refitter, flavor.logger)
    if not parser.refit_from_bytes(graph.read_bytes()) or not refitter.refit_cuda_engine():
        raise ValueError(f"{path}: does not take the new weights: {flavor.logger.last_error()}: export without --refit")
    return bytes(engine.serialize())
