"""`report`: what stands on the page for real runs, for several of them, and where something is missing."""

import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from trained_runs import BENCH, CLASSES, train_runs

import cli
from agcn.score_files import SCORE_FILE
from bench.pages import charts, section
from bench.pages.outcome import outcome_of
from bench.pages.report import report
from native_prep.io.pickles import load_pickle, save_pickle

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
    assert len(found) >= 7
    for spec in found:
        go.Figure(spec)
    texts = re.findall(r'<figcaption id="chart-(\d+)"><h\d>.+?</h\d><p>(.*?)</p>', page)
    assert [int(number) for number, _ in texts] == list(range(len(found))) and all(len(text) > 30 for _, text in texts)


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


def test_an_unreadable_run_does_not_hide_the_others(work: Path) -> None:
    Path("work_dir/old").mkdir()
    Path("work_dir/old/config.yaml").write_text("no_such_key: 1\n")
    result = report()
    assert list(result["experiments"]) == ["nw-ucla"] and "no_such_key" in result["notes"][0]
    assert "no_such_key" in Path("report.html").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="no_such_key"):
        report(["work_dir/old"])


def test_a_skeleton_that_is_not_at_hand_leaves_the_curves(work: Path) -> None:
    for stream in ("joint", "bone"):
        path = Path(f"work_dir/nw-ucla/agcn_{stream}/config.yaml")
        path.write_text(path.read_text().replace("graph: graph.ucla.Graph", "graph: data/gone.json"))
    (note,) = report()["notes"]
    assert "only its curves are shown: model_args: graph" in note
    assert "Loss and accuracy in training" in Path("report.html").read_text(encoding="utf-8")


def test_stale_scores_are_left_out(work: Path) -> None:
    shutil.copy("work_dir/nw-ucla/agcn_joint/best.pt", "work_dir/nw-ucla/agcn_bone/best.pt")
    result = report()
    (numbers,) = result["experiments"].values()
    assert "bone_top1" not in numbers and any("bone stream has no accuracy" in note for note in result["notes"])


