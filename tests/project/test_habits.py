"""What surrounds the code: one version number everywhere, a citation, forms for issues, and a workflow that runs CI."""

import re
import subprocess
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"


def test_one_version_and_date_everywhere() -> None:
    assert CITATION["version"] == VERSION
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    assert headings[:2] == ["Unreleased", f"{VERSION} — {CITATION['date-released']}"]
    date.fromisoformat(CITATION["date-released"])


def test_the_changelog_has_groups_of_short_entries() -> None:
    release = CHANGELOG.split(f"## {VERSION}")[1].split("\n## ")[0]
    assert re.findall(r"^### (\w+)$", release, re.MULTILINE) == ["Changed", "Added", "Fixed"]
    for entry in re.findall(r"^- .*(?:\n  .*)*", release, re.MULTILINE):
        assert len(entry) < 420, entry
        assert entry.rstrip("* ").endswith("."), entry


def test_the_citation_has_what_the_format_asks_for() -> None:
    assert CITATION["cff-version"] == "1.2.0" and {"message", "title", "authors"} <= set(CITATION)
    licence = (ROOT / "LICENSE").read_text()
    assert licence.startswith(CITATION["license"])
    (author,) = CITATION["authors"]
    assert author["name"] in licence
    references = {reference["doi"]: reference for reference in CITATION["references"]}
    assert {doi: one["year"] for doi, one in references.items()} == {
        "10.1109/CVPR.2019.01230": 2019,
        "10.1109/TIP.2020.3028207": 2020,
    }
    for reference in references.values():
        assert {"type", "title", "authors"} <= set(reference)
        assert [person["family-names"] for person in reference["authors"]] == ["Shi", "Zhang", "Cheng", "Lu"]


@pytest.mark.parametrize("path", sorted(FORMS.glob("*_*.yml")), ids=lambda path: path.stem)
def test_a_form_asks_for_what_the_machine_is(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"] and form["description"]
    fields = {field["id"]: field for field in form["body"]}
    assert len(fields) == len(form["body"])
    for field in fields.values():
        assert field["type"] in ("input", "textarea") and field["attributes"]["label"]
    assert "python cli.py doctor --json" in fields["doctor"]["attributes"]["description"]
    assert any(field.get("validations", {}).get("required") for field in fields.values())


def workflow() -> dict[Any, Any]:
    return yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())


def test_the_workflow_runs_ci_on_both_versions_of_python() -> None:
    found = workflow()
    assert {"push", "pull_request"} <= set(found[True])  # YAML 1.1 reads the key `on` as true
    (job,) = found["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12"]
    (step,) = [step for step in job["steps"] if step.get("run") == "./.ci/run"]
    assert step["env"] == {"PYTHON": "python"}
    assert re.search(r"^PYTHON \?=", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100


def test_the_workflow_may_do_little() -> None:
    found = workflow()
    assert found["permissions"] == {"contents": "read"}
    assert found["concurrency"]["cancel-in-progress"] is True
    for job in found["jobs"].values():
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/none@v1")), step


@pytest.mark.parametrize("installs", [True, False])
def test_ci_goes_on_whether_a_browser_can_be_installed_or_not(tmp_path: Path, installs: bool) -> None:
    """`.ci/run` as root on a machine that has nothing but programs of ours."""
    for name, body in {
        "make": 'echo "make $*"',
        "id": "echo 0",
        "dirname": f"echo {ROOT}/.ci",
        "apt-get": f'echo "apt-get $*"; exit {0 if installs else 100}',
        "bash": 'exec /bin/bash "$@"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    script = (ROOT / ".ci" / "run").read_text()
    done = subprocess.run(
        ["/bin/bash", "-c", script, f"{ROOT}/.ci/run"],
        env={"PATH": str(tmp_path), "CI": "true"}, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("make test")
    assert ("chromium fonts-dejavu-core" in done.stderr) is installs
    assert ("tests of pages are skipped" in done.stderr) is not installs
