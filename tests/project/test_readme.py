"""What the README tells a newcomer to type: every command is well formed, and the walk runs as it stands."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import agcn
import agcn.checkpoint
import cli
from agcn.checkpoint import save_weights
from agcn.config import find_config, load_config
from agcn.model.network import build_model
from native_prep.io.pickles import load_pickle
from native_prep.skeletons.layouts import NW_UCLA, layout_as_dict
from native_prep.synth import motion as synth_motion
from native_prep.synth.make import synth, write_ntu

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(<!-- walk -->\n)?```bash\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.split("#")[0].strip() for _, block in BLOCKS for line in block.splitlines() if "cli.py" in line.split("#")[0]
]


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_well_formed(command: str) -> None:
    words = shlex.split(command)
    name, *args = words[words.index("cli.py") + 1 :]
    with cli.cli.commands[name].make_context(name, args) as context:
        config = context.params.get("config")
    if config not in (None, "my.yaml"):
        find_config(config)


def test_every_command_is_told_of() -> None:
    told = {shlex.split(command)[shlex.split(command).index("cli.py") + 1] for command in COMMANDS}
    assert told == set(cli.cli.commands)


def test_the_walk_runs_as_it_stands(tmp_path: Path) -> None:
    (walk,) = [block for mark, block in BLOCKS if mark]
    script = walk.replace("python cli.py", f"{sys.executable} {ROOT / 'cli.py'}")
    done = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"command"')]
    assert [result["command"] for result in results] == [
        shlex.split(line)[2] for line in walk.splitlines() if line.startswith("python cli.py")
    ]
    from_scores, from_engine = (result for result in results if result["command"] == "fuse-eval")
    for key in ("clips", "joint_top1", "bone_top1", "top1"):
        assert from_scores[key] == pytest.approx(from_engine[key]), key


def example(word: str) -> str:
    """The README's Python that holds a word."""
    (found,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if word in block]
    return found


def test_any_format_in_a_few_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = {**layout_as_dict(NW_UCLA), "name": "mine", "spine": ["hip centre", "spine"]}
    own["shoulders"] = ["right shoulder", "left shoulder"]
    Path("my_layout.yaml").write_text(yaml.safe_dump(own))
    rng = np.random.default_rng(0)
    for label, name in enumerate(("wave", "kick")):
        Path("recordings", name).mkdir(parents=True)
        points, _ = synth_motion.performance(3 * label, 12, 1.0, rng)
        points = synth_motion.as_layout(points, NW_UCLA) + np.array((0.1, -0.8, 2.5))
        np.savetxt(Path("recordings", name, f"{name}1.txt"), points.reshape(12, 60))
    exec(example("write_clips("), {})
    names, labels = load_pickle("data/custom/train_label.pkl")
    assert (names, labels) == (["kick1", "wave1"], [0, 1])
    clip = np.load("data/custom/train_data_joint.npy")[..., 0]
    assert clip.shape == (2, 3, 12, 20) and (clip[:, 2, :, 3] > clip[:, 2, :, 0]).all()  # heads above hips, up is z


def test_a_recording_as_its_model_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_ntu(tmp_path / "raw", 1, classes=1, frames=20)
    next(Path("raw").glob("*.skeleton")).rename("S001C001P001R001A001.skeleton")
    config = load_config("ntu-xsub")
    save_weights(build_model(config.model, config.model_args), Path(config.work_dir, "best.pt"))
    found: dict = {}
    exec(example("read_input("), found)
    assert found["logits"].shape == (1, 60)


def test_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls from raw files to an engine, with the shipped configuration but for what makes a run long."""
    monkeypatch.chdir(tmp_path)
    changes = ("num_epoch=1", "model_args.base_channels=16")
    monkeypatch.setattr("export.request.choose_flavor", lambda name: None)  # the graph alone
    for module in (agcn, agcn.checkpoint):
        monkeypatch.setattr(module, "load_config", lambda name, stream=None: load_config(name, stream, changes))
    synth("nw-ucla", "raw", clips=24, classes=2, seed=0, frames=20)
    shutil.copy(min(Path("raw").glob("*.json")), "a.json")
    joints = np.array(json.loads(Path("a.json").read_text())["skeletons"])
    found: dict = {"joints": joints}
    exec(example("open_engine("), found)
    assert found["classes"][0] == found["classes"][1] and found["scores"].shape == (2, 10)
    np.testing.assert_allclose(found["scores"][0], found["scores"][1], atol=1e-5)
    found["clip"] = np.load("data/nw-ucla/val_data_joint.npy")[0]
    exec(example("draw_graphs("), found)
    for name in ("clip.png", "graphs.png"):
        assert Path(name).read_bytes().startswith(b"\x89PNG")
