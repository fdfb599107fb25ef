"""Models and clips that a measurement can believe in: weights that are alive, bodies that move."""

import numpy as np
import torch
from torch import Tensor, nn

from agcn.model.network import Model
from native_prep.skeletons.layouts import NTU
from native_prep.synth.make import joint_batch

CLASSES = 60


def random_model(seed: int, batch: Tensor, num_class: int = CLASSES) -> Model:
    """An untrained AGCN for `batch` (N, 3, T, V, M) in which every path carries a signal.

    Freshly initialised, the graph convolutions are all but switched off (their last batch norm starts at 1e-6), so a
    fault there would hide. Here batch norms and learned graphs are drawn anew, and the running statistics are those
    of `batch`, on whose device it is.
    """
    torch.manual_seed(seed)
    model = Model(num_class=num_class, num_point=batch.shape[3], num_person=batch.shape[4], graph=NTU.name)
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.uniform_(0.5, 1.0)
            norm.bias.normal_(0.0, 0.1)
            norm.momentum = 1.0
        for name, parameter in model.named_parameters():
            if name.endswith(".PA"):
                parameter.normal_(0.0, 0.02)
        model.to(batch.device).train()(batch)
    for norm in norms:
        norm.momentum = 0.1
    return model.eval()


def made_clips(clips: int, frames: int, persons: int, seed: int) -> np.ndarray:
    """NTU-like prepared joints, float32 (N, 3, T, 25, M); four clips of five have one body."""
    return joint_batch(NTU, clips, frames, persons, seed, one_body_share=0.8)


def relative(ours: Tensor, theirs: Tensor) -> float:
    """|ours - theirs| / |theirs|, Euclidean over everything, in float64."""
    ours, theirs = ours.detach().double().flatten(), theirs.detach().double().flatten()
    return float((ours - theirs).norm() / theirs.norm().clamp_min(1e-300))
