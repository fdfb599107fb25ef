"""The site of the documents builds strictly, holds every page, and loads nothing from the network."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_blocks import ROOT

pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},  # a notice of the theme's
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0 and "WARNING" not in told, told
    return folder


def test_every_document_is_a_page(site: Path) -> None:
    documents = {path.stem for path in (ROOT / "docs").glob("*.md")} | {"changelog", "contributing"}
    assert documents <= {path.stem for path in site.glob("*.html")}
    assert {path.stem for path in (ROOT / "bench" / "results").glob("*.md")} == {
        path.stem for path in (site / "bench" / "results").glob("*.html")
    }


def test_links_out_of_docs_are_links_of_the_site(site: Path) -> None:
    assert 'href="bench/results/2026-11-27-h100.html"' in (site / "measuring.html").read_text()
    assert 'href="architecture.html"' in (site / "contributing.html").read_text()


def test_python_api_has_the_public_names(site: Path) -> None:
    import agcn
    import export
    import native_prep

    page = (site / "python-api.html").read_text()
    for package in (native_prep, agcn, export):
        for name in package.__all__:
            assert f'id="{package.__name__}.{name}"' in page, name


def test_examples_in_docstrings_are_code(site: Path) -> None:
    assert "<blockquote>" not in (site / "python-api.html").read_text()  # else `>>>` stands outside of Examples


def test_pages_load_nothing_from_the_network(site: Path) -> None:
    outside = re.compile(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=\"((?:https?:)?//[^\"]*)")
    for path in site.rglob("*.html"):
        assert not outside.findall(path.read_text()), path.name
