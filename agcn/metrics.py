"""Accuracy, the confusion of classes, and the files that tell of them; NumPy alone: fusing scores needs no PyTorch."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agcn.plots import draw_confusion
from native_prep.io.atomic import OutputSet


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


def mean_class_accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes that occur of the share of their clips that are right (balanced accuracy).

    Each class counts the same, however many clips it has; 0 without clips, as `top_k`.

    Args:
        scores: (N, K).
        labels: (N,).
    """
    confusion = confusion_of(scores, labels)
    counts = confusion.sum(axis=1)
    there = counts > 0
    return float((confusion.diagonal()[there] / counts[there]).mean()) if there.any() else 0.0


OUTCOME_FILES = ("per_class.csv", "confusion.csv", "confusion.png")


def confusion_of(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many clips of each class (rows) were taken for each class (columns): (N, K), (N,) -> int64 (K, K)."""
    classes = scores.shape[1]
    pairs = labels * classes + scores.argmax(axis=1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def write_outcome(folder: Path, scores: np.ndarray, labels: np.ndarray, names: Sequence[str] = ()) -> None:
    """Write per_class.csv, confusion.csv and confusion.png into `folder`, all of them or none.

    Args:
        scores: (N, K).
        labels: (N,).
        names: of the classes; their numbers where there are none.
    """
    confusion = confusion_of(scores, labels)
    names = list(names) or [str(label) for label in range(len(confusion))]
    per_class, table, picture = (folder / name for name in OUTCOME_FILES)
    with OutputSet() as outputs:
        with outputs.temporary(per_class).open("w", newline="", encoding="utf-8") as out:
            rows = csv.writer(out)
            rows.writerow(("class", "name", "clips", "right", "accuracy"))
            for label, name in enumerate(names):
                count, right = int(confusion[label].sum()), int(confusion[label, label])
                rows.writerow((label, name, count, right, f"{right / count:.4f}" if count else ""))
        with outputs.temporary(table).open("w", newline="", encoding="utf-8") as out:
            rows = csv.writer(out)
            rows.writerow(("class", *names))
            rows.writerows((name, *counts) for name, counts in zip(names, confusion.tolist(), strict=True))
        draw_confusion(outputs.temporary(picture), confusion, names)
