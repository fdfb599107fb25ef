"""The rooms import one another only in the direction that the data flows, read from the source itself."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "native_prep": set(),
    "agcn": {"native_prep"},
    "export": {"native_prep", "agcn"},
    "bench": {"native_prep", "agcn", "export"},
    "cli": {"native_prep", "agcn", "export", "bench"},
}
OURS = {*MAY_IMPORT, "tests"}
# Optional or slow packages, and the one module that may name each; `trt_flavors` imports by name.
DOORS = {
    "tensorrt": "export/trt_flavors.py",
    "tensorrt_rtx_bindings": "export/trt_flavors.py",
    "tensorrt_rtx_libs": "export/trt_flavors.py",
    "matplotlib": "agcn/pictures.py",
    "rich": "bench/terminal.py",
    "tqdm": "native_prep/progress.py",
    "yaml": "native_prep/yaml_file.py",
    "llvmlite": "native_prep/words.py",
    "numba.cuda": "native_prep/cuda_target.py",
}
HEAVY_IN_CLI = {"torch", "numpy", "numba", "onnx", "onnxruntime", "matplotlib"}
SOURCES = sorted(path for room in MAY_IMPORT for path in (*ROOT.glob(f"{room}/**/*.py"), *ROOT.glob(f"{room}.py")))


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


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_room_imports_only_what_it_may(path: Path) -> None:
    imported = _imports(ast.parse(path.read_text()))
    room = _room(path)
    assert imported & OURS <= MAY_IMPORT[room] | {room}
    if room == "native_prep":
        assert "torch" not in imported


def test_each_optional_package_has_one_door() -> None:
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        assert all(DOORS[package] == name for package in _imports(ast.parse(path.read_text())) & set(DOORS)), name
        if name != DOORS["tensorrt"]:
            assert "tensorrt_rtx_" not in path.read_text(), name


def test_cli_imports_nothing_heavy_at_its_top() -> None:
    top = ast.Module([node for node in ast.parse((ROOT / "cli.py").read_text()).body if _is_import(node)], [])
    imported = _imports(top)
    assert not imported & (HEAVY_IN_CLI | set(MAY_IMPORT))
    assert {name.split(".")[0] for name in imported} <= {"click", *sys.stdlib_module_names}


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)
