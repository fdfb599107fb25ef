"""`docs/architecture.md` tells the truth: what it names exists, and rooms stand in the order of imports."""

import ast
import re
from pathlib import Path

import pytest
from rooms import ORDER

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PATHS = ("From raw files to clips", "From clips to checkpoints", "From checkpoints to a published folder")


def steps(title: str) -> list[str]:
    """The numbered steps of one path."""
    section = TEXT.split(f"## {title}")[1].split("\n## ")[0]
    return re.findall(r"^\d+\. .*(?:\n   .*)*", section, re.MULTILINE)


def defined(path: Path) -> set[str]:
    """Functions and classes of a file, methods as Class.method; those within functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{inside.name}" for inside in node.body if isinstance(inside, ast.FunctionDef)}
    return names


@pytest.mark.parametrize("title", PATHS)
def test_a_path_has_at_most_ten_steps_each_with_file_and_function(title: str) -> None:
    found = steps(title)
    assert 1 < len(found) <= 10
    for step in found:
        pairs = re.findall(r"`([\w/]+\.py)` `([\w.]+)`", step)
        assert pairs, step
        for file, name in pairs:
            path = next((one for one in (ROOT / file, ROOT / "native_prep" / file) if one.is_file()), None)
            assert path is not None and name in defined(path), (file, name)


def test_every_file_that_is_named_exists() -> None:
    for file in re.findall(r"`([\w/]+\.(?:py|md))`", TEXT):
        assert (ROOT / file).is_file() or any(ROOT.glob(f"*/{file}")) or any(ROOT.glob(f"*/*/{file}")), file


@pytest.mark.parametrize("room", ["native_prep", "agcn", "export", "bench"])
def test_tables_name_everything_in_the_order_of_import(room: str) -> None:
    table = TEXT.split(f"| `{room}/` |")[1].split("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)(?:/|\.py)`", row) if name != "cpp"]  # no Python
    assert named == list(ORDER[room])
