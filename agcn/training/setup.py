"""What a training run consists of, made ready: model, data, optimizer, log, and the state that it goes on from."""

import dataclasses
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agcn.checkpoint import load_weights
from agcn.config import RUN_CONFIG, to_yaml
from agcn.data.clips import open_clips
from agcn.data.loader import BatchIndices, BatchLoader, check_batch, training_batches
from agcn.device import has_half
from agcn.evaluate import open_test_clips
from agcn.model.absent_bodies import BodyRows
from agcn.model.fused_graph_conv import missing_for_kernels
from agcn.model.network import Model, build_model
from agcn.settings import Config
from agcn.training.distributed import DistributedContext
from agcn.training.loss import class_weights
from agcn.training.memory import keep_freed_memory
from agcn.training.optimizer import ModelEma, make_optimizer
from agcn.training.resume import TrainState, read_state
from agcn.training.run_folder import remove_leftovers
from agcn.training.run_log import RunLog
from native_prep.io.atomic import atomic_file
from native_prep.io.hashes import hash_value


@dataclasses.dataclass
class Run:
    """One training run.

    Attributes:
        config, context: what is trained, and this process's place among those that train it.
        folder: the work folder.
        model: the network; network: the same, distributed and compiled where that was asked for; ema: its average.
        train_data, test_data: batches of both splits.
        optimizer, scaler: the scaler is active in fp16 alone.
        state: how far it has come; steps_per_epoch: of all processes together.
        amp_asked, amp_dtype: the precision that was asked for, and the one that is used; None for float32.
        compiles: whether `network` is compiled.
        log: lines and curves.
        is_kept: whether what lies in the folder to resume from is of this run.
        interrupted: of an epoch that was stopped before its end, its sums and random numbers.
        best_scores: of the best checkpoint that this process has found; data_hash: of the test clips.
        clips_trained, seconds: for the rate.
        class_weights: of the loss, (num_class,) on the device; None where classes count the same.
    """

    config: Config
    context: DistributedContext
    folder: Path
    model: Model
    network: Callable[[Tensor, BodyRows | None], Tensor]
    ema: ModelEma | None
    train_data: BatchLoader
    test_data: BatchLoader
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    state: TrainState
    steps_per_epoch: int
    amp_asked: str | None
    amp_dtype: str | None
    compiles: bool
    log: RunLog
    is_kept: bool
    interrupted: dict[str, Any] | None = None
    best_scores: np.ndarray | None = None
    data_hash: str = ""
    clips_trained: int = 0
    seconds: float = 0.0
    class_weights: Tensor | None = None

    @property
    def tested_model(self) -> Model:
        """What is tested and saved: the average of the weights where there is one."""
        return self.model if self.ema is None else self.ema.model

    def batches_of(self, epoch: int) -> list[BatchIndices]:
        """This process's batches of an epoch."""
        return epoch_batches(self.config, self.context, self.train_data, epoch)

    def checkpoint_path(self, state: TrainState | None = None) -> Path:
        """NAME-EPOCH-STEP.pt, the epoch counted from 0."""
        state = state or self.state
        return self.folder / f"{self.config.name}-{state.epoch - 1}-{state.step}.pt"


def set_up_run(
    config: Config, context: DistributedContext, amp_dtype: str | None, compile: bool | None, resume: bool
) -> Run:
    """Builds or restores all that `train` needs; see there for the arguments.

    Raises:
        ValueError: settings, data and model that do not fit, nothing to resume from.
    """
    saved = context.from_main(lambda: read_state(config, amp_dtype)) if resume else None
    model, train_data, test_data = context.together(lambda: _open_model_and_data(config, context, saved is None))
    _check_same_clips(context, train_data, test_data)
    weights = context.together(lambda: class_weights(config, train_data.clips, model.num_class))
    steps = len(epoch_batches(config, context, train_data, 0))
    used = amp_dtype if amp_dtype and has_half(context.device, amp_dtype) else None
    if config.fused_graph_conv and used is not None and not missing_for_kernels(context.device, model.num_point):
        model.fuse_graph_conv()
    ema = ModelEma(model, config.ema) if config.ema else None
    network: Callable[[Tensor, BodyRows | None], Tensor] = context.wrap(model)
    optimizer = make_optimizer(config, model)
    scaler = torch.amp.GradScaler(context.device.type, enabled=used == "fp16")
    state = TrainState(epoch=config.start_epoch, step=config.start_epoch * steps)
    if saved is not None:
        model.load_state_dict(saved["model"])
        if ema is not None:
            ema.model.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        if saved["scaler"] and scaler.is_enabled():  # where the run began there may have been no fp16
            scaler.load_state_dict(saved["scaler"])
        state = TrainState.from_dict(saved["at"])
    # Not of several processes by default: the sums over them within batch norms break the graph. Triton writes the
    # kernels of GPUs; PyTorch for Windows comes without it.
    pays = context.device.type == "cuda" and context.world_size == 1 and find_spec("triton") is not None
    compiles = pays if compile is None else compile
    if compiles:
        network = torch.compile(network)
    removed = remove_leftovers(config) if context.is_main_process and not resume else ""
    folder = Path(config.work_dir)
    log = RunLog(folder, context.is_main_process, config.print_log, state.step)
    if context.device.type == "cpu":
        keep_freed_memory()
    run = Run(
        config, context, folder, model, network, ema, train_data, test_data, optimizer, scaler, state, steps,
        amp_dtype, used, compiles, log, is_kept=saved is not None, interrupted=(saved or {}).get("within"),
        class_weights=None if weights is None else weights.to(context.device),
    )  # fmt: skip
    if context.is_main_process:
        with atomic_file(folder / RUN_CONFIG) as part:
            part.write_text(to_yaml(config), encoding="utf-8")
        _announce(run, resume, removed)
    return run


