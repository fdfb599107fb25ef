"""`weights pack`: a run's best checkpoints as a folder that others load by its path or URL, with a model card."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Any

from agcn.checkpoint import SAFETENSORS, load_model, save_weights
from agcn.config import RUN_CONFIG, load_config, to_yaml
from agcn.defaults import default_config
from agcn.model.network import Model
from agcn.score_files import BEST_FILE, SCORE_FILE
from agcn.settings import Config, FeederArgs
from agcn.streams import best_weights, load_streams
from export.fusion import fuse_scores
from export.inputs import input_shape, recordings_of
from export.pretrained.catalog import CARD, CONFIG, LAYOUT, NAME, PACK, VERSION
from native_prep.io.atomic import atomic_folder
from native_prep.io.hashes import sha256
from native_prep.io.progress import percent
from native_prep.pipeline.outputs import CUSTOM
from native_prep.poses.custom import custom_file
from native_prep.skeletons.layouts import SUFFIXES
from native_prep.skeletons.streams import STREAMS

FOLDER = "weights"
# Of two streams and of four.
FUSED = ("two_streams", "four_streams")
_TEMPLATE = Path(__file__).with_name("card.md")
# Classes that a card names.
_NAMED = 12
_NTU_TERMS = "NTU RGB+D may be used for research only, under its own terms, which hold for what is trained on it, too."
# By data set; of one's own poses nothing is known.
_TERMS = {
    "ntu60": _NTU_TERMS,
    "ntu120": _NTU_TERMS,
    "kinetics": "Kinetics is made of videos whose owners keep their rights.",
    "nw-ucla": "Northwestern-UCLA is a research data set: see its authors' terms.",
}


def pack(
    dataset: str | None,
    config: str | None,
    overrides: Sequence[str],
    name: str | None = None,
    out: str | None = None,
    licence: str = "unknown",
    data: str | None = None,
) -> dict[str, Any]:
    """Writes weights as safetensors, their configuration, a description with checksums, and a model card.

    All four streams are packed where the motions have been trained too.

    Args:
        dataset, config, overrides: whose runs; see `agcn.defaults.default_config`.
        name: the pack's; None for the configuration's.
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
    if not NAME.fullmatch(name):
        raise ValueError(f"--name {name}: give up to 64 letters, digits, '.', '_' and '-', and --out for the folder")
    folder = Path(out or f"{FOLDER}/{name}")
    runs = {run.stream: run for run in load_streams(chosen, STREAMS, overrides)}
    motions = [stream for stream in STREAMS[2:] if (Path(runs[stream].work_dir) / BEST_FILE).is_file()]
    streams = STREAMS if len(motions) == 2 else STREAMS[:2]
    best = {stream: best_weights(runs[stream]) for stream in streams}
    runs = {stream: _own_config(path, runs[stream]) for stream, path in best.items()}
    models = {stream: load_model(path, runs[stream]) for stream, path in best.items()}
    config_name = f"{Path(chosen).stem} configuration"
    packed = _Run(runs["joint"], models["joint"], streams, name, licence, data, config_name)
    accuracy = _accuracy(runs)
    described: dict[str, Any] = {}
    with atomic_folder(folder, PACK) as part:
        for stream, model in models.items():
            path = part / f"{stream}{SAFETENSORS}"
            save_weights(model, path)
            described[stream] = {
                "file": path.name, "sha256": sha256(path), "bytes": path.stat().st_size, "top1": accuracy[stream],
            }  # fmt: skip
        packed.write_config(part)
        (part / CARD).write_text(packed.card(accuracy), encoding="utf-8")
        # A card may be edited.
        beside = [one for one in sorted(part.iterdir()) if one.suffix != SAFETENSORS and one.name != CARD]
        content = {
            "version": VERSION,
            "name": name,
            "data": packed.data,
            "licence": licence,
            **{key: accuracy[key] for key in FUSED},
            "streams": described,
            "beside": [{"file": file.name, "sha256": sha256(file)} for file in beside],
        }
        (part / PACK).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    shown = {stream: {key: one[key] for key in ("file", "top1", "bytes")} for stream, one in described.items()}
    return {"name": name, "folder": str(folder), "streams": shown, **{key: accuracy[key] for key in FUSED}}


def _own_config(weights: Path, config: Config) -> Config:
    """The configuration that a run was trained with, which lies beside its weights; else the one given."""
    path = weights.with_name(RUN_CONFIG)
    return replace(load_config(path), work_dir=config.work_dir) if path.is_file() else config


