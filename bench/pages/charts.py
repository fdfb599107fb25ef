"""Charts of the report as plotly.js draws them: plain tables of `data` and `layout`, without colours of text and paper.

Those come from the page, which may be light or dark. Each chart has a sentence that says what it shows.
"""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agcn.plots import logarithmic
from bench.pages.curves import Curve
from bench.pages.outcome import BINS, Outcome
from bench.report import panels
from native_prep.io.progress import percent

# Near Okabe and Ito's palette, whose colours people with colour blindness can tell apart; readable on white and black.
COLORS = {
    "joint": "#0072B2",
    "bone": "#D55E00",
    "joint_motion": "#3C8DBC",
    "bone_motion": "#B8629A",
    "fused": "#009E73",
}
TEXT = {stream: stream.replace("_", " ") for stream in COLORS}
# Beyond so many classes their names beside, or below, a matrix would only be a blur.
_NAMED, _NAMED_BELOW = 60, 20
# Cividis, whose steps are finer where shares are small: few mistakes are to be seen beside a bright diagonal.
_SHARES = [[0, "#00204c"], [0.01, "#1f3a6e"], [0.06, "#575c6d"], [0.25, "#7c7b78"], [0.56, "#bcaf6f"], [1, "#ffe945"]]
_MOST_BARS = 30

Chart = dict[str, Any]


def chart(title: str, text: str, data: list[dict[str, Any]], layout: dict[str, Any], height: int = 340) -> Chart:
    """A chart with its title, and the sentence that says what it shows."""
    return {"title": title, "text": text, "spec": {"data": data, "layout": {"height": height, **layout}}}


def plain(text: str) -> str:
    """Text for plotly.js, which takes <b>, <a> and the like in labels for markup."""
    return html.escape(text, quote=False)


def packed(array: np.ndarray) -> dict[str, str]:
    """An array as plotly.js reads it: base64 of its bytes."""
    kind = array.dtype.str[1:]
    assert kind in ("f4", "u2"), kind
    shape = ",".join(map(str, array.shape))
    return {"dtype": kind, "bdata": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(), "shape": shape}


def accuracy_chart(experiments: Sequence[str], top1: Sequence[Mapping[str, float]]) -> Chart:
    """Top-1 of each stream and of all together, a group of bars an experiment."""
    streams = [stream for stream in TEXT if any(stream in one for one in top1)]
    data = [
        {
            "type": "bar",
            "name": TEXT[stream],
            "x": list(map(plain, experiments)),
            "y": [_rounded(100 * one[stream]) if stream in one else None for one in top1],
            "text": [percent(one[stream]) if stream in one else "" for one in top1],
            "textposition": "outside",
            "cliponaxis": False,
            "marker": {"color": COLORS[stream]},
            "hovertemplate": "%{x}, " + TEXT[stream] + ": %{text}<extra></extra>",
        }
        for stream in streams
    ]
    words = [
        f"{name}: " + ", ".join(f"{TEXT[stream]} {percent(one[stream])}" for stream in streams if stream in one)
        for name, one in zip(experiments, top1, strict=True)
    ]
    return chart(
        "Top-1 accuracy of each stream, and of all together",
        "; ".join(words) + ".",
        data,
        {
            "barmode": "group",
            "bargap": max(0.25, 0.75 - 0.2 * len(experiments)),
            "yaxis": {"title": {"text": "top-1, %"}, "range": [0, 108]},
            "xaxis": {"type": "category"},
        },
    )


def fusion_chart(names: Sequence[str], fixed: np.ndarray, broke: np.ndarray, than: str) -> Chart:
    """What fusion put right and what it broke, class by class, against the better single stream."""
    changed = np.flatnonzero(fixed + broke)
    most = changed[np.argsort(-(fixed + broke)[changed], kind="stable")[:_MOST_BARS]]
    order = most[np.argsort(-(fixed - broke)[most], kind="stable")]
    shown = order[::-1]
    labels = [plain(names[label]) for label in shown]
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": word,
            "y": labels,
            "x": (sign * counts[shown]).tolist(),
            "customdata": counts[shown].tolist(),
            "marker": {"color": color},
            "hovertemplate": "%{y}: %{customdata} " + word + "<extra></extra>",
        }
        for word, counts, sign, color in (
            ("put right", fixed, 1, COLORS["fused"]),
            ("broken", broke, -1, COLORS["bone"]),
        )
    ]
    gain = fixed - broke
    text = f"Of the clips that the {than} stream got wrong, fusion puts {int(fixed.sum())} right; "
    text += f"it breaks {int(broke.sum())}."
    if len(order):
        best, worst = int(gain.argmax()), int(gain.argmin())
        if gain[best] > 0:
            text += f" “{names[best]}” gains most ({int(gain[best]):+d} clips)."
        if gain[worst] < 0:
            text += f" “{names[worst]}” loses most ({int(gain[worst]):+d})."
    if len(changed) > _MOST_BARS:
        text += f" The {_MOST_BARS} classes that change most are drawn; the table has all."
    layout = {
        "barmode": "relative",
        "xaxis": {"title": {"text": f"clips, against {than} alone"}},
        "yaxis": {"automargin": True, "type": "category"},
    }
    return chart("What fusion put right and broke", text, data, layout, 150 + 22 * len(order))


