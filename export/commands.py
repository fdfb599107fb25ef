"""`export-trt`, `fuse-eval` and `predict` as they are typed: which mode is meant, and the usual files and folders.

What is heavy is imported by the mode that needs it: fusing score files starts without PyTorch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agcn.defaults import DATASET, command, default_config
from agcn.score_files import SCORE_FILE
from native_prep.skeletons.streams import STREAMS

if TYPE_CHECKING:
    from export.live.session import LiveSettings

# How many classes `predict` names, and how long a dropout it fills in a stream.
TOP, MAX_GAP = 5, 10


def run_export(
    dataset: str | None,
    config: str | None,
    overrides: Sequence[str],
    *,
    out: str | None = None,
    streams: int | None = None,
    joint_weights: str | None = None,
    bone_weights: str | None = None,
    joint_motion_weights: str | None = None,
    bone_motion_weights: str | None = None,
    pretrained: str | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Exports two or four streams; see `build.export_engines` for the options.

    Args:
        dataset, config, overrides: see `agcn.defaults.default_config` and `agcn.config.load_config`.
        out: None for the usual folder of the configuration's engines.
        streams: 2 or 4; None for 4 where a motion stream's checkpoint is given.
        joint_weights, bone_weights, joint_motion_weights, bone_motion_weights: None for the best of the stream's run.
        pretrained: instead of all these, trained weights by name, see `pretrained.catalog.find`.

    Raises:
        ValueError: a run has no best checkpoint, and whatever `build.export_engines` raises.
        OSError: a file cannot be read or written.
    """
    from agcn.config import load_config
    from agcn.streams import best_weights, default_engine_folder, load_streams
    from export.build import export_engines

    given = (joint_weights, bone_weights, joint_motion_weights, bone_motion_weights)
    if pretrained is not None:
        if dataset or config or any(given):
            raise ValueError(
                "--pretrained has weights and a configuration of its own: leave --dataset, --config, --...-weights out"
            )
        from export.pretrained.commands import export_pretrained

        return export_pretrained(pretrained, overrides, out, streams or 2, **options)
    name = default_config(dataset, config)
    wanted = STREAMS[: 4 if streams == 4 or any(given[2:]) else 2]
    weights: dict[str, Any] = {}
    for stream, path in zip(STREAMS, given, strict=True):
        if path is None and stream in wanted:
            (run,) = load_streams(name, (stream,), overrides)
            path = str(best_weights(run))
        weights[f"{stream}_weights"] = path
    if len(set(filter(None, weights.values()))) < len(wanted) and None in given[: len(wanted)]:
        raise ValueError(f"{config}: its streams would share one checkpoint: give --joint-weights and --bone-weights")
    joint = load_config(name, stream="joint", overrides=overrides)
    folder = out if out is not None else str(default_engine_folder(joint))
    return export_engines(config=joint, out=folder, streams=streams, **weights, **options)


