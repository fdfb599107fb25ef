"""What a test found, class by class, as tables and a picture."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agcn.pictures import draw_confusion
from native_prep.files import OutputSet

FILES = ("per_class.csv", "confusion.csv", "confusion.png")


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
    per_class, table, picture = (folder / name for name in FILES)
    with OutputSet() as outputs:
        with outputs.part(per_class).open("w", newline="", encoding="utf-8") as out:
            rows = csv.writer(out)
            rows.writerow(("class", "name", "clips", "right", "accuracy"))
            for label, name in enumerate(names):
                count, right = int(confusion[label].sum()), int(confusion[label, label])
                rows.writerow((label, name, count, right, f"{right / count:.4f}" if count else ""))
        with outputs.part(table).open("w", newline="", encoding="utf-8") as out:
            rows = csv.writer(out)
            rows.writerow(("class", *names))
            rows.writerows((name, *counts) for name, counts in zip(names, confusion.tolist(), strict=True))
        draw_confusion(outputs.part(picture), confusion, names)