def confusion_chart(names: Sequence[str], outcome: Outcome, stream: str) -> Chart:
    """Of each class the shares that were taken for each class."""
    there = np.flatnonzero(outcome.confusion.any(axis=0) | outcome.confusion.any(axis=1))
    names, counts = [names[int(label)] for label in there], outcome.confusion[np.ix_(there, there)]
    axis = {"type": "category", "automargin": True, "dtick": 1, "ticks": ""}
    square = {"scaleanchor": "x", "constrain": "domain"} if len(names) <= _NAMED_BELOW else {}
    data = [
        {
            "type": "heatmap",
            "z": packed(np.minimum(counts, 65535).astype(np.uint16)),  # the page makes shares of them
            "x": list(map(plain, names)),
            "y": list(map(plain, names)),
            "zmin": 0,
            "zmax": 100,
            "colorscale": _SHARES,
            "colorbar": {"title": {"text": "%", "side": "top"}, "thickness": 10, "len": 0.9},
            "hovertemplate": "%{y}, taken for %{x}: %{customdata} clips (%{z:.1f} %)<extra></extra>",
        }
    ]
    mistakes = int(counts.sum() - counts.trace())
    text = f"{TEXT[stream].capitalize()}: {mistakes} of {int(counts.sum())} clips are taken for another class. "
    text += "A row is a class, a column what its clips are taken for; the diagonal is what is right."
    layout = {
        "xaxis": {
            **axis,
            "title": {"text": "taken for", "standoff": 12},
            "tickangle": -60,
            "showticklabels": len(names) <= _NAMED_BELOW,
            "constrain": "domain",
        },
        "yaxis": {**axis, "autorange": "reversed", "showticklabels": len(names) <= _NAMED, **square},
    }
    return chart("Confusion of classes", text, data, layout, min(300 + 14 * len(names), 1000))


def curves_chart(curves: Mapping[str, Mapping[str, Mapping[str, Curve]]]) -> Chart:
    """Loss and accuracy over the steps of training; `curves` are by stream, see `read_curves`."""
    data = []
    for stream, parts in curves.items():
        for part, name, axis, unit in (
            ("train", "loss", "", 1),
            ("val", "loss", "", 1),
            ("train", "acc", "2", 100),
            ("val", "acc", "2", 100),
        ):
            if name not in parts.get(part, {}):
                continue
            steps, values = parts[part][name]
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines" if part == "train" else "lines+markers",
                    "name": f"{TEXT[stream]}, {'training' if part == 'train' else 'test'}",
                    "legendgroup": f"{stream} {part}",
                    "showlegend": not axis,
                    "x": steps.tolist(),
                    "y": [_rounded(unit * value) for value in values],
                    "xaxis": f"x{axis}",
                    "yaxis": f"y{axis}",
                    "line": {"color": COLORS[stream], "width": 1 if part == "train" else 2.5},
                    "opacity": 0.55 if part == "train" else 1.0,
                }
            )
    words = []
    for stream, parts in curves.items():
        if "acc" in parts.get("val", {}):
            steps, values = parts["val"]["acc"]
            best = int(values.argmax())
            words.append(
                f"The {TEXT[stream]} stream's best test is {percent(float(values[best]))} after {steps[best]} steps, "
                f"its last {percent(float(values[-1]))}."
            )
    layout = {
        "grid": {"rows": 1, "columns": 2, "pattern": "independent"},
        "xaxis": {"title": {"text": "steps"}},
        "xaxis2": {"title": {"text": "steps"}},
        "yaxis": {"title": {"text": "loss"}, "rangemode": "tozero"},
        "yaxis2": {"title": {"text": "accuracy, %"}, "range": [0, 100]},
    }
    return chart("Loss and accuracy in training and in the tests", " ".join(words), data, layout, 400)


