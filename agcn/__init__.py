"""The adaptive graph convolutional network: model, feeding, training, testing.

>>> from agcn import load_config, load_model, test, train
"""

from typing import TYPE_CHECKING

from native_prep.lazy import lazy_names

if TYPE_CHECKING:
    from agcn.checkpoint import load_model
    from agcn.config import load_config
    from agcn.evaluate import test
    from agcn.training.train import train

__all__ = ["load_config", "load_model", "test", "train"]

__getattr__ = lazy_names(
    __name__, {"load_config": "config", "load_model": "checkpoint", "test": "evaluate", "train": "training.train"}
)
