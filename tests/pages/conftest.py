"""A real browser for the tests of pages: Chromium, offline; whatever a page complains of fails its test."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

VIEWPORTS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "has_touch": True,
        "is_mobile": True,
        "device_scale_factor": 2,
    },
}  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, once for all tests of a process."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser is installed ({', '.join(BROWSERS)})")
    sync_api = pytest.importorskip("playwright.sync_api")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=arguments)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a file: `open_page(path, "phone", color_scheme="dark")`, and gives Playwright's page.

    At the end no page may have logged an error, raised one, or asked for anything that is not a file.
    """
    contexts: list[Any] = []
    complaints: list[str] = []

    def decide(route: Any) -> None:
        if route.request.url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        else:
            complaints.append(f"asked for {route.request.url}")
            route.abort()

    def open_one(path: Path, viewport: str = "desktop", **context: Any) -> Any:
        contexts.append(browser.new_context(**VIEWPORTS[viewport], **context))
        contexts[-1].set_default_timeout(10_000)
        contexts[-1].route("**/*", decide)
        page = contexts[-1].new_page()
        page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def unnamed_controls() -> Callable[[Any], list[str]]:
    """The buttons, inputs and pictures of a page that tell a screen reader nothing."""
    script = """() => [...document.querySelectorAll("button, input, select, textarea, canvas, svg[role], [role=img]")]
        .filter(one => !(one.getAttribute("aria-label") || one.textContent.trim()
            || [...(one.labels || [])].some(label => label.textContent.trim())
            || document.getElementById(one.getAttribute("aria-labelledby"))))
        .map(one => one.outerHTML.slice(0, 120))"""
    return lambda page: page.evaluate(script)


@pytest.fixture
def scrolls_sideways() -> Callable[[Any], bool]:
    """Whether a page is wider than its window."""
    return lambda page: page.evaluate("document.scrollingElement.scrollWidth > window.innerWidth")
