"""`export-trt` as it is typed: checkpoints and folders that are not named are the usual ones."""

from collections.abc import Sequence
from typing import Any

from agcn.config import load_config
from agcn.streams import best_weights, load_streams, usual_engines
from agcn.usual import usual_config
from export.build import export_engines
from native_prep.streams import STREAMS


def export(
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
    **options: Any,
) -> dict[str, Any]:
    """Exports two or four streams; see `build.export_engines` for the options.

    Args:
        dataset, config, overrides: see `agcn.usual`.
        out: None for the usual folder of the configuration's engines.
        streams: 2 or 4; None for 4 where a motion stream's checkpoint is given.
        joint_weights, bone_weights, joint_motion_weights, bone_motion_weights: None for the best of the stream's run.

    Raises:
        ValueError: a run has no best checkpoint, and whatever `build.export_engines` raises.
        OSError: a file cannot be read or written.
    """
    name = usual_config(dataset, config)
    given = (joint_weights, bone_weights, joint_motion_weights, bone_motion_weights)
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
    folder = out if out is not None else str(usual_engines(joint))
    return export_engines(config=joint, out=folder, streams=streams, **weights, **options)
