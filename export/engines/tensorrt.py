"""Engines from the ONNX graph: one builder for TensorRT and TensorRT-RTX.

Networks are strongly typed, so the graph alone says which layer computes in what; the layers are counted before the
build, and again in the engine where it can be loaded, because an engine that is silently float32 is the known trap.
"""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from export.engines.flavors import Flavor, present_target
from export.graph.onnx_graph import INPUT, ROW_INPUTS
from native_prep.io.atomic import atomic_file

# In a QDQ graph convolutions are float32 between conversions, which the builder makes one with them.
TYPE_NAMES = {"fp32": "FLOAT", "tf32": "FLOAT", "fp16": "HALF", "bf16": "BF16", "int8": "FLOAT"}
# What the inspector calls them, in any version; whole words, as "bfloat16" holds "float".
_INSPECTOR_WORDS = {
    "fp32": {"float", "fp32"},
    "tf32": {"float", "fp32", "tf32"},
    "fp16": {"half", "fp16"},
    "bf16": {"bfloat16", "bf16"},
    "int8": {"int8"},
}
TUNED_BATCH = 8
# Bodies in a clip of NTU, on average.
TUNED_BODIES = 1.2


def build_engine(
    flavor: Flavor,
    graph: str | os.PathLike[str],
    shape: tuple[int, int, int, int],
    max_batch: int,
    precision: str,
    target: str,
    refittable: bool = False,
) -> tuple[bytes, dict[str, Any]]:
    """Build one engine.

    Args:
        flavor: from `choose_flavor`.
        graph: the ONNX file.
        shape: (C, T, V, M).
        max_batch: the largest batch that the engine will take.
        precision: what the graph's convolutions are in: fp32, fp16 or bf16; for a float32 graph
            tf32 too, for one with QDQ int8.
        target: "sm_86", ...; for TensorRT the GPU at hand.
        refittable: whether `export.engines.refit` may change its weights; such an engine may be slower.

    Returns:
        The engine, and {"convolutions": {type: count}, "checked": "network" or "engine"}.

    Raises:
        ValueError: the flavour refuses the graph, or its layers are not in `precision`.
    """
    api, logger = flavor.api, flavor.logger
    logger.errors.clear()
    builder = api.Builder(logger)
    network = _parse(flavor, builder, graph)
    layers = _check_layers(network, precision, graph)
    config = _configure(flavor, builder, precision, target)
    config.add_optimization_profile(_profile(builder, network, shape, max_batch))
    if refittable:
        config.set_flag(api.BuilderFlag.REFIT)
    with timing_cache(flavor, config, target):
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ValueError(
            f"{graph}: {flavor.name} cannot build it for {target}: {logger.last_error()}: leave --target {target} out"
        )
    engine = bytes(plan)
    # Without its GPU an engine cannot be loaded, so there the network's layers are all that can be checked.
    at_hand = present_target() == target
    if at_hand:
        _inspect(flavor, engine, precision, graph)
    return engine, {"convolutions": layers, "checked": "engine" if at_hand else "network"}


