"""What a training run leaves in its work folder, and which of it goes when another run begins there."""

import re
from contextlib import suppress
from pathlib import Path

from agcn.checkpoint import load_torch
from agcn.config import RUN_CONFIG, load_config
from agcn.metrics import OUTCOME_FILES
from agcn.score_files import BEST_FILE, SCORE_FILE, note_path
from agcn.settings import Config
from agcn.training.profiler import TRACE_FILE
from agcn.training.resume import STATE_FILE

_LOG, _CURVES = "log.txt", "tensorboard/*/events.out.tfevents.*"


def check_begins(config: Config, overwrite: bool) -> None:
    """Raises ValueError where a run that begins in the configuration's work folder would destroy an earlier one.

    Also where it is to ignore some of the weights that it begins with, and there are none.
    """
    folder = Path(config.work_dir)
    if config.ignore_weights and not config.weights:
        raise ValueError(
            f"{config.config}: ignore_weights is of weights to begin with, and there are none: give --pretrained NAME, "
            "or set weights"
        )
    if not overwrite and holds_run(folder):
        raise ValueError(
            f"{folder}: holds {_how_far(folder)}: --resume goes on with it, --overwrite begins anew, or name another "
            "--work-dir"
        )
    if config.weights and Path(config.weights).resolve() in (path.resolve() for path in leftovers(config)):
        raise ValueError(f"{config.weights}: lies in the work folder that begins anew: name another --work-dir")


def holds_run(folder: Path) -> bool:
    """Whether a run has kept anything in a folder."""
    return any((folder / name).is_file() for name in (STATE_FILE, BEST_FILE))


def _how_far(folder: Path) -> str:
    """How far a folder's run has come, in words."""
    try:
        epochs = load_torch(folder / STATE_FILE)["at"]["epoch"]
        return f"a run of {epochs} of {load_config(folder / 'config.yaml').num_epoch} epochs"
    except (ValueError, OSError, LookupError, TypeError):
        return "an earlier run"


def leftovers(config: Config) -> list[Path]:
    """The files in the configuration's work folder that an earlier run or test has left."""
    folder = Path(config.work_dir)
    names = {config.name}
    with suppress(ValueError, OSError):
        names.add(load_config(folder / RUN_CONFIG).name)
    numbered = re.compile(rf"({'|'.join(map(re.escape, names))})-\d+-\d+\.pt")
    known = (STATE_FILE, BEST_FILE, SCORE_FILE, note_path(SCORE_FILE).name, *OUTCOME_FILES, TRACE_FILE, _LOG)
    found = [folder / name for name in known if (folder / name).is_file()]
    if folder.is_dir():
        found += sorted(path for path in folder.iterdir() if numbered.fullmatch(path.name))
    return found + sorted(folder.glob(_CURVES))


def remove_leftovers(config: Config) -> str:
    """Removes what `leftovers` names; what went, in words, "" for nothing."""
    gone = leftovers(config)
    for path in gone:
        path.unlink()
    names = [path.name for path in gone if path.parent == Path(config.work_dir)]
    return f"removed of what lay here before: {', '.join(names)}" if names else ""
