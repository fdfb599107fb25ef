"""A run that was stopped, wherever, ends at the weights of one that was not."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import MODEL, equal

from agcn.config import Config
from agcn.training import train as training
from agcn.training.interrupt import StopRequest
from agcn.training.train import train


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
    del settings["train_feeder_args"]["random_warp"], settings["class_weight"]
    torch.save({**state, "settings": json.dumps(settings)}, path)
    with pytest.raises(ValueError, match="trained with class_weight 'none', not 'balanced'"):
        train(replace(config, class_weight="balanced"), device="cpu", resume=True)
    with pytest.raises(ValueError, match="trained with train_feeder_args"):
        train(replace(config, train_feeder_args=replace(config.train_feeder_args, centre=True)), resume=True)
    assert train(replace(config, num_epoch=2), device="cpu", resume=True)["epochs"] == 2


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
