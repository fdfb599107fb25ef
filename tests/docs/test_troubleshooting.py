"""Troubleshooting, coming from 2s-AGCN, how it works: messages, keys, options and commands are the code's own."""

import ast
import dataclasses
import inspect
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from agcn.config import load_config
from agcn.model.graph import resolve_graph
from agcn.model.network import Model
from agcn.settings import Config, FeederArgs
from cli import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("troubleshooting", "from-2s-agcn", "how-it-works")
TROUBLE, MIGRATION, INSIDE = ((ROOT / f"docs/{page}.md").read_text(encoding="utf-8") for page in PAGES)
# Options of the original's main.py.
MAIN = (
    "--work-dir -model_saved_name --config --phase --save-score --seed --log-interval --save-interval --eval-interval "
    "--print-log --show-topk --feeder --num-worker --train-feeder-args --test-feeder-args --model --model-args "
    "--weights --ignore-weights --base-lr --step --device --optimizer --nesterov --batch-size --test-batch-size "
    "--start-epoch --num-epoch --weight-decay --only_train_part --only_train_epoch --warm_up_epoch"
)
KEYS = [name.lstrip("-").replace("-", "_") for name in MAIN.split(" ")]
# Of its feeder and of its models.
FEEDER = {
    *("data_path", "label_path", "random_choose", "random_shift", "random_move", "window_size", "normalization"),
    *("debug", "use_mmap"),
}
ARGUMENTS = {
    *("num_class", "num_person", "num_point", "graph", "graph_args", "in_channels"),
    *("drop_out", "adaptive", "attention"),
}
CONFIG_KEYS, FEEDER_KEYS = ({field.name for field in dataclasses.fields(kind)} for kind in (Config, FeederArgs))


def section(text: str, title: str) -> str:
    """What stands below a heading of the second level."""
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(table: str) -> list[str]:
    """The names in backquotes of the first column of a table."""
    return [name for line in table.splitlines() if line.startswith("| `") for name in _quoted(line.split("|")[1])]


def _quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def sources(*rooms: str) -> dict[Path, str]:
    """The modules of some rooms."""
    return {path: path.read_text(encoding="utf-8") for room in rooms for path in ROOT.glob(f"{room}/**/*.py")}


def templates() -> Iterator[str]:
    """The strings of the sources, with a zero character in the place of each `{...}`."""
    for text in [*sources("agcn", "export", "native_prep").values(), (ROOT / "cli.py").read_text(encoding="utf-8")]:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 300:
                yield re.sub(r"\{\w+\}", "\0", node.value)


def parts_of(message: str) -> list[str]:
    """What stands between the colons of a message, but for those in brackets."""
    return re.split(r": (?![^(]*\))", message)


@cache
def said() -> re.Pattern[str]:
    """Any part of the sources' messages."""
    parts = {part for text in templates() for part in parts_of(text)}
    # What is hardly more than a value would fit anything.
    telling = sorted(part for part in parts if len(re.sub("[^A-Za-z]", "", part)) > 4)
    return re.compile("|".join(".*".join(map(re.escape, part.split("\0"))) for part in telling))


def is_said(message: str) -> bool:
    """Whether the sources say each part of a message but the first, which is a file or what it is about."""
    return all(said().fullmatch(part) for part in parts_of(message)[1:])


def quoted_messages() -> list[str]:
    blocks = re.findall(r"^```text\n(.*?)^```", TROUBLE, re.MULTILINE | re.DOTALL)
    return [line.removeprefix("Error: ") for block in blocks for line in block.splitlines()]


def test_messages_are_those_of_the_sources() -> None:
    assert len(quoted_messages()) > 20
    assert not [message for message in quoted_messages() if not is_said(message)]
    assert not is_said("x.pt: has 25 joints, the data have 18: set model_args.num_point")
    assert not is_said("engines/x: no engine is here: run export-trt first, or give --engine")


def test_options_of_main_py_have_their_place() -> None:
    table = section(MIGRATION, "Options of main.py")
    assert sorted(first_cells(table)) == sorted(MAIN.split(" "))
    assert set(KEYS) <= CONFIG_KEYS
    assert set(re.findall(r"--set '?(\w+)=", table)) <= CONFIG_KEYS


def test_keys_are_known() -> None:
    keys = section(MIGRATION, "Keys of the YAML files")
    assert sorted(first_cells(keys)) == sorted(KEYS)
    arguments = next(line for line in keys.splitlines() if line.startswith("| `model`"))
    named = set(_quoted(arguments.split("|")[2]))
    assert named == ARGUMENTS | {"base_channels"} and named <= set(inspect.signature(Model).parameters)
    for name in re.findall(r"`(graph\.\w+\.Graph|ntu|coco17)`", keys):
        resolve_graph(name)
    feeder = section(MIGRATION, "Arguments of the feeder")
    assert set(first_cells(feeder)) == FEEDER
    new = {name for name in _quoted(feeder.split("What is new")[1]) if "/" not in name}
    assert new == FEEDER_KEYS - FEEDER


@pytest.mark.parametrize(
    "line", [line for line in section(MIGRATION, "What is not supported").splitlines() if "` |" in line]
)
def test_what_is_not_supported_says_so(line: str) -> None:
    message = line.split("|")[2].strip().strip("`")
    value = re.search(r"'([\w.-]+)'", message)[1]
    if value.startswith("--"):
        with pytest.raises(click.NoSuchOption, match=re.escape(message)):
            cli.commands["train"].make_context("train", [value, "1"])
        return
    key = {"labeling_mode": "model_args.graph_args.labeling_mode"}.get(re.findall(r"\w+", message.split(" '")[0])[-1])
    key = key or (value if message.startswith("unknown") else message.split()[0])
    with pytest.raises(ValueError, match=re.escape(message)):
        config = load_config("ntu-xsub", overrides=[f"{key}={value}"])
        resolve_graph("ntu", config.model_args["graph_args"])


def commands_of(text: str) -> list[str]:
    blocks = "\n".join(re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).splitlines()
    inline = _quoted(re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [one for one in blocks + inline if re.match(r"(python|torchrun[^`]*) cli\.py |two-stream-agcn ", one)]


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_well_formed(page: str) -> None:
    found = commands_of((ROOT / f"docs/{page}.md").read_text(encoding="utf-8"))
    assert found
    for line in found:
        words = shlex.split(re.split(r"cli\.py |two-stream-agcn ", line)[1])
        cli.commands[words[0]].make_context(words[0], words[1:])


def test_functions_and_tests_that_are_named_exist() -> None:
    files = sources("agcn", "export", "native_prep", "tests")
    everything = "\n".join(files.values())
    for name in _quoted(INSIDE):
        if re.fullmatch(r"(agcn|export|native_prep|tests)/[\w/]+\.py", name):
            assert ROOT / name in files, name
        elif re.fullmatch(r"20[\w-]+\.md", name):
            assert (ROOT / "bench/results" / name).is_file(), name
        elif re.fullmatch(r"_?[a-z]+(_[a-z]+)+|[A-Z]\w+\.\w+|_[A-Z]\w+", name):
            assert re.search(rf"\b{name.split('.')[-1]}\b", everything), name