def _parse(flavor: Flavor, builder: Any, graph: str | os.PathLike[str]) -> Any:
    api, logger = flavor.api, flavor.logger
    # TensorRT 11 knows only strongly typed networks and has dropped the flag.
    typed = getattr(api.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(1 << int(typed) if typed is not None else 0)
    parser = api.OnnxParser(network, logger)
    if not parser.parse(Path(graph).read_bytes()):
        reasons = "; ".join(parser.get_error(place).desc() for place in range(parser.num_errors))
        logger.errors.clear()
        raise ValueError(f"{graph}: {flavor.name} does not take this graph: {' '.join(reasons.split())}: try --dense")
    return network


def _check_layers(network: Any, precision: str, graph: str | os.PathLike[str]) -> dict[str, int]:
    """How many convolutions compute in which type, and with int8 how many of their inputs are converted to it."""
    layers = [network.get_layer(place) for place in range(network.num_layers)]
    found = Counter(layer.get_output(0).dtype.name for layer in layers if layer.type.name == "CONVOLUTION")
    wanted = TYPE_NAMES[precision]
    if set(found) != {wanted}:
        raise ValueError(f"{graph}: convolutions in {dict(found)}, {precision} was asked for: export the graph again")
    if precision == "int8":
        found["QUANTIZE"] = sum(layer.type.name == "QUANTIZE" for layer in layers)
        if not found["QUANTIZE"]:
            raise ValueError(f"{graph}: nothing in it is quantised, int8 was asked for: export the graph again")
    return dict(found)


def _configure(flavor: Flavor, builder: Any, precision: str, target: str) -> Any:
    api = flavor.api
    config = builder.create_builder_config()
    # TF32 keeps ten bits of the mantissa: float32 means float32 here.
    if precision == "tf32":
        config.set_flag(api.BuilderFlag.TF32)
    else:
        config.clear_flag(api.BuilderFlag.TF32)
    config.profiling_verbosity = api.ProfilingVerbosity.DETAILED
    if flavor.name == "tensorrt-rtx":
        config.num_compute_capabilities = 1
        capability = getattr(api.ComputeCapability, target.replace("sm_", "SM"))
        if not config.set_compute_capability(capability, 0):
            raise ValueError(f"target {target}: TensorRT-RTX {flavor.version} refuses it: {flavor.logger.last_error()}")
    return config


def profile_shapes(
    first_input: str, shape: tuple[int, int, int, int], max_batch: int
) -> dict[str, list[tuple[int, ...]]]:
    """Smallest, usual and largest shape of each input, for batches from 1 to `max_batch`.

    In a graph of rows (`first_input` says so), of as many bodies, tuned for one body in most clips.
    """
    channels, frames, joints, bodies = shape
    tuned = min(TUNED_BATCH, max_batch)
    if first_input != ROW_INPUTS[0]:
        return {INPUT: [(size, *shape) for size in (1, tuned, max_batch)]}
    counts = (1, max(1, round(tuned * TUNED_BODIES)), max_batch * bodies)
    rows, body_index, inverse_index = ROW_INPUTS
    return {
        rows: [(count, channels, frames, joints) for count in counts],
        body_index: [(count,) for count in counts],
        inverse_index: [(bodies * size,) for size in (1, tuned, max_batch)],
    }


def _profile(builder: Any, network: Any, shape: tuple[int, int, int, int], max_batch: int) -> Any:
    profile = builder.create_optimization_profile()
    for name, (smallest, usual, largest) in profile_shapes(network.get_input(0).name, shape, max_batch).items():
        profile.set_shape(name, smallest, usual, largest)
    return profile


@contextmanager
def timing_cache(flavor: Flavor, config: Any, target: str) -> Iterator[None]:
    """TensorRT's timings of kernels, kept from build to build in the user's cache folder; TensorRT-RTX times none."""
    if flavor.name != "tensorrt":
        yield
        return
    path = cache_folder() / f"timings_{flavor.version}_{target}.bin"
    known = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(known)
    if cache is None or not config.set_timing_cache(cache, False):
        print(f"{path}: is not a cache of this TensorRT: made anew", file=sys.stderr)
        config.set_timing_cache(config.create_timing_cache(b""), False)
    yield
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as part:
            part.write_bytes(bytes(config.get_timing_cache().serialize()))
    except OSError as error:
        # A build takes minutes; it is not thrown away for what would make the next one shorter.
        print(f"{path}: the timings are not kept: {error.strerror}", file=sys.stderr)


def cache_folder() -> Path:
    """Where what can be made again is kept: $XDG_CACHE_HOME/two-stream-agcn."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "two-stream-agcn"


def _inspect(flavor: Flavor, engine: bytes, precision: str, graph: str | os.PathLike[str]) -> None:
    """Raises ValueError where the built engine has no layer of the precision, or does not say."""
    api = flavor.api
    loaded = api.Runtime(flavor.logger).deserialize_cuda_engine(engine)
    if loaded is None:
        raise ValueError(
            f"{graph}: the engine built from it does not load: {flavor.logger.last_error()}: try another --precision"
        )
    text = loaded.create_engine_inspector().get_engine_information(api.LayerInformationFormat.JSON)
    # TensorRT 11 has a field for the type alone, which earlier versions name within the format.
    kinds = Counter(
        str(output.get("DataType") or output.get("Format/Datatype") or "").lower()
        for layer in json.loads(text).get("Layers", [])
        if isinstance(layer, dict)
        for output in layer.get("Outputs", [])
    )
    del kinds[""]
    if not kinds:
        raise ValueError(
            f"{graph}: {flavor.name} {flavor.version} does not say in which types the engine's layers compute: "
            f"whether it is {precision} cannot be checked: use another version"
        )
    words = {word for kind in kinds for word in re.findall(r"\w+", kind)}
    if not words & _INSPECTOR_WORDS[precision]:
        raise ValueError(f"{graph}: the engine has layers in {dict(kinds)}, {precision} was asked for: build it again")
