"""Training and testing on small made clips: schedule, checkpoints, resumption, several processes, what is wrong."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agcn import device, evaluate
from agcn import metrics as outcome
from agcn.config import Config, FeederArgs, load_config
from agcn.data.loader import BatchIndices, BatchLoader, micro_batches
from agcn.device import autocast, has_half, pick_device
from agcn.metrics import top_k
from agcn.model.network import build_model
from agcn.score_files import SCORE_FILE
from agcn.training import train as training
from agcn.training.distributed import DistributedContext
from agcn.training.interrupt import StopRequest
from agcn.training.optimizer import ModelEma, frozen_parameters, learning_rate, make_optimizer
from agcn.training.profiler import StepTrace
from agcn.training.setup import set_up_run
from agcn.training.train import train
from native_prep.io.pickles import load_pickle, save_pickle

ROOT = Path(__file__).resolve().parents[2]
MODEL = {"num_class": 3, "num_point": 4, "num_person": 1, "graph": "mine", "graph_args": {"edges": [[1, 0], [3, 1]]}}


def write_clips(folder: Path, part: str, clips: int) -> FeederArgs:
    """Clips whose class shows in where they are."""
    rng = np.random.default_rng(clips)
    labels = [int(label) for label in rng.integers(0, 3, clips)]
    data = rng.standard_normal((clips, 3, 16, 4, 1)).astype(np.float32)
    data += np.asarray(labels, np.float32)[:, None, None, None, None]
    np.save(folder / f"{part}_data_joint.npy", data)
    save_pickle(folder / f"{part}_label.pkl", ([f"{part}{i}.json" for i in range(clips)], labels))
    return FeederArgs(str(folder / f"{part}_data_joint.npy"), str(folder / f"{part}_label.pkl"))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        work_dir=str(tmp_path / "work"),
        model_saved_name="./runs/tiny",
        config="tiny.yaml",
        train_feeder_args=replace(write_clips(tmp_path, "train", 18), random_shift=True),
        test_feeder_args=write_clips(tmp_path, "val", 7),
        model_args={**MODEL, "drop_out": 0.2},
        batch_size=4,
        test_batch_size=4,
        num_epoch=2,
        base_lr=0.0002,
        nesterov=True,
        save_interval=1,
    )


def weights(path: str | Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)


def stop_after(save, multiplicity: int):
    calls = []

    def saves(self, *args):
        save(self, *args)
        calls.append(1)
        if len(calls) == multiplicity:
            raise KeyboardInterrupt

    return saves


def equal(one: str | Path, other: str | Path) -> bool:
    theirs = weights(other)
    return all(torch.equal(value, theirs[name]) for name, value in weights(one).items())


def test_schedule() -> None:
    config = Config(base_lr=0.1, warm_up_epoch=5, step=(30, 40))
    rates = [learning_rate(config, epoch) for epoch in (0, 4, 5, 29, 30, 39, 40, 49)]
    assert rates == pytest.approx([0.02, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_cosine_schedule() -> None:
    config = Config(base_lr=0.2, warm_up_epoch=2, num_epoch=10, schedule="cosine")
    rates = [learning_rate(config, at) for at in (0.0, 0.5, 2.0, 6.0, 8.0, 10.0)]
    assert rates == pytest.approx([0.0, 0.05, 0.2, 0.1, 0.1 * (1 - 2**-0.5), 0.0])


def test_a_batch_in_parts(config: Config, tmp_path: Path) -> None:
    # No batch norm tells the parts apart here, so they add up to the whole.
    whole, parted = (
        set_up_run(replace(config, accumulate=parts), DistributedContext(torch.device("cpu")), None, False, False)
        for parts in (1, 2)
    )
    parted.model.load_state_dict(whole.model.state_dict())
    moved = []
    for one in (whole, parted):
        one.model.eval()
        chunks = micro_batches(one.batches_of(0)[:1], one.config.accumulate)
        training.train_step(one, list(one.train_data.batches(chunks)), [])
        moved.append(one.model.fc.weight.detach())
        one.log.close()
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-5, atol=1e-7)
    assert train(replace(config, accumulate=2, num_epoch=1), device="cpu")["epochs"] == 1
    with pytest.raises(ValueError, match=r"batch_size 4 does not divide among 1 processes and 3 parts.*multiple of 3"):
        train(replace(config, accumulate=3), device="cpu", overwrite=True)


@pytest.mark.parametrize(
    ("error", "batch_size", "parts", "text"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory."),
            4,
            1,
            "set batch_size to 2, or keep it and set accumulate to 2",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            12,
            2,
            "in 2 parts: set batch_size to 6",
        ),
        (MemoryError(), 4, 4, "set a smaller window_size"),
    ],
)
def test_too_little_memory_names_what_to_try(
    config: Config, monkeypatch, error: Exception, batch_size: int, parts: int, text: str
) -> None:
    def breaks(self, parts, held):
        raise error

    monkeypatch.setattr(training, "train_step", breaks)
    with pytest.raises(MemoryError, match=f"tiny.yaml: out of memory with batch_size {batch_size}.*{text}"):
        train(replace(config, batch_size=batch_size, accumulate=parts), device="cpu")


def test_other_errors_stay_as_they_are(config: Config, monkeypatch) -> None:
    def breaks(self, parts, held):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(training, "train_step", breaks)
    with pytest.raises(RuntimeError, match="mat1"):
        train(config, device="cpu")


def test_profile(config: Config) -> None:
    train(config, device="cpu", profile=True)
    events = json.loads(Path(config.work_dir, "profile.json").read_text())["traceEvents"]
    assert any("convolution_backward" in event.get("name", "") for event in events)


@pytest.mark.parametrize("steps", [0, 3, 4])
def test_profile_of_few_steps(tmp_path: Path, steps: int) -> None:
    lines: list[str] = []
    with StepTrace(tmp_path / "profile.json", lines.append) as trace:
        for _ in range(steps):
            trace.begin_step()
    assert (tmp_path / "profile.json").exists() == (steps > 3)
    assert lines == ([] if steps > 3 else [
        f"no profile.json: the first 3 steps are not recorded, there were {steps}: train longer"
    ])  # fmt: skip


def test_outcome(tmp_path: Path) -> None:
    scores = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]]
    labels = np.array([0, 1, 1, 1])
    assert outcome.confusion_of(scores, labels).tolist() == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    outcome.write_outcome(tmp_path, scores, labels, ["sit", "stand", "wave"])
    assert (tmp_path / "confusion.csv").read_text().splitlines()[2] == "stand,1,2,0"
    assert (tmp_path / "per_class.csv").read_text().splitlines()[1:] == [
        "0,sit,1,1,1.0000",
        "1,stand,3,2,0.6667",
        "2,wave,0,0,",
    ]
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_averaged_weights(config: Config, tmp_path: Path) -> None:
    averaged = replace(config, ema=0.5, label_smoothing=0.1, schedule="cosine", test_windows=2)
    straight = train(averaged, device="cpu")
    parted = replace(averaged, work_dir=str(tmp_path / "parted"))
    # The cosine knows the length of the run, so it is stopped, not shortened.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "save", stop_after(training.save, 1))
        with pytest.raises(KeyboardInterrupt):
            train(parted, device="cpu")
    assert equal(train(parted, device="cpu", resume=True)["checkpoint"], straight["checkpoint"])
    state = torch.load(tmp_path / "parted" / "resume.pt", weights_only=True)
    saved = weights(straight["checkpoint"])
    assert torch.equal(saved["fc.weight"], state["average"]["fc.weight"])
    assert not torch.equal(saved["fc.weight"], state["model"]["fc.weight"])
    assert evaluate.test(averaged, straight["checkpoint"], device="cpu")["top1"] == straight["top1"]


def test_an_average_moves_by_its_decay() -> None:
    model = build_model("agcn", MODEL)
    average = ModelEma(model, 0.5)
    before = model.fc.weight.detach().clone()
    with torch.no_grad():
        model.fc.weight.add_(1.0)
    average.update(model, step=1000)
    torch.testing.assert_close(average.model.fc.weight, before + 0.5)
    average.update(model, step=0)  # worth a tenth so early
    torch.testing.assert_close(average.model.fc.weight, before + 0.95)


def test_windows_are_averaged(config: Config) -> None:
    drawn = replace(config, test_feeder_args=replace(config.test_feeder_args, sample="uniform", window_size=8))
    model = build_model("agcn", MODEL).train()
    feed = BatchLoader(evaluate.open_test_clips(drawn), drawn.test_feeder_args, model.layout, torch.device("cpu"))
    mean = evaluate.score_clips(model, feed, 4, windows=2, quiet=True)
    with torch.inference_mode():
        apart = [model(next(feed.batches([BatchIndices(0, np.arange(7))], epoch)).clips).numpy() for epoch in (None, 1)]
    np.testing.assert_array_equal(evaluate.score_clips(model, feed, 7, quiet=True), apart[0])
    assert not np.allclose(*apart)
    np.testing.assert_allclose(mean, (apart[0] + apart[1]) / 2, rtol=1e-4, atol=1e-5)
    # A process that tests only the last clips draws for them what one that tests all does.
    last = evaluate.score_clips(model, feed, 4, index=np.arange(4, 7), windows=2, quiet=True)
    np.testing.assert_allclose(last, mean[4:], rtol=1e-4, atol=1e-5)


def test_learned_graphs_wait() -> None:
    model = build_model("agcn", MODEL)
    config = Config(only_train_part=True, only_train_epoch=5)
    assert len(frozen_parameters(config, model, 5)) == 10 and frozen_parameters(config, model, 6) == []
    assert frozen_parameters(Config(only_train_epoch=5), model, 0) == []


def test_optimizers() -> None:
    model = build_model("agcn", MODEL)
    sgd = make_optimizer(Config(nesterov=True, weight_decay=1e-4), model).param_groups[0]
    assert (sgd["momentum"], sgd["nesterov"], sgd["weight_decay"]) == (0.9, True, 1e-4)
    assert isinstance(make_optimizer(Config(optimizer="Adam"), model), torch.optim.Adam)


def test_a_whole_run(config: Config) -> None:
    result = train(config, device="cpu")
    work = Path(config.work_dir)
    assert result["epochs"] == 2 and result["checkpoint"] == str(work / "tiny-1-8.pt")
    assert result["loss"] == result["losses"][-1] and len(result["losses"]) == 2
    assert result["losses"][1] < result["losses"][0]
    assert result["best_top1"] >= result["top1"] and result["top5"] is None  # of three classes
    assert result["clips_per_second"] > 0 and result["stream"] == "joint"
    names = {path.name for path in work.iterdir()}
    kept = {"tiny-0-4.pt", "tiny-1-8.pt", "best.pt", "resume.pt", "config.yaml", "log.txt", "tensorboard"}
    assert names == kept | set(outcome.FILES) | {SCORE_FILE, f"{SCORE_FILE}.json"}
    assert set(weights(work / "tiny-1-8.pt")) == set(build_model("agcn", MODEL).state_dict())
    assert replace(load_config(work / "config.yaml"), config="") == replace(config, config="")
    said = (work / "log.txt").read_text()
    epoch = r"epoch {}/2: loss [\d.]+, accuracy [\d.]+ %, test loss [\d.]+, top1 [\d.]+ %"
    assert re.search(epoch.format(1) + r", [\d.]+ s left$", said, re.MULTILINE)
    assert re.search(epoch.format(2) + "$", said, re.MULTILINE)
    assert any((work / "tensorboard" / "val").iterdir())

    tested = evaluate.test(config, result["checkpoint"], device="cpu")
    scores = load_pickle(work / "epoch1_test_score.pkl")
    labels = dict(zip(*load_pickle(config.test_feeder_args.label_path), strict=True))
    right = [int(score.argmax()) == labels[name] for name, score in scores.items()]
    assert list(scores) == list(labels) and all(s.dtype == np.float32 and s.shape == (3,) for s in scores.values())
    assert tested["top1"] == pytest.approx(np.mean(right)) == result["top1"]
    assert tested["clips"] == 7 and tested["top5"] is None and np.isfinite(tested["loss"])
    assert len((work / "per_class.csv").read_text().splitlines()) == 4


def test_resumed_runs_end_at_the_same_weights(config: Config, tmp_path: Path, monkeypatch) -> None:
    straight = train(config, device="cpu")
    parted = replace(config, work_dir=str(tmp_path / "parted"))
    train(replace(parted, num_epoch=1), device="cpu")
    resumed = train(parted, device="cpu", resume=True)
    assert equal(straight["checkpoint"], resumed["checkpoint"])
    assert resumed["losses"] == straight["losses"] and resumed["best_top1"] == straight["best_top1"]

    # Stopped in the middle of the second epoch: it goes on from the end of the first.
    stopped = replace(config, work_dir=str(tmp_path / "stopped"), save_interval=2)
    step, calls = training.train_step, []

    def stops(self, *args):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(training, "train_step", stops)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, device="cpu")
    assert equal(tmp_path / "stopped" / "tiny-0-4.pt", tmp_path / "parted" / "tiny-0-4.pt")
    assert equal(train(stopped, device="cpu", resume=True)["checkpoint"], straight["checkpoint"])
    again = train(stopped, device="cpu", resume=True)
    assert again["epochs"] == 2 and again["clips_per_second"] == 0.0


def test_ctrl_c_keeps_every_step(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    averaged = replace(config, ema=0.5, model_args={**MODEL, "drop_out": 0.4})
    straight = train(averaged, device="cpu")
    stopped = replace(averaged, work_dir=str(tmp_path / "stopped"))
    step, calls = training.train_step, []

    def pressed(self, *args):
        calls.append(1)
        if len(calls) in (2, 3, 4, 6):
            signal.raise_signal(signal.SIGINT)
        return step(self, *args)

    monkeypatch.setattr(training, "train_step", pressed)
    for steps, resume in ((2, False), (3, True), (4, True), (6, True)):
        with pytest.raises(KeyboardInterrupt):
            train(stopped, device="cpu", resume=resume)
        assert len(calls) == steps
    assert "2 steps of epoch 2 are kept" in (tmp_path / "stopped" / "log.txt").read_text()
    resumed = train(stopped, device="cpu", resume=True)
    assert equal(straight["checkpoint"], resumed["checkpoint"]) and resumed["losses"] == straight["losses"]
    assert len(calls) == 8
    monkeypatch.setattr(training, "train_step", step)
    # During the test that follows an epoch: its steps are not made again.
    evaluated = replace(averaged, work_dir=str(tmp_path / "evaluated"))
    evaluate_run, calls = training.evaluate, []

    def tests(self):
        calls.append(self.state.step)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return evaluate_run(self)

    monkeypatch.setattr(training, "evaluate", tests)
    with pytest.raises(KeyboardInterrupt):
        train(evaluated, device="cpu")
    resumed = train(evaluated, device="cpu", resume=True)
    assert calls == [4, 4, 8]
    assert equal(straight["checkpoint"], resumed["checkpoint"]) and resumed["losses"] == straight["losses"]


def test_resume_refuses(config: Config) -> None:
    with pytest.raises(ValueError, match="nothing to resume from"):
        train(config, device="cpu", resume=True)
    train(replace(config, num_epoch=1), device="cpu")
    with pytest.raises(ValueError, match=r"trained with base_lr 0\.0002, not 0\.5: resume with the same"):
        train(replace(config, base_lr=0.5), device="cpu", resume=True)
    centred = replace(config, train_feeder_args=replace(config.train_feeder_args, centre=True))
    with pytest.raises(ValueError, match=r"trained with train_feeder_args\.centre False, not True: resume with"):
        train(centred, device="cpu", resume=True)
    state = Path(config.work_dir, "resume.pt")
    state.write_bytes(state.read_bytes()[:5000])
    with pytest.raises(ValueError, match="cut off"):
        train(config, device="cpu", resume=True)


def test_resume_knows_older_settings(config: Config) -> None:
    train(replace(config, num_epoch=1), device="cpu")
    path = Path(config.work_dir, "resume.pt")
    state = torch.load(path, weights_only=True)
    settings = json.loads(state["settings"])
    del settings["train_feeder_args"]["random_warp"]
    torch.save({**state, "settings": json.dumps(settings)}, path)
    with pytest.raises(ValueError, match="trained with train_feeder_args"):
        train(replace(config, train_feeder_args=replace(config.train_feeder_args, centre=True)), resume=True)
    assert train(replace(config, num_epoch=2), device="cpu", resume=True)["epochs"] == 2


def test_loss_that_is_no_number_keeps_the_last_checkpoint(config: Config, monkeypatch) -> None:
    step = training.train_step

    def breaks(self, batch, held):
        loss, right = step(self, batch, held)
        return (loss * float("nan") if self.state.step == 5 else loss), right

    monkeypatch.setattr(training, "train_step", breaks)
    with pytest.raises(ValueError, match=r"the loss is nan in epoch 2, step 6: lower base_lr.*tiny-0-4\.pt") as told:
        train(config, device="cpu")
    assert "\n" not in str(told.value)
    state = torch.load(Path(config.work_dir, "resume.pt"), weights_only=True)
    assert state["at"]["epoch"] == 1 and all(torch.isfinite(value).all() for value in state["model"].values())
    assert not Path(config.work_dir, "tiny-1-8.pt").exists()


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_mixed_precision(config: Config, monkeypatch, dtype: str) -> None:
    monkeypatch.setattr("agcn.training.setup.has_half", lambda device, amp_dtype: True)
    one_step = replace(config, num_epoch=1, batch_size=16)
    result = train(one_step, device="cpu", amp=True, amp_dtype=dtype)
    assert result["amp"] == dtype
    assert all(value.dtype != device.AMP_DTYPES[dtype] for value in weights(result["checkpoint"]).values())
    plain = train(replace(one_step, work_dir=config.work_dir + "_fp32"), device="cpu")
    assert result["loss"] == pytest.approx(plain["loss"], rel=0.05) and result["loss"] != plain["loss"]
    scaler = torch.load(Path(config.work_dir, "resume.pt"), weights_only=True)["scaler"]
    assert bool(scaler) == (dtype == "fp16")


def test_mixed_precision_that_begins_where_it_would_be_emulated(config: Config, monkeypatch) -> None:
    monkeypatch.setattr("agcn.training.setup.has_half", lambda device, amp_dtype: False)
    train(replace(config, num_epoch=1), device="cpu", amp=True, amp_dtype="fp16")
    monkeypatch.setattr("agcn.training.setup.has_half", lambda device, amp_dtype: True)
    assert train(replace(config, num_epoch=2), device="cpu", amp=True, amp_dtype="fp16", resume=True)["epochs"] == 2
    scaler = torch.load(Path(config.work_dir, "resume.pt"), weights_only=True)["scaler"]
    assert scaler["scale"] > 0


@pytest.mark.gpu
def test_a_step_does_not_wait_for_the_gpu(config: Config) -> None:
    feeder = replace(
        config.train_feeder_args, resident=True, random_move=True, random_shift=True, random_scale=(0.9, 1.1)
    )
    one = set_up_run(
        replace(config, train_feeder_args=feeder, ema=0.9),
        DistributedContext(torch.device("cuda", 0)),
        "bf16",
        False,
        False,
    )
    batches = one.train_data.batches(micro_batches(one.batches_of(0), 1), 0)
    training.train_step(one, [next(batches)], [])
    torch.cuda.set_sync_debug_mode("error")
    try:
        training.train_step(one, [next(batches)], [])
    finally:
        torch.cuda.set_sync_debug_mode("default")
        one.log.close()


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_a_signal_lets_the_step_end(number: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(number)
    with StopRequest(True) as stop:
        assert not stop.requested
        signal.raise_signal(number)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before and "stopping after this step" in capfd.readouterr().err


def test_mixed_precision_that_would_be_emulated_is_left_out(config: Config, monkeypatch, capsys) -> None:
    monkeypatch.setattr("agcn.training.setup.has_half", lambda device, amp_dtype: False)
    result = train(replace(config, num_epoch=1), device="cpu", amp=True)
    assert result["amp"] is None and "has no bf16 instructions" in capsys.readouterr().err


def test_weights_to_start_from(config: Config, tmp_path: Path) -> None:
    first = train(replace(config, num_epoch=1), device="cpu")
    tuned = replace(config, weights=first["checkpoint"], start_epoch=1, work_dir=str(tmp_path / "tuned"))
    result = train(tuned, device="cpu")
    assert result["epochs"] == 2 and result["checkpoint"].endswith("tiny-1-8.pt")
    with pytest.raises(ValueError, match="3 classes, the config asks for 4"):
        train(replace(tuned, model_args={**config.model_args, "num_class": 4}), device="cpu", overwrite=True)


def test_a_part_waits_while_training(config: Config, tmp_path: Path) -> None:
    aagcn = replace(config, model="model.aagcn.Model", only_train_part=True, only_train_epoch=0, weight_decay=0.1)
    train(aagcn, device="cpu")
    start = build_model("aagcn", MODEL).l2.gcn1.PA
    assert torch.equal(weights(tmp_path / "work" / "tiny-0-4.pt")["l2.gcn1.PA"], start)
    assert not torch.equal(weights(tmp_path / "work" / "tiny-1-8.pt")["l2.gcn1.PA"], start)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"batch_size": 19}, "has 18 clips, fewer than batch_size 19.*set batch_size to 18 or less"),
        ({"phase": "test"}, "phase is test"),
        ({"test_feeder_args": FeederArgs()}, r"test_feeder_args\.data_path is not set"),
        ({"model_args": {**MODEL, "num_class": 2}}, "has label 2, the model 2 classes"),
        ({"model_args": {**MODEL, "num_person": 2}}, "has 1 bodies, the model 2"),
    ],
)
def test_runs_that_cannot_start(config: Config, change: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        train(replace(config, **change), device="cpu")
    assert not Path(config.work_dir).exists()


def test_empty_data(config: Config, tmp_path: Path) -> None:
    nothing = write_clips(tmp_path, "none", 0)
    with pytest.raises(ValueError, match="has no clips: run prep"):
        train(replace(config, train_feeder_args=nothing), device="cpu")
    with pytest.raises(ValueError, match="has no clips: run prep"):
        evaluate.open_test_clips(replace(config, test_feeder_args=nothing))
    with pytest.raises(ValueError, match="no weights to test"):
        evaluate.test(config, device="cpu")


def test_top_k() -> None:
    scores = np.array([[3, 2, 1, 0], [0, 1, 2, 3], [0, 3, 2, 1]], np.float32)
    labels = np.array([0, 1, 3])
    assert [top_k(scores, labels, k) for k in (1, 2, 3, 5)] == pytest.approx([1 / 3, 1 / 3, 1, 1])


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == pick_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="sees no GPU"):
        pick_device("cuda")
    with pytest.raises(ValueError, match="use auto, cpu or cuda"):
        pick_device("gpu")
    with pytest.raises(ValueError, match="use bf16 or fp16"):
        autocast(torch.device("cpu"), "fp8")
    assert isinstance(has_half(torch.device("cpu"), "bf16"), bool) and device.AMP_DTYPES["fp16"] is torch.float16


TWO = """
import copy, json, os, pathlib, pickle, sys
import torch
from agcn.model.absent_bodies import deduplicate_absent_bodies
from agcn.model.network import build_model
from agcn.training.distributed import distributed_context
from agcn.training.setup import set_up_run
from agcn.training.train import train
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

