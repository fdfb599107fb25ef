"""`demo`: the whole way from raw files to a fused answer and an engine, on made recordings, in minutes."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agcn.config import load_config
from agcn.evaluate import test
from agcn.training.train import train
from bench.run import run
from export.build import export_engines
from export.fusion import fuse_scores
from export.runtime.predict import fuse_engine, predict
from native_prep.io.atomic import check_writable
from native_prep.io.yaml_file import dump_yaml
from native_prep.pipeline.prepare import prepare
from native_prep.synth.make import synth

STREAMS = ("joint", "bone")
TIMES_CHANCE = 3.0
NUM_CLASS = 60  # NTU RGB+D's, whatever the made clips show of them: so the engine knows the names of its classes
# Enough to see every table of the report; `bench` alone takes larger ones. Compiling takes longer than all the rest.
SHORT_BENCH: dict[str, dict[str, Any]] = {
    "prep": {
        "ntu_clips": 120,
        "kinetics_clips": 16,
        "sample": 4,
        "ntu_megabytes": 60,
        "npy_clips": 60,
        "runs": 3,
        "seconds": 8.0,
    },
    "train": {"frames": 16, "batch": 4, "runs": 3, "seconds": 10.0, "without": ("compiled fp32",)},
    "infer": {"frames": 32, "batch": 4, "runs": 5, "seconds": 10.0, "without": ("compiled fp32", "aotinductor fp32")},
}


@dataclass(frozen=True)
class DemoSizes:
    """How much the demonstration makes and trains; two cores take about five minutes for these.

    Attributes:
        clips, classes, frames: recordings, how many actions they show, and their mean length; chance is 1 / classes.
        window: how many of the 300 prepared frames the network sees of a clip: 16 show these actions well enough.
        epochs, batch: of each stream; the learning rate falls to a tenth after two thirds of the epochs.
        bench: arguments of `bench.run.run`; none leaves the measurement out.
    """

    clips: int = 192
    classes: int = 8
    frames: int = 60
    window: int = 16
    epochs: int = 10
    batch: int = 8
    bench: dict[str, dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        if self.classes < 2 or self.clips < 6 * self.classes:
            raise ValueError(
                f"demo: {self.clips} clips of {self.classes} classes: ask for 2 classes and 6 clips of each at least"
            )


def demo(out: str | Path = "demo_out", *, seed: int = 0, sizes: DemoSizes | None = None) -> dict[str, Any]:
    """Make recordings, prepare them, train both streams, export, fuse, predict, measure.

    Args:
        out: a new or empty folder.
        seed: of the recordings and of training.
        sizes: smaller or larger than the usual.

    Returns:
        passed (fused top-1 at least three times chance, parity of the export and of the measurement met), failed,
        joint_top1, bone_top1, top1, top5, mean_class_accuracy, chance, engine_top1, prediction, onnx, engines,
        report, steps (name -> seconds), out, seconds.

    Raises:
        ValueError: the folder holds something.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: is not an empty folder: name a new one or empty it first")
    check_writable(out)
    sizes = sizes or DemoSizes(bench=SHORT_BENCH)
    steps = _Steps(8 if sizes.bench is not None else 7)
    raw, data = out / "raw", out / "data"
    with steps.next("synth: raw NTU RGB+D files"):
        synth("ntu60", raw, sizes.clips, sizes.classes, seed, sizes.frames)
    with steps.next(f"prep: {sizes.clips} clips to joints and bones"):
        prepare("ntu60", raw, data, benchmarks=("xsub",), streams=STREAMS)
    config = out / "demo.yaml"
    config.write_text(_config_text(out, data / "xsub", sizes, seed), encoding="utf-8")
    weights, scores = _train_streams(config, steps)
    found = _deploy(out, config, weights, steps)
    fused = fuse_scores(scores, data / "xsub" / "val_label.pkl")
    measured: dict[str, Any] = {"failed": [], "outputs": []}
    if sizes.bench is not None:
        with steps.next("bench: parity, then speed, briefly"):
            measured = run("all", out / "bench", **sizes.bench)
    chance = 1.0 / sizes.classes
    failed = _failures(fused, found, chance) + measured["failed"]
    return {
        "passed": not failed,
        "failed": failed,
        **{key: fused[key] for key in ("clips", "joint_top1", "bone_top1", "top1", "top5", "mean_class_accuracy")},
        "chance": chance,
        **found,
        "report": measured["outputs"],
        "steps": steps.seconds,
        "out": str(out),
        "seconds": round(time.monotonic() - steps.began, 1),
    }


