"""What scores say of a model: accuracy class by class, what fusion changed, confused pairs, calibration.

Letters: N clips, K classes.
"""

from dataclasses import dataclass

import numpy as np

from agcn.metrics import confusion_of, mean_class_accuracy, top5, top_k

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """How often a model is right where it is so and so sure.

    Attributes:
        confidence, accuracy: means of the clips in each bin, NaN where there are none, (BINS,).
        clips: how many, (BINS,).
        error: the expected calibration error (ECE), mean of |accuracy - confidence| weighted by clips.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    clips: np.ndarray
    error: float


@dataclass(frozen=True)
class Outcome:
    """One stream's, or the fused, answers to a test split.

    Attributes:
        top1, top5: shares of clips; top5 is None for five classes or fewer.
        mean_class: mean over the classes that occur of their shares of right clips.
        loss: mean cross entropy.
        confusion: clips of each class (rows) that were taken for each class (columns), (K, K).
        right: (N,) bool.
        calibration: of the softmax of the scores.
    """

    top1: float
    top5: float | None
    mean_class: float
    loss: float
    confusion: np.ndarray
    right: np.ndarray
    calibration: Calibration

    @property
    def by_class(self) -> np.ndarray:
        """Share of right clips of each class, NaN where none is in the split, (K,)."""
        counts = self.confusion.sum(axis=1)
        return np.divide(self.confusion.diagonal(), counts, out=np.full(len(counts), np.nan), where=counts > 0)


def outcome_of(scores: np.ndarray, labels: np.ndarray) -> Outcome:
    """The outcome of logits (N, K) for labels (N,)."""
    confusion = confusion_of(scores, labels)
    logs = log_softmax(scores)
    return Outcome(
        top1=top_k(scores, labels, 1),
        top5=top5(scores, labels),
        mean_class=mean_class_accuracy(scores, labels),
        loss=float(-logs[np.arange(len(labels)), labels].mean()),
        confusion=confusion,
        right=scores.argmax(axis=1) == labels,
        calibration=calibration_of(np.exp(logs), labels),
    )


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities, (N, K)."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def calibration_of(probabilities: np.ndarray, labels: np.ndarray) -> Calibration:
    """Calibration in bins of equal width.

    Args:
        probabilities: (N, K).
        labels: (N,).

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equations 2 and 3.
    """
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    clips = np.bincount(place, minlength=BINS)
    means = []
    for values in (sure, right):
        total = np.bincount(place, values, BINS)
        means.append(np.divide(total, clips, out=np.full(BINS, np.nan), where=clips > 0))
    gaps = np.abs(means[1] - means[0])
    return Calibration(means[0], means[1], clips, float(np.nansum(gaps * clips) / len(labels)))


def fusion_changes(before: Outcome, fused: Outcome, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """How many clips of each class fusion put right, and how many it broke, each (K,)."""
    fixed = np.bincount(labels[~before.right & fused.right], minlength=classes)
    broke = np.bincount(labels[before.right & ~fused.right], minlength=classes)
    return fixed, broke


def mistakes_in(confusion: np.ndarray) -> np.ndarray:
    """A confusion (K, K) without its diagonal, which is what is right."""
    return confusion * ~np.eye(len(confusion), dtype=bool)


def confused_pairs(confusion: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """The `count` most frequent mistakes: (class, taken for, clips), most clips first."""
    mistakes = mistakes_in(confusion)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    pairs = [(*map(int, np.unravel_index(place, confusion.shape)), int(mistakes.flat[place])) for place in order]
    return [(label, taken, clips) for label, taken, clips in pairs if clips]


def examples_of(scores: np.ndarray, labels: np.ndarray, label: int, taken: int) -> tuple[int, int | None]:
    """Of a confused pair: the clip of `label` that is most surely taken for `taken`, and a clip that really is `taken`.

    The second is the one of that class that is most surely right; None where no clip of it is.
    """
    answers = scores.argmax(axis=1)

    def surest(actual: int) -> int | None:
        places = np.flatnonzero((labels == actual) & (answers == taken))
        return int(places[log_softmax(scores[places])[:, taken].argmax()]) if len(places) else None

    wrong = surest(label)
    assert wrong is not None, "the pair is confused"
    return wrong, surest(taken)
