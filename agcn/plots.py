"""Pictures: clips, graphs of a layer, which classes are taken for which, bars of rates. The one module that draws."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from native_prep.skeletons.layouts import Layout
from native_prep.skeletons.posture import joints_there, up_axis

if TYPE_CHECKING:
    from agcn.model.layer_graphs import LayerGraphs

# Beyond so many classes their names would only be a blur.
_NAMED = 60
# Told apart by readers who see few colours (Okabe and Ito's set), and by their brightness in print.
_GREY, _BLUE, _ORANGE = "#999999", "#0072B2", "#D55E00"
# Rates further apart than this are drawn on a logarithmic scale.
_WIDE = 30
# Title, unit, rates, and that of them which is the baseline.
RatePanel = tuple[str, str, list[dict[str, Any]], dict[str, Any] | None]


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
    with warnings.catch_warnings():  # of characters that its font lacks; the tables have them
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(path, format="png", dpi=120)


def logarithmic(rates: Sequence[dict[str, Any]]) -> bool:
    """Whether bars of `rates` need a logarithmic scale: on a linear one the slowest would be no bar at all."""
    values = [rate["rate"] for rate in rates]
    return max(values) > _WIDE * min(values)


def draw_rates(path: Path, title: str, panels: Sequence[RatePanel]) -> None:
    """Bars of rates as a PNG, one above the other, with a line at the rate of each panel's baseline.

    Args:
        panels: at least one; their rates have a label, rate, and ratio or None.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A bar alone says no more than its number in the report.
    panels = [panel for panel in panels if len(panel[2]) > 1] or panels
    heights = [1.3 + 0.36 * len(rates) for _, _, rates, _ in panels]
    figure = Figure(figsize=(8, 0.5 + sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13, fontweight="bold")
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, (name, unit, rates, baseline) in zip(axes, panels, strict=True):
        axis.set_title(name, loc="left", fontsize=11)
        _draw_panel(axis, unit, rates[::-1], baseline)
    figure.savefig(path, format="png", dpi=120)


def _draw_panel(axis: Any, unit: str, shown: Sequence[dict[str, Any]], plain: dict[str, Any] | None) -> None:
    values = [rate["rate"] for rate in shown]
    colors = [_GREY if rate is plain else _BLUE for rate in shown]
    bars = axis.barh([rate["label"] for rate in shown], values, color=colors, height=0.7)
    labels = [f"{rate['rate']:,.4g}" + (f"  ({rate['ratio']:.3g} x)" if rate["ratio"] else "") for rate in shown]
    # Above the line, and readable where that runs through them.
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    axis.bar_label(bars, labels, padding=4, fontsize=9, bbox=box, zorder=5)
    axis.spines[["top", "right"]].set_visible(False)
    if logarithmic(shown):
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:,g}")
        axis.set_xlim(min(values) / 2, max(values) ** 1.35 / min(values) ** 0.35)
        axis.set_xlabel(f"{unit}, logarithmic; more is faster")
    else:
        axis.set_xlim(0, 1.3 * max(values))
        axis.set_xlabel(f"{unit}; more is faster")
    if plain is not None:
        text = f"baseline: {plain['label']}, {plain['rate']:,.4g} {unit}"
        axis.axvline(plain["rate"], color=_ORANGE, linestyle="--", linewidth=1.5, label=text)
        axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9, borderaxespad=0.1)


