"""`weights pack`: a run's best checkpoints as a folder that others load by its path or URL, with a model card."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Any

from agcn.checkpoint import SAFETENSORS, load_model, save_weights
from agcn.config import to_yaml
from agcn.defaults import default_config
from agcn.model.network import Model
from agcn.score_files import BEST_FILE, SCORE_FILE
from agcn.settings import Config, FeederArgs
from agcn.streams import best_weights, load_streams
from export.fusion import fuse_scores
from export.inputs import input_shape, recordings_of
from export.pretrained.catalog import CARD, CONFIG, PACK, VERSION
from native_prep.datasets.catalog import DATASETS
from native_prep.io.atomic import atomic_folder
from native_prep.io.hashes import sha256
from native_prep.io.progress import percent
from native_prep.pipeline.outputs import CUSTOM
from native_prep.poses.custom import custom_file
from native_prep.skeletons.layouts import Layout
from native_prep.skeletons.streams import STREAMS

FOLDER = "weights"
_TEMPLATE = Path(__file__).with_name("card.md")
_UNKNOWN = "unknown"
# Classes that a card names.
_NAMED = 12
_TERMS = {
    "ntu": "NTU RGB+D may be used for research only, under its own terms, which hold for what is trained on it, too.",
    "kinetics": "Kinetics is made of videos whose owners keep their rights.",
    "nw-ucla": "Northwestern-UCLA is a research data set: see its authors' terms.",
}


def pack(
    dataset: str | None,
    config: str | None,
    overrides: Sequence[str],
    name: str | None = None,
    out: str | None = None,
    licence: str = _UNKNOWN,
    data: str | None = None,
) -> dict[str, Any]:
    """Writes weights as safetensors, their configuration, a description with checksums, and a model card.

    All four streams are packed where the motions have been trained too.

    Args:
        dataset, config, overrides: whose runs; see `agcn.defaults.default_config`.
        name: what the weights are to be called; None for the configuration's name.
        out: the folder; None for `weights/NAME`.
        licence, data: what the card says of terms and of the training data; None for what is known of the data.

    Returns:
        name, folder, streams {stream: {file, top1, bytes}}, two_streams, four_streams.

    Raises:
        ValueError: a run has no best checkpoint, or it is of another model; a folder of other files.
        OSError: a file cannot be written.
    """
    chosen = default_config(dataset, config)
    name = name or Path(chosen).stem
    if not name or Path(name).name != name:
        raise ValueError(f"--name {name}: is a path: give a plain name, and --out for the folder")
    folder = Path(out or f"{FOLDER}/{name}")
    runs = {run.stream: run for run in load_streams(chosen, STREAMS, overrides)}
    motions = [stream for stream in STREAMS[2:] if (Path(runs[stream].work_dir) / BEST_FILE).is_file()]
    streams = STREAMS if len(motions) == 2 else STREAMS[:2]
    models = {stream: load_model(best_weights(runs[stream]), runs[stream]) for stream in streams}
    joint = runs["joint"]
    _, classes, metadata = recordings_of(joint, models["joint"].layout, models["joint"].num_class)
    accuracy = _accuracy({stream: runs[stream] for stream in streams})
    described: dict[str, Any] = {}
    with atomic_folder(folder, PACK) as part:
        for stream, model in models.items():
            path = part / f"{stream}{SAFETENSORS}"
            save_weights(model, path)
            described[stream] = {"file": path.name, "sha256": sha256(path), "bytes": path.stat().st_size}
            described[stream]["top1"] = accuracy[stream]
        (part / CONFIG).write_text(to_yaml(_without_places(joint)), encoding="utf-8")
        if custom_file(joint.test_feeder_args.data_path).is_file():
            (part / CUSTOM).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
        summary = {
            "name": name,
            "data": data or _data_of(joint, models["joint"].layout, len(classes)),
            "source": "",
            "licence": licence,
            "alpha": 1.0,
            "motion_alpha": 1.0,
            **{key: accuracy[key] for key in ("two_streams", "four_streams")},
        }
        (part / CARD).write_text(_card(joint, models["joint"], classes, accuracy, summary), encoding="utf-8")
        beside = [{"file": file.name, "sha256": sha256(file)} for file in sorted(part.iterdir()) if _is_small(file)]
        pack = {"version": VERSION, **summary, "streams": described, "beside": beside}
        (part / PACK).write_text(json.dumps(pack, indent=2) + "\n", encoding="utf-8")
    return {
        "name": name,
        "folder": str(folder),
        "streams": {stream: {key: one[key] for key in ("file", "top1", "bytes")} for stream, one in described.items()},
        **{key: accuracy[key] for key in ("two_streams", "four_streams")},
    }


def _is_small(file: Path) -> bool:
    return file.suffix != SAFETENSORS


def _without_places(config: Config) -> Config:
    """A configuration without the paths of the machine that it was used on."""

    def plain(args: FeederArgs) -> FeederArgs:
        return replace(args, data_path=Path(args.data_path).name, label_path=Path(args.label_path).name)

    graph = config.model_args.get("graph")
    own = {"graph": CUSTOM} if graph and Path(graph).name == CUSTOM else {}
    return replace(
        config,
        work_dir="work_dir",
        weights=None,
        config="",
        train_feeder_args=plain(config.train_feeder_args),
        test_feeder_args=plain(config.test_feeder_args),
        model_args={**config.model_args, **own},
    )


def _accuracy(runs: dict[str, Config]) -> dict[str, float | None]:
    """Top-1 of each stream and of two and four fused, as far as the runs' scores and labels are at hand and fresh."""
    found: dict[str, float | None] = dict.fromkeys((*STREAMS, "two_streams", "four_streams"))
    label = runs["joint"].test_feeder_args.label_path
    files = {stream: Path(run.work_dir) / SCORE_FILE for stream, run in runs.items()}
    try:
        two = fuse_scores({stream: files[stream] for stream in STREAMS[:2]}, label)
        found |= {"joint": two["joint_top1"], "bone": two["bone_top1"], "two_streams": two["top1"]}
        if len(runs) == len(STREAMS):
            four = fuse_scores(files, label)
            found |= {stream: one["top1"] for stream, one in four["streams"].items()} | {"four_streams": four["top1"]}
    except (ValueError, OSError):  # no scores, or of other weights: the card says that nothing was measured
        return found
    return found


