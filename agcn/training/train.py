"""Training one stream: the original's schedule, exact resumption, one process or several.

`train` goes from a configuration to its last checkpoint, `_train_epochs` is the loop; `setup` makes ready what it
trains with, which `Run` there describes.
"""

import dataclasses
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from agcn.checkpoint import plain_state
from agcn.data.clips import hash_clips
from agcn.data.loader import Batch, micro_batches
from agcn.device import AMP_DTYPES, autocast
from agcn.evaluate import class_names_of, mean_loss, score_clips, score_note
from agcn.metrics import OUTCOME_FILES, mean_class_accuracy, top5, top_k, write_outcome
from agcn.score_files import BEST_FILE, SCORE_FILE, stale_reason, write_scores
from agcn.settings import Config
from agcn.training.distributed import distributed_context
from agcn.training.interrupt import StopRequest
from agcn.training.loss import cross_entropy, mean_part_weight
from agcn.training.memory import explain_out_of_memory
from agcn.training.meter import Meter
from agcn.training.optimizer import frozen_parameters, learning_rate
from agcn.training.profiler import TRACE_FILE, StepTrace
from agcn.training.resume import STATE_FILE, epoch_state, fingerprint, keep_finished, restore_epoch
from agcn.training.run_folder import check_begins
from agcn.training.setup import Run, set_up_run
from native_prep.io.atomic import OutputSet, atomic_file, check_writable
from native_prep.io.pickles import load_pickle
from native_prep.io.progress import Progress, duration, percent

# Steps between looks at the loss on a GPU: a look waits for the device.
_LOOK_EVERY = 20


def train(
    config: Config,
    *,
    device: str = "auto",
    amp: bool = False,
    amp_dtype: str = "bf16",
    compile: bool | None = None,
    resume: bool = False,
    overwrite: bool = False,
    profile: bool = False,
    work_dir: str | Path | None = None,
) -> dict[str, Any]:
    """Train what `config` describes; under torchrun, together with the other processes.

    Writes WORK_DIR/NAME-EPOCH-STEP.pt every `save_interval` epochs and after the last (EPOCH counts from 0, STEP is
    the number of steps taken), best.pt (of equal accuracy the lower loss) with its scores of the test split,
    epoch1_test_score.pkl, resume.pt, config.yaml, log.txt and TensorBoard curves, and at the end per_class.csv,
    confusion.csv and confusion.png of best.pt. `batch_size` is that of all processes together, and so are the
    statistics of the batch norms. Process 0 alone reads and writes the work folder, so that machines need not share it.

    Args:
        config: see `agcn.config.load_config`.
        device: "auto", "cpu" or "cuda".
        amp: mixed precision of `amp_dtype`.
        amp_dtype: "bf16" or "fp16" (with scaled gradients).
        compile: torch.compile; None means on a GPU only, where Triton is installed.
        resume: continue the run in the work folder from the step where it stopped.
        overwrite: what an earlier run left in the work folder goes; without it, such a folder is refused.
        profile: records some steps into WORK_DIR/profile.json, with PyTorch's profiler.
        work_dir: replaces the configuration's.

    Returns:
        epochs, top1, top5 (None for five classes or fewer), best_top1, checkpoint, clips_per_second, loss, losses,
        stream, device, amp.

    Raises:
        ValueError: settings, data and model that do not fit, nothing to resume from, an earlier run in the work folder,
            a loss that is not a number, another process that has ended.
        MemoryError: too little memory; names what to try.
    """
    if work_dir is not None:
        config = dataclasses.replace(config, work_dir=str(work_dir))
    if config.phase != "train":
        raise ValueError(f"{config.config}: phase is {config.phase}: use the command test, or set phase: train")
    if amp and amp_dtype not in AMP_DTYPES:
        raise ValueError(f"amp dtype {amp_dtype!r} is not known: use bf16 or fp16")
    if resume and overwrite:
        raise ValueError("--resume goes on with a run, --overwrite begins anew: give one of them")
    with distributed_context(device, config.device[0] if config.device else 0) as context:
        context.from_main(lambda: check_writable(config.work_dir))
        if not resume:
            context.from_main(lambda: check_begins(config, overwrite))
        run = set_up_run(config, context, amp_dtype if amp else None, compile, resume)
        tracing = profile and context.is_main_process
        try:
            with (
                explain_out_of_memory(config, context.world_size),
                StepTrace(run.folder / TRACE_FILE, run.log.line) if tracing else nullcontext() as trace,
            ):
                _train_epochs(run, trace)
        except KeyboardInterrupt:
            if context.is_main_process and run.is_kept:
                run.log.line(keep_finished(run.folder, run.checkpoint_path))
            raise
        finally:
            run.log.close()
        return _result(run)