folder, model_args = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
with distributed_context("cpu") as world:
    result = train(pickle.loads((folder / "both.pkl").read_bytes()), device="cpu")
    torch.manual_seed(0)
    model = build_model("aagcn", model_args).double()
    alone = copy.deepcopy(model)
    x, y = torch.randn(6, 3, 16, 4, 1).double(), torch.tensor([0, 1, 2, 0, 1, 2])
    torch.nn.functional.cross_entropy(alone(x), y).backward()
    share = slice(3 * world.rank, 3 * world.rank + 3)
    network = world.wrap(model)
    torch.nn.functional.cross_entropy(network(x[share]), y[share]).backward()
    ours, theirs = model.state_dict(), alone.state_dict()
    apart = [(ours[name] - theirs[name]).abs().max().item() for name in theirs]
    apart += [(a.grad - b.grad).abs().max().item() for a, b in zip(model.parameters(), alone.parameters())]
    # Two bodies, of which the processes lack different numbers.
    model = build_model("agcn", {**model_args, "num_person": 2}).double()
    alone = copy.deepcopy(model)
    x = torch.randn(6, 3, 16, 4, 2).double()
    absent = torch.tensor([1, 0, 1, 0, 0, 1]).bool()
    x[absent, ..., 1] = 0
    rows = deduplicate_absent_bodies(torch.stack([torch.ones(6).bool(), ~absent], 1)[share].numpy())
    torch.nn.functional.cross_entropy(alone(x), y).backward()
    network = world.wrap(model)
    torch.nn.functional.cross_entropy(network(x[share], rows), y[share]).backward()
    ours, theirs = model.state_dict(), alone.state_dict()
    apart += [(ours[name] - theirs[name]).abs().max().item() for name in theirs]
    apart += [(a.grad - b.grad).abs().max().item() for a, b in zip(model.parameters(), alone.parameters())]
    # The parts of a batch: gradients go from process to process with the last one only.
    sent = []
    network.register_comm_hook(None, lambda state, bucket: sent.append(1) or allreduce_hook(None, bucket))
    with world.no_sync(network):
        network(x[share], rows).sum().backward()
    early = len(sent)
    network(x[share], rows).sum().backward()
(folder / f"rank{os.environ['RANK']}.json").write_text(
    json.dumps({**result, "apart": max(apart), "early": early, "late": len(sent)})
)
"""


def test_two_processes_are_one(config: Config, tmp_path: Path) -> None:
    alone_config = replace(config, num_epoch=1, batch_size=16, model_args=MODEL)
    alone = train(alone_config, device="cpu")
    (tmp_path / "both.pkl").write_bytes(pickle.dumps(replace(alone_config, work_dir=str(tmp_path / "both"))))
    (tmp_path / "two.py").write_text(TWO)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, str(tmp_path / "two.py"), str(tmp_path), json.dumps(MODEL)],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    together, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    # One step of the model in float64: gradients and running statistics of the joined batch.
    assert max(together["apart"], second["apart"]) < 1e-9
    assert together["early"] == 0 < together["late"]
    assert together["loss"] == second["loss"] == pytest.approx(alone["loss"], rel=1e-6)
    theirs = weights(together["checkpoint"])
    for name, value in weights(alone["checkpoint"]).items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-4, atol=1e-5)
