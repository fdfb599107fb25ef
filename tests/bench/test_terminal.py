"""Results for eyes: tables on a terminal of any width, JSON in pipes and where it is asked for."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from terminals import on_terminal

from bench.terminal import duration, percent, show, size

STREAM = {
    "epochs": 50, "top1": 0.93, "top5": 0.99, "best_top1": 0.9375, "checkpoint": "work_dir/x/agcn_joint/x-49-800.pt",
    "clips_per_second": 123.456, "loss": 0.12345, "losses": [1.0], "stream": "joint", "device": "cpu", "amp": None,
}  # fmt: skip
BOTH = {"streams": {"joint": STREAM, "bone": {**STREAM, "top5": None}}}
TESTED = {
    "top1": 0.5, "top5": None, "mean_class_accuracy": 0.4, "clips": 9,
    "loss": 1.5, "scores": "w/s.pkl", "stream": "bone", "warnings": ["odd"],
}  # fmt: skip
FUSED = {
    "clips": 463, "joint_top1": 0.8251, "bone_top1": 0.8402, "top1": 0.8726, "top5": None, "mean_class_accuracy": 0.86,
    "alpha": 1.0,
}  # fmt: skip
PREP = {
    "dataset": "ntu60", "clips": 24000, "frames": 1234567, "bytes_read": 36_400_000, "seconds": 126.2, "bad_files": 2,
    "ignored": 302, "empty": 1, "outputs": [],
}  # fmt: skip
EXPORT = {
    "onnx": "gone/two_stream.onnx", "engines": [], "precision": "fp16", "parity": {"passed": True, "max_rel": 1.83e-7},
    "passed": True, "manifest": "gone/manifest.json", "seconds": 9.0, "notes": ["no engines: none were asked for"],
}  # fmt: skip
TOP = [{"class": "drink water", "label": 0, "score": 0.98765}, {"class": "eat meal/snack", "label": 1, "score": 0.01}]
PREDICTED = {
    "clips": [{"clip": "a.skeleton", "top": TOP}, {"clip": "b.skeleton", "top": []}],
    "runtime": "onnxruntime on cpu",
}
LIVE = {"frames": 9, "dropped": {"late": 1}, "x": 0.123456}
SUMMARY = [
    {
        "part": "prep", "what": "Raw NTU text to clips on disk", "unit": "clips/s", "ratio": 612.3,
        "baseline": {"name": "original's way", "rate": 1.8765}, "ours": {"name": "packed store", "rate": 1148.9},
        "limit": {"name": "reading the files", "rate": 2500.0, "share": 0.4596},
    },
    *(
        {
            "part": "infer", "what": what, "unit": "clips/s", "ratio": 3.2109,
            "baseline": {"name": "eager fp32", "rate": 4.2}, "ours": {"name": "aotinductor fp32", "rate": 13.4},
            "limit": bound,
        }
        for what, bound in (
            ("Two-stream inference, a batch of 8 clips", {"name": "the fp32 matrix product", "rate": 9, "share": 0.67}),
            ("One clip of one body at a time", None),
        )
    ),
]  # fmt: skip
BENCH = {
    "passed": True, "failed": [], "rates": {"prep": {"packed": 1.2e9}, "gpu machine": {"copy, GB/s": 4.0}},
    "summary": SUMMARY, "left_out": {}, "outputs": ["o/report.md", "o/results.json"], "seconds": 3700.0,
}  # fmt: skip
MOVED = {
    "part": "infer", "name": "onnxruntime fp32, one clip", "unit": "clips/s", "old": 14.0, "new": 7.0, "ratio": 0.5,
    "noise": 0.05, "faster": False, "beside_baseline": 1.0,
}  # fmt: skip
COMPARED = {
    "moved": [MOVED, {**MOVED, "name": "eager", "ratio": 1.25, "faster": True, "beside_baseline": None}], "unmoved": 21,
    "only_old": [{"part": "infer", "name": "int8"}], "only_new": [{"part": "prep", "name": str(n)} for n in range(9)],
    "checks_changed": [{"part": "infer", "name": "engine", "what": "logits", "old": True, "new": False}],
    "machine_differs": ["gpu: none, now H200"], "sizes_differ": ["infer, batch: 8, now 64"],
    "busy": ["NEW, infer: load 9 on 2 cores when it began"],
}  # fmt: skip

VIEWED = {"clips": 5, "names": list("abcde"), "outputs": ["gone/view.html", "gone/a.gif"], "bytes": 9}
REPORTED = {
    "experiments": {
        "nw-ucla": {"joint_top1": 0.84, "joint_motion_top1": 0.7, "fused_top1": 0.85, "clips": 464, "ece": 0.02},
        "x": {"clips": 0, "ece": None},
    },
    "notes": ["x: no labels"], "outputs": ["report.html"], "bytes": 5_200_000,
}  # fmt: skip


def shown(command: str, result: dict, width: int = 100) -> str:
    out = io.StringIO()
    show(command, result, console=Console(file=out, width=width, highlight=False))
    return out.getvalue()


def test_numbers() -> None:
    assert [percent(share) for share in (0.9375, 1.0, None)] == ["93.75 %", "100.00 %", "-"]
    times = [duration(seconds) for seconds in (0.04, 9.94, 9.96, 59.4, 126.2, 3600.0, 7500)]
    assert times == ["0.0 s", "9.9 s", "10 s", "59 s", "2 min 6 s", "1 h 0 min", "2 h 5 min"]
    sizes = [size(count) for count in (12, 1500, 36_400_000, 2_970_000_000)]
    assert sizes == ["12 bytes", "1.5 kB", "36.4 MB", "2.97 GB"]


WORDS = {
    "prep": (PREP, ["24,000 of 1,234,567 frames", "302 on the list", "36.4 MB in 2 min 6 s", "cli.py train --amp"]),
    "train": (STREAM, ["joint  best 93.75 %, last 93.00 %, top-5 99.00 %", "agcn_joint/best.pt", "cli.py fuse-eval"]),
    "train both": (BOTH, ["joint  best 93.75 %", "bone   best 93.75 %, last 93.00 %", "cli.py export-trt"]),
    "test": (TESTED, ["bone     50.00 % of 9 clips, mean class 40.00 %, loss", "w/s.pkl", "warning  odd", "fuse-eval"]),
    "fuse-eval": (FUSED, ["joint  82.51 %", "fused  87.26 % of 463 clips, mean class 86.00 % (alpha 1)", "bench"]),
    "fuse-eval of more": (
        {**FUSED, "streams": {"joint_motion": {"weight": 0.5, "top1": 0.75}}},
        ["joint_motion  75.00 % (weight 0.5)", "(alpha 1)"],
    ),
    "export-trt": (EXPORT, ["met: 1.8e-07 of the largest score", "onnx, is gone", "fuse-eval --engine gone"]),
    "predict": (PREDICTED, [" 98.77 %  drink water", "  1.00 %  eat meal/snack", "nobody is in it", "onnxruntime on"]),
    "predict live": (LIVE, ["frames         9", "dropped: late  1", "0.1235"]),
    "bench": (
        BENCH,
        [
            "measured",
            "Raw NTU text to clips on disk",
            "1,149 clips/s",
            "612 x",
            "gpu machine: copy, GB/s  4",
            "o/report.md",
            "1 h 1 min",
        ],
    ),
    "bench compare": (
        COMPARED,
        [
            "infer: onnxruntime fp32, one clip  14 clips/s  7 clips/s  0.50 x  SLOWER  1.00 x",
            "1.25 x  faster",
            "did not move     21",
            "only in OLD      infer: int8",
            "only in NEW      prep: 9 variants",
            "engine, logits: NOT met any more",
            "gpu: none, now H200",
            "infer, batch: 8, now 64",
            "load 9 on 2 cores",
            "are not comparable",
        ],
    ),
    "bench same": ({key: 21 if key == "unmoved" else [] for key in COMPARED}, ["moved         nothing", "21"]),
    "report": (
        REPORTED,
        ["joint 84.00 %, joint motion 70.00 %", "no accuracy, see", "x: no labels", "5.2 MB"],
    ),
    "view": (VIEWED, ["a, b, c and 2 more", "gone/view.html, is gone", "open     file://"]),
    "failed": ({"passed": False, "failed": ["parity"]}, ["failed  parity"]),
}


@pytest.mark.parametrize("name", WORDS)
def test_tables(name: str) -> None:
    command, (result, words) = name.split()[0], WORDS[name]
    for width in (60, 80, 120):
        text = shown(command, result, width)
        assert "{" not in text and max(map(len, text.splitlines())) <= width
    assert all(word in text for word in words), text
    narrow = shown(command, result, 40)  # values stay whole, whatever the terminal does with their lines
    assert all(": " in line or line.startswith("  ") for line in narrow.splitlines())


def test_what_bench_measured_fits_on_a_screen() -> None:
    for width, words in (
        (80, ("One clip of one ", "46 % of reading ", "3.21 x", "13.4 clips/s", "aotinductor fp32")),
        (60, ("\n  ours: packed store, 1,149 clips/s, 612 x\n  limit: 46 % of reading the files\n",)),
    ):
        text = shown("bench", {**BENCH, "summary": SUMMARY * 2, "rates": {}}, width)
        assert len(text.splitlines()) <= 30 and all(word in text for word in words), text
    assert "packed  1.2e+09" not in shown("bench", BENCH)  # in the report


def test_the_next_command_is_for_the_same_data() -> None:
    out = io.StringIO()
    show("train", BOTH, " --dataset kinetics", Console(file=out, width=100))
    show("fuse-eval", FUSED, " --dataset kinetics", Console(file=out, width=100))
    show("fuse-eval", FUSED, "", Console(file=out, width=100), "two-stream-agcn")
    assert "next" in out.getvalue() and "  two-stream-agcn bench" in out.getvalue()
    assert "python cli.py export-trt --dataset kinetics" in out.getvalue() and "bench --dataset" not in out.getvalue()
    assert "train --amp --dataset kinetics" in shown("prep", {**PREP, "dataset": "kinetics"})


def test_on_a_terminal(tmp_path: Path) -> None:
    words = ("--clips", "2", "--frames", "8")
    for columns in (80, 120):
        told = on_terminal(tmp_path, columns, "synth", "ntu60", "--out", f"raw{columns}", *words, NO_COLOR="1")
        assert f"written  raw{columns}" in told and "next     python cli.py prep ntu60" in told
        assert "\x1b" not in told and "{" not in told
    narrow = on_terminal(tmp_path, 40, "synth", "ntu60", "--out", "narrow", *words, NO_COLOR="1")
    assert "written: narrow\n" in narrow and "next: python cli.py prep ntu60\n" in narrow
    line = on_terminal(tmp_path, 80, "synth", "ntu60", "--out", "json", *words, "--json").splitlines()[-1]
    assert json.loads(line)["command"] == "synth"


def test_quality_and_persons_have_rows() -> None:
    none = {"mean": 0.0, "worst": 0.0, "clip": "a"}
    quality = {"empty_frames": {"mean": 0.1, "worst": 0.5, "clip": "clip2"}, "weak_joints": none, "jumps": none}
    found = shown("prep", {**PREP, "dataset": "custom", "quality": {**quality, "left_out": 0}})
    assert "quality  10.00 % of frames without anyone, most in clip2: 50.00 %" in found
    assert "0.00 % of steps longer than a body" in found and "most in a" not in found
    persons = [{"person": "7", "frames": [3, 40], "top": TOP}]
    found = shown("predict", {**PREDICTED, "clips": [{"clip": "a.skeleton", "top": TOP, "persons": persons}]})
    assert "person 7" in found and "98.77 %  drink water, frames 3 to 40" in found