def test_names_cannot_become_markup(work: Path) -> None:
    shown = charts.accuracy_chart(["<a href='x'>y</a>"], [{"joint": 0.5}])["spec"]["data"][0]["x"]
    assert shown == ["&lt;a href='x'&gt;y&lt;/a&gt;"]
    Path("work_dir/nw-ucla").rename("work_dir/<img src=x onerror=alert(1)>")
    report()
    page = re.sub(r"<script.*?</script>", "", Path("report.html").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "&lt;img src=x" in page and "<img" not in page


def test_a_run_finds_its_data_from_another_folder(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(report()["experiments"].values())
    (tmp_path / "data" / "nw-ucla").mkdir(parents=True)
    save_pickle(tmp_path / "data" / "nw-ucla" / "val_label.pkl", (["other.json"], [0]))
    monkeypatch.chdir(tmp_path)
    result = report([work / "work_dir"], bench=work / "bench_out")
    assert list(result["experiments"].values()) == expected and not result["notes"]
    assert "Parity of the exported engines" in Path("report.html").read_text(encoding="utf-8")


def test_a_run_that_goes_on_says_what_is_to_come(work: Path) -> None:
    for name in ("best.pt", SCORE_FILE):
        Path("work_dir/nw-ucla/agcn_bone", name).unlink()
    shutil.rmtree("work_dir/nw-ucla/agcn_bone/tensorboard")
    notes = " ".join(report()["notes"])
    assert "no such file yet" in notes and "no best.pt yet" in notes and "the bone stream has no curves" in notes


@pytest.mark.parametrize("out", ["", "x.txt", "work_dir/nw-ucla/agcn_joint/best.pt", "data"])
def test_only_pages_are_written_over(work: Path, out: str) -> None:
    with pytest.raises(ValueError, match=r"give a name that ends in \.html|data: is a folder: name a file"):
        report(out=out)


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
    save_pickle("data/nw-ucla/val_label.pkl", (["other.json"], [0]))
    result = report()
    assert sum("lacks 1 clips" in note for note in result["notes"]) == 2


def test_a_confusion_of_many_classes_stays_small() -> None:
    rng = np.random.default_rng(0)
    outcome = outcome_of(rng.standard_normal((2000, 400)), rng.integers(0, 400, 2000))
    chart = charts.confusion_chart([f"class {label}" for label in range(400)], outcome, "fused")
    assert len(json.dumps(chart)) < 450_000
    counts = np.frombuffer(base64.b64decode(chart["spec"]["data"][0]["z"]["bdata"]), "<u2")
    np.testing.assert_array_equal(counts.reshape(400, 400), outcome.confusion)


def test_the_classes_that_change_most_are_drawn() -> None:
    gains = np.arange(40)
    chart = charts.fusion_chart([f"class {label}" for label in gains], gains, 0 * gains, "joint")
    drawn = {int(name.split()[1]) for name in chart["spec"]["data"][0]["y"]}
    assert drawn == set(range(10, 40)) and "The 30 classes" in chart["text"]


def test_names_of_classes_that_are_numbers_are_no_scale() -> None:
    chart = charts.fusion_chart(["0", "1", "250"], np.array([1, 2, 3]), np.zeros(3, int), "joint")
    assert chart["spec"]["layout"]["yaxis"]["type"] == "category"


def test_experiments_share_the_bytes_of_a_page(work: Path) -> None:
    for number in range(7):
        shutil.copytree("work_dir/nw-ucla", f"work_dir/more{number}")
    big = [report(["work_dir/nw-ucla"])["bytes"], report()["bytes"]]
    assert big[1] < MOST_BYTES and big[1] - big[0] < 4_500_000
    for number in range(7, 14):
        shutil.copytree("work_dir/nw-ucla", f"work_dir/more{number}")
    with pytest.raises(ValueError, match="15 experiments are too many for a page"):
        report()


def test_experiments_of_one_name_stay_apart(work: Path) -> None:
    shutil.copytree("work_dir/nw-ucla", "../work_dir/nw-ucla")
    assert len(report(["work_dir/nw-ucla", "../work_dir/nw-ucla"])["experiments"]) == 2


def test_a_run_of_bones_shows_joints(work: Path) -> None:
    report(["work_dir/nw-ucla/agcn_bone"])
    (clip, *_) = [one for one in embedded(Path("report.html").read_text()) if isinstance(one, dict) and "tracks" in one]
    names, _ = load_pickle("data/nw-ucla/val_label.pkl")
    joints = np.load("data/nw-ucla/val_data_joint.npy")[names.index(clip["name"])][:, 0, :, 0]  # (3, V)
    (track,) = clip["tracks"]
    first = np.frombuffer(base64.b64decode(track["data"]), "<i2").reshape(-1, track["bodies"], joints.shape[1], 3)[0, 0]
    np.testing.assert_allclose(first * track["scale"] + track["offset"], joints.T, atol=1e-3)
    Path("data/nw-ucla/val_data_joint.npy").unlink()
    assert any("the joints of" in note for note in report(["work_dir/nw-ucla/agcn_bone"])["notes"])


def test_parity_of_other_weights_is_not_shown(work: Path) -> None:
    path = Path("engines/nw-ucla/manifest.json")
    manifest = json.loads(path.read_text())
    manifest["sources"]["bone"]["sha256"] = "0" * 64
    path.write_text(json.dumps(manifest))
    assert any("was exported from other weights than" in note for note in report()["notes"])
    assert "Parity of the exported engines" not in Path("report.html").read_text()


def test_a_part_of_bench_that_broke_off_says_so(work: Path) -> None:
    path = Path("bench_out/results.json")
    results = json.loads(path.read_text())
    results["parts"]["infer"] |= {"error": "no memory", "passed": False, "checks": []}
    path.write_text(json.dumps(results))
    report()
    page = Path("report.html").read_text(encoding="utf-8")
    assert "Broke off: no memory" in page and "checks of parity were met" not in page
    path.write_text("{}")
    assert any("not results of bench" in note for note in report()["notes"])
    with pytest.raises(ValueError, match="give --bench another folder"):
        report(bench="bench_out")


def test_the_score_file_is_that_of_the_best_checkpoint(trained: Path) -> None:
    assert (trained / "work_dir" / "nw-ucla" / "agcn_joint" / SCORE_FILE).is_file()


@pytest.fixture(scope="module")
def page_file(trained: Path) -> Path:
    """The report of the usual folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained)
        report()
    return trained / "report.html"


def look_at_everything(page: Any) -> None:
    """Scrolls to the end, so that every chart is drawn."""
    page.evaluate(
        """async () => {
            for (let y = 0; y < document.documentElement.scrollHeight; y += 500) {
                window.scrollTo(0, y);
                await new Promise((done) => setTimeout(done, 40));
            }
        }"""
    )
    page.wait_for_function("[...document.querySelectorAll('.choice:not([hidden]) .chart')].every((one) => one.drawn)")


@pytest.mark.parametrize("viewport", ["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_chart_is_drawn(
    page_file: Path,
    open_page: Callable[..., Any],
    viewport: str,
    scheme: str,
    unnamed_controls: Callable[[Any], list[str]],
    scrolls_sideways: Callable[[Any], bool],
) -> None:
    page = open_page(page_file, viewport, color_scheme=scheme)
    look_at_everything(page)
    charts_shown = page.locator(".chart:visible")
    assert charts_shown.count() >= 5
    for place in range(charts_shown.count()):
        assert charts_shown.nth(place).locator(".main-svg").count(), place
    assert page.locator(".graph-grid svg.links").count() == 3
    assert page.locator(".graph-grid .map .main-svg").count() >= 9
    assert not unnamed_controls(page) and not scrolls_sideways(page)


def rows(page: Any, column: int) -> list[str]:
    """What the table by class says in a column, row by row."""
    found: list[str] = page.locator(f"table.sortable tbody tr:visible > :nth-child({column + 1})").all_inner_texts()
    return found


def test_sorting_sorts_also_by_keyboard(page_file: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(page_file)
    heading = page.locator("table.sortable button").get_by_text("fused", exact=True)
    heading.click()
    descending = [float(one) for one in rows(page, 4)]
    assert descending == sorted(descending, reverse=True)
    assert heading.locator("..").get_attribute("aria-sort") == "descending"
    heading.focus()
    page.keyboard.press("Enter")
    ascending = [float(one) for one in rows(page, 4)]
    assert ascending == sorted(ascending)
    page.locator("table.sortable button").get_by_text("class", exact=True).click()
    assert rows(page, 0) == sorted(rows(page, 0)) and len(rows(page, 0)) == len(CLASSES)
    assert page.locator("table.sortable [aria-sort=ascending]").count() == 1


def test_a_class_is_found(page_file: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(page_file)
    page.get_by_label("Find a class").fill(CLASSES[2].upper())
    assert rows(page, 0) == [CLASSES[2]]
    assert page.locator("[role=status]").first.inner_text() == f"1 of {len(CLASSES)} classes"


def test_another_stream_has_another_confusion(page_file: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(page_file)
    chooser = page.locator(".chooser")
    assert page.locator(".choice:visible").inner_text().find("Fused:") >= 0
    chooser.select_option("bone")
    shown = page.locator(".choice:visible")
    assert shown.count() == 1 and "Bone:" in shown.inner_text()
    shown.scroll_into_view_if_needed()
    shown.locator(".main-svg").first.wait_for()
    trace = "[...document.querySelectorAll('.choice:not([hidden]) .chart')][0]._fullData[0]"
    assert sum(map(sum, page.evaluate(f"{trace}.customdata"))) == 12
    assert {round(sum(row)) for row in page.evaluate(f"{trace}.z")} <= {0, 100}


def test_confused_clips_move_together(
    work: Path, monkeypatch: pytest.MonkeyPatch, open_page: Callable[..., Any]
) -> None:
    # What two epochs have taught differs between processors, and a class of which nothing is recognised has no clip.
    monkeypatch.setattr(section, "examples_of", lambda *_: (0, 1))
    report()
    pair = open_page(work / "report.html").locator(".pair").first
    pair.scroll_into_view_if_needed()
    pair.locator("canvas").nth(1).wait_for()
    before = pair.locator(".frame-number").all_inner_texts()
    assert len(before) == 2
    pair.get_by_role("button", name="Play both").click()
    for place, text in enumerate(before):
        pair.locator(".frame-number").nth(place).filter(has_not_text=text).wait_for()
    pair.get_by_role("button", name="Pause both").click()


def test_each_layer_has_graphs_of_its_own(page_file: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(page_file)
    page.locator(".graph-grid").scroll_into_view_if_needed()
    page.locator(".graph-grid svg.links").first.wait_for()
    texts = set()
    for layer in ("1", "5", "10"):
        page.get_by_label("Layer").select_option(label=layer)
        texts.add(page.locator(".graph-grid").inner_text())
        assert page.locator(".graph-text").inner_text().startswith(f"Layer {layer} of the joint stream")
    page.locator(".graph-stream").select_option(label="bone")
    assert page.locator(".graph-text").inner_text().startswith("Layer 10 of the bone stream")
    texts.add(page.locator(".graph-grid").inner_text())
    page.locator(".graph-kind").select_option(label="A, fixed")
    assert "no link between joints" in page.locator(".graph-grid figure").first.inner_text()
    assert len(texts) == 4


def test_the_theme_changes_the_charts(page_file: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(page_file, color_scheme="light")
    place = page.locator(".chart").first
    place.scroll_into_view_if_needed()
    place.locator(".main-svg").first.wait_for()
    color = "document.querySelector('.chart').layout.font.color"
    before = page.evaluate(color)
    page.get_by_role("button", name="Dark theme").click()
    assert page.evaluate(color) != before


def test_the_contents_lead_to_the_sections(page_file: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(page_file, "phone")
    links = page.locator(".contents a")
    assert links.count() == 9
    for place in range(links.count()):
        assert page.locator(links.nth(place).get_attribute("href")).count() == 1
    links.nth(4).focus()
    page.keyboard.press("Enter")
    page.wait_for_function("Math.abs(document.querySelector('#calibration').getBoundingClientRect().top) < 120")
