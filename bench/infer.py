"""Two-stream inference: two eager models and a sum are the plain way; all others must give its answers."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from agcn.checkpoint import load_weights, read_state_dict, save_weights
from agcn.config import load_config
from agcn.device import full_float32, pick_device
from agcn.model import Model
from bench.part import Check, Part
from bench.timer import measure
from bench.train import COMPILE_ERRORS
from bench.work import CLASSES, lively_model, made_clips
from export.build import export_engines
from export.inference import TwoStream
from export.onnx_graph import INPUT, OUTPUTS, export_graph
from export.parity import Answers, compare, plain_answers
from export.runtime import open_engine, open_session
from export.trt_flavors import choose_flavor, pick_targets, present_target
from native_prep.layouts import NTU

PLAIN = "eager fp32"
FOLDED, COMPILED, ONNX, ENGINE = "folded fp32", "compiled fp32", "onnxruntime fp32", "engine"
Answer = Callable[[], Answers]


class TwoModels(torch.nn.Module):
    """Both streams as trained: joints (N, 3, T, V, M) -> (joint_logits, bone_logits, scores)."""

    def __init__(self, joint: Model, bone: Model) -> None:
        super().__init__()
        self.joint, self.bone = joint.eval(), bone.eval()
        self.parents = list(NTU.bone_parents)

    def forward(self, joints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        joint, bone = self.joint(joints), self.bone(joints - joints[:, :, :, self.parents])
        return joint, bone, joint + bone


def run_infer(
    *,
    frames: int | None = None,
    batch: int | None = None,
    runs: int = 7,
    seconds: float = 30.0,
    seed: int = 0,
    joint_weights: str | Path | None = None,
    bone_weights: str | Path | None = None,
    without: tuple[str, ...] = (),
) -> Part:
    """Compare, then time, the ways to run both streams on NTU-like clips, 80 % of them with one body.

    Args:
        frames, batch: T and N; by default 300 and 64 on a GPU, 64 and 4 on a CPU.
        runs, seconds: rounds, and after how long no further round begins.
        joint_weights, bone_weights: checkpoints of AGCN for NTU; made weights where not given.
        without: names of ways to leave out; the report says so.
    """
    device = pick_device("auto")
    on_gpu = device.type == "cuda"
    frames, batch = frames or (300 if on_gpu else 64), batch or (64 if on_gpu else 4)
    part = Part("infer", {"device": str(device), "batch": batch, "frames": frames, "joints": 25, "bodies": 2})
    part.sizes |= {"one_body": 0.8, "streams": "joint and bone"}
    part.left_out.update(dict.fromkeys(without, "left out on request"))
    clips = made_clips(batch, frames, 2, seed)
    pair = _models(clips, seed, joint_weights, bone_weights)
    with tempfile.TemporaryDirectory(prefix="bench_infer_") as folder, full_float32():
        ways, notes = _ways(part, pair, clips, device, Path(folder))
        exact = plain_answers(pair, NTU.bone_parents, (1.0, 1.0), clips)
        for name, (way, precision) in ways.items():
            plain = None
            if precision != "fp32":
                plain = plain_answers(pair, NTU.bone_parents, (1.0, 1.0), clips, precision)
            found = compare(way(), exact, precision, plain)
            what = "logits, largest error relative to float64's largest"
            part.checks.append(Check(name, found["max_rel"], found["tolerance"], what))
        timed = {name: way for name, (way, _) in ways.items() if name == PLAIN or part.agrees(name)}
        timings = measure(timed, runs, seconds)
    part.add_rates(timings, dict.fromkeys(timings, batch), "clips/s", PLAIN, notes)
    return part


def _models(
    clips: np.ndarray, seed: int, joint_weights: str | Path | None, bone_weights: str | Path | None
) -> tuple[Model, Model]:
    joints = torch.from_numpy(clips)
    models = []
    for place, (weights, x) in enumerate(
        ((joint_weights, joints), (bone_weights, joints - joints[:, :, :, list(NTU.bone_parents)]))
    ):
        num_class = CLASSES if weights is None else len(read_state_dict(weights)["fc.bias"])
        model = lively_model(seed + place, x, num_class)
        if weights is not None:
            load_weights(model, weights)
        models.append(model.requires_grad_(False))
    return models[0], models[1]


def _ways(
    part: Part, pair: tuple[Model, Model], clips: np.ndarray, device: torch.device, folder: Path
) -> tuple[dict[str, tuple[Answer, str]], dict[str, str]]:
    """name -> (the way to answer for `clips`, its precision), and notes."""
    notes: dict[str, str] = {}
    shape = (clips.shape[1], clips.shape[2], clips.shape[3], clips.shape[4])
    folded = TwoStream(*pair, NTU.bone_parents, frames=shape[1])
    export_graph(folded, shape, folder / "two_stream.onnx", {})
    folded = folded.to(device)
    ways: dict[str, tuple[Answer, str]] = {PLAIN: (_in_torch(TwoModels(*pair).to(device), clips, device), "fp32")}
    if FOLDED not in part.left_out:
        ways[FOLDED] = (_in_torch(folded, clips, device), "fp32")
        notes[FOLDED] = "batch norms in the convolutions, fewer products"
    if COMPILED not in part.left_out:
        compiled = _in_torch(torch.compile(folded), clips, device)
        start = time.perf_counter()
        try:
            compiled()
            ways[COMPILED] = (compiled, "fp32")
            notes[COMPILED] = f"first run, with compilation: {time.perf_counter() - start:.1f} s"
        except COMPILE_ERRORS as error:
            part.left_out[COMPILED] = f"torch.compile failed: {str(error).strip().splitlines()[0]}"
    if ONNX not in part.left_out:
        session = open_session(folder / "two_stream.onnx")
        ways[ONNX] = (partial(session.run, list(OUTPUTS), {INPUT: clips}), "fp32")
        notes[ONNX] = f"on {session.get_providers()[0].removesuffix('ExecutionProvider')}"
    if present_target() is None:
        part.left_out.setdefault(ENGINE, "TensorRT and TensorRT-RTX engines need a GPU to run")
    elif ENGINE not in part.left_out:
        _add_engines(ways, part, pair, clips, folder)
    return ways, notes


def _in_torch(network: Callable[[Tensor], tuple[Tensor, ...]], clips: np.ndarray, device: torch.device) -> Answer:
    """Reading the answers back waits for the device, so no other synchronisation is needed."""
    joints = torch.from_numpy(clips)

    def answer() -> Answers:
        with torch.inference_mode():
            joint, bone, scores = (output.float().cpu().numpy() for output in network(joints.to(device)))
        return joint, bone, scores

    return answer


def _add_engines(
    ways: dict[str, tuple[Answer, str]], part: Part, pair: tuple[Model, Model], clips: np.ndarray, folder: Path
) -> None:
    """Engines for the GPU at hand, through the same export as everybody's."""
    for stream, model in zip(("joint", "bone"), pair, strict=True):
        save_weights(model, folder / f"{stream}.pt")
    config_file = folder / "bench.yaml"
    config_file.write_text(
        f"model: agcn\nmodel_args: {{num_class: {pair[0].num_class}, num_person: {clips.shape[4]}, graph: ntu}}\n"
        f"test_feeder_args: {{window_size: {clips.shape[2]}}}\n"
    )
    flavor = choose_flavor("auto")
    for precision in ("fp32", "fp16"):
        name, out = f"{ENGINE} {precision}", folder / precision
        # Without this, engines for other GPUs would be built, and ONNX Runtime timed under their name.
        if flavor is None or present_target() not in pick_targets(flavor, (), precision):
            part.left_out[name] = f"no TensorRT that is installed builds for this GPU ({present_target()})"
            continue
        result = export_engines(
            folder / "joint.pt", folder / "bone.pt", load_config(config_file, stream="joint"), out, precision
        )
        if not result["passed"] or not result["engines"]:
            part.left_out[name] = "; ".join(result["notes"]) or "the export failed its parity rule"
            continue
        ways[name] = (partial(open_engine(out).run, clips), precision)
