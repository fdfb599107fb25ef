"""The command line: its options are a promise, its failures are one line, its last line is JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import cli

ROOT = Path(__file__).resolve().parents[2]
PROMISED = {
    "prep": {
        "--data-path", "--out-folder", "--ignored-sample-path", "--benchmark", "--stream", "--format", "--max-frames",
        "--device", "--workers", "--on-bad-file", "--cluster", "--packed-dtype", "--layout", "--source", "--label",
        "--class-list", "--convert", "--split", "--image-size", "--align", "--unit", "--keep-empty",
        "--max-bodies", "--min-quality", "--track", "--pose-model", "--fps",
    },
    "synth": {"--out", "--clips", "--classes", "--frames", "--seed"},
    "train": {
        "--dataset", "--config", "--stream", "--amp", "--amp-dtype", "--compile", "--no-compile", "--device",
        "--resume", "--overwrite", "--profile", "--work-dir", "--set", "--pretrained",
    },
    "test": {
        "--dataset", "--config", "--weights", "--stream", "--device", "--work-dir", "--set", "--overwrite",
        "--pretrained",
    },
    "export-trt": {
        "--dataset", "--joint-weights", "--bone-weights", "--config", "--out", "--precision", "--flavor", "--target",
        "--max-batch", "--alpha", "--set", "--streams", "--joint-motion-weights", "--bone-motion-weights",
        "--motion-alpha", "--with-prep", "--dense", "--refittable", "--refit", "--triton",
        "--aot", "--pretrained",
    },
    "fuse-eval": {
        "--joint-scores", "--bone-scores", "--scores", "--label", "--alpha", "--search-alpha", "--dataset",
        "--engine", "--config", "--runtime", "--allow-stale", "--set",
    },
    "predict": {
        "--dataset", "--engine", "--runtime", "--top", "--stream", "--follow", "--timeline", "--idle", "--window",
        "--stride", "--fps", "--gone", "--realtime", "--store", "--part", "--out",
        "--image-size", "--per-person", "--video", "--camera", "--overlay", "--pose-model", "--pretrained",
        "--cluster",
    },
    "bench": {"--out", "--ntu", "--kinetics", "--minutes", "--device", "--nw-ucla", "--only"},
    "demo": {"--out", "--seed"},
    "doctor": {"--require"},
    "report": {"--out", "--bench"},
    "view": {
        "--clip", "--engine", "--dataset", "--config", "--weights", "--layout", "--image-size", "--out", "--gif",
        "--png", "--frames",
    },
    "weights": set(),
    "weights get": {"--stream", "--from"},
    "weights pack": {"--dataset", "--config", "--set", "--name", "--out", "--licence", "--data"},
}  # fmt: skip


def run(*args: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *args],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_commands_and_options_are_as_promised() -> None:
    commands = dict(cli.cli.commands)
    for group in [name for name, command in commands.items() if isinstance(command, click.Group)]:
        commands |= {f"{group} {name}": command for name, command in commands[group].commands.items()}
    found = {
        name: {text for option in command.params if isinstance(option, click.Option) for text in _spellings(option)}
        for name, command in commands.items()
    }
    assert found == {name: options | {"--json"} for name, options in PROMISED.items()}


def _spellings(option: click.Option) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def test_choices_are_the_rooms_own() -> None:
    from agcn.defaults import CONFIGS, DATASET
    from agcn.device import AMP_DTYPES
    from export.engines.flavors import FLAVORS
    from export.request import PRECISIONS
    from native_prep.datasets.catalog import DATASETS
    from native_prep.poses.published.prepare import PUBLISHED
    from native_prep.skeletons.streams import STREAMS

    assert tuple(STREAMS) == cli.STREAMS
    assert tuple(DATASETS) == cli.DATASETS
    assert tuple(PUBLISHED) == cli.PUBLISHED
    every = (*DATASETS.values(), *PUBLISHED.values())
    assert {benchmark for dataset in every for benchmark in dataset.benchmarks} == set(cli.BENCHMARKS)
    places = {
        f"{Path(one.out_folder).name}/{part}".rstrip("/")
        for one in DATASETS.values()
        for part in one.benchmarks or ("",)
    }
    assert {*places, "custom"} == set(cli.TRAINED) == set(CONFIGS) and cli.TRAINED[0] == DATASET
    assert _choices("export-trt", "precision") == PRECISIONS and _choices("export-trt", "flavor") == ("auto", *FLAVORS)
    assert _choices("train", "amp_dtype") == tuple(AMP_DTYPES)


def _choices(command: str, name: str) -> tuple[str, ...]:
    (option,) = (option for option in cli.cli.commands[command].params if option.name == name)
    assert isinstance(option.type, click.Choice)
    return tuple(option.type.choices)


@pytest.mark.parametrize(
    ("args", "spread"),
    [
        ("--stream joint bone ntu60", {"streams": ("joint", "bone"), "dataset": "ntu60"}),
        ("ntu120 --benchmark xsub xset", {"benchmarks": ("xsub", "xset"), "dataset": "ntu120"}),
        ("--stream joint --stream bone", {"streams": ("joint", "bone")}),
        ("--format npy packed --stream bone", {"formats": ("npy", "packed"), "streams": ("bone",)}),
        ("--stream=bone kinetics", {"streams": ("bone",), "dataset": "kinetics"}),
    ],
)
def test_values_may_stand_in_a_row(args: str, spread: dict) -> None:
    context = cli.cli.commands["prep"].make_context("prep", args.split())
    assert {name: context.params[name] for name in spread} == spread


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["prep", "--strem", "joint"], "No such option"),
        (["prep", "--packed-dtype", "float16"], "add --format packed"),
        (["prep", "nw-ucla", "--data-path", ".", "--cluster", "here"], "no nw-ucla file"),
        (["prep", "ntu61"], "'ntu61' is not one of"),
        (["nothing"], "No such command 'nothing'"),
        (["train"], "data/ntu/xsub/train_data_joint.npy: no such file: run prep first"),
        (["train", "--dataset", "ntu/xsud"], "--dataset ntu/xsud: is not known: did you mean 'ntu/xsub'?"),
        (["train", "--config", "nw-ucla-stong"], "did you mean 'nw-ucla-strong'?"),
        (["test"], "work_dir/ntu/xsub/agcn_joint/best.pt: no such file: run train --stream joint first"),
        (["test", "--weights", "x", "--stream", "joint", "bone"], "--weights x: is of one stream"),
        (
            ["export-trt", "--dataset", "kinetics"],
            "agcn_joint/best.pt: no such file: run train --dataset kinetics --stream joint first",
        ),
        (["fuse-eval"], "work_dir/ntu/xsub/agcn_joint/epoch1_test_score.pkl: no such score file"),
        (["fuse-eval", "--config", "custom-strong"], "run train --config custom-strong --stream joint first"),
        (["fuse-eval", "--dataset", "nw-ucla"], "run train --dataset nw-ucla --stream joint first"),
        (["train", "--dataset", "kinetics", "--stream", "bone_motion"], "run prep kinetics --stream bone_motion first"),
        (["predict", "--dataset", "ntu/xview", "a.skeleton"], "run export-trt --dataset ntu/xview first"),
        (["fuse-eval", "--dataset", "ntu"], "--dataset ntu: is not known"),
        (["fuse-eval", "--dataset", "kinetics", "--label", "x"], "give scores and --label, or --dataset"),
        (
            ["fuse-eval", "--label", "x", "--set", "work_dir=y"],
            "--set work_dir=y: is for a configuration, score files have none: leave it out",
        ),
        (["fuse-eval", "--set", "work_dir=x/{stream}"], "joint/epoch1_test_score.pkl: no such file: run train"),
        (["fuse-eval", "--engine", "x"], "x: no manifest.json in it"),
        (["predict", "a.skeleton"], "engines/ntu/xsub: no engine is there: run export-trt first"),
        (["predict", "--dataset", "ntu/xview", "--engine", "x", "a.skeleton"], "give one of them"),
        (["fuse-eval", "--joint-scores", "x", "--label", "y"], "go together"),
        (["view"], "Missing argument 'PATH': name a raw clip"),
        (["view", "nowhere"], "nowhere: No such file"),
        (["view", "x", "--gif", "x.png"], "--gif x.png: give a name that ends in .gif"),
        (["view", "x", "--frames", "0"], "'--frames': 0 is not in the range"),
        (["weights", "get", "mmaction-ntu60-xsub-2"], "did you mean 'mmaction-ntu60-xsub-2d'?"),
        (["weights", "get", "mmaction-ntu60-xsub-2d", "--from", "nowhere"], "no such file: --from names the folder"),
        (["weights", "pack"], "work_dir/ntu/xsub/agcn_joint/best.pt: no such file: run train --stream joint first"),
        (["predict", "--pretrained", "x", "--engine", "y", "a.json"], "--engine and --pretrained each name an engine"),
        (["export-trt", "--pretrained", "x", "--dataset", "kinetics"], "leave --dataset, --config, --...-weights out"),
        (["fuse-eval", "--engine", "x", "--config", "y", "--alpha", "2"], "the engine carries its own alpha"),
        (["export-trt", "--precision", "fp8"], "'fp8' is not one of"),
        (["predict", "--engine", "x"], "Missing argument 'CLIP...'"),
        (["predict", "--engine", "x", "--window", "9", "a.skeleton"], "--window is for --stream"),
        (["predict", "--engine", "x", "--stream", "a.skeleton", "b.skeleton"], "--stream takes one CLIP"),
        (["predict", "--engine", "x", "--store", "a", "b"], "--store goes with --out"),
        (["predict", "--engine", "x", "--store", "a", "--out", "b", "--top", "3"], "--top is for clips and --stream"),
        (["predict", "--engine", "x", "--cluster", "local", "a.skeleton"], "--cluster is for --store"),
        (["train", "--config", "nowhere.yaml"], "nowhere.yaml: no such file, nor a shipped configuration: use one of"),
        (["prep", "--data-path", "nowhere", "--out-folder", "out"], "nowhere"),
        (["predict", "--engine", "nowhere", "a.skeleton"], "nowhere"),
        (["prep", "custom"], "give --data-path the file or folder of your poses"),
        (["prep", "custom", "--benchmark", "xsub"], "--benchmark is not for prep custom"),
        (["prep", "ntu60", "--layout", "coco17"], "--layout is not for prep ntu60"),
    ],
)
def test_wrong_use_is_one_line(
    args: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.main(args)
    out, err = capfd.readouterr()
    check_one_line(stop.value.code, out, err, words)


def check_one_line(status: object, out: str, err: str, words: str) -> None:
    assert status == 2, err
    assert out == ""
    assert err.startswith("Error: ") and len(err.splitlines()) == 1
    assert words in err


def test_wrong_use_ends_a_process(tmp_path: Path) -> None:
    done = run("train", cwd=tmp_path)
    check_one_line(done.returncode, done.stdout, done.stderr, "run prep first")


def test_help_needs_nothing_heavy() -> None:
    code = "import sys, cli; sys.exit(any(name in sys.modules for name in ('numpy', 'torch', 'numba')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
    done = run("--help")
    assert done.returncode == 0 and all(name in done.stdout for name in cli.cli.commands)


def test_the_last_line_is_json(tmp_path: Path) -> None:
    done = run("synth", "ntu60", "--out", "raw", "--clips", "2", "--frames", "8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["command"] == "synth" and result["clips"] == 2
    assert len(list((tmp_path / "raw").rglob("*.skeleton"))) == 2


def test_a_gate_that_is_not_met_exits_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    command = click.Command("gate", callback=cli.reports(lambda: {"passed": False, "parity": 0.5}))
    with pytest.raises(SystemExit) as stop:
        command.main([], prog_name="gate", standalone_mode=False)
    assert stop.value.code == 1
    assert json.loads(capsys.readouterr().out) == {"command": "gate", "passed": False, "parity": 0.5}


def test_numbers_that_are_not_finite_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    result = {"loss": float("nan"), "streams": {"bone": {"losses": [1.5, float("inf")]}}, "top1": 0.5}
    click.Command("test", callback=cli.reports(lambda: result)).main([], prog_name="test", standalone_mode=False)
    out, err = capsys.readouterr()
    found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert found == {"command": "test", "loss": None, "streams": {"bone": {"losses": [1.5, None]}}, "top1": 0.5}
    assert err == "loss is nan, streams.bone.losses.1 is inf: JSON has finite numbers only: null stands there\n"


def test_only_the_first_process_reports(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    click.Command("any", callback=cli.reports(lambda: {"clips": 1})).main([], prog_name="gate", standalone_mode=False)
    assert capsys.readouterr().out == ""
