"""A folder as `prep`, `train`, `export-trt` and `bench` leave it, of a small network on made clips."""

import json
from pathlib import Path

from exported import three_blocks

from agcn.config import load_config
from agcn.training.train import train
from export.build import export_engines
from native_prep.datasets.catalog import class_names
from native_prep.pipeline.prepare import prepare
from native_prep.synth.make import synth

CLASSES = class_names("nw-ucla")[:4]
CHANGES = ("num_epoch=2", "model_args.base_channels=8", "batch_size=8", "base_lr=0.02")
GROUP = "Two-stream inference, a batch of 8 clips"


def _rate(name: str, rate: float, ratio: float) -> dict[str, object]:
    timing = {"seconds": 1.0, "runs": 3, "spread": 0.02}
    named = {"group": GROUP, "name": name, "label": name, "note": ""}
    return {**named, "rate": rate, "unit": "clips/s", "ratio": ratio, **timing}


BENCH = {
    "infer": {
        "name": "infer", "sizes": {"batch": 8}, "passed": True, "error": "", "notes": [],
        "left_out": {"engine": "needs a GPU"},
        "checks": [{"name": "onnxruntime fp32", "error": 4e-7, "tolerance": 1e-5, "what": "logits", "passed": True}],
        "groups": [{"title": GROUP, "unit": "clips/s", "baseline": "eager fp32", "best": {"onnxruntime fp32": None}}],
        "limit": {},
        "rates": [_rate("eager fp32", 1.0, 1.0), _rate("onnxruntime fp32", 3.2, 3.2)],
        "machine": {
            "processor": "a processor", "cores": 2, "vectors": "AVX2", "gpu": None, "python": "3.11.0",
            "versions": {"torch": "2.13.0"}, "date": "2026-11-30T00:00:00+00:00",
        },
    }
}  # fmt: skip


def train_runs(folder: Path) -> Path:
    """NW-UCLA's usual places below `folder`: raw clips, data, both runs, their graph, and results of bench."""
    raw = folder / "raw"
    synth("nw-ucla", raw, clips=36, classes=len(CLASSES), seed=0, frames=20)
    prepare("nw-ucla", raw, folder / "data" / "nw-ucla")
    weights = []
    for stream in ("joint", "bone"):
        data = {part: f"{folder}/data/nw-ucla/{part}" for part in ("train", "val")}
        places = [
            f"{kind}_feeder_args.{key}={data[part]}_{rest}"
            for kind, part in (("train", "train"), ("test", "val"))
            for key, rest in (("data_path", f"data_{stream}.npy"), ("label_path", "label.pkl"))
        ]
        config = load_config(
            "nw-ucla", stream, (*CHANGES, *places, f"work_dir={folder}/work_dir/nw-ucla/agcn_{stream}")
        )
        train(config, device="cpu")
        weights.append(f"{config.work_dir}/best.pt")
    with three_blocks():
        export_engines(
            *weights, load_config("nw-ucla", "joint", CHANGES), folder / "engines" / "nw-ucla", targets=("none",)
        )
    for path in folder.glob("work_dir/*/*/config.yaml"):  # as a run in `folder` itself leaves them
        path.write_text(path.read_text().replace(f"{folder}/", ""))
    (folder / "bench_out").mkdir()
    (folder / "bench_out" / "results.json").write_text(json.dumps({"parts": BENCH}))
    return folder