def _train_epochs(run: Run, trace: StepTrace | None) -> None:
    """Epochs from where the run is to the last: each trains on all clips, tests if it is time to, and saves."""
    config, context, state = run.config, run.context, run.state
    begun, start = state.epoch, time.monotonic()
    for epoch in range(begun, config.num_epoch):
        # Dropout draws from here, so a resumed epoch is the same as an uninterrupted one.
        torch.manual_seed(int(np.random.SeedSequence([config.seed, epoch, context.rank, 2]).generate_state(1)[0]))
        run.model.train()
        meter = Meter(context, 1 if context.device.type == "cpu" else _LOOK_EVERY)
        first = state.step_in_epoch  # more than 0 where the epoch was stopped before its end
        if first and run.interrupted is not None:
            restore_epoch(run.interrupted, meter, context)
        frozen = frozen_parameters(config, run.model, epoch)
        batches = run.batches_of(epoch)[first:]
        num_clips, epoch_start = len(batches) * config.batch_size, time.perf_counter()
        what = f"epoch {epoch + 1}/{config.num_epoch}"
        with (
            StopRequest(context.world_size == 1) as stop,
            Progress(num_clips, what, "clip", quiet=not context.is_main_process) as progress,
        ):
            coming = run.train_data.batches(micro_batches(batches, config.accumulate), epoch)
            # As many micro-batches at a time as make a batch.
            for done, parts in enumerate(zip(*[coming] * config.accumulate, strict=True), first):
                context.check_launcher()
                rate = learning_rate(config, epoch + done / run.steps_per_epoch)
                for group in run.optimizer.param_groups:
                    group["lr"] = rate
                if trace is not None:
                    trace.begin_step()
                loss, right = train_step(run, parts, frozen)
                state.step += 1
                if run.ema is not None:
                    run.ema.update(run.model, state.step)
                if meter.add(loss, right, config.batch_size // context.world_size):
                    _check_loss(run, meter.loss)
                    run.log.curve("train", state.step, loss=meter.loss, acc=meter.accuracy, lr=rate)
                progress.update(config.batch_size, f"loss {meter.loss:.4f}, accuracy {meter.accuracy:.1%}")
                if stop.requested:
                    _keep_and_stop(run, done + 1, meter)
        state.step_in_epoch = 0
        if stop.requested:  # after the last step
            _keep_and_stop(run, run.steps_per_epoch, meter)
        mean, accuracy = meter.means()
        _check_loss(run, mean)
        run.seconds += time.perf_counter() - epoch_start
        run.clips_trained += num_clips

        state.epoch = epoch + 1
        state.losses.append(mean)
        is_best, figures = False, ""
        if (epoch + 1) % config.eval_interval == 0 or epoch + 1 == config.num_epoch:
            try:
                is_best, figures = evaluate(run)
            except KeyboardInterrupt:  # the epoch's steps are done, its test is not
                state.epoch = epoch
                state.losses.pop()
                _keep_and_stop(run, run.steps_per_epoch, meter)
        left = config.num_epoch - state.epoch
        seconds = (time.monotonic() - start) / (state.epoch - begun) * left
        run.log.line(
            f"{what}: loss {mean:.4f}, accuracy {percent(accuracy)}{figures}"
            + (f", {duration(seconds)} left" if left else "")
        )
        save(run, is_best)
    if state.epoch > begun and context.is_main_process:
        _write_outcome(run)


def train_step(run: Run, parts: Sequence[Batch], frozen: Sequence[nn.Parameter]) -> tuple[Tensor, Tensor]:
    """One step on a batch in parts; returns the loss and the number of clips that were right, on the device."""
    run.optimizer.zero_grad(set_to_none=True)
    losses, right = [], []
    weights = run.class_weights
    part_weight = None if weights is None else mean_part_weight(weights, [part.labels for part in parts], run.context)
    for part in parts:
        if run.compiles and part.rows is not None:
            part.rows.mark()
        # Processes add their gradients up once, with the last part.
        with nullcontext() if part is parts[-1] else run.context.no_sync(run.network):
            with autocast(run.context.device, run.amp_dtype):
                logits = run.network(part.clips, part.rows)  # (B, num_class)
            loss = cross_entropy(logits.float(), part.labels, run.config.label_smoothing, weights, part_weight)
            run.scaler.scale(loss / len(parts)).backward()
        losses.append(loss.detach())
        right.append((logits.detach().argmax(dim=1) == part.labels).sum())
    # Without a gradient the optimizer leaves a parameter alone, weight decay included.
    for parameter in frozen:
        parameter.grad = None
    run.scaler.step(run.optimizer)
    run.scaler.update()
    return torch.stack(losses).mean(), torch.stack(right).sum()


def _check_loss(run: Run, loss: float) -> None:
    if not np.isfinite(loss):
        state = run.state
        kept = state.checkpoint or (str(run.folder / STATE_FILE) if state.losses else "none yet")
        raise ValueError(
            f"{run.config.config}: the loss is {loss} in epoch {state.epoch + 1}, step {state.step}: lower "
            f"base_lr, or train without --amp (last good checkpoint: {kept})"
        )


def evaluate(run: Run) -> tuple[bool, str]:
    """Tests the model, each process its part; returns whether it is the best so far, and the figures as text."""
    config, context, state, clips = run.config, run.context, run.state, run.test_data.clips
    mine = np.array_split(np.arange(len(clips)), context.world_size)[context.rank]
    part = score_clips(
        run.tested_model, run.test_data, config.test_batch_size, amp_dtype=run.amp_dtype, index=mine,
        views=config.test_windows, quiet=not context.is_main_process,
    )  # fmt: skip
    scores = context.concatenate(part.reshape(len(mine), run.model.num_class))
    loss = mean_loss(scores, clips.labels)
    state.top1, state.top5 = top_k(scores, clips.labels, 1), top5(scores, clips.labels)
    shown = {f"top{k}": top_k(scores, clips.labels, k) for k in config.show_topk if k < scores.shape[1]}
    shown["mean class"] = mean_class_accuracy(scores, clips.labels)
    curves = {} if state.top5 is None else {"top5": state.top5}
    run.log.curve("val", state.step, loss=loss, acc=state.top1, mean_class=shown["mean class"], **curves)
    is_best = state.best_top1 is None or state.top1 > state.best_top1
    if state.top1 == state.best_top1 and state.best_loss is not None:
        is_best = loss < state.best_loss
    if is_best:
        state.best_top1, state.best_loss, run.best_scores = state.top1, loss, scores
    return is_best, f", test loss {loss:.4f}" + "".join(f", {name} {percent(value)}" for name, value in shown.items())


def save(run: Run, is_best: bool) -> None:
    """What an epoch leaves, all of it or nothing: checkpoints, the best one's scores, what a resumption needs."""
    config, state = run.config, run.state
    is_due = state.epoch % config.save_interval == 0 or state.epoch == config.num_epoch
    if is_due:
        state.checkpoint = str(run.checkpoint_path())
    if not run.context.is_main_process:
        return
    with OutputSet() as outputs:
        paths = ([run.checkpoint_path()] if is_due else []) + ([run.folder / BEST_FILE] if is_best else [])
        if paths:
            first, *copies = map(outputs.temporary, paths)
            torch.save(plain_state(run.tested_model), first)
            for copy in copies:  # to the byte: scores of the one are those of the other
                shutil.copyfile(first, copy)
        if is_best:
            _put_scores(run, outputs)
        torch.save(_state_dict(run), outputs.temporary(run.folder / STATE_FILE))
    run.is_kept = True


def _put_scores(run: Run, outputs: OutputSet) -> None:
    """The best checkpoint's scores, in the place of those before and of what was made of them."""
    assert run.best_scores is not None
    clips = run.test_data.clips
    run.data_hash = run.data_hash or hash_clips(clips)
    metadata = score_note(
        run.config, outputs.temporary(run.folder / BEST_FILE), BEST_FILE, clips, run.data_hash, run.amp_dtype
    )
    write_scores(outputs, run.folder / SCORE_FILE, zip(clips.names, run.best_scores, strict=True), metadata)
    outputs.to_remove += [path for name in OUTCOME_FILES if (path := run.folder / name).is_file()]


def _write_outcome(run: Run) -> None:
    """What the best checkpoint's test found, class by class."""
    clips, path, scores = run.test_data.clips, run.folder / SCORE_FILE, run.best_scores
    if scores is None and path.is_file() and not stale_reason(path):  # found before the run was resumed
        kept = load_pickle(path)
        scores = np.stack([kept[name] for name in clips.names]) if kept.keys() == set(clips.names) else None
    if scores is not None:
        write_outcome(run.folder, scores, clips.labels, class_names_of(run.model, clips))


def _state_dict(run: Run) -> dict[str, Any]:
    """All that a resumption needs, of a whole epoch."""
    return {
        "model": run.model.state_dict(),
        "average": None if run.ema is None else run.ema.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scaler": run.scaler.state_dict(),
        "at": run.state.as_dict(),
        "settings": fingerprint(run.config, run.amp_asked),
    }


def _keep_and_stop(run: Run, done: int, meter: Meter) -> NoReturn:
    """Keeps the first `done` steps of an epoch, where one process made them, and ends the run."""
    if run.context.world_size == 1:
        _check_loss(run, meter.means()[0])
        run.state.step_in_epoch = done
        with atomic_file(run.folder / STATE_FILE) as part:
            torch.save({**_state_dict(run), "within": epoch_state(meter, run.context)}, part)
        run.is_kept = True
    raise KeyboardInterrupt


def _result(run: Run) -> dict[str, Any]:
    """The numbers of the JSON line."""
    state = run.state
    return {
        "epochs": state.epoch, "top1": state.top1, "top5": state.top5, "best_top1": state.best_top1,
        "checkpoint": state.checkpoint,
        "clips_per_second": round(run.clips_trained / run.seconds, 2) if run.seconds else 0.0,
        "loss": state.losses[-1] if state.losses else None,
        "losses": state.losses,
        "stream": run.config.stream,
        "device": str(run.context.device),
        "amp": run.amp_dtype,
    }  # fmt: skip
