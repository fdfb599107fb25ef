"""One training run, from where it is to its last epoch."""

import dataclasses
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from agcn.checkpoint import load_weights, plain_state
from agcn.config import to_yaml
from agcn.data.clips import hash_clips, open_clips
from agcn.data.loader import Batch, Chunk, Feed, check_batch, in_parts, training_chunks
from agcn.device import autocast, has_half
from agcn.evaluate import mean_loss, names_of, open_test_clips, score_clips, score_note
from agcn.metrics import FILES as OUTCOME
from agcn.metrics import top5, top_k, write_outcome
from agcn.model.absent_bodies import Rows
from agcn.model.network import Model, build_model
from agcn.score_files import BEST, SCORE_FILE, put_scores, stale_reason
from agcn.settings import Config
from agcn.training.distributed import World
from agcn.training.interrupt import Stop
from agcn.training.memory import advising, keep_freed_memory
from agcn.training.meter import Meter
from agcn.training.optimizer import Average, held_back, learning_rate, make_optimizer
from agcn.training.profiler import StepTrace
from agcn.training.resume import FILE, Progressed, fingerprint, go_on_within, keep_finished, read_state, within_epoch
from agcn.training.run_folder import remove_leftovers
from agcn.training.run_log import RunLog
from native_prep.io.atomic import OutputSet, whole_file
from native_prep.io.pickles import load_pickle
from native_prep.io.progress import Progress, duration, percent

# Steps between looks at the loss on a GPU: a look waits for the device.
_LOOK_EVERY = 20