def draw_clip(path: str | Path, clip: np.ndarray, layout: Layout, frames: int = 8, fps: float = 15.0) -> None:
    """A clip as a PNG of some of its frames side by side, or, where `path` ends in .gif, as a film of all.

    Args:
        clip: joints (3, T, V, M) as prep makes them; a joint of zeros was not seen.
        layout: its skeleton.
        frames: how many of a PNG, spread over the frames in which somebody is.
        fps: frames a second of a GIF.

    Raises:
        ValueError: a clip of another shape, or in which nobody is.
    """
    if clip.ndim != 4 or clip.shape[0] != 3 or clip.shape[2] != layout.num_joints:
        raise ValueError(f"clip of shape {clip.shape}: give joints (3, T, {layout.num_joints}, M)")
    there = np.flatnonzero(clip.any(axis=(0, 2, 3)))
    if not len(there):
        raise ValueError("nobody is in any frame of the clip: draw another")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    flat = seen_from_front(clip, layout)  # (2, T, V, M)
    bounds = np.nanmin(flat, axis=(1, 2, 3)), np.nanmax(flat, axis=(1, 2, 3))
    film = str(path).lower().endswith(".gif")
    shown = there if film else there[np.linspace(0, len(there) - 1, min(frames, len(there))).round().astype(int)]
    columns = 1 if film else len(shown)
    figure = Figure(figsize=(2.2 * columns + (1.0 if film else 0.0), 3.2), layout=None if film else "constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]

    def draw(axis: Any, frame: int) -> None:
        axis.clear()
        for body in range(clip.shape[3]):
            _draw_skeleton(axis, flat[:, frame, :, body], layout, f"C{body}")
        margin = 0.05 * float(max(bounds[1] - bounds[0])) or 0.1
        axis.set(
            xlim=(bounds[0][0] - margin, bounds[1][0] + margin), ylim=(bounds[0][1] - margin, bounds[1][1] + margin)
        )
        axis.set_aspect("equal")
        axis.axis("off")
        axis.set_title(f"frame {frame + 1}", fontsize=8)

    if not film:
        for axis, frame in zip(axes, shown, strict=True):
            draw(axis, int(frame))
        figure.savefig(path, format="png", dpi=120)
        return
    from matplotlib.animation import FuncAnimation, PillowWriter

    def draw_next(frame: Any) -> tuple[Any, ...]:
        draw(axes[0], int(frame))
        return ()

    # Without a first drawing of its own: each frame draws everything anew.
    made = FuncAnimation(figure, draw_next, frames=shown, init_func=lambda: ())
    made.save(str(path), writer=PillowWriter(fps=round(fps)))


def draw_graphs(path: str | Path, graphs: "LayerGraphs", layout: Layout, pose: np.ndarray, links: int = 20) -> None:
    """The graphs A, B and C of a layer as a PNG: heat maps, a column a subset, and the strongest links on the skeleton.

    Args:
        graphs: see `agcn.model.layer_graphs.layer_graphs`.
        layout: the skeleton.
        pose: one frame of one body, (3, V), to draw on.
        links: how many of C's are drawn; a joint is the larger the more others take from it.

    Raises:
        ValueError: graphs or a pose of another skeleton.
    """
    joints = layout.num_joints
    if graphs.data_dependent.shape[1:] != (joints, joints) or pose.shape != (3, joints):
        raise ValueError(
            f"graphs {graphs.data_dependent.shape} and pose {pose.shape}: the skeleton has {joints} joints"
        )
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    subsets = len(graphs.data_dependent)
    figure = Figure(figsize=(3.2 * subsets, 12.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(4, subsets, squeeze=False)
    for row, (name, values) in enumerate(
        (("A, fixed", graphs.fixed), ("B, learned", graphs.learned), ("C", graphs.data_dependent))
    ):
        lowest, largest = float(values.min()), float(np.abs(values).max()) or 1.0
        # What has no sign is shown from its own lowest value on: C's shares are all near 1 / V.
        colors = {"cmap": "RdBu_r", "vmin": -largest} if lowest < 0 else {"cmap": "Blues", "vmin": lowest}
        for subset in range(subsets):
            axis = axes[row, subset]
            image = axis.imshow(values[subset], vmax=largest, interpolation="nearest", **colors)
            axis.set_title(f"{name}, subset {subset + 1}", fontsize=9)
        figure.colorbar(image, ax=axes[row, :].tolist(), shrink=0.8)
    flat = seen_from_front(pose[:, None, :, None], layout)[:, 0, :, 0]  # (2, V)
    for subset in range(subsets):
        _draw_links(axes[3, subset], graphs.data_dependent[subset], flat, layout, links)
        axes[3, subset].set_title(f"C on the skeleton, subset {subset + 1}", fontsize=9)
    figure.savefig(path, format="png", dpi=110)


def seen_from_front(clip: np.ndarray, layout: Layout) -> np.ndarray:
    """Joints (3, T, V, M) in the plane of the paper, up is up: (2, T, V, M), NaN where a joint was not seen."""
    there = joints_there(clip, layout)
    up, sign = up_axis(clip, there, layout) if layout.coordinates == "world" else (1, 1)
    # Who looks at us has the left hand on our right: axes are right-handed.
    across, turned = (0, 1) if layout.coordinates == "image" else (0, -sign) if up else (1, sign)
    flat = np.stack([turned * clip[across], sign * clip[up]]).astype(float)
    flat[:, ~there] = np.nan
    return flat


def _draw_skeleton(axis: Any, points: np.ndarray, layout: Layout, color: str) -> None:
    for child, parent in layout.edges:
        axis.plot(points[0, [child, parent]], points[1, [child, parent]], color=color, linewidth=1.2)
    axis.scatter(points[0], points[1], color=color, s=6)


def _draw_links(axis: Any, graph: np.ndarray, points: np.ndarray, layout: Layout, links: int) -> None:
    for child, parent in layout.edges:
        axis.plot(points[0, [child, parent]], points[1, [child, parent]], color="0.8", linewidth=3, zorder=1)
    strength = np.abs(graph) * ~np.eye(len(graph), dtype=bool)
    for place in np.argsort(-strength, axis=None, kind="stable")[:links]:
        giver, taker = np.unravel_index(place, graph.shape)
        share = strength[giver, taker] / (strength.max() or 1.0)
        ends = [giver, taker]
        axis.plot(points[0, ends], points[1, ends], color="C3", alpha=float(share), linewidth=1.0, zorder=2)
    given = np.abs(graph).sum(axis=1)
    sizes = 20 + 130 * (given - given.min()) / (np.ptp(given) or 1.0)
    axis.scatter(points[0], points[1], s=sizes, color="C0", zorder=3, clip_on=False)
    axis.set_aspect("equal")
    axis.axis("off")
