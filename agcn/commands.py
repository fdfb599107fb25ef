"""`train` and `test` as they are typed: for the streams that are meant, one after the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agcn.config import load_config
from agcn.data.clips import open_clips
from agcn.defaults import default_config
from agcn.evaluate import test
from agcn.settings import Config
from agcn.streams import best_weights, load_streams
from agcn.training.distributed import distributed_context
from agcn.training.resume import STATE_FILE
from agcn.training.run_folder import check_begins, holds_run
from agcn.training.train import train


def train_streams(
    dataset: str | None,
    config: str | None,
    streams: Sequence[str],
    overrides: Sequence[str],
    *,
    work_dir: str | None = None,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Trains one stream, or several one after the other; what could stop the last is looked at before the first begins.

    With `resume`, a stream that is finished is not trained again, and of several one that has not begun begins.

    Args:
        dataset, config, streams, overrides, work_dir: see `agcn.defaults.default_config` and
            `agcn.streams.load_streams`.
        device, resume, overwrite, options: as `training.train`'s.

    Returns:
        What `training.train` returns, of several streams as {"streams": {name: that}}.

    Raises:
        ValueError: as `training.train`, and where the data of a stream are not there.
        MemoryError: too little memory.
    """
    found = load_streams(default_config(dataset, config), streams, overrides, work_dir)
    if len(found) == 1:
        return train(found[0], device=device, resume=resume, overwrite=overwrite, **options)
    results = {}
    # Under torchrun the processes stay together from one stream to the next.
    with distributed_context(device, found[0].device[0] if found[0].device else 0) as context:
        goes_on = context.from_main(lambda: _check_folders(found, resume, overwrite))
        context.together(lambda: _open_all(found))
        for one, old in zip(found, goes_on, strict=True):
            results[one.stream] = train(one, device=device, resume=old, overwrite=overwrite, **options)
    return {"streams": results}


def _check_folders(found: Sequence[Config], resume: bool, overwrite: bool) -> list[bool]:
    """Which streams go on with the run in their work folder; ValueError where one cannot begin, or none goes on."""
    goes_on = [resume and (Path(one.work_dir) / STATE_FILE).is_file() for one in found]
    if resume and not any(goes_on):
        raise ValueError(
            f"{Path(found[0].work_dir) / STATE_FILE}: there is nothing to resume from: train without --resume"
        )
    for one, old in zip(found, goes_on, strict=True):
        if not old:
            check_begins(one, overwrite)
    return goes_on


def _open_all(found: Sequence[Config]) -> None:
    for one in found:
        open_clips(one.train_feeder_args, "train_feeder_args")
        open_clips(one.test_feeder_args, "test_feeder_args")


def test_streams(
    dataset: str | None,
    config: str | None,
    streams: Sequence[str],
    overrides: Sequence[str],
    *,
    weights: str | None = None,
    work_dir: str | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Scores one stream, or several one after the other.

    Args:
        dataset, config, streams, overrides, work_dir: see `agcn.defaults.default_config` and
            `agcn.streams.load_streams`.
        weights: of one stream; None for the configuration's, or those of the best checkpoint of its run.
        options: as `evaluate.test`'s.

    Returns:
        What `evaluate.test` returns, of several streams as {"streams": {name: that}}.

    Raises:
        ValueError: as `evaluate.test`, and where a run has no best checkpoint.
    """
    name = default_config(dataset, config)
    if weights is not None and len(streams) > 1:
        raise ValueError(f"--weights {weights}: is of one stream: name one --stream")
    if weights is not None and not streams:
        streams = (load_config(name, overrides=overrides).stream,)
    scored = load_streams(name, streams, overrides, work_dir)
    # Scores may go to a folder that is not a run's.
    runs = scored if holds_run(Path(scored[0].work_dir)) else load_streams(name, streams, overrides)
    chosen = [weights or one.weights or str(best_weights(one)) for one in runs]
    results = {one.stream: test(one, path, **options) for one, path in zip(scored, chosen, strict=True)}
    return {"streams": results} if len(results) > 1 else next(iter(results.values()))
