"""Training on small made clips: a whole run, batches in parts, too little memory, what cannot start."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import MODEL, weights, write_clips

from agcn import evaluate
from agcn import metrics as outcome
from agcn.config import Config, FeederArgs, load_config
from agcn.data.loader import micro_batches
from agcn.model.network import build_model
from agcn.score_files import SCORE_FILE
from agcn.training import train as training
from agcn.training.distributed import DistributedContext
from agcn.training.profiler import StepTrace
from agcn.training.setup import set_up_run
from agcn.training.train import train
from native_prep.io.pickles import load_pickle


@pytest.mark.parametrize("weights", ["none", (0.1, 1.0, 5.0)])
def test_a_batch_in_parts(config: Config, weights: str | tuple[float, ...]) -> None:
    config = replace(config, class_weight=weights)
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
    assert names == kept | set(outcome.OUTCOME_FILES) | {SCORE_FILE, f"{SCORE_FILE}.json"}
    assert set(weights(work / "tiny-1-8.pt")) == set(build_model("agcn", MODEL).state_dict())
    assert replace(load_config(work / "config.yaml"), config="") == replace(config, config="")
    said = (work / "log.txt").read_text()
    epoch = r"epoch {}/2: loss [\d.]+, accuracy [\d.]+ %, test loss [\d.]+, top1 [\d.]+ %, mean class [\d.]+ %"
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
    recalls = [np.mean([hit for hit, own in zip(right, labels.values(), strict=True) if own == one]) for one in (1, 2)]
    assert tested["mean_class_accuracy"] == pytest.approx(np.mean(recalls)) != tested["top1"]
    assert len((work / "per_class.csv").read_text().splitlines()) == 4


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


def test_weights_to_start_from(config: Config, tmp_path: Path) -> None:
    first = train(replace(config, num_epoch=1), device="cpu")
    tuned = replace(config, weights=first["checkpoint"], start_epoch=1, work_dir=str(tmp_path / "tuned"))
    result = train(tuned, device="cpu")
    assert result["epochs"] == 2 and result["checkpoint"].endswith("tiny-1-8.pt")
    with pytest.raises(ValueError, match="3 classes, the config asks for 4"):
        train(replace(tuned, model_args={**config.model_args, "num_class": 4}), device="cpu", overwrite=True)


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
