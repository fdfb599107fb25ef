"""The streams that a command is for: their configurations, and where their runs and engines are."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from agcn.config import has_streams, load_config
from agcn.defaults import command
from agcn.score_files import BEST_FILE
from agcn.settings import Config

# Those of a command that names none.
BOTH = ("joint", "bone")


def load_streams(
    config: str, streams: Sequence[str], overrides: Sequence[str] = (), work_dir: str | None = None
) -> list[Config]:
    """The configuration of each stream: of those named, or of joint and bone where it is for all streams.

    Args:
        config: a file, or the name of a shipped configuration.
        streams: which; () for joint and bone, or for the one of a configuration with fixed paths.
        overrides: `KEY=VALUE` pairs.
        work_dir: replaces the configuration's; of several streams it must hold `{stream}`.

    Raises:
        ValueError: several streams would share a work folder, and whatever `load_config` raises.
    """
    names: Sequence[str | None] = tuple(dict.fromkeys(streams)) or (BOTH if has_streams(config) else (None,))
    found = [load_config(config, stream=name, overrides=overrides) for name in names]
    if work_dir is not None:
        if len(found) > 1 and "{stream}" not in work_dir:
            raise ValueError(f"--work-dir {work_dir}: several streams need one each: write {{stream}} in it")
        found = [dataclasses.replace(one, work_dir=work_dir.replace("{stream}", one.stream)) for one in found]
    if len({one.work_dir for one in found}) < len(found):
        raise ValueError(
            f"{config}: work_dir {found[0].work_dir} names no stream, and several streams need a folder each: "
            "write {stream} in it, or name one --stream"
        )
    return found


def best_weights(config: Config) -> Path:
    """The best checkpoint of a configuration's run.

    Raises:
        ValueError: there is none.
    """
    path = Path(config.work_dir) / BEST_FILE
    if not path.is_file():
        raise ValueError(f"{path}: no such file: run {command('train', config.config, config.stream)} first")
    return path


def default_engine_folder(config: Config) -> Path:
    """Where the engines of a configuration's runs are.

    `engines/ntu/xsub` for `work_dir/ntu/xsub/agcn_joint`, and `engines/ntu/xsub-aagcn` for `aagcn_joint` beside it.
    """
    work = Path(config.work_dir)
    runs, kind = work.parent, work.name.removesuffix(f"_{config.stream}")
    inside = runs.parts[1:] if runs.parts[:1] == ("work_dir",) else (runs.name,)
    folder = Path("engines", *inside)
    return folder if kind in ("agcn", config.stream) else folder.with_name(f"{folder.name}-{kind}")