def run_fuse_eval(
    dataset: str | None,
    engine: str | None,
    config: str | None,
    alpha: float | None,
    search_alpha: bool,
    *,
    joint_scores: str | None,
    bone_scores: str | None,
    more: Sequence[str],
    label: str | None,
    allow_stale: bool = False,
    runtime: str = "auto",
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """The fused accuracy.

    Args:
        dataset: one of the usual folders; None for `agcn.defaults.DATASET`.
        config: whose runs' scores are fused, or over whose test split an engine runs, instead of the data set's.
        engine, runtime: an exported folder, and what runs it.
        alpha, search_alpha: weight of the streams; None for 1.0.
        joint_scores, bone_scores, more, label: score files, more of them as NAME=PKL[:WEIGHT], label file.
        allow_stale: see `fusion.fuse_scores`.
        overrides: `KEY=VALUE` pairs for the configuration; with a data set, scores and labels are where that says.

    Raises:
        ValueError: the options are of several modes, or of none.
        OSError: a file cannot be read.
    """
    files = (joint_scores, bone_scores, more, label)
    if any(files) and (dataset or engine or config):
        raise ValueError("give scores and --label, or --dataset or --config, or --engine: see --help")
    if any(files) and overrides:
        raise ValueError(
            f"--set {overrides[0]}: is for a configuration, score files have none: leave it out, or give --dataset, "
            "--config or --engine instead of them"
        )
    if engine is not None:
        if allow_stale:
            raise ValueError("--allow-stale is for score files: leave it out")
        weighs = alpha is not None or search_alpha
        return _fuse_engine(engine, default_config(dataset, config), overrides, runtime, weighs)
    if runtime != "auto":
        raise ValueError("--runtime goes with --engine: see --help")
    from export.fusion import fuse_dataset, fuse_scores, parse_streams

    how: dict[str, Any] = {"search_alpha": search_alpha, "allow_stale": allow_stale}
    how["alpha"] = 1.0 if alpha is None else alpha
    if not any(files):
        name = default_config(dataset, config)
        return _fuse_runs(name, overrides, how) if config or overrides else fuse_dataset(dataset or DATASET, **how)
    if not (joint_scores and bone_scores and label):
        raise ValueError("--joint-scores, --bone-scores and --label go together: see --help")
    others, weights = parse_streams(more)
    streams = {"joint": joint_scores, "bone": bone_scores, **others}
    return fuse_scores(streams, label, weights=weights, **how)


def _fuse_runs(config: str, overrides: Sequence[str], how: dict[str, Any]) -> dict[str, Any]:
    """The scores that the runs of a configuration have left, in their work folders."""
    from agcn.streams import BOTH, load_streams
    from export.fusion import fuse_scores

    runs = load_streams(config, BOTH, overrides)
    files = {run.stream: Path(run.work_dir) / SCORE_FILE for run in runs}
    for stream, path in files.items():
        if not path.is_file():
            raise ValueError(f"{path}: no such file: run {command('train', config, stream)} first")
    return fuse_scores(files, runs[0].test_feeder_args.label_path, **how)


def _fuse_engine(engine: str, config: str, overrides: Sequence[str], runtime: str, weighs: bool) -> dict[str, Any]:
    if weighs:
        raise ValueError("--alpha and --search-alpha are for scores: the engine carries its own alpha: leave them out")
    from agcn.config import load_config
    from export.runtime.predict import fuse_engine

    return fuse_engine(engine, load_config(config, stream="joint", overrides=overrides), runtime)


def run_predict(
    engine: str | None,
    clips: tuple[str, ...],
    top: int | None,
    *,
    dataset: str | None = None,
    stream: bool,
    follow: str | None,
    idle: float | None,
    timeline: str | None,
    window: int | None,
    stride: int | None,
    fps: float | None,
    gone: int | None,
    realtime: bool,
    stores: tuple[str, ...],
    part: str | None,
    out: str | None,
    cluster: str | None = None,
    image_size: str | None = None,
    per_person: bool = False,
    runtime: str = "auto",
    video: str | None = None,
    camera: str | None = None,
    overlay: str | None = None,
    pose_model: str | None = None,
    pretrained: str | None = None,
) -> dict[str, Any]:
    """What `runtime.predict`, `live.session`, `live.video` or `runtime.stores` returns, by the options.

    Raises:
        ValueError: the options are of several modes, or of none.
        OSError: a file cannot be read or written.
    """
    named = {"--dataset": dataset, "--engine": engine, "--pretrained": pretrained}
    if len(given := [option for option, value in named.items() if value is not None]) > 1:
        raise ValueError(f"{' and '.join(given)} each name an engine: give one of them")
    seen = video is not None or camera is not None
    _refuse({"follow": follow, "idle": idle, "realtime": realtime or None}, "--stream", stream)
    live = {"timeline": timeline, "window": window, "stride": stride, "fps": fps, "gone": gone}
    _refuse(live, "--stream, --video and --camera", stream or seen)
    _refuse({"part": part, "out": out, "cluster": cluster}, "--store", bool(stores))
    _refuse({"overlay": overlay}, "--video", video is not None)
    _refuse({"pose_model": pose_model}, "--video and --camera", seen)
    if stores or stream or seen:
        _refuse({"image_size": image_size}, "clips", False)
    if video is not None:
        _refuse({"top": top}, "clips, --stream and --camera", False)
    if seen and (stores or stream or clips or (video is not None and camera is not None)):
        raise ValueError("--video FILE and --camera N stand alone, without clips, --stream or --store: see --help")
    if not (stores or stream or seen or clips):
        raise ValueError("Missing argument 'CLIP...': name raw files, or give --video, --camera, --stream or --store")
    if pretrained is not None:  # what is missing is told before weights are fetched
        for path in (*clips, *((video,) if video is not None else ())):
            if path != "-":
                Path(path).stat()
        from export.pretrained.engine import pretrained_engine

        read = () if stream or stores else clips
        folder, failed = pretrained_engine(pretrained, read, image_size, images=seen)
        if failed:
            return failed
        engine = str(folder)
    elif engine is None:
        engine = _usual_engine(dataset)
    if stores:
        _refuse({"top": top, "per_person": per_person or None}, "clips and --stream", False)
        return _of_stores(engine, stores, clips, stream, out, part, runtime, cluster)
    top = TOP if top is None else top
    if stream or seen:
        from export.live.session import LiveSettings

        settings = LiveSettings(window, stride, fps, MAX_GAP if gone is None else gone, top, realtime, per_person)
        if seen:
            return _of_video(engine, video, camera, overlay, pose_model, timeline, settings, runtime)
        return _of_stream(engine, clips, follow, idle, timeline, settings, runtime)
    from export.runtime.predict import predict as run

    return run(engine, clips, top=top, runtime=runtime, image_size=image_size, per_person=per_person)


def _usual_engine(dataset: str | None) -> str:
    from agcn.config import load_config
    from agcn.streams import default_engine_folder
    from export.manifest import FILE_NAME

    config = default_config(dataset, None)
    folder = default_engine_folder(load_config(config, stream="joint"))
    if not (folder / FILE_NAME).is_file():
        raise ValueError(f"{folder}: no engine is there: run {command('export-trt', config)} first, or give --engine")
    return str(folder)


def _of_stores(
    engine: str,
    stores: tuple[str, ...],
    clips: tuple[str, ...],
    stream: bool,
    out: str | None,
    part: str | None,
    runtime: str,
    cluster: str | None,
) -> dict[str, Any]:
    if clips or stream or not out:
        raise ValueError("--store goes with --out FILE.pkl, and without clips or --stream: see --help")
    from export.runtime.stores import score_stores

    return score_stores(engine, stores, out, part, runtime, cluster)


def _of_stream(
    engine: str,
    clips: tuple[str, ...],
    follow: str | None,
    idle: float | None,
    timeline: str | None,
    settings: "LiveSettings",
    runtime: str,
) -> dict[str, Any]:
    if idle is not None and not idle > 0:
        raise ValueError(f"--idle {idle:g}: give a number of seconds above 0")
    if len(clips) > 1 or (clips and follow) or (idle is not None and not follow):
        raise ValueError("--stream takes one CLIP, - for stdin, or --follow FILE with --idle or not: see --help")
    from export.live.session import predict_stream

    source = clips[0] if clips else None
    return predict_stream(
        engine, source, follow=follow, idle=idle, timeline=timeline, settings=settings, runtime=runtime
    )


def _of_video(
    engine: str,
    video: str | None,
    camera: str | None,
    overlay: str | None,
    pose_model: str | None,
    timeline: str | None,
    settings: "LiveSettings",
    runtime: str,
) -> dict[str, Any]:
    from export.live.video import predict_camera, predict_video

    how: dict[str, Any] = {"pose_model": pose_model, "timeline": timeline, "settings": settings, "runtime": runtime}
    if video is not None:
        return predict_video(engine, video, overlay=overlay, **how)
    return predict_camera(engine, str(camera), **how)


def _refuse(options: dict[str, Any], mode: str, chosen: bool) -> None:
    """Raises ValueError for the first option that is given although its mode was not chosen."""
    given = [name for name, value in options.items() if value is not None]
    if given and not chosen:
        raise ValueError(f"--{given[0].replace('_', '-')} is for {mode}: add that, or leave it out")
