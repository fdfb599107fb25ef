"""Two-stream inference: two eager models and a sum are the baseline; all others must give its answers."""

import math
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from agcn.checkpoint import load_weights, read_state_dict, save_weights
from agcn.config import load_config
from agcn.device import full_float32, pick_device, to_host
from agcn.model.network import Model
from bench.machine import MatrixProduct
from bench.part import Check, Contenders, Limit, Part
from bench.random_models import CLASSES, made_clips, random_model
from bench.timer import measure
from bench.train import COMPILE_ERRORS
from export.build import export_engines
from export.engines.flavors import choose_flavor, pick_targets, present_target
from export.graph.int8 import logits_in_float32, quantise
from export.graph.network import TwoStream
from export.graph.onnx_graph import INPUT, OUTPUTS, export_graph
from export.graph.parity import Logits, compare, compare_int8, eager_logits
from export.runtime.onnx import open_session, open_tensorrt_session
from export.runtime.open import open_engine
from native_prep.skeletons.layouts import NTU
from native_prep.skeletons.streams import stream_of

BASELINE = "eager fp32"
FOLDED, COMPILED, ENGINE = "folded fp32", "compiled fp32", "engine"
PACKAGE = "aotinductor fp32"
ONNX_TRT = "onnxruntime-tensorrt fp32"
ONNX, INT8 = "onnxruntime fp32", "onnxruntime int8"
ONE_CLIP = ", one clip"
# Clips whose ranges int8 is made from.
RANGED = 8
Network = Callable[[np.ndarray], Logits]


@dataclass(frozen=True)
class Variant:
    """One variant of running both streams: joints (N, 3, T, V, M) -> their answers, and what is said of it.

    `reference`, where given, is what its answers are held to instead of the models in float64.
    """

    network: Network
    precision: str = "fp32"
    note: str = ""
    reference: Network | None = None


