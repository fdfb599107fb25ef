"""Every Python block of the documents runs on small made files and does what its page says, or says why not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from doc_blocks import Block, blocks
from exported import three_blocks

import agcn
import agcn.checkpoint
from agcn.checkpoint import load_model, save_weights
from agcn.config import load_config
from agcn.model.network import build_model
from native_prep.command import prep
from native_prep.io.pickles import load_pickle
from native_prep.poses.custom import custom_metadata
from native_prep.skeletons.layouts import NW_UCLA, find_layout, layout_as_dict
from native_prep.synth import motion as synth_motion
from native_prep.synth.make import synth, write_ntu


def prepared(code: str) -> dict[str, tuple[str, int, np.ndarray]]:
    """Runs a block; gives split, label and array (3, T, V, M) of each clip that it wrote, by name."""
    exec(code, {})
    found = {}
    for split in ("train", "val"):
        names, labels = load_pickle(f"data/custom/{split}_label.pkl")
        arrays = np.load(f"data/custom/{split}_data_joint.npy")
        for name, label, array in zip(names, labels, arrays, strict=True):
            found[name] = (split, label, array)
    return found


def people(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Made coordinates about a metre across, two metres and a half away, as text has them."""
    return (rng.uniform(-0.5, 0.8, (*shape, 3)) + np.array((0.0, 0.0, 2.5))).round(6)


def text_of(rows: np.ndarray, separator: str) -> str:
    """A line of numbers a row."""
    return "".join(separator.join(f"{number:.6f}" for number in row) + "\n" for row in rows)