def _train_streams(config: Path, steps: "_Steps") -> tuple[dict[str, str], dict[str, str]]:
    """Checkpoints and score files of both streams."""
    weights, scores = {}, {}
    for stream in STREAMS:
        loaded = load_config(config, stream=stream)
        with steps.next(f"train and test: the {stream} stream"):
            weights[stream] = train(loaded)["checkpoint"]
            scores[stream] = test(loaded, weights[stream])["scores"]
    return weights, scores


def _deploy(out: Path, config: Path, weights: dict[str, str], steps: "_Steps") -> dict[str, Any]:
    """Export, and what the exported graph answers; without answers where the export failed."""
    loaded = load_config(config, stream="joint")
    with steps.next("export-trt: ONNX, and TensorRT-RTX engines where it is installed"):
        exported = export_engines(weights["joint"], weights["bone"], loaded, out / "engines")
    found = {"onnx": exported["onnx"], "engines": exported["engines"], "engine_top1": None, "prediction": []}
    if exported["passed"]:
        with steps.next("fuse-eval: the test split through the exported graph"):
            found["engine_top1"] = fuse_engine(out / "engines", loaded)["top1"]
        clip = sorted((out / "raw").iterdir())[-1]
        with steps.next(f"predict: {clip.name}"):
            found["prediction"] = predict(out / "engines", [clip], top=3)["clips"]
    return found


def _failures(fused: dict[str, Any], found: dict[str, Any], chance: float) -> list[str]:
    failed = []
    if fused["top1"] < TIMES_CHANCE * chance:
        failed.append(f"fused top1 {fused['top1']:.3f} is below {TIMES_CHANCE:g} times chance {chance:.3f}")
    if found["engine_top1"] is None:
        failed.append("the export differs from eager PyTorch")
    elif abs(found["engine_top1"] - fused["top1"]) * fused["clips"] > 1.5:  # a tie may fall the other way
        failed.append(f"the exported graph gives top1 {found['engine_top1']:.3f}, the score files {fused['top1']:.3f}")
    return failed


def _config_text(out: Path, data: Path, sizes: DemoSizes, seed: int) -> str:
    parts = {
        name: {
            "data_path": str(data / f"{part}_data_{{stream}}.npy"),
            "label_path": str(data / f"{part}_label.pkl"),
            "sample": "uniform",
            "window_size": sizes.window,
        }
        for name, part in (("train_feeder_args", "train"), ("test_feeder_args", "val"))
    }
    last = max(1, sizes.epochs * 2 // 3)
    return dump_yaml(
        {
            "work_dir": str(out / "work_dir" / "{stream}"),
            "model_saved_name": "demo_{stream}",
            **parts,
            "model": "model.agcn.Model",
            "model_args": {"num_class": NUM_CLASS, "num_point": 25, "num_person": 2, "graph": "ntu"},
            # Few steps: Adam needs no schedule to speak of, unlike the SGD of the published recipes.
            "optimizer": "Adam",
            "base_lr": 0.001,
            "weight_decay": 0.0001,
            "step": [last],
            "num_epoch": sizes.epochs,
            "eval_interval": sizes.epochs,
            "save_interval": sizes.epochs,
            "batch_size": sizes.batch,
            "test_batch_size": 16,
            "seed": seed,
        }
    )


class _Steps:
    """Says which step begins, and remembers how long each took."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.seconds: dict[str, float] = {}
        self._name = ""
        self._start = self.began = time.monotonic()

    def next(self, name: str) -> "_Steps":
        print(f"[{len(self.seconds) + 1}/{self.total}] {name}", file=sys.stderr, flush=True)
        self._name, self._start = name, time.monotonic()
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *failure: object) -> None:
        self.seconds[self._name] = round(time.monotonic() - self._start, 2)