class TwoModels(torch.nn.Module):
    """Both streams as trained: joints (N, 3, T, V, M) -> (joint_logits, bone_logits, scores)."""

    def __init__(self, joint: Model, bone: Model) -> None:
        super().__init__()
        self.joint, self.bone = joint.eval(), bone.eval()
        self.parents = list(NTU.bone_parents)

    def forward(self, joints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Joints (N, 3, T, V, M) -> (joint_logits, bone_logits, scores)."""
        joint, bone = self.joint(joints), self.bone(joints - joints[:, :, :, self.parents])
        return joint, bone, joint + bone


def run_infer(
    *,
    frames: int | None = None,
    batch: int | None = None,
    runs: int = 7,
    seconds: float = 60.0,
    seed: int = 0,
    joint_weights: str | Path | None = None,
    bone_weights: str | Path | None = None,
    without: tuple[str, ...] = (),
) -> Part:
    """Compare, then time, the variants to run both streams on NTU-like clips.

    A batch of which 80 % have one body, then one clip of one body at a time, each against the baseline on the same.

    Args:
        frames, batch: T and N; by default 300, and 64 on a GPU, 8 on a CPU.
        runs, seconds: rounds with the batch, and after how long no further round begins; one clip has ten times the
            rounds in as much time.
        joint_weights, bone_weights: checkpoints of AGCN for NTU; made weights where not given.
        without: names of variants to leave out; the report says so.
    """
    device = pick_device("auto")
    frames, batch = frames or 300, batch or (64 if device.type == "cuda" else 8)
    part = Part("infer", {"device": str(device), "batch": batch, "frames": frames, "joints": 25, "bodies": 2})
    part.sizes |= {"one_body": 0.8, "streams": "joint and bone"}
    part.left_out.update(dict.fromkeys(without, "left out on request"))
    clips = made_clips(batch, frames, 2, seed)
    pair = _models(clips, seed, joint_weights, bone_weights)
    with tempfile.TemporaryDirectory(prefix="bench_infer_") as folder, full_float32():
        variants = _variants(part, pair, clips, device, Path(folder))
        title = f"Two-stream inference, a batch of {batch} clips"
        _time(part, pair, variants, clips, title, "", runs, seconds)
        # Compiled, a batch of another size would be another network.
        variants.pop(COMPILED, None)
        _time(part, pair, variants, _one_clip(clips), "One clip of one body at a time", ONE_CLIP, 10 * runs, seconds)
    return part


def _one_clip(clips: np.ndarray) -> np.ndarray:
    """The first clip without its second body: (1, C, T, V, M)."""
    clip = clips[:1].copy()
    clip[..., 1:] = 0
    return clip


def _time(
    part: Part,
    pair: tuple[Model, Model],
    variants: dict[str, Variant],
    clips: np.ndarray,
    title: str,
    suffix: str,
    runs: int,
    seconds: float,
) -> None:
    """Compares all variants on `clips`, and times those that agree."""
    exact = eager_logits(pair, (1.0, 1.0), clips)
    flop = 0.0
    for name, variant in variants.items():
        with FlopCounterMode(display=False) if name == FOLDED else nullcontext() as counter:
            part.checks.append(_check(name + suffix, variant, pair, clips, exact))
        flop = counter.get_total_flops() / len(clips) if counter is not None else flop
    plain = BASELINE + suffix
    names = {name + suffix: name for name in variants if name == BASELINE or part.agrees(name + suffix)}
    product = MatrixProduct(pick_device("auto"))
    works: dict[str, Callable[[], object]] = {
        name: partial(variants[variant].network, clips) for name, variant in names.items()
    }
    timings = measure({**works, product.name: product}, runs, seconds)
    del timings[product.name]
    part.limit[f"{product.name}{suffix}, GFLOP/s"] = product.rate / 1e9
    if flop:
        part.limit[f"arithmetic of a clip{suffix}, GFLOP"] = flop / 1e9
    limit = Limit(f"the {product.name}", product.rate / flop) if flop else None
    notes = {name: variants[variant].note for name, variant in names.items()}
    if suffix:
        latencies = {name: f"p99 {1000 * timing.p99:.3g} ms" for name, timing in timings.items()}
        notes = {name: "; ".join(filter(None, (notes[name], latency))) for name, latency in latencies.items()}
    amounts = dict.fromkeys(timings, len(clips))
    contenders = _contenders(variants, names, limit)
    part.add_rates(timings, amounts, "clips/s", plain, notes, title=title, labels=names, contenders=contenders)


def _contenders(variants: dict[str, Variant], names: dict[str, str], limit: Limit | None) -> tuple[Contenders, ...]:
    """Those that are held to the models in float64: of full precision, and of less, whose products nobody timed."""
    held = {
        name: variants[variant]
        for name, variant in names.items()
        if variant != BASELINE and variants[variant].reference is None
    }
    full = {name: limit for name, variant in held.items() if variant.precision == "fp32"}
    return full, {name: None for name in held if name not in full}


def _check(name: str, variant: Variant, pair: tuple[Model, Model], clips: np.ndarray, exact: Logits) -> Check:
    got = variant.network(clips)
    if variant.reference is not None:
        found = compare_int8(got, variant.reference(clips))
        told = "scores, error relative to their spread, both r.m.s."
        return Check(name, found["rms_rel"] if found["passed"] else math.inf, found["tolerance"], told)
    plain = None
    if variant.precision != "fp32":
        plain = eager_logits(pair, (1.0, 1.0), clips, variant.precision)
    found = compare(got, exact, variant.precision, plain)
    # Other answers fail too, whatever the error.
    error = found["max_rel"] if found["passed"] else math.inf
    return Check(name, error, found["tolerance"], "logits, largest error relative to float64's largest")


def _models(
    clips: np.ndarray, seed: int, joint_weights: str | Path | None, bone_weights: str | Path | None
) -> tuple[Model, Model]:
    models = []
    for place, (stream, weights) in enumerate((("joint", joint_weights), ("bone", bone_weights))):
        x = torch.from_numpy(stream_of(clips, stream, NTU))
        num_class = CLASSES if weights is None else len(read_state_dict(weights)["fc.bias"])
        model = random_model(seed + place, x, num_class)
        if weights is not None:
            load_weights(model, weights)
        models.append(model.requires_grad_(False))
    return models[0], models[1]


def _variants(
    part: Part, pair: tuple[Model, Model], clips: np.ndarray, device: torch.device, folder: Path
) -> dict[str, Variant]:
    """All variants that can run here; those that cannot are in `part.left_out`."""
    shape = (clips.shape[1], clips.shape[2], clips.shape[3], clips.shape[4])
    folded = TwoStream(*pair, NTU.bone_parents, frames=shape[1])
    export_graph(folded, shape, folder / "two_stream.onnx", {})
    folded = folded.to(device)
    variants = {BASELINE: Variant(_in_torch(TwoModels(*pair).to(device), device))}
    if FOLDED not in part.left_out:
        variants[FOLDED] = Variant(_in_torch(folded, device), note="fewer products, only bodies that are there")
    if COMPILED not in part.left_out:
        _add_compiled(variants, part, _in_torch(torch.compile(folded), device), clips)
    if ONNX not in part.left_out:
        variants[ONNX] = _session_variant(open_session(folder / "two_stream.onnx"))
    if INT8 not in part.left_out:
        graph = folder / "int8.onnx"
        quantise(folder / "two_stream.onnx", graph, made_clips(RANGED, shape[1], shape[3], seed=1))
        # Weights that are made amplify rounding beyond what trained ones do, so it is held to its own graph.
        variants[INT8] = _session_variant(open_session(graph), "int8", partial(logits_in_float32, graph))
    export = exporter(pair, clips, folder)
    if PACKAGE not in part.left_out:
        _add_package(variants, part, export, device)
    if present_target() is None:
        part.left_out.setdefault(ENGINE, "TensorRT and TensorRT-RTX engines need a GPU to run")
    elif ENGINE not in part.left_out:
        _add_engines(variants, part, export)
    # Last: it turns TF32 off for libraries that are loaded after it.
    if ONNX_TRT not in part.left_out:
        try:
            variants[ONNX_TRT] = _session_variant(open_tensorrt_session(folder / "two_stream.onnx"))
        except ValueError as error:
            part.left_out[ONNX_TRT] = str(error)
    return variants


def _in_torch(network: Callable[[Tensor], tuple[Tensor, ...]], device: torch.device) -> Network:
    """Reading the answers back waits for the device, so no other synchronisation is needed."""

    def answer(joints: np.ndarray) -> Logits:
        with torch.inference_mode():
            return to_host(output.float() for output in network(torch.from_numpy(joints).to(device)))

    return answer


def _add_compiled(variants: dict[str, Variant], part: Part, network: Network, clips: np.ndarray) -> None:
    start = time.perf_counter()
    try:
        network(clips)
    except COMPILE_ERRORS as error:
        part.left_out[COMPILED] = f"torch.compile failed: {str(error).strip().splitlines()[0]}"
        return
    variants[COMPILED] = Variant(network, note=f"first run, with compilation: {time.perf_counter() - start:.1f} s")


def _session_variant(session: Any, precision: str = "fp32", reference: Network | None = None) -> Variant:
    note = f"on {session.get_providers()[0].removesuffix('ExecutionProvider')}"
    return Variant(lambda joints: tuple(session.run(list(OUTPUTS), {INPUT: joints})), precision, note, reference)


def exporter(pair: tuple[Model, Model], clips: np.ndarray, folder: Path) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """`export_engines` for the two models, into a folder of the name given: the same export as everybody's."""
    config_file = folder / "bench.yaml"
    config_file.write_text(
        f"model: agcn\nmodel_args: {{num_class: {pair[0].num_class}, num_person: {clips.shape[4]}, graph: ntu}}\n"
        f"test_feeder_args: {{window_size: {clips.shape[2]}}}\n",
        encoding="utf-8",
    )
    config = load_config(config_file, stream="joint")
    for stream, model in zip(("joint", "bone"), pair, strict=True):
        save_weights(model, folder / f"{stream}.pt")

    def export(name: str, **options: Any) -> tuple[Path, dict[str, Any]]:
        out = folder / name
        return out, export_engines(folder / "joint.pt", folder / "bone.pt", config, out, **options)

    return export


def _add_package(
    variants: dict[str, Variant], part: Part, export: Callable[..., tuple[Path, dict[str, Any]]], device: torch.device
) -> None:
    start = time.perf_counter()
    try:
        out, result = export("package", targets=("none",), aot=device.type)
    except ValueError as error:
        part.left_out[PACKAGE] = str(error)
        return
    if not result["passed"]:
        part.left_out[PACKAGE] = "; ".join(result["notes"])
        return
    variants[PACKAGE] = Variant(
        open_engine(out, "aotinductor").run, note=f"exported in {time.perf_counter() - start:.1f} s"
    )


def _add_engines(variants: dict[str, Variant], part: Part, export: Callable[..., tuple[Path, dict[str, Any]]]) -> None:
    flavor = choose_flavor("auto")
    for precision in ("fp32", "tf32", "bf16", "fp16"):
        name = f"{ENGINE} {precision}"
        # Without this, engines for other GPUs would be built, and ONNX Runtime timed under their name.
        if flavor is None or present_target() not in pick_targets(flavor, (), precision):
            part.left_out[name] = f"no TensorRT that is installed builds for this GPU ({present_target()})"
            continue
        out, result = export(precision, precision=precision)
        if not result["passed"] or not result["engines"]:
            part.left_out[name] = "; ".join(result["notes"]) or "the export failed its parity rule"
            continue
        variants[name] = Variant(open_engine(out).run, precision)
