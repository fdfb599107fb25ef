"""`bench compare` names what moved beyond the noise of both runs, and says where speeds are not comparable."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from terminals import on_terminal

from bench import run as bench_run
from bench.compare import compare
from bench.machine import describe
from bench.part import Check, Part, Rate
from bench.report import write_report

ROOT = Path(__file__).resolve().parents[2]


def parts(fast: float = 10.0, **more: Any) -> dict[str, Any]:
    """One part: a baseline of 2 clips/s and a variant that is `fast`, both of four rounds with a spread of 4 %."""
    part = Part("infer", {"batch": 8}, checks=[Check("fast", 0.0, 1.0, "loss"), Check("fast", 0.0, 1.0, "gradients")])
    for name, rate in (("plain", 2.0), ("fast", fast)):
        found = {"runs": 4, "spread": 0.04, **(more if name == "fast" else {})}
        part.rates.append(Rate(name, rate, "clips/s", 8 / rate, ratio=rate / 2.0, group="A batch", label=name, **found))
    part.add_group("A batch", "clips/s", "plain", [{"fast": None}])
    return {"infer": part.as_dict() | {"machine": describe() | {"load": 1.0, "cores": 2}}}


def compared(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    write_report(folder / "old", old, plots=False)
    write_report(folder / "new", new, plots=False)
    return compare(folder / "old", folder / "new" / "results.json")


def test_nothing_moves_between_a_folder_and_itself(tmp_path: Path) -> None:
    write_report(tmp_path, parts(), plots=False)
    found = compare(tmp_path, tmp_path)
    assert found.pop("unmoved") == 2 and not any(found.values())


@pytest.mark.parametrize(
    ("fast", "noisy", "moves"),
    (
        (10.6, {}, True),  # 5 % is the least that counts
        (10.4, {}, False),
        (9.4, {}, True),
        (10.6, {"spread": 0.4}, False),  # 20 % of noise in the new run
        (12.5, {"spread": 0.4}, True),
        (12.5, {"spread": 0.4, "runs": 1}, True),  # of one round the spread says nothing: 20 %
        (11.9, {"spread": 0.0, "runs": 1}, False),
        (8.4, {"spread": 0.36}, True),  # 18 % of noise: as much as 19 % faster
        (11.7, {"spread": 0.36}, False),
        (0.1, {"spread": 2.0}, True),  # a tenth, and 100 % of noise
        (18.0, {"spread": 2.0}, False),
    ),
)
def test_what_lies_outside_the_noise_has_moved(
    tmp_path: Path, fast: float, noisy: dict[str, float], moves: bool
) -> None:
    found = compared(tmp_path, parts(), parts(fast, **noisy))
    assert len(found["moved"]) == moves and found["unmoved"] == 2 - moves
    for one in found["moved"]:
        assert (one["part"], one["name"], one["old"], one["new"]) == ("infer", "fast", 10.0, fast)
        assert one["ratio"] == pytest.approx(fast / 10) and one["faster"] == (fast > 10)
        assert one["beside_baseline"] == pytest.approx(fast / 10)


def test_a_slower_machine_leaves_the_ratio_to_the_baseline(tmp_path: Path) -> None:
    new = parts()
    for rate in new["infer"]["rates"]:
        rate["rate"] /= 2
    found = compared(tmp_path, parts(), new)
    assert [one["ratio"] for one in found["moved"]] == [0.5, 0.5]
    assert [one["beside_baseline"] for one in found["moved"]] == [1.0, 1.0]


def test_variants_and_checks_of_one_side(tmp_path: Path) -> None:
    old, new = parts(), parts()
    new["infer"]["rates"][1]["name"], new["infer"]["groups"] = "faster", []
    new["infer"]["checks"][1] |= {"error": 2.0, "passed": False}
    new["infer"]["error"] = "out of memory"
    found = compared(tmp_path, old, new)
    assert found["only_old"] == [{"part": "infer", "name": "fast"}] and found["unmoved"] == 1
    assert found["only_new"] == [{"part": "infer", "name": "faster"}]
    changed = [(one["name"], one["what"], one["old"], one["new"]) for one in found["checks_changed"]]
    assert changed == [("fast", "gradients", True, False), ("", "ran to its end", True, False)]


def test_other_machines_versions_and_sizes_are_named(tmp_path: Path) -> None:
    old, new = parts(), parts()
    new["infer"]["machine"] |= {"gpu": "H200", "date": "later", "load": 9.0}
    new["infer"]["machine"]["versions"] = old["infer"]["machine"]["versions"] | {"numpy": "9.0"}
    new["infer"]["sizes"]["batch"] = 64
    found = compared(tmp_path, old, new)
    told = found["machine_differs"]
    assert told[0] == f"gpu: {old['infer']['machine']['gpu'] or 'none'}, now H200"
    assert told[1].startswith("numpy: ") and told[1].endswith(", now 9.0") and len(told) == 2
    assert found["sizes_differ"] == ["infer, batch: 8, now 64"]
    assert found["busy"] == ["NEW, infer: load 9 on 2 cores when it began"]


def test_parts_of_other_machines_are_named_in_their_order(tmp_path: Path) -> None:
    names = ["prep", "train", "infer", "gpu train", "gpu infer", "gpu feed"]
    old, new = ({name: parts()["infer"] for name in names} for _ in range(2))
    for name in names:
        new[name]["machine"] |= {"system": "another", "gpu": "H100" if name in names[1:3] else f"that of {name}"}
    for name in names:
        old[name]["machine"] |= {"system": "one", "gpu": None}
    told = compared(tmp_path, old, new)["machine_differs"]
    assert told[0] == "gpu: none, now that of prep (prep)" and told[1] == "system: one, now another"
    assert told[2] == "gpu: none, now H100 (train, infer)"
    assert told[3:] == [f"gpu: none, now that of {name} ({name})" for name in names[3:]]


def test_results_of_an_older_version_are_compared(tmp_path: Path) -> None:
    old = parts()
    (tmp_path / "old").mkdir()
    before = copy.deepcopy(old)["infer"]
    del before["groups"], before["limit"], before["notes"]
    for rate in before["rates"]:
        del rate["group"], rate["label"]
    before["rates"].insert(1, {**before["rates"][0], "unit": "MB/s", "rate": 9.0})  # the same timing, told twice
    (tmp_path / "old" / "results.json").write_text(json.dumps({"parts": {"infer": before}}))
    write_report(tmp_path / "new", old, plots=False)
    found = compare(tmp_path / "old", tmp_path / "new")
    assert found["unmoved"] == 2 and not found["only_old"] and not found["only_new"]


@pytest.mark.parametrize("text", ("[]", "no JSON", '{"parts": {"infer": {}}}', '{"parts": {"infer": 3}}'))
def test_what_bench_did_not_write_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match=r"results.json: not results of bench: give a folder that bench wrote"):
        compare(tmp_path, tmp_path)
    with pytest.raises(ValueError, match=r"none: no such file"):
        compare(tmp_path / "none", tmp_path)


def _set(part: dict[str, Any], path: str, value: Any) -> None:
    *folders, last = (int(key) if key.isdecimal() else key for key in path.split("/"))
    for key in folders:
        part = part[key]
    part[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    (
        ("groups/0/best", {"not there": None}),
        ("groups/0/baseline", "not there"),
        ("groups/0/best", {"fast": {"name": "the product", "rate": 0.0}}),
        ("groups", {"title": "A batch"}),
        ("rates", {"plain": 2.0}),
        ("rates", "none"),
        ("rates/1", 3.0),
        ("rates/1/rate", float("nan")),
        ("rates/1/rate", float("inf")),
        ("rates/1/rate", 10**400),
        ("rates/1/rate", 0.0),
        ("rates/1/rate", None),
        ("rates/1/seconds", 0),
        ("rates/1/unit", ["clips/s"]),
        ("rates/1/label", 3),
        ("rates/1/spread", "4 %"),
        ("rates/1/runs", None),
        ("rates/0/ratio", "1"),
        ("checks", {}),
        ("checks/0/passed", "yes"),
        ("sizes", []),
        ("machine/versions", ["torch"]),
        ("machine/load", "much"),
        ("machine", {"versions": {}}),
        ("left_out", ["engine"]),
        ("notes", 3),
        ("limit", {"the product": float("nan")}),
        ("error", None),
    ),
)
def test_damaged_results_are_one_line(tmp_path: Path, path: str, value: Any) -> None:
    damaged = parts()
    _set(damaged["infer"], path, value)
    (tmp_path / "results.json").write_text(json.dumps({"parts": damaged}))
    with pytest.raises(ValueError, match="not results of bench: give a folder that bench wrote"):
        compare(tmp_path, tmp_path)
    with pytest.raises(ValueError, match="not results of bench: give another folder"):
        bench_run.run("prep", tmp_path)


def test_what_bench_may_write_is_no_damage(tmp_path: Path) -> None:
    found = parts()
    found["infer"]["checks"][0] |= {"error": float("nan"), "passed": False}  # no answer at all
    found["infer"]["rates"][1]["ratio"] = None
    found["infer"]["machine"] |= {"gpu": None, "cores": None, "load": None}
    found["train"] = Part("train", {"batch": 2}, error="out of memory").as_dict() | {"machine": describe()}
    assert compared(tmp_path, found, found)["unmoved"] == 2
    (tmp_path / "old" / "results.json").write_text(json.dumps({"parts": {"../infer": found["infer"]}}))
    with pytest.raises(ValueError, match="not results of bench"):
        compare(tmp_path / "old", tmp_path / "new")


def run(*args: object) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, str(ROOT / "cli.py"), "bench", *map(str, args))
    return subprocess.run(command, capture_output=True, text=True)


def test_command(tmp_path: Path) -> None:
    write_report(tmp_path / "old", parts(), plots=False)
    write_report(tmp_path / "new", parts(5.0), plots=False)
    done = run("compare", tmp_path / "old", tmp_path / "new")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["command"] == "bench" and found["unmoved"] == 1 and found["moved"][0]["ratio"] == 0.5
    for wrong, message in (
        (("compare", tmp_path), "bench compare: 1 folders: give two, OLD and NEW"),
        (("compare", tmp_path, tmp_path, "--out", "x"), "--out is not for bench compare: leave it out"),
        (("compare", tmp_path, tmp_path), f"{tmp_path / 'results.json'}: no such file"),
        (("train", "other"), "bench train other: only bench compare takes folders"),
    ):
        done = run(*wrong)
        assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("columns", (60, 80, 120))
def test_on_a_terminal(tmp_path: Path, columns: int) -> None:
    write_report(tmp_path / "old", parts(), plots=False)
    write_report(tmp_path / "new", parts(5.0), plots=False)
    told = on_terminal(tmp_path, columns, "bench", "compare", "old", "new", NO_COLOR="1")
    assert "infer: fast" in told and "0.50 x" in told and "did not move  1" in told
    assert "\x1b" not in told and max(map(len, told.splitlines())) <= columns
