"""What a stopped run needs to go on as if it had not stopped: WORK_DIR/resume.pt."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from agcn.checkpoint import load_torch
from agcn.settings import Config
from agcn.training.distributed import DistributedContext
from agcn.training.meter import Meter
from native_prep.io.atomic import atomic_file

STATE_FILE = "resume.pt"
# What may differ between a run and its continuation; anything else would make it another run.
_FREE_KEYS = frozenset(
    [
        "config",
        "device",
        "eval_interval",
        "fused_graph_conv",
        "log_interval",
        "num_epoch",
        "num_worker",
        "phase",
        "print_log",
        "save_interval",
        "save_score",
        "share_absent",
        "show_topk",
        "start_epoch",
        "test_batch_size",
        "test_feeder_args",
        "test_windows",
        "weights",
        "work_dir",
        "ignore_weights",
        "model_saved_name",
    ]
)


@dataclasses.dataclass
class TrainState:
    """How far a run has come.

    Attributes:
        epoch: epochs finished; step: steps taken; step_in_epoch: those in an epoch that was stopped before its end.
        top1, top5, best_top1, best_loss: of the last test, and of the best so far; None before the first.
        losses: mean training loss of each epoch finished.
        checkpoint: the last numbered one.
    """

    epoch: int = 0
    step: int = 0
    step_in_epoch: int = 0
    top1: float | None = None
    top5: float | None = None
    best_top1: float | None = None
    best_loss: float | None = None
    losses: list[float] = dataclasses.field(default_factory=list)
    checkpoint: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As resume.pt holds it, where `step_in_epoch` is called `within`."""
        values = dataclasses.asdict(self)
        return {"within" if name == "step_in_epoch" else name: value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainState":
        """What `as_dict` gave."""
        return cls(**{"step_in_epoch" if name == "within" else name: value for name, value in values.items()})


def fingerprint(config: Config, amp_dtype: str | None) -> str:
    """Every setting that a continuation has to share, as JSON."""
    settings = {key: value for key, value in dataclasses.asdict(config).items() if key not in _FREE_KEYS}
    settings["train_feeder_args"].pop("resident")  # where clips are kept changes nothing
    return json.dumps({**settings, "amp": amp_dtype}, sort_keys=True)


def epoch_state(meter: Meter, context: DistributedContext) -> dict[str, Any]:
    """What goes on within an epoch: the sums of its steps, and where the numbers that dropout draws have come to."""
    device = context.device
    random = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
    return {"meter": meter.sums(), "random": random, "device": device.type}


def restore_epoch(saved: dict[str, Any], meter: Meter, context: DistributedContext) -> None:
    """Takes up what `epoch_state` gave.

    Several processes, or another kind of device, go on with the same sums, but dropout draws other numbers there.
    """
    if context.is_main_process:
        meter.restore(saved["meter"])
    if context.world_size > 1 or saved["device"] != context.device.type:
        return
    if context.device.type == "cuda":
        torch.cuda.set_rng_state(saved["random"], context.device)
    else:
        torch.set_rng_state(saved["random"])


def keep_finished(folder: Path, name: Callable[[TrainState], Path]) -> str:
    """Keeps a stopped run's weights as a numbered checkpoint, unless they are one already.

    Args:
        folder: of the run.
        name: what a checkpoint is called.

    Returns:
        What to say.
    """
    state = load_torch(folder / STATE_FILE)
    reached = TrainState.from_dict(state["at"])
    if reached.step_in_epoch:
        return (
            f"stopped: {reached.step_in_epoch} steps of epoch {reached.epoch + 1} are kept in {folder / STATE_FILE}; "
            "--resume goes on there"
        )
    path = name(reached)
    if not path.exists():
        with atomic_file(path) as part:
            torch.save(state["average"] or state["model"], part)
    return f"stopped: epoch {reached.epoch} is kept as {path}; --resume goes on from there"


def _dotted(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by the names that `--set` takes: train_feeder_args.align."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def read_state(config: Config, amp_dtype: str | None) -> dict[str, Any]:
    """The state that `--resume` continues from.

    Raises:
        ValueError: there is none, it is damaged, or it is of a run with other settings (names them).
    """
    path = Path(config.work_dir) / STATE_FILE
    if not path.is_file():
        raise ValueError(f"{path}: there is nothing to resume from: train without --resume first")
    state = load_torch(path)
    if not isinstance(state, dict) or "settings" not in state:
        raise ValueError(f"{path}: not the state of a run: train without --resume")
    theirs = json.loads(state["settings"])
    # An older version does not know every key.
    usual = json.loads(fingerprint(Config(), None))
    theirs = usual | theirs | {"train_feeder_args": usual["train_feeder_args"] | theirs["train_feeder_args"]}
    theirs, ours = dict(_dotted(theirs)), dict(_dotted(json.loads(fingerprint(config, amp_dtype))))
    differ = [key for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
    if differ:
        key = differ[0]
        raise ValueError(
            f"{path}: was trained with {key} {theirs.get(key)!r}, not {ours.get(key)!r}"
            f"{f' (and {len(differ) - 1} more keys differ)' if len(differ) > 1 else ''}: "
            "resume with the same settings, or train without --resume"
        )
    return state