def write(path: Path, text: str) -> None:
    """A file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def classes() -> list[str]:
    """The names of the classes that were written."""
    names: list[str] = custom_metadata("data/custom/train_data_joint.npy")["classes"]
    return names


def check(array: np.ndarray, joints: np.ndarray) -> None:
    """A clip of (3, T, V, M) holds the joints, (T, V, 3) or (M, T, V, 3), and nothing but zeros besides."""
    bodies = joints if joints.ndim == 4 else joints[None]
    count, frames = bodies.shape[:2]
    np.testing.assert_allclose(array[:, :frames, :, :count], bodies.transpose(3, 1, 2, 0), atol=1e-6)
    assert not array[:, frames:].any() and not array[..., count:].any()


def _utkinect(tmp_path: Path, code: str) -> None:
    rng = np.random.default_rng(0)
    made = {name: people(rng, 12, 20) for name in ("s01_e01", "s06_e02")}
    made["s01_e01"][2, 5:7] = ((np.nan,) * 3, (0.0,) * 3)  # an elbow and a wrist that were not seen
    for name, joints in made.items():
        rows = np.concatenate([190 + 2 * np.arange(12)[:, None], joints.reshape(12, 60)], axis=1)
        rows = np.insert(rows, 4, rows[3], axis=0)  # a frame that is written twice
        text = "".join(f"{int(row[0])}  " + "  ".join(f"{number:.6f}" for number in row[1:]) + "\n" for row in rows)
        write(tmp_path / "utkinect" / "joints" / f"joints_{name}.txt", text)
    labels = "s01_e01\nwalk: 190 199\ncarry: NaN NaN\nsitDown: 202 212\ns06_e02\nwalk: 191 230 \n"
    write(tmp_path / "utkinect" / "actionLabel.txt", labels)

    found = prepared(code)
    assert {name: one[:2] for name, one in found.items()} == {
        "s01_e01_walk": ("train", 1), "s01_e01_sitDown": ("train", 0), "s06_e02_walk": ("val", 1),
    }  # fmt: skip
    assert classes() == ["sitDown", "walk"]
    assert found["s01_e01_walk"][2].shape == (3, 11, 20, 2)  # as long as the longest clip
    check(found["s01_e01_walk"][2], np.nan_to_num(made["s01_e01"][:5]))
    check(found["s01_e01_sitDown"][2], made["s01_e01"][6:])
    check(found["s06_e02_walk"][2], made["s06_e02"][1:])


# The joints of MSR Action3D's files in order, in the words of nw-ucla.
MSR_JOINTS = (
    "left shoulder", "right shoulder", "shoulder centre", "spine", "left hip", "right hip", "hip centre", "left elbow",
    "right elbow", "left wrist", "right wrist", "left hand", "right hand", "left knee", "right knee", "left ankle",
    "right ankle", "left foot", "right foot", "head",
)  # fmt: skip


def _msr_action3d(tmp_path: Path, code: str) -> None:
    rng = np.random.default_rng(1)
    made = {"a01_s01_e01": people(rng, 12, 20), "a13_s02_e03": people(rng, 9, 20), "a13_s09_e02": np.zeros((4, 20, 3))}
    for name, joints in made.items():
        rows = np.concatenate([joints, np.ones((len(joints), 20, 1))], axis=2).reshape(-1, 4)
        write(tmp_path / "msr" / f"{name}_skeleton3D.txt", text_of(rows, " "))

    found = prepared(code)
    assert {name: one[:2] for name, one in found.items()} == {"a01_s01_e01": ("train", 0), "a13_s02_e03": ("val", 1)}
    assert classes() == ["a01", "a13"]
    assert "a13_s09_e02" in Path("data/custom/bad_files.csv").read_text()
    for name, (_, _, array) in found.items():
        assert array.shape == (3, 12, 20, 2)
        for place, joint in enumerate(MSR_JOINTS):
            written = array[:, : len(made[name]), NW_UCLA.joints.index(joint), 0]
            np.testing.assert_allclose(written.T, made[name][:, place], atol=1e-6)


def _sbu_kinect_interaction(tmp_path: Path, code: str) -> None:
    rng = np.random.default_rng(2)
    made = {name: rng.uniform(0, 1, (12, 2, 15, 3)).round(6) for name in ("s01s02/01/001", "s01s03/08/002")}
    for name, joints in made.items():
        rows = joints.reshape(12, 90)
        text = "".join(f"{number},{line}\n" for number, line in enumerate(text_of(rows, ",").splitlines(), 1))
        write(tmp_path / "sbu" / name / "skeleton_pos.txt", text)
    (layout,) = [one.code for one in blocks("yaml", "your-own-data.md") if one.heading == "SBU Kinect Interaction"]
    write(tmp_path / "sbu15.yaml", layout)

    found = prepared(code)
    assert {name: one[:2] for name, one in found.items()} == {
        "s01s02_01_001": ("val", 0),
        "s01s03_08_002": ("train", 1),
    }
    assert classes() == ["A01", "A08"]
    assert len(find_layout("sbu15.yaml").mirrored) == 15
    for name, (_, _, array) in found.items():
        assert array.shape == (3, 12, 15, 2)
        check(array, made[name.replace("_", "/")].swapaxes(0, 1))


def _pku_mmd(tmp_path: Path, code: str) -> None:
    rng = np.random.default_rng(3)
    made = {name: people(rng, 40, 2, 25) for name in ("0001-L", "0002-M")}
    made["0002-M"][:, 1] = 0  # one person alone
    labels = {"0001-L": "3,6,17,2\n41,21,37,2\n", "0002-M": "51,1,40,1\n"}
    for name, joints in made.items():
        write(tmp_path / "pku" / "PKU_Skeleton_Renew" / f"{name}.txt", text_of(joints.reshape(40, 150), " "))
        write(tmp_path / "pku" / "Train_Label_PKU_final" / f"{name}.txt", labels[name])

    found = prepared(code)
    assert {name: one[:2] for name, one in found.items()} == {
        "0001-L_00": ("val", 2), "0001-L_01": ("val", 40), "0002-M_00": ("train", 50),
    }  # fmt: skip
    assert len(classes()) == 51 and classes()[2] == "A03"
    assert found["0001-L_00"][2].shape == (3, 40, 25, 2)
    check(found["0001-L_00"][2], made["0001-L"][5:17].swapaxes(0, 1))
    check(found["0001-L_01"][2], made["0001-L"][20:37].swapaxes(0, 1))
    check(found["0002-M_00"][2], made["0002-M"].swapaxes(0, 1))


def _any_format(tmp_path: Path, code: str) -> None:
    own = {**layout_as_dict(NW_UCLA), "name": "mine", "spine": ["hip centre", "spine"]}
    own["shoulders"] = ["right shoulder", "left shoulder"]
    Path("my_layout.yaml").write_text(yaml.safe_dump(own))
    rng = np.random.default_rng(0)
    for label, name in enumerate(("wave", "kick")):
        points, _ = synth_motion.performance(3 * label, 12, 1.0, rng)
        points = synth_motion.as_layout(points, NW_UCLA) + np.array((0.1, -0.8, 2.5))
        write(tmp_path / "recordings" / name / f"{name}1.txt", text_of(points.reshape(12, 60), " "))
    exec(code, {})
    names, labels = load_pickle("data/custom/train_label.pkl")
    assert (names, labels) == (["kick1", "wave1"], [0, 1])
    clip = np.load("data/custom/train_data_joint.npy")[..., 0]
    assert clip.shape == (2, 3, 12, 20) and (clip[:, 2, :, 3] > clip[:, 2, :, 0]).all()  # heads above hips, up is z


def _a_recording_as_its_model_sees_it(tmp_path: Path, code: str) -> None:
    write_ntu(tmp_path / "raw", 1, classes=1, frames=20)
    next(Path("raw").glob("*.skeleton")).rename("S001C001P001R001A001.skeleton")
    config = load_config("ntu-xsub")
    save_weights(build_model(config.model, config.model_args), Path(config.work_dir, "best.pt"))
    found: dict = {}
    exec(code, found)
    assert found["logits"].shape == (1, 60)


def _raw_files_to_an_engine(tmp_path: Path, code: str) -> None:
    """With the shipped configuration but for what makes a run long."""
    changes = ("num_epoch=1", "model_args.base_channels=16")
    synth("nw-ucla", "raw", clips=24, classes=2, seed=0, frames=20)
    shutil.copy(min(Path("raw").glob("*.json")), "a.json")
    found: dict = {"joints": np.array(json.loads(Path("a.json").read_text())["skeletons"])}
    with three_blocks(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.request.choose_flavor", lambda name: None)  # the graph alone
        for module in (agcn, agcn.checkpoint):
            patch.setattr(module, "load_config", lambda name, stream=None: load_config(name, stream, changes))
        exec(code, found)
    assert found["classes"][0] == found["classes"][1] and found["scores"].shape == (2, 10)
    np.testing.assert_allclose(found["scores"][0], found["scores"][1], atol=1e-5)


def _pictures(tmp_path: Path, code: str) -> None:
    config = load_config("nw-ucla")
    save_weights(build_model(config.model, config.model_args), tmp_path / "best.pt")
    points, _ = synth_motion.performance(0, 20, 1.0, np.random.default_rng(0))
    clip = synth_motion.as_layout(points, NW_UCLA).transpose(2, 0, 1)[..., None].astype(np.float32)  # (3, T, V, 1)
    exec(code, {"model": load_model("best.pt", "nw-ucla"), "clip": clip})
    for name in ("clip.png", "graphs.png"):
        assert Path(name).read_bytes().startswith(b"\x89PNG")


def _checksums_of_a_store(tmp_path: Path, code: str) -> None:
    synth("ntu60", "raw", clips=4, classes=2, frames=8)
    prep("ntu60", data_path="raw", out_folder="data/ntu", formats=("packed",), max_frames=16)
    exec(code, {})
    shard = max(Path("data/ntu/packed").rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ValueError, match="checksum"):
        exec(code, {})


# By page and heading: makes the files that the block reads, runs it in the current folder, and checks what came of it.
EXAMPLES: dict[tuple[str, str], Callable[[Path, str], None]] = {
    ("file-formats.md", "The packed store"): _checksums_of_a_store,
    ("python-api.md", "From raw files to an engine"): _raw_files_to_an_engine,
    ("python-api.md", "What a network sees of a recording"): _a_recording_as_its_model_sees_it,
    ("python-api.md", "Pictures"): _pictures,
    ("your-own-data.md", "Any other format"): _any_format,
    ("your-own-data.md", "UTKinect-Action3D"): _utkinect,
    ("your-own-data.md", "MSR Action3D"): _msr_action3d,
    ("your-own-data.md", "SBU Kinect Interaction"): _sbu_kinect_interaction,
    ("your-own-data.md", "PKU-MMD"): _pku_mmd,
}


@pytest.mark.parametrize("block", [block for block in blocks("python") if not block.why], ids=str)
def test_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = (block.page, block.heading)
    assert key in EXAMPLES, f"{block}: add what runs it to EXAMPLES, or say before it why it does not run"
    monkeypatch.chdir(tmp_path)
    EXAMPLES[key](tmp_path, block.code)


def test_no_example_is_left_without_its_block() -> None:
    assert set(EXAMPLES) == {(block.page, block.heading) for block in blocks("python") if not block.why}
