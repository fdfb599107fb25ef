"""Commands in the documents, run or not, are well formed, none is left out, and links lead somewhere."""

import re
from pathlib import Path

import click
import pytest
from doc_blocks import PAGES, ROOT, blocks, our_words

import cli
from agcn.config import find_config
from native_prep.skeletons.layouts import conversion_table, find_layout

# Commands in blocks of shell, and those that stand in a line of text or in a table.
IN_BLOCKS = [command for block in blocks("bash") for command in block.commands() if our_words(command) is not None]
IN_TEXT = [
    match[1]
    for path in PAGES
    for match in re.finditer(r"(?<!`)`(python cli\.py [^`\n]+)`", path.read_text(encoding="utf-8"))
]
COMMANDS = sorted({*IN_BLOCKS, *IN_TEXT})
# Files that their readers make.
THEIRS = {"my.yaml", "my_layout.yaml"}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_well_formed(command: str) -> None:
    words = our_words(command)
    assert words
    group: click.Command = cli.cli
    while isinstance(group, click.Group) and words and words[0] in group.commands:
        group, words = group.commands[words[0]], words[1:]
    assert group is not cli.cli, f"no command {words[0]}"
    with group.make_context(str(group.name), words) as context:
        given = context.params
    if given.get("config") not in (None, *THEIRS):
        find_config(given["config"])
    for key in ("layout", "convert"):
        if given.get(key) not in (None, *THEIRS):
            find_layout(given[key])


def test_every_command_is_told_of() -> None:
    assert {(our_words(command) or [""])[0] for command in COMMANDS} == set(cli.cli.commands)


def test_every_other_line_of_shell_is_marked() -> None:
    for block in blocks("bash"):
        for command in block.commands():
            assert block.why or command.startswith("python cli.py "), f"{block}: {command}: say why it does not run"


def _anchor(heading: str) -> str:
    """The anchor that GitHub and the site give a heading."""
    plain = re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).strip().lower()
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", plain)).replace("---", "-").replace("--", "-")


def _outside_code(path: Path) -> str:
    return re.sub(r"^```.*?^```|<!--.*?-->", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(((?!https?:)[^)#\s]*)#?([^)]*)\)", _outside_code(page)):
        file = (page.parent / target).resolve() if target else page
        assert file.exists() and file.is_relative_to(ROOT), f"{page.name}: {target}"
        if anchor and file.suffix == ".md":
            headings = re.findall(r"^#+ (.*)", _outside_code(file), re.MULTILINE)
            assert anchor in map(_anchor, headings), f"{page.name}: {target}#{anchor}"


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_every_conversion_of_the_table_is_known() -> None:
    text = (ROOT / "docs" / "your-own-data.md").read_text(encoding="utf-8")
    table = text.split("| from | to |\n|---|---|\n")[1].split("\n\n")[0]
    pairs = [[re.findall(r"`(\w+)`", cell) for cell in row.strip("|").split("|")] for row in table.splitlines()]
    assert [len(made) for _, made in pairs] == [2, 1, 1]
    for sources, targets in pairs:
        for source in sources:
            for target in targets:
                conversion_table(find_layout(source), find_layout(target))
