"""A run packed for others: what the folder holds, that it answers as the run does, from a folder and from a server."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from exported import three_blocks
from file_server import Server
from pose_files import walker, write_array_folder
from safetensors.torch import load_file

from agcn.checkpoint import read_state_dict
from agcn.commands import train_streams
from agcn.config import load_config
from agcn.streams import load_streams
from agcn.training.run_folder import check_begins
from export.commands import run_export
from export.commands import run_predict as predict
from export.pretrained.catalog import find
from export.pretrained.commands import train_pretrained
from export.pretrained.pack import pack
from export.runtime.predict import predict as answers
from native_prep.poses.custom import prepare_custom
from native_prep.skeletons.layouts import COCO17, layout_as_dict

SMALL = ("num_epoch=1", "batch_size=4", "warm_up_epoch=0", "model_args.base_channels=8")
OPTIONS = {
    "stream": False, "follow": None, "idle": None, "timeline": None, "window": None, "stride": None, "fps": None,
    "gone": None, "realtime": False, "stores": (), "part": None, "out": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two streams trained on clips of a skeleton of one's own, which only `custom.json` knows."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch, three_blocks():
        patch.chdir(folder)
        write_array_folder(folder / "raw")
        layout = {**layout_as_dict(COCO17), "name": "mine"}
        (folder / "mine.yaml").write_text(yaml.safe_dump(layout))
        prepare_custom("raw", "data/custom", layout="mine.yaml", image_size="640x480")
        train_streams("custom", None, (), SMALL, device="cpu")
        yield folder


@pytest.fixture(autouse=True)
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


@pytest.fixture(scope="module")
def packed(project: Path) -> Path:
    result = pack("custom", None, SMALL, name="walk", licence="CC-BY-4.0", data="eight walks")
    assert result["folder"] == "weights/walk" and list(result["streams"]) == ["joint", "bone"]
    return project / "weights/walk"


def test_what_is_in_it(project: Path, packed: Path) -> None:
    assert sorted(one.name for one in packed.iterdir()) == [
        "README.md", "bone.safetensors", "configuration.yaml", "custom.json", "joint.safetensors", "weights.json",
    ]  # fmt: skip
    for stream in ("joint", "bone"):
        ours = load_file(packed / f"{stream}.safetensors")
        theirs = read_state_dict(project / f"work_dir/custom/agcn_{stream}/best.pt")
        assert set(ours) == set(theirs) and all((ours[name] == value).all() for name, value in theirs.items())
    content = json.loads((packed / "weights.json").read_text())
    assert content["name"] == "walk" and 0 <= content["two_streams"] <= 1 and content["four_streams"] is None
    assert {one["file"] for one in content["beside"]} == {"configuration.yaml", "custom.json"}
    card = (packed / "README.md").read_text()
    assert "CC-BY-4.0" in card and "eight walks" in card and "2: fall, wave" in card and "$" not in card
    assert (packed / "joint.safetensors").stat().st_mode & 0o777 == (packed / "weights.json").stat().st_mode & 0o777
    assert re.search(r"\| joint \+ bone \| \d+\.\d\d % \|", card)
    for text in packed.glob("*.*"):
        if text.suffix != ".safetensors":
            assert str(project) not in text.read_text(), "no path of this machine"


def test_it_answers_as_the_run_does(
    project: Path, packed: Path, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the project is not: from a copy of the folder, its weights.json, and a server."""
    np.save(tmp_path / "clip.npy", walker(30, seed=4))
    run_export("custom", None, SMALL, out=str(tmp_path / "engine"), targets=("none",))
    expected = answers(tmp_path / "engine", [tmp_path / "clip.npy"])["clips"]
    shutil.copytree(packed, tmp_path / "copy")
    shutil.copytree(packed, server.folder / "walk")
    clip = (str(tmp_path / "clip.npy"),)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        capsys.readouterr()
        for place in ("copy", "copy/weights.json", f"{server.url}/walk", f"{server.url}/walk/weights.json"):
            assert predict(None, clip, None, pretrained=place, **OPTIONS)["clips"] == expected
        told = capsys.readouterr().err
        assert "exported once" in told and "check its accuracy" not in told
        (engine,) = (tmp_path / "cache" / "engines").iterdir()
        (engine / "manifest.json").write_text("{}")  # of another version: exported again
        assert predict(None, clip, None, pretrained="copy", **OPTIONS)["clips"] == expected
    asked = [path for path, _ in server.requests]
    assert asked.count("/walk/joint.safetensors") == 1 and asked.count("/walk/weights.json") == 2
    assert find(f"{server.url}/walk/").name == "walk"


