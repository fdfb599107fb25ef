"""The measurements: parity comes first and decides, numbers are whole, one part's failure leaves the others'."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from exported import three_blocks

from agcn.plots import logarithmic
from bench import run as bench_run
from bench import train as bench_train
from bench.infer import run_infer
from bench.machine import MatrixProduct, describe
from bench.pages.charts import rate_charts
from bench.part import Check, Limit, Part, Rate
from bench.prep import measure as bench_prep
from bench.prep.original import prepare_original
from bench.prep.recordings import megabytes, ntu_files
from bench.random_models import made_clips, random_model, relative
from bench.report import as_markdown, panels, read_results, summary, write_report
from bench.timer import Timing, measure
from bench.train import run_train
from native_prep.datasets.names import is_training, parse_name
from native_prep.reference import prepare_ntu_clip
from native_prep.skeletons.layouts import NTU
from native_prep.skeletons.streams import bones

SMALL_PREP = {
    "ntu_clips": 12, "kinetics_clips": 8, "frames": 12, "ntu_megabytes": 1, "npy_clips": 6, "runs": 1, "seconds": 0.0,
    "workers": 1,
}  # fmt: skip


def small_part(name: str = "train", error: float = 0.0) -> Part:
    part = Part(name, {"batch": 2}, left_out={"engine": "no GPU"})
    part.checks.append(Check("fast", error, 1e-6, "loss"))
    timings = {"plain": Timing((2.0, 1.0, 3.0), 9.0), "fast": Timing((0.5,), 1.0)}
    contenders = [{"fast": Limit("the product", 16.0)}]
    amounts, notes = {"plain": 4, "fast": 4}, {"fast": "a note"}
    part.add_rates(timings, amounts, "clips/s", "plain", notes, title="Steps at once", contenders=contenders)
    return part


def test_variants_take_turns_after_a_warm_up() -> None:
    calls: list[str] = []
    timings = measure({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, runs=2)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert len(timings["a"].runs) == 2 and timings["a"].warm_up >= 0
    calls.clear()
    measure({"a": lambda: calls.append("a")}, runs=9, seconds=-1.0)
    assert calls == ["a", "a"]
    with pytest.raises(ValueError, match="at least one"):
        measure({})


def test_nearly_all_runs_stay_within_p99() -> None:
    assert Timing((3.0, 1.0, 2.0), 0.0).p99 == 3.0
    assert Timing(tuple(range(200, 0, -1)), 0.0).p99 == 198


def test_device_is_waited_for_around_every_run() -> None:
    calls: list[str] = []
    measure({"a": lambda: calls.append("work")}, runs=1, synchronise=lambda: calls.append("wait"))
    assert calls == ["wait", "work", "wait"] * 2


def test_rates_are_medians_and_ratios_of_one_run() -> None:
    plain, fast = small_part().rates
    assert (plain.rate, plain.ratio, plain.runs, plain.spread) == (2.0, 1.0, 3, 1.0)
    assert (fast.rate, fast.ratio, fast.note) == (8.0, 4.0, "a note")


def test_a_check_fails_on_what_is_no_number() -> None:
    assert Check("a", 1e-6, 1e-6, "").passed
    assert not Check("a", float("nan"), 1e-6, "").passed
    assert small_part().passed and not small_part(error=1e-5).passed


def test_report_says_what_ran_where_and_what_did_not(tmp_path: Path) -> None:
    parts = {"train": small_part().as_dict() | {"machine": describe()}}
    written = write_report(tmp_path / "new", parts)
    assert sorted(Path(path).name for path in written) == ["report.md", "results.json", "train.png"]
    assert read_results(tmp_path / "new") == json.loads(json.dumps(parts))
    text = as_markdown(parts)
    assert torch.__version__.split("+")[0] in text and "Not run: engine: no GPU" in text and "4.00" in text
    assert "## Training (`train`): passed" in text and "### Steps at once" in text and "Baseline: plain." in text
    assert "| Steps at once | plain, 2 clips/s | fast, 8 clips/s | 4 | 50% of the product (16 clips/s) |" in text
    assert (tmp_path / "new" / "train.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "new" / "results.json").write_text("[]")
    with pytest.raises(ValueError, match="not results of bench"):
        read_results(tmp_path / "new")


def test_the_summary_names_the_fastest_of_each_kind() -> None:
    (row,) = summary({"train": small_part().as_dict()})
    assert row == {
        "part": "train", "what": "Steps at once", "unit": "clips/s", "baseline": {"name": "plain", "rate": 2.0},
        "ours": {"name": "fast", "rate": 8.0}, "ratio": 4.0,
        "limit": {"name": "the product", "rate": 16.0, "share": 0.5},
    }  # fmt: skip
    rates = {"plain": 1.0, "a": 2.0, "b": 3.0, "half": 5.0, "slow half": 4.0, "other": 9.0}
    kinds = ({"a": None, "b": None, "not run": None}, {"half": None, "slow half": None})

    def best(**changed: float) -> list[str]:
        part = Part("infer", {})
        part.rates += [Rate(name, rate, "clips/s", 1.0, 1, 0.0, group="A") for name, rate in (rates | changed).items()]
        part.add_group("A", "clips/s", "plain", kinds)
        return list(part.groups[0].best)

    assert best() == ["b", "half"] and best(half=2.5) == ["b", "slow half"]
    assert best(b=6.0) == ["b"]  # half precision that is no faster is not told of


def test_panels_are_the_rates_of_one_group_and_unit() -> None:
    part = small_part()
    for group, unit in (("", "GB/s"), ("", "clips/s"), ("", "GB/s")):
        part.rates.append(Rate("plain", 1.0, unit, 1.0, 1, 0.0, group=group, label="plain"))
    found = panels(part.as_dict())
    assert [(title, unit, len(rates)) for title, unit, rates, _ in found] == [
        ("Steps at once", "clips/s", 2), ("", "GB/s", 2), ("", "clips/s", 1),
    ]  # fmt: skip
    assert found[0][3] is found[0][2][0] and found[1][3] is found[2][3] is None


@pytest.mark.parametrize(("fast", "wide"), ((29.0, False), (31.0, True), (1e4, True)))
def test_the_page_and_the_plots_have_the_same_scale(fast: float, wide: bool) -> None:
    part = Part("prep", {})
    part.rates += [Rate(name, rate, "clips/s", 1.0, 3, 0.0) for name, rate in (("plain", 1.0), ("fast", fast))]
    part.add_group("", "clips/s", "plain")
    found = part.as_dict()
    ((_, _, rates, _),) = panels(found)
    (chart,) = rate_charts(found)
    layout = chart["spec"]["layout"]
    axis, (line,) = layout["xaxis"], layout["shapes"]
    assert logarithmic(rates) == wide == (axis.get("type") == "log") == ("logarithmic" in axis["title"]["text"])
    low, high = (10**power for power in axis["range"]) if wide else axis["range"]
    assert low < 1.0 and high > 1.4 * fast and line["x0"] == line["x1"] == 1.0


def test_results_of_an_older_version_stay_in_the_report(tmp_path: Path) -> None:
    part = small_part().as_dict() | {"machine": describe()}
    del part["groups"], part["limit"], part["notes"]
    for rate in part["rates"]:
        del rate["group"], rate["label"]
    (tmp_path / "results.json").write_text(json.dumps({"parts": {"train": part}}))
    old = read_results(tmp_path)
    new = small_part("infer").as_dict() | {"machine": describe()}
    write_report(tmp_path, {**old, "infer": new})
    assert [row["part"] for row in summary(read_results(tmp_path))] == ["infer"]
    assert (tmp_path / "train.png").is_file() and "| fast | 8 clips/s |" in (tmp_path / "report.md").read_text()


def test_a_matrix_product_is_a_limit() -> None:
    product = MatrixProduct(torch.device("cpu"))
    before = product.rate
    product()
    once = product.rate
    product()
    assert before == 0.0 and 0 < once <= product.rate < 1e15 and product.name == "fp32 matrix product"


def test_a_failing_part_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Part:
        raise RuntimeError("out of\nsomething")

    parts = {"prep": lambda: small_part("prep"), "train": broken, "infer": lambda: small_part("infer", error=1.0)}
    monkeypatch.setattr(bench_run, "PARTS", parts)
    found = bench_run.run("all", tmp_path)
    assert not found["passed"]
    assert found["failed"] == ["train: out of something", "infer, fast: loss 1.00e+00 > 1.00e-06"]
    assert found["ratios"]["prep"]["fast"] == 4.0
    assert [row["part"] for row in found["summary"]] == ["prep", "infer"]
    again = bench_run.run("prep", tmp_path)
    assert again["passed"] and set(again["rates"]) == {"prep"}
    assert set(read_results(tmp_path)) == {"prep", "train", "infer"}
    with pytest.raises(ValueError, match="no part 'tran'"):
        bench_run.run("tran", tmp_path)


def test_lively_model_lets_every_path_speak() -> None:
    clips = torch.from_numpy(made_clips(2, 8, 2, seed=0))
    model = random_model(0, clips)
    assert not model.training
    before = model(clips)
    for name, parameter in model.named_parameters():
        if name.endswith((".PA", "gcn1.bn.weight")):
            with torch.no_grad():
                kept = parameter.clone()
                parameter.zero_()
                assert relative(model(clips), before) > 1e-3, name
                parameter.copy_(kept)


def test_training_variants_agree_and_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_train, "has_half", lambda device, amp_dtype: amp_dtype == "bf16")
    part = run_train(frames=8, batch=2, runs=1, seconds=0.0, without=("compiled fp32",))
    assert part.passed, part.checks
    assert {rate.name for rate in part.rates} >= {"original fp32", "eager fp32", "amp bf16"}
    assert "of the time of a step" in next(rate.note for rate in part.rates if rate.name == "eager fp32")
    assert part.left_out["compiled fp32"] == "left out on request"
    assert {check.name for check in part.checks} >= {"eager fp32", "amp bf16"}
    (group,) = part.groups
    assert group.title == "Training steps, a batch of 2 clips" and next(iter(group.best)) == "eager fp32"
    assert part.limit["fp32 matrix product, GFLOP/s"] > 0 and part.limit["bf16 matrix product, GFLOP/s"] > 0
    # Of the joint stream, forward and back.
    assert 1 < part.limit["arithmetic of a clip, GFLOP"] < 4


def test_what_gives_other_answers_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_train, "ALLOWED", {"bf16": (0.0, 0.0), "fp16": (0.0, 0.0), None: (0.0, 0.0)})
    part = run_train(frames=8, batch=2, runs=1, seconds=0.0, without=("compiled fp32", "compiled amp bf16"))
    assert not part.passed and [rate.name for rate in part.rates] == ["original fp32"]
    monkeypatch.setattr(bench_prep, "ALLOWED", -1.0)
    part = bench_prep.run_prep(**SMALL_PREP, sample=1)
    assert not part.passed and part.rates == []


@pytest.mark.long(20)
def test_inference_variants_agree_and_are_timed() -> None:
    with three_blocks():
        part = run_infer(frames=8, batch=2, runs=1, seconds=0.0, without=("compiled fp32",))
    assert part.passed, part.checks
    variants = {"eager fp32", "folded fp32", "onnxruntime fp32", "onnxruntime int8"}
    if shutil.which("g++"):
        variants.add("aotinductor fp32")
    assert {rate.name for rate in part.rates} >= variants | {f"{variant}, one clip" for variant in variants}
    assert all(rate.ratio == 1 for rate in part.rates if rate.name.startswith("eager"))
    assert all(("p99" in rate.note) == rate.name.endswith("one clip") for rate in part.rates)
    assert all(np.isfinite(rate.rate) and rate.rate > 0 for rate in part.rates)
    many, one = part.groups
    assert (many.title, one.title) == ("Two-stream inference, a batch of 2 clips", "One clip of one body at a time")
    # int8 is held to its own graph: it is no answer of the baseline.
    assert len(many.best) == len(one.best) == 1 and "int8" not in "".join((*many.best, *one.best))
    assert all(limit.name == "the fp32 matrix product" for group in part.groups for limit in group.best.values())
    assert {rate.label for rate in part.rates if rate.group == one.title} >= variants
    for what in ("arithmetic of a clip, GFLOP", "arithmetic of a clip, one clip, GFLOP"):
        assert part.limit[what] > 0


def test_an_answer_that_changes_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = ("compiled fp32", "aotinductor fp32", "folded fp32")
    # As where the errors are small and other classes on top.
    monkeypatch.setattr("bench.infer.compare_int8", lambda *_: {"passed": False, "rms_rel": 0.01, "tolerance": 0.1})
    with three_blocks():
        part = run_infer(frames=8, batch=2, runs=1, seconds=0.0, without=slow)
    assert not part.passed and not part.agrees("onnxruntime int8")
    assert not any(rate.name.startswith("onnxruntime int8") for rate in part.rates)
    assert any(rate.name == "onnxruntime fp32" for rate in part.rates)


@pytest.mark.long(20)
def test_prep_kernels_agree_with_the_reference_and_are_timed() -> None:
    part = bench_prep.run_prep(**SMALL_PREP, sample=3)
    assert part.passed, part.checks
    kinds = ("joint", "bone", "packed")
    assert [check.name for check in part.checks] == [
        *(f"{name} {kind}" for name in ("ntu60", "kinetics") for kind in kinds), "ntu60 packed from a zip",
    ]  # fmt: skip
    assert {rate.unit for rate in part.rates} == {"clips/s", "MB/s of text", "MB/s of arrays"}
    assert all(np.isfinite(rate.rate) and rate.rate > 0 for rate in part.rates)
    variants = {rate.name.split(" ", 1)[1] for rate in part.rates}
    assert variants >= {bench_prep.ORIGINAL, bench_prep.KERNELS, bench_prep.PACKED, bench_prep.NPY, bench_prep.START}
    rows = summary({"prep": part.as_dict()})
    assert [row["what"] for row in rows] == ["Raw NTU text to clips on disk", "Kinetics JSON to clips"]
    assert [row["baseline"]["name"] for row in rows] == [
        "original's way, .npy files, one process", "NumPy reference, one process, nothing written",
    ]  # fmt: skip
    assert all(row["ours"]["name"] in ("packed store", ".npy files") for row in rows)
    assert all(row["limit"]["name"] == "reading the files" for row in rows) and len(part.limit) == 2


def test_the_limit_of_reading_holds_nothing_but_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / name for name in "abc"]
    for size, path in enumerate(paths):
        path.write_bytes(bytes(size))
    work = bench_prep._reading(paths, 2)
    called = []
    monkeypatch.setattr(Path, "stat", lambda self, **_: called.append("stat"))
    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: (called.append(self.name), opened(self, *a, **k))[1])
    work()
    assert sorted(called) == ["a", "b", "c"]


def test_the_originals_way_gives_the_references_numbers(tmp_path: Path) -> None:
    paths = ntu_files(tmp_path, None, clips=6, frames=12, seed=3, megabytes=0)
    prepare_original(paths, tmp_path)
    for benchmark in ("xsub", "xview"):
        for side in ("train", "val"):
            ours = [path for path in paths if is_training("ntu60", benchmark, path.name) == (side == "train")]
            joints = np.load(tmp_path / f"{benchmark}_{side}_joint.npy")
            assert len(joints) == len(ours)
            for path, joint, bone in zip(ours, joints, np.load(tmp_path / f"{benchmark}_{side}_bone.npy"), strict=True):
                expected = prepare_ntu_clip(path)
                assert np.abs(joint - expected).max() <= 1e-6
                assert np.array_equal(bone, bones(joint, NTU))


def test_recordings_are_copied_under_names_of_the_data_set(tmp_path: Path) -> None:
    files = ntu_files(tmp_path, None, clips=4, frames=8, seed=0, megabytes=1)
    assert megabytes(files) >= 1 and len({parse_name("ntu60", path.name) for path in files}) == len(files) > 4
    with pytest.raises(ValueError, match="give a folder of raw clips"):
        ntu_files(tmp_path, tmp_path / "ntu" / "none", clips=4, frames=8, seed=0, megabytes=1)


@pytest.mark.parametrize(("free", "batch"), ((64e9, 16), (9e9, 8), (7e9, 8), (4e9, 4), (1e9, 2)))
def test_the_training_batch_fits_into_memory(monkeypatch: pytest.MonkeyPatch, free: float, batch: int) -> None:
    monkeypatch.setattr("bench.train.free_memory", lambda device: free)
    assert bench_train._fitting_batch() == batch