def _data_of(config: Config, layout: Layout, classes: int) -> str:
    if config.classes:
        return f"poses of {config.classes}"
    known = [one.name for one in DATASETS.values() if (one.layout, one.num_class) == (layout, classes)]
    return known[0] if len(known) == 1 else f"poses of {layout.name}, {classes} classes"


def _card(
    config: Config, model: Model, classes: list[str], accuracy: dict[str, float | None], summary: dict[str, Any]
) -> str:
    """The model card."""
    rows = [("joint", "joint"), ("bone", "bone"), ("joint motion", "joint_motion"), ("bone motion", "bone_motion")]
    rows += [("joint + bone", "two_streams"), ("all four", "four_streams")]
    table = [f"| {text} | {percent(accuracy[key])} |" for text, key in rows if accuracy[key] is not None]
    clips = "Top-1 on the test split, as `test` and `fuse-eval` count it (views of each clip: "
    measured = "\n".join(["| streams | top-1 |", "|---|---|", *table, "", f"{clips}{config.test_windows})."])
    named = ", ".join(classes[:_NAMED]) + (", ..." if len(classes) > _NAMED else "")
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=summary["name"],
        licence=summary["licence"],
        data=summary["data"],
        motions=", two their motion" if accuracy["joint_motion"] is not None else "",
        layout=model.layout.name,
        joints=model.num_point,
        bodies=model.num_person,
        num_class=model.num_class,
        classes=named or "numbers",
        frames=input_shape(config, model)[1],
        model=f"{model.variant.upper()}{' with attention' if model.attention else ''}, {model.base_channels} channels "
        f"in the first blocks, {sum(weight.numel() for weight in model.parameters()):,} weights a stream",
        accuracy=measured if table else "Not measured: no scores of the test split lay beside the weights.",
        terms=_TERMS.get(model.layout.name, "Poses show people: ask whoever is in them, and keep to their terms."),
    )
