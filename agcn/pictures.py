"""Pictures: bars of rates, and which classes are taken for which. The one module that draws."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

# Beyond so many classes their names would only be a blur.
_NAMED = 60


def draw_confusion(path: Path, confusion: np.ndarray, names: Sequence[str]) -> None:
    """The share of each class's clips (rows) that were taken for each class (columns), as a PNG.

    Args:
        confusion: counts, (K, K).
        names: K names of the classes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = min(4 + 0.18 * len(names), 16)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest")
    figure.colorbar(image, ax=axis, label="share of the class's clips", shrink=0.8)
    axis.set_xlabel("taken for")
    axis.set_ylabel("class")
    if len(names) <= _NAMED:
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
        axis.set_yticks(range(len(names)), names, fontsize=6)
    figure.savefig(path, format="png", dpi=120)


def draw_rates(path: Path, title: str, rates: Sequence[dict[str, Any]]) -> None:
    """Bars of `rates`, one group for each unit, as a PNG.

    Args:
        rates: each with name, rate, unit, and ratio or None.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    units = list(dict.fromkeys(rate["unit"] for rate in rates))
    figure = Figure(figsize=(8, 0.6 + 0.45 * len(rates) + 0.6 * len(units)), layout="constrained")
    FigureCanvasAgg(figure)
    sizes = [sum(rate["unit"] == unit for rate in rates) + 1 for unit in units]
    axes = figure.subplots(len(units), 1, squeeze=False, gridspec_kw={"height_ratios": sizes})[:, 0]
    for axis, unit in zip(axes, units, strict=True):
        shown = [rate for rate in rates if rate["unit"] == unit][::-1]
        bars = axis.barh([rate["name"] for rate in shown], [rate["rate"] for rate in shown], color="#3b6ea5")
        labels = [f"{rate['rate']:.4g}" + (f" ({rate['ratio']:.3g}x)" if rate["ratio"] else "") for rate in shown]
        axis.bar_label(bars, labels, padding=3)
        axis.margins(x=0.25)
        axis.set_xlabel(unit)
    axes[0].set_title(title)
    figure.savefig(path, format="png", dpi=120)