def _accuracy(runs: dict[str, Config]) -> dict[str, float | None]:
    """Top-1 of each stream and of two and four fused, from the runs' scores as far as they are at hand and fresh."""
    found: dict[str, float | None] = dict.fromkeys((*STREAMS, *FUSED))
    label = runs["joint"].test_feeder_args.label_path
    files = {stream: Path(run.work_dir) / SCORE_FILE for stream, run in runs.items()}
    for key, streams in zip(FUSED, (STREAMS[:2], STREAMS), strict=True):
        if len(streams) > len(runs):
            break
        try:
            result = fuse_scores({stream: files[stream] for stream in streams}, label)
        except (ValueError, OSError) as error:
            print(f"the card does not say how accurate {len(streams)} streams are: {error}", file=sys.stderr)
            continue
        found |= {"joint": result["joint_top1"], "bone": result["bone_top1"], key: result["top1"]}
        found |= {stream: one["top1"] for stream, one in result.get("streams", {}).items()}
    return found


@dataclass(frozen=True)
class _Run:
    """What is packed: the configuration and model of the joint stream, the streams, and what the card says."""

    config: Config
    model: Model
    streams: tuple[str, ...]
    name: str
    licence: str
    given_data: str | None
    config_name: str

    @cached_property
    def _recordings(self) -> tuple[str, list[str], dict[str, Any]]:
        return recordings_of(self.config, self.model)

    @property
    def data(self) -> str:
        """What it was trained on."""
        dataset, _, _ = self._recordings
        what = "clips of one's own" if dataset in ("", "custom") else dataset
        return self.given_data or f"{what}, {self.config_name}"

    def write_config(self, folder: Path) -> None:
        """The configuration without the paths of this machine, and the files that it needs, into `folder`."""
        config = self.config
        frames = input_shape(config, self.model)[1]

        def plain(args: FeederArgs) -> FeederArgs:
            # T is that of the data where they are at hand, which they will not be.
            size = args.window_size if args.sample or args.random_choose else frames
            return replace(
                args, data_path=Path(args.data_path).name, label_path=Path(args.label_path).name, window_size=size
            )

        graph, own = config.model_args.get("graph"), {}
        if custom_file(config.test_feeder_args.data_path).is_file():
            (folder / CUSTOM).write_text(json.dumps(self._recordings[2], indent=2) + "\n", encoding="utf-8")
        if graph and Path(graph).name == CUSTOM:
            (folder / CUSTOM).write_bytes(Path(graph).read_bytes())
            own["graph"] = CUSTOM
        elif graph and graph.endswith(SUFFIXES):
            (folder / LAYOUT).write_bytes(Path(graph).read_bytes())
            own["graph"] = LAYOUT
        text = to_yaml(
            replace(
                config,
                work_dir="work_dir",
                weights=None,
                config="",
                train_feeder_args=plain(config.train_feeder_args),
                test_feeder_args=plain(config.test_feeder_args),
                model_args={**config.model_args, **own},
            )
        )
        (folder / CONFIG).write_text(text, encoding="utf-8")

    def card(self, accuracy: dict[str, float | None]) -> str:
        """The model card."""
        dataset, classes, _ = self._recordings
        model, config = self.model, self.config
        rows = [(stream.replace("_", " "), stream) for stream in self.streams]
        rows += [("joint + bone", "two_streams"), ("all four", "four_streams")]
        table = [f"| {text} | {percent(accuracy[key])} |" for text, key in rows if accuracy[key] is not None]
        how = (
            f"Top-1 on the test split, as `test` and `fuse-eval` count it (views of a clip: {config.test_windows}).\n"
            "Each stream's checkpoint is the best on this very split of those that training tested."
        )
        measured = "\n".join(["| streams | top-1 |", "|---|---|", *table, "", how])
        named = ", ".join(classes[:_NAMED]) + (", ..." if len(classes) > _NAMED else "")
        weights = sum(weight.numel() for weight in model.parameters())
        return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
            name=self.name,
            licence=self.licence,
            data=self.data,
            begun="/".join(Path(config.weights).parts[-2:]) if config.weights else "random weights",
            motions=", two their motion" if len(self.streams) > 2 else "",
            layout=model.layout.name,
            joints=model.num_point,
            bodies=model.num_person,
            num_class=model.num_class,
            classes=named or "numbers",
            frames=input_shape(config, model)[1],
            model=f"{model.variant.upper()}{' with attention' if model.attention else ''}, {model.base_channels} "
            f"channels in the first blocks, {weights:,} weights a stream",
            accuracy=measured if table else "Not measured: no scores of the test split lay beside the weights.",
            terms=_TERMS.get(dataset, "Poses show people: ask whoever is in them, and keep to their terms."),
        )
