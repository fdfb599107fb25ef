"""How many clips are right; NumPy alone, so that fusing scores needs no PyTorch."""

import numpy as np


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """The share of clips whose label (N,) is among the k highest scores (N, num_class).

    Ties as NumPy's argmax (k = 1) and argsort break them, as the original's ensemble counts.
    """
    if not len(labels):
        return 0.0
    if k == 1:
        return float((scores.argmax(axis=1) == labels).mean())
    best = scores.argsort(axis=1)[:, -k:]  # all classes where there are fewer than k
    return float((best == labels[:, None]).any(axis=1).mean())


def top5(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """`top_k` for five; None where there are no more than five classes, of which it says nothing."""
    return top_k(scores, labels, 5) if scores.shape[1] > 5 else None
