"""Weights of classes in the training loss."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agcn.config import Config, load_config
from agcn.data.clips import open_clips
from agcn.training.distributed import DistributedContext
from agcn.training.loss import class_weights, cross_entropy, mean_part_weight
from agcn.training.train import train

ALONE = DistributedContext(torch.device("cpu"))


def test_balanced_weights_are_those_of_scikit_learn(config: Config) -> None:
    clips = replace(open_clips(config.train_feeder_args), labels=np.array([0, 0, 0, 0, 1, 1, 2, 0]))
    found = class_weights(replace(config, class_weight="balanced"), clips, 3)
    assert found is not None and found.tolist() == pytest.approx([8 / (3 * 5), 8 / (3 * 2), 8 / (3 * 1)])
    listed = class_weights(replace(config, class_weight=(1, 2.5, 1e-3)), clips, 3)
    assert listed is not None and listed.tolist() == pytest.approx([1, 2.5, 1e-3])
    assert class_weights(config, clips, 3) is None


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_parts_add_up_to_the_weighted_mean_of_the_batch(smoothing: float) -> None:
    logits, labels = torch.randn(6, 3, generator=torch.manual_seed(0)), torch.tensor([0, 0, 1, 2, 2, 2])
    weights = torch.tensor([0.5, 4.0, 1.0])
    parts = [slice(0, 2), slice(2, 4), slice(4, 6)]
    share = mean_part_weight(weights, [labels[part] for part in parts], ALONE)
    losses = [cross_entropy(logits[part], labels[part], smoothing, weights, share) for part in parts]
    whole = torch.nn.functional.cross_entropy(logits, labels, weight=weights, label_smoothing=smoothing)
    torch.testing.assert_close(torch.stack(losses).mean(), whole)
    same = cross_entropy(logits, labels, smoothing)
    assert torch.equal(same, torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing))


def test_equal_weights_change_nothing_and_others_do(config: Config) -> None:
    losses = [
        train(replace(config, class_weight=weights, num_epoch=1), device="cpu", overwrite=True)["loss"]
        for weights in ("none", (2.0, 2.0, 2.0), (1.0, 1.0, 9.0))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5) and abs(losses[2] - losses[0]) > 1e-3


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("[1, 2]", r"^tiny.yaml: class_weight has 2 numbers, the model 3 classes: give one for each"),
        ("[1, -2, 1]", r"--set class_weight=\[1, -2, 1\]: class_weight is \[1.0, -2.0, 1.0\]: give a finite"),
        ("[1, 0, 1]", "give a finite number above 0 for each class"),
        ("[1, .nan, 1]", "give a finite number above 0 for each class"),
        ("balance", "class_weight 'balance' is not known: did you mean 'balanced'.*, or a number for each class"),
        ("{a: 1}", "give a number"),
        ("balanced", "train_data_joint.npy: class_weight balanced: 1 of the model's 4 classes have no clip, 3 first"),
    ],
)
def test_wrong_weights_are_one_line(config: Config, given: str, text: str) -> None:
    with pytest.raises(ValueError, match=text) as told:
        asked = load_config("ntu-xsub", overrides=[f"class_weight={given}"])
        classes = {**config.model_args, "num_class": 4 if given == "balanced" else 3}
        train(replace(config, class_weight=asked.class_weight, model_args=classes), device="cpu")
    assert "\n" not in str(told.value) and not Path(config.work_dir).exists()
