"""The calls that users make from Python: names of the packages, looked up when they are used."""

import doctest
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from exported import CLASSES, three_blocks

import agcn
import export
import native_prep
from agcn import load_config, load_model
from export import open_engine
from export.raw_clips import read_input
from export.runtime.predict import predict
from native_prep.datasets.catalog import get_dataset
from native_prep.poses.people import read_people
from native_prep.synth.make import synth

ROOT = Path(__file__).resolve().parents[2]


def test_importing_a_package_alone_loads_nothing_heavy() -> None:
    check = (
        "import sys, native_prep, agcn, export; print({'torch', 'numba', 'numpy', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run((sys.executable, "-c", check), capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize("package", (native_prep, agcn, export))
def test_names(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        assert callable(getattr(package, name)) and getattr(package, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'other'"):
        _ = package.other  # type: ignore[attr-defined]


@pytest.mark.parametrize("package", (native_prep, agcn, export))
def test_example_of_the_package(package: ModuleType) -> None:
    ran = doctest.testmod(package)
    assert ran.attempted and not ran.failed


def test_a_module_that_was_imported_hides_no_name() -> None:
    check = (
        "import native_prep.pipeline.prepare, agcn.training.train, export.build\n"
        "from native_prep import Clip, prepare, write_clips\n"
        "from agcn import load_config, load_model, test, train\n"
        "from export import export_engines, open_engine\n"
        "names = (Clip, prepare, write_clips, load_config, load_model, test, train, export_engines, open_engine)\n"
        "assert all(map(callable, names))\n"
    )
    done = subprocess.run((sys.executable, "-c", check), capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_load_model_and_engine_agree(exported: Path, tmp_path: Path) -> None:
    synth("ntu60", tmp_path / "raw", clips=2, classes=2, seed=1, frames=24)
    paths = sorted((tmp_path / "raw").rglob("*.skeleton"))
    empty = tmp_path / "S001C001P001R001A001.skeleton"
    empty.write_text("3\n0\n0\n0\n")
    engine = open_engine(exported / "engine", "onnxruntime")
    classes, scores = engine.predict([paths[0], empty, str(paths[1])])
    assert classes[1] is None and np.isnan(scores[1]).all() and scores.shape == (3, CLASSES)
    told = predict(exported / "engine", paths, runtime="onnxruntime")["clips"]
    assert [classes[0], classes[2]] == [clip["top"][0]["class"] for clip in told]
    models = {
        stream: load_model(exported / f"{stream}.pt", exported / "config.yaml", stream) for stream in ("joint", "bone")
    }
    assert not models["joint"].training
    logits = []
    for stream, model in models.items():
        x = read_input(paths[0], load_config(exported / "config.yaml", stream), model)
        with three_blocks(), torch.no_grad():
            logits.append(model(torch.from_numpy(x))[0])
    expected = torch.softmax(logits[0] + 0.5 * logits[1], 0).numpy()
    np.testing.assert_allclose(scores[0], expected, rtol=1e-3, atol=1e-6)


def test_an_engine_takes_joints(exported: Path, tmp_path: Path) -> None:
    synth("ntu60", tmp_path / "raw", clips=1, classes=1, seed=1, frames=16)
    (path,) = (tmp_path / "raw").rglob("*.skeleton")
    people = read_people(str(path), get_dataset("ntu60")).points[..., :3]
    engine = open_engine(exported / "engine", "onnxruntime")
    _, scores = engine.predict([path, people.astype(np.float32), people[0]])
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-3, atol=1e-5)
    assert scores[2] == pytest.approx(scores[0], abs=1e-5) or len(people) > 1
    nothing = np.full((4, 25, 3), np.nan)
    classes, scores = engine.predict([nothing])
    assert classes == [None] and np.isnan(scores).all()
    with pytest.raises(ValueError, match=r"clip 1: joints of shape \(4, 20, 3\): give \(M, T, 25, 3\)"):
        engine.predict([np.zeros((4, 20, 3))])
    with pytest.raises(ValueError, match="no clip to look at"):
        engine.predict([])