def test_training_from_a_pack(project: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its folder, whatever that is called; a stream that it does not have is told."""
    odd = tmp_path / "a #folder: of [mine]"
    shutil.copytree(packed, odd)
    options = {"dataset": "custom", "config": None, "overrides": SMALL, "device": "cpu"}
    monkeypatch.setattr("export.pretrained.commands.train_streams", lambda **given: given)
    given = train_pretrained(str(odd), streams=(), **options)
    (joint, bone) = load_streams("custom", (), given["overrides"])
    assert (joint.weights, bone.weights) == (str(odd / "joint.safetensors"), str(odd / "bone.safetensors"))
    with pytest.raises(ValueError, match="walk: has no weights of bone_motion: it has joint, bone"):
        train_pretrained(str(odd), streams=("bone_motion",), **options)
    monkeypatch.chdir(odd)
    given = train_pretrained(".", streams=("bone",), **options)
    assert load_streams("custom", ("bone",), given["overrides"])[0].weights == "bone.safetensors"
    with pytest.raises(ValueError, match="ignore_weights is of weights to begin with, and there are none"):
        check_begins(load_config("custom", overrides=("ignore_weights=[fc.]",)), False)


def test_a_folder_that_is_not_whole(packed: Path, tmp_path: Path) -> None:
    for name in ("custom.json", "configuration.yaml"):
        copy = tmp_path / name
        shutil.copytree(packed, copy)
        (copy / "README.md").write_text("A card may be edited.")
        assert find(str(copy)).name == "walk"
        (copy / name).write_text((copy / name).read_text() + "\n")
        with pytest.raises(ValueError, match=rf"{name}: is not the file that was packed"):
            find(str(copy))
        (copy / name).unlink()
        with pytest.raises(ValueError, match=rf"{name}: is missing"):
            find(str(copy))


def test_packing_again_and_where_other_files_are(project: Path, packed: Path, tmp_path: Path) -> None:
    before = (packed / "weights.json").read_text()
    pack("custom", None, SMALL, name="walk", licence="CC-BY-4.0", data="eight walks")
    assert (packed / "weights.json").read_text() == before
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match=r"is a folder of other files, without a weights\.json"):
        pack("custom", None, SMALL, out=str(tmp_path))
    with pytest.raises(ValueError, match="--name a/b: give up to 64 letters"):
        pack("custom", None, SMALL, name="a/b")


def test_what_a_run_knew_from_files_elsewhere_is_packed(project: Path, tmp_path: Path) -> None:
    """Its own configuration counts, not the one that finds it; its skeleton, and the frames of its data."""
    for stream in ("joint", "bone"):
        run = tmp_path / f"runs/agcn_{stream}"
        shutil.copytree(project / f"work_dir/custom/agcn_{stream}", run)
        config = yaml.safe_load((run / "config.yaml").read_text())
        config["model_args"]["graph"] = "mine.yaml"
        config["test_feeder_args"] |= {"sample": "", "window_size": -1}
        (run / "config.yaml").write_text(yaml.safe_dump(config))
    found = ("custom", None, (*SMALL, f"work_dir={tmp_path}/runs/agcn_{{stream}}"))
    pack(*found, name="graph", out=str(tmp_path / "out"))
    config = find(str(tmp_path / "out")).load_config()
    assert config.model_args["graph"] == str(tmp_path / "out" / "layout.yaml")
    assert config.test_feeder_args.window_size == 27  # the longest clip's


def test_scores_of_other_weights_are_not_told(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = project / "work_dir/custom/agcn_joint/best.pt"
    content = best.read_bytes()
    shutil.copy(project / "work_dir/custom/agcn_bone/best.pt", best)
    try:
        result = pack("custom", None, SMALL, name="swapped", out=str(tmp_path / "out"))
    finally:
        best.write_bytes(content)
    assert result["two_streams"] is None and result["streams"]["joint"]["top1"] is None
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Not measured" in card and "licence | unknown" in card
    assert "the card does not say how accurate 2 streams are: " in capsys.readouterr().err
