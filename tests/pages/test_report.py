"""`report`: what stands on the page for real runs, for several of them, and where something is missing."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from trained_runs import BENCH, CLASSES, train_runs

import cli
from agcn.score_files import SCORE_FILE
from bench.pages import charts
from bench.pages.outcome import outcome_of
from bench.pages.report import report

MOST_BYTES = 10_000_000


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, two runs and their engine in the usual places, and what bench measured."""
    return train_runs(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def work(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy that a test may change, as the current folder."""
    shutil.copytree(trained, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    yield tmp_path / "work"


def embedded(page: str) -> list[Any]:
    """All data of a page."""
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)]


def specs(page: str) -> list[dict[str, Any]]:
    return [one for one in embedded(page) if isinstance(one, dict) and "layout" in one and "data" in one]


def test_the_usual_folders_need_no_argument(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(["report"])
    shown = capsys.readouterr()
    assert done.value.code == 0, shown.err
    result = json.loads(shown.out.splitlines()[-1])
    page = Path("report.html").read_text(encoding="utf-8")
    assert result["outputs"] == ["report.html"] and result["bytes"] == len(page.encode()) < MOST_BYTES
    (numbers,) = result["experiments"].values()
    assert numbers["clips"] == 12 and not result["notes"]
    for stream in ("joint", "bone", "fused"):
        assert f"{100 * numbers[f'{stream}_top1']:.2f} %" in page
    for title in ("Class by class", "Confused pairs", "Calibration", "Learned graphs", "Parity", "Speed", *CLASSES):
        assert title in page, title
    assert BENCH["infer"]["rates"][1]["name"] in page


def test_the_accuracy_is_that_of_fuse_eval(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["fuse-eval", "--dataset", "nw-ucla"])
    fused = json.loads(capsys.readouterr().out.splitlines()[-1])
    (numbers,) = report()["experiments"].values()
    assert [numbers[f"{name}_top1"] for name in ("joint", "bone", "fused")] == [
        fused["joint_top1"], fused["bone_top1"], fused["top1"],
    ]  # fmt: skip


def test_nothing_is_loaded_from_elsewhere(work: Path) -> None:
    report()
    page = Path("report.html").read_text(encoding="utf-8")
    head, _, rest = page.partition("<body>")
    markup = re.sub(r"<script>.*?</script>", "", head + rest, flags=re.DOTALL)
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", markup)
    assert "@import" not in markup and "url(" not in markup


def test_every_chart_is_one_that_plotly_takes_and_has_a_text(work: Path) -> None:
    report()
    page = Path("report.html").read_text(encoding="utf-8")
    found = specs(page)
    assert len(found) >= 8
    for spec in found:
        go.Figure(spec)
    labels = re.findall(r'<div class="chart" role="img" aria-label="([^"]*)"', page)
    assert len(labels) == len(found) and all(len(label) > 30 for label in labels)


def test_several_folders_stand_side_by_side(work: Path) -> None:
    shutil.copytree("work_dir/nw-ucla", "other/again")
    found = report(["work_dir/nw-ucla", "other"])["experiments"]
    assert list(found) == ["nw-ucla", "other/again"]
    assert found["nw-ucla"] == found["other/again"]
    page = Path("report.html").read_text(encoding="utf-8")
    assert page.count('class="panel graphs"') == 2 and len(page) < MOST_BYTES


def test_a_run_alone_has_no_fusion(work: Path) -> None:
    (numbers,) = report(["work_dir/nw-ucla/agcn_bone"])["experiments"].values()
    assert set(numbers) == {"bone_top1", "clips", "ece"}
    assert "What fusion put right" not in Path("report.html").read_text(encoding="utf-8")


def test_without_the_data_curves_stay_and_the_page_says_what_is_missing(work: Path) -> None:
    shutil.rmtree("data")
    result = report()
    page = Path("report.html").read_text(encoding="utf-8")
    assert any("labels are not at hand" in note for note in result["notes"])
    assert "Loss and accuracy in training" in page and "Confused pairs</h2>" not in page
    assert all(note.split(": ", 1)[1].split("'")[0] in page for note in result["notes"])


def test_stale_scores_are_left_out(work: Path) -> None:
    shutil.copy("work_dir/nw-ucla/agcn_joint/best.pt", "work_dir/nw-ucla/agcn_bone/best.pt")
    result = report()
    (numbers,) = result["experiments"].values()
    assert "bone_top1" not in numbers and any("bone stream has no accuracy" in note for note in result["notes"])


def test_names_cannot_become_markup(work: Path) -> None:
    Path("work_dir/nw-ucla").rename("work_dir/<img src=x onerror=alert(1)>")
    report()
    assert (
        "<img" not in Path("report.html").read_text(encoding="utf-8").replace(r"\u003c", "").split("</head>")[1][:20000]
    )


@pytest.mark.parametrize(
    ("folders", "bench", "what"),
    [
        (["nowhere"], None, "nowhere: no such folder"),
        (["data"], None, "data: no run is in it"),
        ([], "data", "data: no results.json in it"),
    ],
)
def test_what_is_not_there_is_named(work: Path, folders: list[str], bench: str | None, what: str) -> None:
    with pytest.raises(ValueError, match=re.escape(what)):
        report(folders, bench=bench)
    assert not Path("report.html").exists()


def test_no_work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="work_dir: no such folder: run train first"):
        report()


def test_scores_of_other_clips_are_left_out(work: Path) -> None:
    from native_prep.io.pickles import save_pickle

    save_pickle("data/nw-ucla/val_label.pkl", (["other.json"], [0]))
    result = report()
    assert sum("lacks 1 clips" in note for note in result["notes"]) == 2


def test_kinetics_many_classes_stay_small() -> None:
    rng = np.random.default_rng(0)
    outcome = outcome_of(rng.standard_normal((2000, 400)), rng.integers(0, 400, 2000))
    chart = charts.confusion_chart([f"class {label}" for label in range(400)], outcome, "fused")
    assert len(json.dumps(chart)) < 2_200_000
    counts = np.frombuffer(base64.b64decode(chart["spec"]["data"][0]["customdata"]["bdata"]), "<i4")
    np.testing.assert_array_equal(counts.reshape(400, 400), outcome.confusion)


def test_the_score_file_is_that_of_the_best_checkpoint(trained: Path) -> None:
    assert (trained / "work_dir" / "nw-ucla" / "agcn_joint" / SCORE_FILE).is_file()
