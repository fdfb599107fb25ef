"""Files of the repository that are pages of the site too, and links to them, which work on GitHub as they stand."""

import logging
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

log = logging.getLogger("mkdocs.hooks")
ROOT = Path(__file__).resolve().parent.parent
# Where these files, by their path from the root, are on the site.
PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(((?!https?:|#)[^)#\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds pages and reports that lie outside of docs/."""
    for file, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / file).read_text(encoding="utf-8")))
    for report in sorted((ROOT / "bench" / "results").iterdir()):
        if report.suffix in (".md", ".png"):
            name = report.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(report)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Turns links that lead out of docs/, or into it from the root; what is no page becomes its plain text."""
    if page.file.src_uri.startswith("bench/"):
        page.meta["search"] = {"exclude": True}  # else their many numbers come before what one looks for
        return markdown
    folder = ROOT if page.file.src_uri in PAGES.values() else ROOT / "docs"

    def turned(link: re.Match[str]) -> str:
        text, target, anchor = link[1], (folder / link[2]).resolve(), link[3] or ""
        if not target.exists() or not target.is_relative_to(ROOT):
            log.warning("%s: the link to %s leads nowhere", page.file.src_uri, link[2])
            return text
        name = target.relative_to(ROOT).as_posix()
        name = PAGES.get(name, name.removeprefix("docs/"))
        return f"[{text}]({name}{anchor})" if files.get_file_from_path(name) else text

    # Code stays as it is.
    parts = re.split(r"(^```.*?^```|`[^`\n]*`)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if place % 2 else _LINK.sub(turned, part) for place, part in enumerate(parts))