def calibration_chart(outcomes: Mapping[str, Outcome]) -> Chart:
    """The reliability diagram."""
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "perfect",
            "x": [0, 100],
            "y": [0, 100],
            "line": {"dash": "dot", "width": 1, "color": "#888888"},
            "hoverinfo": "skip",
        }
    ]
    for stream, outcome in outcomes.items():
        found = outcome.calibration
        there = found.clips > 0
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": TEXT[stream],
                "x": [_rounded(100 * value) for value in found.confidence[there]],
                "y": [_rounded(100 * value) for value in found.accuracy[there]],
                "customdata": found.clips[there].tolist(),
                "marker": {"size": (6 + 14 * np.sqrt(found.clips[there] / found.clips.max())).round(1).tolist()},
                "line": {"color": COLORS[stream], "width": 1.5},
                "hovertemplate": "%{customdata} clips: %{x:.1f} % sure, %{y:.1f} % right<extra>"
                + TEXT[stream]
                + "</extra>",
            }
        )
    words = []
    for stream, outcome in outcomes.items():
        found = outcome.calibration
        sure = float(np.nansum(found.confidence * found.clips) / found.clips.sum())
        tends = "too sure" if sure > outcome.top1 else "not sure enough"
        if abs(sure - outcome.top1) < 0.01:
            tends = "about right"
        words.append(f"{TEXT[stream]} {percent(found.error)} ({percent(sure)} sure on average, {tends})")
    text = f"Expected calibration error (ECE, {BINS} bins): " + "; ".join(words) + ". "
    text += "Below the dotted line the model is surer than it is right; larger dots stand for more clips."
    if "fused" in outcomes:
        text += " Logits that are added grow, so fused probabilities lie nearer to 0 and 1 than the streams' own."
    layout = {
        "xaxis": {"title": {"text": "how sure the model is, %"}, "range": [0, 102]},
        "yaxis": {"title": {"text": "how often it is right, %"}, "range": [-3, 103]},
    }
    return chart("Reliability diagram", text, data, layout, 420)


def _rounded(value: float) -> float | None:
    """Four digits, None for what is no number: JSON has none."""
    return None if not np.isfinite(value) else float(f"{value:.4g}")


def rate_charts(part: Mapping[str, Any]) -> list[Chart]:
    """Bars of what `bench` has measured in a part, one chart a group and unit, with a line at the baseline's rate."""
    made = []
    for title, unit, rates, base in panels(part):
        shown = rates[::-1]
        data = [
            {
                "type": "bar",
                "orientation": "h",
                "y": [plain(rate["label"]) for rate in shown],
                "x": [_rounded(rate["rate"]) for rate in shown],
                "text": [
                    f"{rate['rate']:.4g}" + (f" ({rate['ratio']:.3g} x)" if rate["ratio"] else "") for rate in shown
                ],
                "textposition": "outside",
                "cliponaxis": False,
                "marker": {"color": ["#7f8a97" if rate is base else COLORS["joint"] for rate in shown]},
                "hovertemplate": "%{y}: %{x} " + unit + "<extra></extra>",
            }
        ]
        least, most = (found(rate["rate"] for rate in rates) for found in (min, max))
        axis: dict[str, Any] = {"title": {"text": unit}, "range": [0, 1.5 * most]}
        if logarithmic(rates):  # whose range is in powers of ten, with a third more for the text of the longest bar
            low, high = np.log10(least / 2), np.log10(most)
            axis = {
                "title": {"text": f"{unit}, logarithmic"},
                "type": "log",
                "range": [_rounded(low), _rounded(high + (high - low) / 3)],
            }
        layout: dict[str, Any] = {"xaxis": axis, "yaxis": {"automargin": True, "type": "category"}}
        best = max(rates, key=lambda rate: rate["rate"])
        text = f"{best['label']} is fastest, {best['rate']:.4g} {unit}."
        if base is not None:
            line = {"dash": "dot", "width": 1.5, "color": "#7f8a97"}
            place = {"yref": "paper", "x0": base["rate"], "x1": base["rate"], "y0": 0, "y1": 1}
            layout["shapes"] = [{"type": "line", **place, "line": line}]
            text = f"The dotted line is the baseline, {base['label']}: {base['rate']:.4g} {unit}. {text}"
        made.append(chart(f"{title or 'Rates'}, {unit}", text, data, layout, 110 + 34 * len(rates)))
    return made
