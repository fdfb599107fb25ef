"""`doctor` says what is here, and exits with 1 where what is required is not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench import doctor as module
from bench.doctor import doctor
from bench.terminal import show

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_missing_is_told_with_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(module, "is_installed", lambda name: False)
    monkeypatch.setenv("CXX", "no-such-compiler")
    found = doctor(("compiler", "cuda"))
    assert not found["passed"] and [line.split(":")[0] for line in found["failed"]] == ["compiler", "cuda"]
    assert found["gpu"] is None and not any(found["needs"][name] for name in ("cuda", "tensorrt-rtx", "compiler"))
    assert any("install g++" in line for line in found["advice"])
    assert any(line == "tensorrt-rtx: is not installed: pip install '.[tensorrt-rtx]'" for line in found["advice"])
    assert "is not here (56,880" in found["data"]["ntu60"]


def test_data_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clips = tmp_path / "data/kinetics-skeleton/kinetics_train"
    clips.mkdir(parents=True)
    for name in ("a.json", "b.json", "c.txt"):
        (clips / name).touch()
    (clips.parent / "kinetics_train_label.json").touch()
    told = doctor()["data"]["kinetics"]
    # 260,232 clips of 3 x 300 x 18 x 2 float32, joints and bones
    assert "2 of 260,232 published files; of all npy takes 67.5 GB" in told and "are free" in told


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    assert module._folder(tmp_path / "new" / "deeper").endswith("can be written")
    file = tmp_path / "file"
    file.touch()
    assert module._folder(file / "below").endswith("CANNOT be written")


def test_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show("doctor", doctor())
    said = capsys.readouterr().out
    assert torch.__version__ in said and "usable" in said


def test_command() -> None:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (sys.executable, str(ROOT / "cli.py"), "doctor", *options), capture_output=True, text=True
        )

    done = run("--json")
    assert done.returncode == 0 and json.loads(done.stdout)["software"]["PyTorch"] == torch.__version__
    wrong = run("--require", "cuds")
    assert wrong.returncode == 2 and "'cuda'" in wrong.stderr and wrong.stderr.count("\n") == 1
    if not torch.cuda.is_available():
        assert run("--require", "compiler", "cuda").returncode == 1
