"""What changes the weights, and how fast."""

import torch
from torch import nn

from agcn.settings import Config


def learning_rate(config: Config, epoch: int) -> float:
    """The rate in an epoch counted from 0: rising over the warm-up, then a tenth at each step.

    Source: `adjust_learning_rate` of the original's main.py.
    """
    if epoch < config.warm_up_epoch:
        return config.base_lr * (epoch + 1) / config.warm_up_epoch
    return config.base_lr * 0.1 ** sum(epoch >= step for step in config.step)


def make_optimizer(config: Config, model: nn.Module) -> torch.optim.Optimizer:
    """SGD with momentum 0.9, or Adam, as configured."""
    if config.optimizer == "SGD":
        return torch.optim.SGD(
            model.parameters(), config.base_lr, momentum=0.9, nesterov=config.nesterov, weight_decay=config.weight_decay
        )
    return torch.optim.Adam(model.parameters(), config.base_lr, weight_decay=config.weight_decay)


def held_back(config: Config, model: nn.Module, epoch: int) -> list[nn.Parameter]:
    """With only_train_part, the learned graphs (PA), which wait until after epoch only_train_epoch."""
    if not config.only_train_part or epoch > config.only_train_epoch:
        return []
    return [parameter for name, parameter in model.named_parameters() if "PA" in name]
