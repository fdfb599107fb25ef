"""What runs on a GPU machine must not need the packages that such machines come without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Python imports it when it starts, in all processes that come of the first one.
WITHOUT = """
from importlib.machinery import PathFinder
GONE = "aiohttp av fsspec isal loky mkdocs orjson plotly pooch ray rtmlib tensorrt tensorrt_rtx_bindings".split()
found = PathFinder.find_spec
PathFinder.find_spec = classmethod(lambda _, name, *at: None if name.partition(".")[0] in GONE else found(name, *at))
"""
MODULES = (
    "cli", "bench.gpu.run", "bench.gpu.process", "bench.terminal", "bench.doctor", "native_prep.command",
    "native_prep.pipeline.processes", "native_prep.poses.files", "agcn.commands", "export.commands",
)  # fmt: skip


@pytest.mark.parametrize(
    "command",
    (
        ("-c", f"import {', '.join(MODULES)}"),
        ("cli.py", "doctor", "--json"),
        ("cli.py", "bench", "gpu", "--help"),
        ("-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/kernels/test_cuda.py"),
    ),
    ids=("imports", "doctor", "bench", "kernels"),
)
def test_without_packages_that_are_not_everywhere(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    taken_away = subprocess.run((sys.executable, "-c", "import orjson"), env=environment, capture_output=True, cwd=ROOT)
    assert b"No module named 'orjson'" in taken_away.stderr
    done = subprocess.run((sys.executable, *command), env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
