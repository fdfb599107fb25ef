"""What `docs/your-own-data.md` tells to type: commands are well formed, and its Python reads made text files."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cli
from agcn.config import find_config
from native_prep.io.pickles import load_pickle
from native_prep.poses.custom import custom_metadata
from native_prep.skeletons.layouts import NW_UCLA, conversion_table, find_layout

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "your-own-data.md").read_text(encoding="utf-8")
# In blocks and in the table alike.
COMMANDS = re.findall(r"python cli\.py ([^`\n#]+)", TEXT)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_well_formed(command: str) -> None:
    name, *args = shlex.split(command)
    with cli.cli.commands[name].make_context(name, args) as context:
        given = context.params
    for key in ("layout", "convert"):
        if given.get(key):
            find_layout(given[key])
    if given.get("config"):
        find_config(given["config"])


def test_every_block_of_shell_is_commands() -> None:
    lines = "".join(re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)).splitlines()
    assert lines and all(line.startswith("python cli.py ") for line in lines)


def test_every_conversion_of_the_table_is_known() -> None:
    table = section("Another skeleton").split("| from | to |\n|---|---|\n")[1].split("\n\n")[0]
    pairs = [[re.findall(r"`(\w+)`", cell) for cell in row.strip("|").split("|")] for row in table.splitlines()]
    assert [len(made) for _, made in pairs] == [2, 1, 1]
    for sources, targets in pairs:
        for source in sources:
            for target in targets:
                conversion_table(find_layout(source), find_layout(target))


def section(title: str) -> str:
    """What stands under a heading."""
    return re.split(r"\n#+ ", TEXT.split(f"# {title}")[1])[0]


def block(title: str, language: str) -> str:
    """The one block of a language under a heading."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", section(title), re.DOTALL)
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


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, tuple[str, int, np.ndarray]]]:
    """Runs the Python under a heading in `tmp_path`; gives split, label and array (3, T, V, M) of each clip by name."""

    def run_block(title: str) -> dict[str, tuple[str, int, np.ndarray]]:
        monkeypatch.chdir(tmp_path)
        exec(block(title, "python"), {})
        found = {}
        for split in ("train", "val"):
            names, labels = load_pickle(f"data/custom/{split}_label.pkl")
            arrays = np.load(f"data/custom/{split}_data_joint.npy")
            for name, label, array in zip(names, labels, arrays, strict=True):
                found[name] = (split, label, array)
        return found

    return run_block


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


def test_utkinect(tmp_path: Path, run: Callable) -> None:
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

    found = run("UTKinect-Action3D")
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


def test_msr_action3d(tmp_path: Path, run: Callable) -> None:
    rng = np.random.default_rng(1)
    made = {"a01_s01_e01": people(rng, 12, 20), "a13_s02_e03": people(rng, 9, 20), "a13_s09_e02": np.zeros((4, 20, 3))}
    for name, joints in made.items():
        rows = np.concatenate([joints, np.ones((len(joints), 20, 1))], axis=2).reshape(-1, 4)
        write(tmp_path / "msr" / f"{name}_skeleton3D.txt", text_of(rows, " "))

    found = run("MSR Action3D")
    assert {name: one[:2] for name, one in found.items()} == {"a01_s01_e01": ("train", 0), "a13_s02_e03": ("val", 1)}
    assert classes() == ["a01", "a13"]
    assert "a13_s09_e02" in Path("data/custom/bad_files.csv").read_text()
    for name, (_, _, array) in found.items():
        assert array.shape == (3, 12, 20, 2)
        for place, joint in enumerate(MSR_JOINTS):
            written = array[:, : len(made[name]), NW_UCLA.joints.index(joint), 0]
            np.testing.assert_allclose(written.T, made[name][:, place], atol=1e-6)


def test_sbu_kinect_interaction(tmp_path: Path, run: Callable) -> None:
    rng = np.random.default_rng(2)
    made = {name: rng.uniform(0, 1, (12, 2, 15, 3)).round(6) for name in ("s01s02/01/001", "s01s03/08/002")}
    for name, joints in made.items():
        rows = joints.reshape(12, 90)
        text = "".join(f"{number},{line}\n" for number, line in enumerate(text_of(rows, ",").splitlines(), 1))
        write(tmp_path / "sbu" / name / "skeleton_pos.txt", text)
    layout = block("SBU Kinect Interaction", "yaml")
    write(tmp_path / "sbu15.yaml", layout)

    found = run("SBU Kinect Interaction")
    assert {name: one[:2] for name, one in found.items()} == {
        "s01s02_01_001": ("val", 0),
        "s01s03_08_002": ("train", 1),
    }
    assert classes() == ["A01", "A08"]
    assert len(find_layout("sbu15.yaml").mirrored) == 15
    for name, (_, _, array) in found.items():
        assert array.shape == (3, 12, 15, 2)
        check(array, made[name.replace("_", "/")].swapaxes(0, 1))


def test_pku_mmd(tmp_path: Path, run: Callable) -> None:
    rng = np.random.default_rng(3)
    made = {name: people(rng, 40, 2, 25) for name in ("0001-L", "0002-M")}
    made["0002-M"][:, 1] = 0  # one person alone
    labels = {"0001-L": "3,6,17,2\n41,21,37,2\n", "0002-M": "51,1,40,1\n"}
    for name, joints in made.items():
        write(tmp_path / "pku" / "PKU_Skeleton_Renew" / f"{name}.txt", text_of(joints.reshape(40, 150), " "))
        write(tmp_path / "pku" / "Train_Label_PKU_final" / f"{name}.txt", labels[name])

    found = run("PKU-MMD")
    assert {name: one[:2] for name, one in found.items()} == {
        "0001-L_00": ("val", 2), "0001-L_01": ("val", 40), "0002-M_00": ("train", 50),
    }  # fmt: skip
    assert len(classes()) == 51 and classes()[2] == "A03"
    assert found["0001-L_00"][2].shape == (3, 40, 25, 2)
    check(found["0001-L_00"][2], made["0001-L"][5:17].swapaxes(0, 1))
    check(found["0001-L_01"][2], made["0001-L"][20:37].swapaxes(0, 1))
    check(found["0002-M_00"][2], made["0002-M"].swapaxes(0, 1))