def _open_model_and_data(
    config: Config, context: DistributedContext, begins: bool
) -> tuple[Model, BatchLoader, BatchLoader]:
    """The model, with the weights that it begins with, on its device, and the batches of both splits."""
    torch.manual_seed(config.seed)
    model = build_model(config.model, config.model_args)
    train_clips = open_clips(config.train_feeder_args, "train_feeder_args")
    check_batch(train_clips, config.batch_size, context.world_size, config.accumulate)
    test_clips = open_test_clips(config)
    train_clips.check(model)
    test_clips.check(model)
    shared = (model.layout, context.device, config.seed, config.share_absent)
    train_data = BatchLoader(train_clips, config.train_feeder_args, *shared)
    test_data = BatchLoader(test_clips, config.test_feeder_args, *shared)
    if begins and config.weights:
        load_weights(model, config.weights, config.ignore_weights)
    return model.to(context.device), train_data, test_data


def _check_same_clips(context: DistributedContext, *loaders: BatchLoader) -> None:
    """Raises ValueError where machines have other data than the first: each would train on clips of its own."""
    if context.world_size == 1:
        return
    hashes = context.gather([hash_value([one.clips.names, one.clips.labels.tolist()]) for one in loaders])

    def compare() -> None:
        for rank, theirs in enumerate(hashes):
            for loader, first, other in zip(loaders, hashes[0], theirs, strict=True):
                if first != other:
                    raise ValueError(
                        f"{loader.clips.path}: process {rank} has other clips there than process 0: copy the same data "
                        "to all machines"
                    )

    context.from_main(compare)


def epoch_batches(
    config: Config, context: DistributedContext, train_data: BatchLoader, epoch: int
) -> list[BatchIndices]:
    """A process's batches of an epoch."""
    return training_batches(
        len(train_data.clips), config.batch_size, config.seed, epoch, context.rank, context.world_size,
        config.train_feeder_args.repeat,
    )  # fmt: skip


def _announce(run: Run, resume: bool, removed: str) -> None:
    config, context, log = run.config, run.context, run.log
    processes = f"{context.world_size} process" + ("es" if context.world_size > 1 else "")
    if removed:
        log.line(removed)
    named, classes = len(np.unique(run.train_data.clips.labels)), run.model.num_class
    if named < classes:
        log.line(f"the labels name {named} of the model's {classes} classes: is num_class meant so?")
    log.line(
        f"{'resuming' if resume else 'training'} {config.name}: {config.stream}, {len(run.train_data.clips)} clips, "
        f"{run.steps_per_epoch} steps an epoch, epochs {run.state.epoch + 1} to {config.num_epoch}, "
        f"{run.amp_dtype or 'fp32'} on {context.device}, {processes}"
    )
    if run.class_weights is not None:
        log.line(f"class weights from {run.class_weights.min():.3g} to {run.class_weights.max():.3g}")
    if config.fused_graph_conv and not run.model.fused:
        missing = missing_for_kernels(context.device, run.model.num_point) or "--amp in half precision"
        log.line(f"fused_graph_conv: needs {missing}: training without it")
    if run.amp_asked and run.amp_dtype is None:
        log.line(f"--amp: this device has no {run.amp_asked} instructions and would only emulate them: using fp32")
    if len(config.device) > 1 and context.world_size == 1:
        log.line(f"the config names {len(config.device)} GPUs, this process uses one: use torchrun for more")
