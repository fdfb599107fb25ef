"""What changes the weights, and how fast; averaged weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import MODEL, equal, weights

from agcn import evaluate
from agcn.config import Config
from agcn.model.network import build_model
from agcn.training import train as training
from agcn.training.optimizer import ModelEma, frozen_parameters, learning_rate, make_optimizer
from agcn.training.train import train


def stop_after(save, multiplicity: int):
    calls = []

    def saves(self, *args):
        save(self, *args)
        calls.append(1)
        if len(calls) == multiplicity:
            raise KeyboardInterrupt

    return saves


def test_schedule() -> None:
    config = Config(base_lr=0.1, warm_up_epoch=5, step=(30, 40))
    rates = [learning_rate(config, epoch) for epoch in (0, 4, 5, 29, 30, 39, 40, 49)]
    assert rates == pytest.approx([0.02, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_cosine_schedule() -> None:
    config = Config(base_lr=0.2, warm_up_epoch=2, num_epoch=10, schedule="cosine")
    rates = [learning_rate(config, at) for at in (0.0, 0.5, 2.0, 6.0, 8.0, 10.0)]
    assert rates == pytest.approx([0.0, 0.05, 0.2, 0.1, 0.1 * (1 - 2**-0.5), 0.0])


def test_averaged_weights(config: Config, tmp_path: Path) -> None:
    averaged = replace(config, class_weight="balanced", ema=0.5, label_smoothing=0.1, schedule="cosine", test_windows=2)
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


def test_a_part_waits_while_training(config: Config, tmp_path: Path) -> None:
    aagcn = replace(config, model="model.aagcn.Model", only_train_part=True, only_train_epoch=0, weight_decay=0.1)
    train(aagcn, device="cpu")
    start = build_model("aagcn", MODEL).l2.gcn1.PA
    assert torch.equal(weights(tmp_path / "work" / "tiny-0-4.pt")["l2.gcn1.PA"], start)
    assert not torch.equal(weights(tmp_path / "work" / "tiny-1-8.pt")["l2.gcn1.PA"], start)
