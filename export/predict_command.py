"""`predict`: which of its three ways is meant: clips, a stream, or packed stores."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export.live import LiveSettings

TOP = 5


def predict(
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
    runtime: str = "auto",
) -> dict[str, Any]:
    """What `predict.predict`, `live.predict_stream` or `scoring.score_stores` returns, by the options given.

    Raises:
        ValueError: the options are of several ways, or of none.
        OSError: a file cannot be read or written.
    """
    if engine is None:
        engine = _usual_engine(dataset)
    elif dataset is not None:
        raise ValueError("--dataset names the usual engine, --engine another: give one of them")
    live = {"follow": follow, "idle": idle, "timeline": timeline, "window": window, "stride": stride, "fps": fps}
    live |= {"gone": gone, "realtime": realtime or None}
    _refuse(live, "--stream", stream)
    _refuse({"part": part, "out": out}, "--store", bool(stores))
    if stores:
        _refuse({"top": top}, "clips and --stream", False)
        return _of_stores(engine, stores, clips, stream, out, part, runtime)
    top = TOP if top is None else top
    if stream:
        from export.live import LiveSettings

        settings = LiveSettings(window, stride, fps, 10 if gone is None else gone, top, realtime)
        return _of_stream(engine, clips, follow, idle, timeline, settings, runtime)
    if not clips:
        raise ValueError("Missing argument 'CLIP...': name raw files, or give --stream or --store")
    from export.predict import predict as run

    return run(engine, clips, top=top, runtime=runtime)


def _usual_engine(dataset: str | None) -> str:
    from agcn.config import load_config
    from agcn.streams import usual_engines
    from agcn.usual import command, usual_config
    from export.manifest import FILE_NAME

    config = usual_config(dataset, None)
    folder = usual_engines(load_config(config, stream="joint"))
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
) -> dict[str, Any]:
    if clips or stream or not out:
        raise ValueError("--store goes with --out FILE.pkl, and without clips or --stream: see --help")
    from export.scoring import score_stores

    return score_stores(engine, stores, out, part, runtime=runtime)


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
    from export.live import predict_stream

    source = clips[0] if clips else None
    return predict_stream(
        engine, source, follow=follow, idle=idle, timeline=timeline, settings=settings, runtime=runtime
    )


def _refuse(options: dict[str, Any], way: str, chosen: bool) -> None:
    """Raises ValueError for the first option that is given although its way is not chosen."""
    given = [name for name, value in options.items() if value is not None]
    if given and not chosen:
        raise ValueError(f"--{given[0]} is for {way}: add that, or leave it out")
