"""What the manifest notices when an exported folder is opened."""

import json
import shutil
from pathlib import Path

import pytest

from export.manifest import read_manifest
from export.raw_clips import RawClips
from export.runtime.open import open_engine


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported / "engine", tmp_path / "engine"))


def _edit(folder: Path, **values: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_reads_what_was_written(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest.shape == (3, 16, 25, 2)
    assert (manifest.layout, manifest.dataset, manifest.num_class) == ("ntu", "ntu60", 6)
    assert (manifest.precision, manifest.alpha, manifest.max_batch) == ("fp32", 0.5, 5)
    assert (manifest.feeder_args["window_size"], manifest.feeder_args["sample"]) == (16, "linear")
    assert "data_path" not in manifest.feeder_args


def test_another_shape_is_one_clear_line(folder: Path) -> None:
    manifest = read_manifest(folder)
    manifest.check_shape((3, 16, 25, 2), "the config", folder)
    with pytest.raises(ValueError, match=r"engine: engine for T=16, the config gives T=52: export again for it"):
        manifest.check_shape((3, 52, 25, 2), "the config", folder)
    with pytest.raises(ValueError, match=r"engine for V=25, the input gives V=18"):
        manifest.check_shape((3, 16, 18, 2), "the input", folder)


def test_no_export(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no manifest.json in it: give the folder that export-trt wrote"):
        read_manifest(tmp_path)
    with pytest.raises(ValueError, match=r"no manifest.json in it"):
        read_manifest(tmp_path / "nowhere")


def test_changed_or_missing_graph(folder: Path) -> None:
    graph = folder / "two_stream.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"two_stream.onnx: is not the file that was exported"):
        read_manifest(folder)
    graph.unlink()
    with pytest.raises(ValueError, match=r"two_stream.onnx: is missing"):
        read_manifest(folder)


@pytest.mark.parametrize("text", ["{}", "[]", "hello", '{"version": 1, "engines": [{}]}', "null"])
def test_other_files_of_that_name(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest.json: not a manifest that this version reads"):
        read_manifest(folder)


def test_a_later_form(folder: Path) -> None:
    _edit(folder, version=2)
    with pytest.raises(ValueError, match=r"manifest.json: of form 2, this program reads form 1"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frames": "16"}, "its sizes are not all whole numbers"),
        ({"max_batch": 0}, "its sizes are not all whole numbers"),
        ({"class_names": ["drink", "eat"]}, "has 2 names for 6 classes"),
        ({"onnx": "../other/two_stream.onnx"}, "names files of another folder"),
        ({"streams": ["joint"]}, "the manifest is not of this graph"),
        ({"num_class": 5, "class_names": []}, "the manifest is not of this graph"),
        ({"frames": 17}, "the manifest is not of this graph"),
        ({"feeder_args": {"later": 1}}, "feeder_args are of another version"),
    ],
)
def test_what_contradicts_the_graph(folder: Path, values: dict[str, object], message: str) -> None:
    _edit(folder, **values)
    with pytest.raises(ValueError, match=message):
        RawClips(open_engine(folder, "onnxruntime").manifest, folder)