class Run:
    """A training run: its model, data, optimiser and how far it has come."""

    def __init__(self, config: Config, world: World, amp_dtype: str | None, compile: bool | None, resume: bool) -> None:
        self.config, self.world, self.amp_asked = config, world, amp_dtype
        self.amp_dtype = amp_dtype if amp_dtype and has_half(world.device, amp_dtype) else None
        self.folder = Path(config.work_dir)
        state = read_state(config, amp_dtype) if resume else None
        torch.manual_seed(config.seed)
        self.model = build_model(config.model, config.model_args)
        self.train_feed, self.test_feed = self._open_feeds(self.model)
        self.steps = len(self._chunks(0))
        self.at = Progressed(epoch=config.start_epoch, step=config.start_epoch * self.steps)
        self._left_off: dict[str, Any] | None = None
        # Whether what lies in the folder to resume from is of this run.
        self._kept = state is not None
        if state is None and config.weights:
            load_weights(self.model, config.weights, config.ignore_weights)
        self.model.to(world.device)
        self.average = Average(self.model, config.ema) if config.ema else None
        self.network: Callable[[Tensor, Rows | None], Tensor] = world.wrap(self.model)
        self.optimizer = make_optimizer(config, self.model)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=self.amp_dtype == "fp16")
        if state is not None:
            self._restore(state)
        # Not of several processes by default: the sums over them within batch norms break the graph.
        self.compiles = world.device.type == "cuda" and world.size == 1 if compile is None else compile
        if self.compiles:
            self.network = torch.compile(self.network)
        gone = remove_leftovers(config) if world.leads and not resume else ""
        self.log = RunLog(self.folder, world.leads, config.print_log, self.at.step)
        self.clips_trained, self.seconds = 0, 0.0
        self.trace: StepTrace | None = None
        if world.device.type == "cpu":
            keep_freed_memory()
        # The scores of the best checkpoint that this process has found, and what its test clips are.
        self._best: np.ndarray | None = None
        self._data_hash = ""
        self._announce(resume, gone)

    def _open_feeds(self, model: Model) -> tuple[Feed, Feed]:
        config, world = self.config, self.world
        clips = open_clips(config.train_feeder_args, "train_feeder_args")
        check_batch(clips, config.batch_size, world.size, config.accumulate)
        tested = open_test_clips(config)
        clips.check(model)
        tested.check(model)
        where = (model.layout, world.device, config.seed, config.share_absent)
        return (
            Feed(clips, config.train_feeder_args, *where),
            Feed(tested, config.test_feeder_args, *where),
        )

    def _chunks(self, epoch: int) -> list[Chunk]:
        """This process's batches of an epoch."""
        config, world = self.config, self.world
        return training_chunks(
            len(self.train_feed.clips), config.batch_size, config.seed, epoch, world.rank, world.size,
            config.train_feeder_args.repeat,
        )  # fmt: skip

    def _announce(self, resume: bool, gone: str) -> None:
        if not self.world.leads:
            return
        config = self.config
        with whole_file(self.folder / "config.yaml") as part:
            part.write_text(to_yaml(config), encoding="utf-8")
        if gone:
            self.log.line(gone)
        named, classes = len(np.unique(self.train_feed.clips.labels)), self.model.num_class
        if named < classes:
            self.log.line(f"the labels name {named} of the model's {classes} classes: is num_class meant so?")
        clips, size = len(self.train_feed.clips), self.world.size
        self.log.line(
            f"{'resuming' if resume else 'training'} {config.name}: {config.stream}, {clips} clips, {self.steps} steps "
            f"an epoch, epochs {self.at.epoch + 1} to {config.num_epoch}, {self.amp_dtype or 'fp32'} on "
            f"{self.world.device}, {size} process{'es' if size > 1 else ''}"
        )
        if self.amp_asked and self.amp_dtype is None:
            self.log.line(
                f"--amp: this device has no {self.amp_asked} instructions and would only emulate them: using fp32"
            )
        if len(config.device) > 1 and self.world.size == 1:
            self.log.line(f"the config names {len(config.device)} GPUs, this process uses one: use torchrun for more")

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.model.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"] and self.scaler.is_enabled():  # where the run began there may have been no fp16
            self.scaler.load_state_dict(state["scaler"])
        self.at = Progressed(**state["at"])
        self._left_off = state.get("within")

    def go(self) -> None:
        """Epochs from where the run is to the last; what was done until an interruption is kept."""
        try:
            self._train()
        except KeyboardInterrupt:
            if self.world.leads and self._kept:
                self.log.line(keep_finished(self.folder, self._numbered))
            raise

    def _train(self) -> None:
        config, begun, start = self.config, self.at.epoch, time.monotonic()
        with advising(config, self.world.size):
            while self.at.epoch < config.num_epoch:
                epoch = self.at.epoch
                meter = self.train_epoch(epoch)
                loss, accuracy = meter.whole()
                self.at.epoch = epoch + 1
                self.at.losses.append(loss)
                told = f"epoch {epoch + 1}/{config.num_epoch}: loss {loss:.4f}, accuracy {percent(accuracy)}"
                try:
                    best, found = self.evaluate() if self._is_tested(epoch) else (False, "")
                except KeyboardInterrupt:
                    # The epoch's steps are done, its test is not.
                    self.at.epoch = epoch
                    self.at.losses.pop()
                    self._pause(self.steps, meter)
                left = config.num_epoch - self.at.epoch
                seconds = (time.monotonic() - start) / (self.at.epoch - begun) * left
                self.log.line(f"{told}{found}" + (f", {duration(seconds)} left" if left else ""))
                self.save(epoch, best)
            if self.at.epoch > begun and self.world.leads:
                self._write_outcome()

    def _is_tested(self, epoch: int) -> bool:
        return (epoch + 1) % self.config.eval_interval == 0 or epoch + 1 == self.config.num_epoch

    def train_epoch(self, epoch: int) -> Meter:
        """One pass over the data; returns what adds up its losses and right answers."""
        config, world = self.config, self.world
        # Dropout draws from here, so a resumed epoch is the same as an uninterrupted one.
        torch.manual_seed(int(np.random.SeedSequence([config.seed, epoch, world.rank, 2]).generate_state(1)[0]))
        held = held_back(config, self.model, epoch)
        chunks, before = self._chunks(epoch), self.at.within
        self.model.train()
        meter = Meter(world, 1 if world.device.type == "cpu" else _LOOK_EVERY)
        if before and self._left_off is not None:
            go_on_within(self._left_off, meter, world)
        start = time.perf_counter()
        what, clips = f"epoch {epoch + 1}/{config.num_epoch}", (len(chunks) - before) * config.batch_size
        with Stop(world.size == 1) as stop, Progress(clips, what, "clip", quiet=not world.leads) as progress:
            coming = self.train_feed.batches(in_parts(chunks[before:], config.accumulate), epoch)
            for done, parts in enumerate(zip(*[coming] * config.accumulate, strict=True), before):
                rate = learning_rate(config, epoch + done / len(chunks))
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                if self.trace is not None:
                    self.trace.begin_step()
                loss, right = self.train_step(parts, held)
                self.at.step += 1
                if self.average is not None:
                    self.average.update(self.model, self.at.step)
                if meter.add(loss, right, config.batch_size // world.size):
                    self._check(meter.loss)
                    self.log.curve("train", self.at.step, loss=meter.loss, acc=meter.accuracy, lr=rate)
                progress.update(config.batch_size, f"loss {meter.loss:.4f}, accuracy {meter.accuracy:.1%}")
                if stop.asked:
                    self._pause(done + 1, meter)
        self.at.within = 0
        if stop.asked:
            self._pause(len(chunks), meter)
        self._check(meter.whole()[0])
        self.seconds += time.perf_counter() - start
        self.clips_trained += clips
        return meter

    def train_step(self, parts: Sequence[Batch], held: list[nn.Parameter]) -> tuple[Tensor, Tensor]:
        """One step on a batch in parts; returns the loss and the number of clips that were right, on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        found = []
        for part in parts:
            # Processes add their gradients up once, with the last part.
            with nullcontext() if part is parts[-1] else self.world.no_sync(self.network):
                found.append(self._differentiate(part, len(parts)))
        # Without a gradient the optimiser leaves a parameter alone, weight decay included.
        for parameter in held:
            parameter.grad = None
        self.scaler.step(self.optimizer)
        self.scaler.update()
        losses, right = zip(*found, strict=True)
        return torch.stack(losses).mean(), torch.stack(right).sum()

    def _differentiate(self, batch: Batch, parts: int) -> tuple[Tensor, Tensor]:
        if self.compiles and batch.rows is not None:
            batch.rows.mark()
        with autocast(self.world.device, self.amp_dtype):
            logits = self.network(batch.clips, batch.rows)  # (B, num_class)
        loss = nn.functional.cross_entropy(logits.float(), batch.labels, label_smoothing=self.config.label_smoothing)
        self.scaler.scale(loss / parts).backward()
        return loss.detach(), (logits.detach().argmax(dim=1) == batch.labels).sum()

    def _check(self, loss: float) -> None:
        if not np.isfinite(loss):
            kept = self.at.checkpoint or (str(self.folder / FILE) if self.at.losses else "none yet")
            raise ValueError(
                f"{self.config.config}: the loss is {loss} in epoch {self.at.epoch + 1}, step {self.at.step}: lower "
                f"base_lr, or train without --amp (last good checkpoint: {kept})"
            )

    @property
    def tested(self) -> Model:
        """What is tested and saved: the average of the weights where there is one."""
        return self.model if self.average is None else self.average.model

    def evaluate(self) -> tuple[bool, str]:
        """Tests the model, each process its part; returns whether it is the best so far, and the figures as text."""
        clips = self.test_feed.clips
        mine = np.array_split(np.arange(len(clips)), self.world.size)[self.world.rank]
        part = score_clips(
            self.tested, self.test_feed, self.config.test_batch_size, amp_dtype=self.amp_dtype, index=mine,
            windows=self.config.test_windows, quiet=not self.world.leads,
        )  # fmt: skip
        scores = self.world.join(part.reshape(len(mine), self.model.num_class))
        loss, at = mean_loss(scores, clips.labels), self.at
        at.top1, at.top5 = top_k(scores, clips.labels, 1), top5(scores, clips.labels)
        shown = {f"top{k}": top_k(scores, clips.labels, k) for k in self.config.show_topk if k < scores.shape[1]}
        self.log.curve("val", at.step, loss=loss, acc=at.top1, **({} if at.top5 is None else {"top5": at.top5}))
        told = f", test loss {loss:.4f}" + "".join(f", {name} {percent(value)}" for name, value in shown.items())
        best = at.best_top1 is None or at.top1 > at.best_top1
        if at.top1 == at.best_top1 and at.best_loss is not None:
            best = loss < at.best_loss
        if best:
            at.best_top1, at.best_loss, self._best = at.top1, loss, scores
        return best, told

    def save(self, epoch: int, best: bool) -> None:
        """What this epoch leaves behind, all of it or nothing."""
        due = (epoch + 1) % self.config.save_interval == 0 or epoch + 1 == self.config.num_epoch
        if due:
            self.at.checkpoint = str(self._numbered())
        if not self.world.leads:
            return
        with OutputSet() as outputs:
            paths = [self._numbered()] * due + [self.folder / BEST] * best
            if paths:
                first, *copies = map(outputs.part, paths)
                torch.save(plain_state(self.tested), first)
                for copy in copies:  # to the byte: scores of the one are those of the other
                    shutil.copyfile(first, copy)
            if best:
                self._put_scores(outputs)
            torch.save(self._state(), outputs.part(self.folder / FILE))
        self._kept = True

    def _put_scores(self, outputs: OutputSet) -> None:
        """The best checkpoint's scores, in the place of those before and of what was made of them."""
        assert self._best is not None
        clips, best = self.test_feed.clips, self.folder / BEST
        self._data_hash = self._data_hash or hash_clips(clips)
        about = score_note(self.config, outputs.part(best), BEST, clips, self._data_hash, self.amp_dtype)
        put_scores(outputs, self.folder / SCORE_FILE, dict(zip(clips.names, self._best, strict=True)), about)
        outputs.replaced += [path for name in OUTCOME if (path := self.folder / name).is_file()]

    def _write_outcome(self) -> None:
        """What the best checkpoint's test found, class by class."""
        clips, path = self.test_feed.clips, self.folder / SCORE_FILE
        scores = self._best
        if scores is None and path.is_file() and not stale_reason(path):  # found before the run was resumed
            kept = load_pickle(path)
            scores = np.stack([kept[name] for name in clips.names]) if kept.keys() == set(clips.names) else None
        if scores is not None:
            write_outcome(self.folder, scores, clips.labels, names_of(self.model, clips))

    def _state(self) -> dict[str, Any]:
        """All that goes on: of a whole epoch."""
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "at": dataclasses.asdict(self.at),
            "settings": fingerprint(self.config, self.amp_asked),
        }

    def _pause(self, done: int, meter: Meter) -> NoReturn:
        """Keeps the first `done` steps of an epoch, where one process made them, and ends the run."""
        if self.world.size == 1:
            self._check(meter.whole()[0])
            self.at.within = done
            with whole_file(self.folder / FILE) as part:
                torch.save({**self._state(), "within": within_epoch(meter, self.world)}, part)
            self._kept = True
        raise KeyboardInterrupt

    def _numbered(self, at: Progressed | None = None) -> Path:
        at = at or self.at
        return self.folder / f"{self.config.name}-{at.epoch - 1}-{at.step}.pt"

    def result(self) -> dict[str, Any]:
        """The numbers of the JSON line."""
        at = self.at
        return {
            "epochs": at.epoch, "top1": at.top1, "top5": at.top5, "best_top1": at.best_top1,
            "checkpoint": at.checkpoint,
            "clips_per_second": round(self.clips_trained / self.seconds, 2) if self.seconds else 0.0,
            "loss": at.losses[-1] if at.losses else None,
            "losses": at.losses,
            "stream": self.config.stream,
            "device": str(self.world.device),
            "amp": self.amp_dtype,
        }  # fmt: skip
