"""Rooms, and what is in them, import one another only in the direction that the data flows, read from the source."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from rooms import ORDER

ROOT = Path(__file__).resolve().parents[2]
# Optional or slow packages, and the one module that may name each; `flavors` imports by name.
DOORS = {
    "tensorrt": "export/engines/flavors.py",
    "tensorrt_rtx_bindings": "export/engines/flavors.py",
    "tensorrt_rtx_libs": "export/engines/flavors.py",
    "matplotlib": "agcn/plots.py",
    "rich": "bench/terminal.py",
    "jinja2": "bench/pages/page.py",
    "plotly": "bench/pages/report.py",
    "pooch": "export/pretrained/download.py",
    "requests": "export/pretrained/download.py",
    "safetensors": "agcn/checkpoint.py",
    "fsspec": "native_prep/io/remote.py",
    "isal": "native_prep/io/archives.py",
    "tqdm": "native_prep/io/progress.py",
    "yaml": "native_prep/io/yaml_file.py",
    "llvmlite": "native_prep/kernels/swar.py",
    "numba.cuda": "native_prep/cuda/target.py",
}
HEAVY_IN_CLI = {"torch", "numpy", "numba", "onnx", "onnxruntime", "matplotlib"}
# A folder holds what a person keeps in the head at once.
MOST_MODULES = 15
SOURCES = sorted(path for room in ORDER for path in (*ROOT.glob(f"{room}/**/*.py"), *ROOT.glob(f"{room}.py")))


def _imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {part for alias in node.names for part in _with_parents(alias.name)}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the room they come from"
            found |= {part for alias in node.names for part in _with_parents(f"{node.module}.{alias.name}")}
    return found


def _with_parents(name: str) -> set[str]:
    """`a`, `a.b` and `a.b.c` of `a.b.c`."""
    parts = name.split(".")
    return {".".join(parts[: length + 1]) for length in range(len(parts))}


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_imports_only_what_it_may(path: Path) -> None:
    imported = {name for name in _imports(ast.parse(path.read_text())) if name.split(".")[0] in {*ORDER, "tests"}}
    room, *inside = _module(path).split(".")
    rooms, places = list(ORDER), ORDER[room]
    allowed = set(rooms[: rooms.index(room) + 1])
    assert {name.split(".")[0] for name in imported} <= allowed
    if inside:
        earlier = {*places[: places.index(inside[0])], *inside[:1]}
        assert {name.split(".")[1] for name in imported if name.startswith(f"{room}.")} <= earlier
    if room == "native_prep":
        assert "torch" not in _imports(ast.parse(path.read_text()))


def test_every_place_of_the_order_is_there() -> None:
    for room, places in ORDER.items():
        inside = {_module(path).split(".")[1] for path in ROOT.glob(f"{room}/**/*.py") if _module(path) != room}
        assert inside == set(places)


def test_no_two_modules_import_each_other() -> None:
    modules = {_module(path): path for path in SOURCES if path.name != "__init__.py"}
    graph = {name: _imports(ast.parse(path.read_text())) & set(modules) for name, path in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other: {error.args[1]}")


def test_a_folder_is_small_enough_to_keep_in_mind() -> None:
    folders = {path.parent for path in SOURCES}
    sizes = {str(folder): len([*folder.glob("*.py")]) for folder in folders if folder != ROOT}
    assert max(sizes.values()) <= MOST_MODULES, sizes


def test_each_optional_package_has_one_door() -> None:
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        assert all(DOORS[package] == name for package in _imports(ast.parse(path.read_text())) & set(DOORS)), name
        if name != DOORS["tensorrt"]:
            assert "tensorrt_rtx_" not in path.read_text(), name


def test_cli_imports_nothing_heavy_at_its_top() -> None:
    top = ast.Module([node for node in ast.parse((ROOT / "cli.py").read_text()).body if _is_import(node)], [])
    imported = _imports(top)
    assert not imported & (HEAVY_IN_CLI | set(ORDER))
    assert {name.split(".")[0] for name in imported} <= {"click", *sys.stdlib_module_names}


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)
