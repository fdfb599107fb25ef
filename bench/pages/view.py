"""`view`: skeletons in a page that plays them, with what networks make of them; and as pictures for papers."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agcn.checkpoint import load_model
from agcn.config import RUN_CONFIG, load_config
from agcn.data.clips import is_there
from agcn.defaults import CONFIGS, default_config
from agcn.model.network import Model, build_model
from agcn.plots import draw_clip
from agcn.settings import Config
from agcn.streams import best_weights, default_engine_folder
from bench.pages.clip_data import clip_for_page
from bench.pages.page import check_output, render
from bench.pages.predictions import joint_weights, padded, predictions_over_time
from bench.pages.prepared_data import open_prepared, prepared_data
from bench.pages.recordings import FPS, Recording, open_raw
from export.inputs import feeder_from, to_input
from export.manifest import FILE_NAME
from export.raw_clips import RawClips, raw_clips_for
from export.runtime.base import Engine
from export.runtime.open import open_engine
from native_prep.io.atomic import OutputSet
from native_prep.io.progress import Progress, first_names
from native_prep.poses.custom import parse_size

PAGE = "view.html"
# How many clips of prepared data are shown where none is named, and how many of an engine's test data.
MOST_CLIPS, TEST_CLIPS = 20, 6
PNG_FRAMES = 8
_NAME_DATA = "name them by --dataset or --config, or give a raw clip and --engine {}"


@dataclass
class _Networks:
    """What looks at the clips; None where there is none.

    Attributes:
        config: of the run.
        engine, model: the engine, and the run's model.
        raw, for_model: what reads clips for the engine, and for the model; for one of them alone they are the same.
    """

    config: Config | None = None
    engine: Engine | None = None
    model: Model | None = None
    raw: RawClips | None = None
    for_model: RawClips | None = None


def view(
    path: str | None,
    *,
    clips: Sequence[str] = (),
    engine: str | None = None,
    dataset: str | None = None,
    config: str | None = None,
    weights: str | None = None,
    layout: str | None = None,
    image_size: str | None = None,
    out: str | None = None,
    gif: str | None = None,
    png: str | None = None,
    frames: int | None = None,
) -> dict[str, Any]:
    """Shows clips.

    Args:
        path: a raw clip, prepared data or a packed store, or an exported folder.
        clips: names of clips in prepared data; () for the first ones.
        engine: an exported folder that is asked about the clips.
        dataset, config: the runs whose best joint weights colour the joints, and whose engine answers where there is
            one.
        weights: a checkpoint instead of the run's.
        layout: the skeleton of files that do not tell it; image_size: WIDTHxHEIGHT of pose files in pixels.
        out: the page; by default `view.html`, or none where a picture is asked for.
        gif, png: pictures of the first clip, a film of all its frames, or some of them side by side.
        frames: how many of them; None for `PNG_FRAMES`.

    Returns:
        clips: their number; names; outputs: files; bytes: of them all.

    Raises:
        ValueError: nothing is there that can be shown, or it does not fit the network; one line says what.
        OSError: a file cannot be read or written.
    """
    if path is None:
        raise ValueError("Missing argument 'PATH': name a raw clip, prepared data or an exported folder, before --clip")
    for option, file, usual in (("--out", out, PAGE), ("--gif", gif, "view.gif"), ("--png", png, "view.png")):
        if file is not None:
            check_output(option, file, usual)
    if frames is not None and png is None:
        raise ValueError(f"--frames {frames}: is for --png: name the picture, or leave it out")
    is_export = (Path(path) / FILE_NAME).is_file()
    if is_export and engine is not None:
        raise ValueError(f"{path}: is an engine, as --engine {engine} is: give a clip and one engine")
    size = parse_size(image_size)
    networks = _networks(path if is_export else engine, dataset, config, weights, size, layout)
    recordings = _recordings(path, is_export, clips, networks, layout, size)
    _check_layouts(recordings, networks, engine or path)
    page = out or (None if gif or png else PAGE)
    outputs = [file for file in (page, gif, png) if file is not None]
    with OutputSet() as files:
        for file in (gif, png):
            if file is not None:
                part = files.temporary(file)
                picture = part.with_name(f"{part.name}{Path(file).suffix.lower()}")
                try:
                    draw_clip(picture, recordings[0].prepared, recordings[0].layout, frames or PNG_FRAMES, FPS)
                    picture.replace(part)
                finally:
                    picture.unlink(missing_ok=True)
        if page is not None:
            html = _page(path, recordings, networks)
            files.temporary(page).write_text(html, encoding="utf-8", errors="replace")
    written = sum(Path(file).stat().st_size for file in outputs)
    return {
        "clips": len(recordings), "names": [one.name for one in recordings], "outputs": outputs, "bytes": written,
    }  # fmt: skip


def _networks(
    engine: str | None,
    dataset: str | None,
    config: str | None,
    weights: str | None,
    size: tuple[int, int] | None,
    layout: str | None,
) -> _Networks:
    """What the options name."""
    found = _Networks()
    if dataset or config or weights:
        found.config = load_config(default_config(dataset, config), stream="joint")
    elif engine is not None:
        found.config = _config_of(engine)
    if found.config is not None:
        found.config, found.model = _run(found.config, weights)
        if engine is None and (default_engine_folder(found.config) / FILE_NAME).is_file():
            engine = str(default_engine_folder(found.config))
    if engine is not None:
        found.engine = open_engine(engine)
        found.raw = RawClips(found.engine.manifest, engine, size)
    if found.config is not None and (found.model is not None or engine is None):
        model = found.model or build_model(found.config.model, found.config.model_args)
        found.for_model = raw_clips_for(found.config, model, size)
        found.raw = found.raw or found.for_model
    if layout is not None and found.raw is not None:
        raise ValueError("--layout is for clips that no network looks at: leave it, or the network, out")
    return found


def _config_of(engine: str) -> Config | None:
    """The configuration whose usual engine folder this is; None of others."""
    for name in CONFIGS.values():
        config = load_config(name, stream="joint")
        if default_engine_folder(config).resolve() == Path(engine).resolve():
            return config
    return None


def _run(config: Config, weights: str | None) -> tuple[Config, Model | None]:
    """The trained joint stream, and the configuration that training left beside it, or else the one given.

    No model, and a note, where the run has no best checkpoint or its graph is not learned.
    """
    if weights is None:
        try:
            weights = str(best_weights(config))
        except ValueError as error:
            print(f"joints have no weights: {error}", file=sys.stderr)
            return config, None
    own = Path(weights).with_name(RUN_CONFIG)
    config = load_config(own) if own.is_file() else config
    found = load_model(weights, config)
    if found.adaptive:
        return config, found
    print(f"joints have no weights: the graph of {config.config} is not learned", file=sys.stderr)
    return config, None


def _recordings(
    path: str,
    is_export: bool,
    clips: Sequence[str],
    networks: _Networks,
    layout: str | None,
    size: tuple[int, int] | None,
) -> list[Recording]:
    if is_export:
        if networks.config is None:
            raise ValueError(f"{path}: it is not known where its test data are: {_NAME_DATA.format(path)}")
        args = networks.config.test_feeder_args
        if not is_there(args.data_path):
            raise ValueError(f"{path}: its test data {args.data_path} are not here: {_NAME_DATA.format(path)}")
        return open_prepared(args.data_path, args.label_path, clips, TEST_CLIPS, spread_out=True)
    place = prepared_data(path)
    if place is not None and size is not None:
        raise ValueError(f"--image-size is for pose files: {path} holds prepared clips: leave it out")
    if place is not None:
        return open_prepared(*place, clips, MOST_CLIPS, layout)
    _check_folder(Path(path))
    if clips:
        raise ValueError(f"--clip is for prepared data and stores: {path} is neither: leave it out")
    with Progress(1, "view", "clip"):  # says that kernels are being compiled
        return [open_raw(path, networks.raw, layout, size)]


def _check_folder(path: Path) -> None:
    """Raises ValueError where a folder without prepared data is of another kind than one clip."""
    if not path.is_dir():
        return
    inside = sorted(path.iterdir())
    if not inside:
        raise ValueError(f"{path}: is empty: give a clip, a folder of prepared data, or an exported folder")
    engines = [str(one) for one in inside if (one / FILE_NAME).is_file()]
    if engines:
        raise ValueError(f"{path}: is a folder of exported folders: give one of them, {first_names(engines)}")
    if any((one / RUN_CONFIG).is_file() for one in (path, *inside)):
        raise ValueError(f"{path}: is a work folder: run report {path}, or view a clip with --weights")


def _check_layouts(recordings: list[Recording], networks: _Networks, engine: str) -> None:
    """Raises ValueError where a network is for another skeleton than prepared clips have."""
    for network, wanted in (
        (engine, networks.raw.layout if networks.raw is not None else None),
        (networks.config.config if networks.config is not None else "", networks.model and networks.model.layout),
    ):  # fmt: skip
        if wanted and recordings and wanted.joints != recordings[0].layout.joints:
            raise ValueError(
                f"{network}: is for the skeleton {wanted.name}, {recordings[0].name} has that of "
                f"{recordings[0].layout.name}: give a network of its own"
            )


def _page(path: str, recordings: list[Recording], networks: _Networks) -> str:
    shown = []
    with Progress(len(recordings), "view", "clip") as progress:
        for recording in recordings:
            shown.append(_clip(recording, networks))
            progress.update(1)
    one = len(shown) == 1
    name = shown[0]["name"] if one else Path(os.path.abspath(path)).name  # noqa: PTH100 (a link keeps its name)
    answers = any(clip["predictions"] for clip in shown)
    return render("view.html", title=f"Skeletons: {name}", clips=shown, source=recordings[0].source, answers=answers)


def _clip(recording: Recording, networks: _Networks) -> dict[str, Any]:
    """A recording as the page has it."""
    predictions = weights = None
    if networks.engine is not None and networks.raw is not None:
        predictions = predictions_over_time(networks.engine, networks.raw, recording)
    if networks.model is not None and networks.for_model is not None:
        weights = joint_weights(networks.model, _model_input(recording, networks.for_model))
    return clip_for_page(
        recording.name, recording.tracks, recording.layout, FPS,
        action=recording.action, predictions=predictions, weights=weights, notes=recording.notes,
    )  # fmt: skip


def _model_input(recording: Recording, raw: RawClips) -> np.ndarray:
    """A recording as the feeder of a run shows it to its model, (C, T, V, M)."""
    if recording.path:
        return raw.read(recording.path)[0]
    return to_input(padded(recording.prepared, raw), feeder_from(raw.form.feeder_args), recording.layout)[0]
