"""What the README tells a newcomer to type: every command is well formed, and the walk runs as it stands."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cli

ROOT = Path(__file__).resolve().parent.parent
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
        configs = [value for value in context.params.values() if str(value).startswith("configs/")]
    assert all((ROOT / config).is_file() for config in configs), configs


def test_every_command_is_told_of() -> None:
    told = {shlex.split(command)[shlex.split(command).index("cli.py") + 1] for command in COMMANDS}
    assert told == set(cli.cli.commands)


def test_the_walk_runs_as_it_stands(tmp_path: Path) -> None:
    (walk,) = [block for mark, block in BLOCKS if mark]
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
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
