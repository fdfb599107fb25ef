"""What changes the weights, and how fast."""

import copy
import math
from typing import Any

import torch
from torch import nn

from agcn.model.network import Model
from agcn.settings import Config


def learning_rate(config: Config, at: float) -> float:
    """The rate `at` so many epochs into a run: rising over the warm-up, then as the schedule says.

    Source: "step" is `adjust_learning_rate` of the original's main.py, which changes the rate between epochs; "cosine"
    is Loshchilov and Hutter, SGDR, 2017, without restarts, and changes it with every step.
    """
    if config.schedule == "cosine":
        if at < config.warm_up_epoch:
            return config.base_lr * at / config.warm_up_epoch
        share = (at - config.warm_up_epoch) / max(config.num_epoch - config.warm_up_epoch, 1)
        return config.base_lr * 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0)))
    epoch = int(at)
    if epoch < config.warm_up_epoch:
        return config.base_lr * (epoch + 1) / config.warm_up_epoch
    return config.base_lr * 0.1 ** sum(epoch >= step for step in config.step)


def make_optimizer(config: Config, model: nn.Module) -> torch.optim.Optimizer:
    """SGD with momentum 0.9, or Adam, as configured; on a GPU by PyTorch's fused kernels."""
    given: dict[str, Any] = {"lr": config.base_lr, "weight_decay": config.weight_decay}
    given["fused"] = next(model.parameters()).device.type == "cuda" or None
    if config.optimizer == "SGD":
        return torch.optim.SGD(model.parameters(), momentum=0.9, nesterov=config.nesterov, **given)
    return torch.optim.Adam(model.parameters(), **given)


def frozen_parameters(config: Config, model: nn.Module, epoch: int) -> list[nn.Parameter]:
    """With only_train_part, the learned graphs (PA), which wait until after epoch only_train_epoch."""
    if not config.only_train_part or epoch > config.only_train_epoch:
        return []
    return [parameter for name, parameter in model.named_parameters() if "PA" in name]


class ModelEma:
    """An exponential moving average of a model's weights and running statistics.

    Args:
        model: whose.
        decay: share of the old average that a step keeps; less in the first steps, which are worth little.
    """

    def __init__(self, model: Model, decay: float) -> None:
        self.model, self.decay = copy.deepcopy(model), decay
        self.model.requires_grad_(False)

    @torch.no_grad()
    def update(self, model: Model, step: int) -> None:
        """Moves towards `model`, which has taken `step` steps."""
        keep = min(self.decay, (1.0 + step) / (10.0 + step))
        theirs = model.state_dict()
        for name, mine in self.model.state_dict().items():
            if mine.is_floating_point():
                mine.lerp_(theirs[name], 1.0 - keep)
            else:
                mine.copy_(theirs[name])
