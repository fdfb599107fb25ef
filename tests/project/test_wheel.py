"""The wheel, installed away from its sources, does everything from an empty folder."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
_NAME = "two-stream-agcn"
# What runs leave at the top; folders of these names inside packages belong to them.
_LEFT_AT_TOP = (".*", "*.egg-info", "build", "data", "site", "work_dir", "tests", "engines", "*_out")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, built from a copy: building leaves files beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    at_top, anywhere = shutil.ignore_patterns(*_LEFT_AT_TOP), shutil.ignore_patterns("__pycache__")
    shutil.copytree(
        ROOT,
        folder / "sources",
        ignore=lambda place, names: anywhere(place, names) | (at_top(place, names) if Path(place) == ROOT else set()),
    )
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    for command in (
        (*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "sources"),
        (*pip, "install", "--no-deps", "--no-index", "--find-links", folder, "--target", folder / "site", _NAME),
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    _take_compiled(folder / "site")
    return folder / "site"


def _take_compiled(site: Path) -> None:
    """Kernels that are compiled here are not compiled again: Numba takes those of a source of the same size and age."""
    for compiled in (ROOT / "native_prep").rglob("__pycache__/*.nb[ci]"):
        source = compiled.parents[1] / f"{compiled.name.split('.')[0]}.py"
        installed = site / source.relative_to(ROOT)
        shutil.copystat(source, installed)
        target = site / compiled.relative_to(ROOT)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(compiled, target)


def test_one_version_number(site: Path, tmp_path: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    for command in ((ROOT / "cli.py",), (site / "cli.py",), (site / "bin" / _NAME,)):
        done = subprocess.run(
            (sys.executable, *command, "--version"), capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert done.stdout == f"{version}\n", done.stderr


def test_help_names_what_was_typed(site: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    for command, name in (((ROOT / "cli.py",), "cli.py"), ((site / "bin" / _NAME,), _NAME)):
        for arguments in ((), ("weights",)):
            done = subprocess.run(
                (sys.executable, *command, *arguments, "--help"),
                capture_output=True, text=True, cwd=tmp_path, env=environment,
            )  # fmt: skip
            assert done.stdout.startswith(f"Usage: {' '.join((name, *arguments))} [OPTIONS] "), done.stderr


@pytest.mark.long(50)
def test_the_five_commands_from_an_empty_folder(site: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "2"}

    def run(*arguments: str) -> dict[str, Any]:
        command = (sys.executable, str(site / "bin" / _NAME), *arguments)
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, (arguments, done.stderr[-2000:])
        return json.loads(done.stdout.splitlines()[-1])

    where = "import cli, agcn.config; print(cli.__file__, agcn.config.__file__)"
    done = subprocess.run((sys.executable, "-c", where), capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.stdout.split() == [str(site / "cli.py"), str(site / "agcn" / "config.py")], done.stderr
    raw = "data/nturgbd_raw/nturgb+d_skeletons"
    run("synth", "ntu60", "--out", raw, "--clips", "24", "--classes", "3", "--frames", "20")
    assert run("prep", "--max-frames", "32")["clips"] == 24
    trained = run("train", "--amp", "--set", "num_epoch=1", "batch_size=4", "test_batch_size=4")
    assert set(trained["streams"]) == {"joint", "bone"}
    assert run("export-trt", "--target", "none")["onnx"] == "engines/ntu/xsub/two_stream.onnx"
    assert 0 <= run("fuse-eval")["top1"] <= 1
    assert run("bench", "gpu", "--device", "cpu", "--only", "machine")["passed"]
    assert {path.name for path in tmp_path.iterdir()} == {"data", "work_dir", "engines", "bench_out"}
