#!/usr/bin/env python3
"""The command line: options become calls, results one JSON line. Heavy imports are inside the commands."""

import json
import math
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from functools import reduce, wraps
from pathlib import Path
from typing import Any, NoReturn

import click

STREAMS = ("joint", "bone", "joint_motion", "bone_motion")
BENCHMARKS = ("xsub", "xview", "xset", "v1", "v2")
DATASETS = ("ntu60", "ntu120", "kinetics", "nw-ucla")
PUBLISHED = ("pku-mmd", "uav-human")
PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8")
TRAINED = ("ntu/xsub", "ntu/xview", "ntu120/xsub", "ntu120/xset", "kinetics", "nw-ucla", "custom")

# The console script.
SCRIPT = "two-stream-agcn"

# What may follow an option that takes several values, so that `--stream joint bone` means what it says.
VALUE_PATTERNS = {
    "--stream": "|".join(STREAMS),
    "--benchmark": "|".join(BENCHMARKS),
    "--format": "npy|packed",
    "--target": r"sm_\d+|none",
    "--set": r"\w[\w.]*=.*",
    "--scores": r"[^-/.][^=]*=.+",
    "--store": "[^-].*",
    "--clip": "[^-].*",
    "--require": "[^-].*",
}


class MultiValueCommand(click.Command):
    """A command whose repeatable options also take their values in a row."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeats a repeatable option before each of its values, then parses as click does."""
        several = {name for option in self.params if getattr(option, "multiple", False) for name in option.opts}
        spread: list[str] = []
        last, filled = "", False
        for arg in args:
            if filled and re.fullmatch(VALUE_PATTERNS.get(last, "(?!)"), arg, re.DOTALL):
                spread += [last, arg]
                continue
            filled = last in several and spread[-1:] == [last]
            if not filled:
                last = arg if arg in several else ""
            spread.append(arg)
        return super().parse_args(ctx, spread)


def reports(function: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """Prints what a command returns: a JSON line at the end of stdout, or a table where that is a terminal.

    A gate that was not met exits with 1.
    """

    @click.option("--json", "as_json", is_flag=True, help="The result as one JSON line on a terminal too.")
    @wraps(function)
    def command(*args: Any, as_json: bool = False, **options: Any) -> None:
        result = function(*args, **options)
        if os.environ.get("RANK", "0") == "0":
            context = click.get_current_context()
            name = _typed_name(context)
            as_json = as_json or bool(context.parent and context.parent.params.get("as_json"))
            if as_json or not sys.stdout.isatty():
                print(_json_line({"command": name, **result}), flush=True)
            else:
                from bench.terminal import show

                given = [f" --{key} {options[key]}" for key in ("dataset", "config") if options.get(key)]
                follows = "" if name in ("prep", "synth", "weights pack") else "".join(given)
                show(name, result, follows, program=SCRIPT if _program() == SCRIPT else "python cli.py")
        if result.get("passed") is False:
            raise SystemExit(1)

    return command


def _program() -> str:
    """What was typed: the console script of an installed wheel, or this file."""
    return SCRIPT if Path(sys.argv[0]).stem == SCRIPT else "cli.py"


def _json_line(result: dict[str, Any]) -> str:
    """`result` as JSON; null for numbers that are not finite, for which JSON has no word, and a line on stderr."""
    replaced = []

    def checked(value: Any, key: str) -> Any:
        if isinstance(value, Mapping):
            return {name: checked(one, f"{key}.{name}") for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [checked(one, f"{key}.{place}") for place, one in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):
            replaced.append(f"{key[1:]} is {value}")
            return None
        return value

    line = json.dumps(checked(result, ""), default=str, allow_nan=False)
    if replaced:
        print(f"{', '.join(replaced)}: JSON has finite numbers only: null stands there", file=sys.stderr)
    return line


def _typed_name(context: click.Context) -> str:
    """`prep`, or `weights get` of a command within a group."""
    names = [str(context.info_name)]
    while context.parent is not None and context.parent.parent is not None:
        context = context.parent
        names.insert(0, str(context.info_name))
    return " ".join(dict.fromkeys(names))


def _show_version(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    """The one number of pyproject.toml: read there in a checkout, which need not be installed."""
    if not value or ctx.resilient_parsing:
        return
    project = Path(__file__).with_name("pyproject.toml")
    if project.exists():
        import tomllib

        click.echo(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    else:
        from importlib.metadata import version

        click.echo(version("two-stream-agcn"))
    ctx.exit()


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show it.")
def cli() -> None:
    """Two-stream adaptive graph convolutional networks (2s-AGCN) for skeletons."""


def _options(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Several options as one decorator, in the order of --help."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


def _pose_model_option(where: str) -> Callable[..., Any]:
    text = "What finds poses: a name to download (rtmpose-m), or DETECTOR.onnx,POSE.onnx."
    return click.option("--pose-model", metavar="NAME|FILES", help=f"{where}: {text}")


_cluster_option = click.option(
    "--cluster", metavar="ADDRESS", help="Ray does the work: local[:N] processes, auto, or HOST:PORT of a cluster."
)


def _pretrained_option(what: str) -> Callable[..., Any]:
    text = f"{what}, by a name of `weights`, or by a pack's folder or URL."
    return click.option("--pretrained", metavar="NAME", help=text)


_own_data_options = _options(
    *(
        click.option(name, metavar=kind, help=f"custom: {text}")
        for name, kind, text in (
            ("--layout", "NAME|FILE.yaml", "Skeleton: ntu, kinetics, nw-ucla, coco17, openpose25, halpe26, ..."),
            ("--convert", "NAME|FILE.yaml", "Writes the clips in another layout, as coco17 in kinetics'."),
            ("--source", "KIND", "auto, pyskl, numpy, openpose, alphapose, mmpose, ultralytics, video, ..."),
            ("--label", "FILE", "CSV of name,label[,split]; else labels.csv beside the clips, or folders CLASS/CLIP."),
            ("--class-list", "FILE", "Names of the classes, one a line."),
            ("--split", "NAME", "Which of a pickle's splits; or train or val for all clips."),
            ("--image-size", "WxH", "Where coordinates are pixels and the files do not say of what."),
            ("--align", "HOW", "none, centre or turn, for x y z; turn makes z point up."),
            ("--unit", "UNIT", "Of x y z: m, cm or mm; none where they have none.  [default: m]"),
        )
    ),
    _pose_model_option("custom, videos"),
    click.option("--fps", type=float, help="custom, videos: Frames a second of the clips (30)."),
    click.option("--max-bodies", type=click.IntRange(min=1), help="custom: M of the arrays (2)."),
    click.option("--keep-empty", is_flag=True, default=None, help="custom: Clips in which nobody is seen stay."),
    click.option("--min-quality", type=click.FloatRange(0, 1), help="custom: Leaves out clips below it (0 to 1)."),
    click.option("--track", is_flag=True, help="custom, NTU: follows bodies, leaves out noise."),
)


@cli.command(cls=MultiValueCommand)
@click.argument("dataset", type=click.Choice((*DATASETS, "custom", *PUBLISHED)), default="ntu60")
@click.option(
    "--data-path", metavar="DIR|ARCHIVE|URL", help="The raw recordings: a folder, a zip or tar, a URL of one."
)
@click.option("--out-folder", metavar="DIR", help="Where the prepared arrays go.")
@click.option("--ignored-sample-path", "ignored_samples", metavar="FILE", help="Names to leave out; 'none' for none.")
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    type=click.Choice(BENCHMARKS),
    help="All by default; PKU-MMD, UAV-Human: one.",
)
@click.option("--stream", "streams", multiple=True, type=click.Choice(STREAMS), default=("joint", "bone"))
@click.option("--format", "formats", multiple=True, type=click.Choice(("npy", "packed")), default=("npy",))
@click.option("--max-frames", type=click.IntRange(min=1), help="T of the arrays (300; NW-UCLA: the longest clip).")
@click.option("--device", type=click.Choice(("cpu", "cuda")), help="Where clips are made.  [default: cpu]")
@click.option("--workers", type=click.IntRange(min=1), help="Threads or processes; all processors by default.")
@click.option("--on-bad-file", type=click.Choice(("error", "skip")), default="error", show_default=True)
@_cluster_option
@click.option("--packed-dtype", type=click.Choice(("float32", "float16")), help="[default: float32]")
@_own_data_options
@reports
def prep(dataset: str, **options: Any) -> dict[str, Any]:
    """Prepare raw recordings as float32 arrays (N, C, T, V, M), and the labels beside them."""
    from native_prep.command import prep as run

    return run(dataset, **options)


@cli.command(cls=MultiValueCommand)
@click.argument("dataset", type=click.Choice(DATASETS), default="ntu60")
@click.option("--out", "folder", metavar="DIR", required=True, help="A new or empty folder.")
@click.option("--clips", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--classes", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--frames", type=click.IntRange(min=8, max=300), default=90, show_default=True, help="Mean length.")
@click.option("--seed", type=int, default=0, show_default=True)
@reports
def synth(dataset: str, folder: str, **options: Any) -> dict[str, Any]:
    """Make realistic raw recordings."""
    from native_prep.synth.make import synth as write

    return write(dataset, folder, **options)


def _shipped() -> str:
    names = sorted(path.stem for path in (Path(__file__).resolve().parent / "agcn" / "configs").glob("*.yaml"))
    return ", ".join(names)


_dataset_option = click.option("--dataset", metavar="NAME", help=f"{', '.join(TRAINED)}.  [default: {TRAINED[0]}]")
_config_option = click.option("--config", metavar="FILE|NAME", help=f"Instead: a YAML file, or one of {_shipped()}.")
_config_options = _options(
    _dataset_option,
    _config_option,
    click.option("--stream", "streams", multiple=True, type=click.Choice(STREAMS), help="[default: joint bone]"),
    click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True),
    click.option("--work-dir", metavar="DIR", help="Replaces the config's work_dir."),
    click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replaces a key of the config."),
)


@cli.command(cls=MultiValueCommand)
@_config_options
@_pretrained_option("Begins with trained weights")
@click.option("--amp", is_flag=True, help="Mixed precision.")
@click.option("--amp-dtype", type=click.Choice(("bf16", "fp16")), default="bf16", show_default=True)
@click.option("--compile/--no-compile", default=None, help="torch.compile; on a GPU it is on by default.")
@click.option("--resume", is_flag=True, help="Continues the run in the work folder as if it had not stopped.")
@click.option("--overwrite", is_flag=True, help="Begins anew where an earlier run lies; what it left goes.")
@click.option("--profile", is_flag=True, help="Records some steps into WORK_DIR/profile.json.")
@reports
def train(**options: Any) -> dict[str, Any]:
    """Train the streams, one after the other."""
    if (pretrained := options.pop("pretrained")) is not None:
        from export.pretrained.commands import train_pretrained

        return train_pretrained(pretrained, **options)
    from agcn.commands import train_streams

    return train_streams(**options)


@cli.command(cls=MultiValueCommand)
@_config_options
@click.option("--weights", metavar="FILE.pt", help="Of one stream.  [default: its run's best.pt]")
@_pretrained_option("Instead: trained weights")
@click.option("--overwrite", is_flag=True, help="Replaces a run's scores of other clips, too.")
@reports
def test(**options: Any) -> dict[str, Any]:
    """Score the test split. Writes the logits of every clip by name, for fuse-eval."""
    if (pretrained := options.pop("pretrained")) is not None:
        from export.pretrained.commands import test_pretrained

        return test_pretrained(pretrained, **options)
    from agcn.commands import test_streams

    return test_streams(**options)


@cli.command("export-trt", cls=MultiValueCommand)
@_dataset_option
@_config_option
@_pretrained_option("Instead: trained weights")
@click.option("--joint-weights", metavar="PT", help="Checkpoint of the joint stream.  [default: its run's best.pt]")
@click.option("--bone-weights", metavar="PT")
@click.option("--joint-motion-weights", metavar="PT", help="For four streams; so is --bone-motion-weights.")
@click.option("--bone-motion-weights", metavar="PT")
@click.option("--out", metavar="DIR", help="[default: the usual folder, engines/ntu/xsub]")
@click.option("--streams", type=int, metavar="2|4", help="As many as there are checkpoints by default.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--flavor", type=click.Choice(("auto", "tensorrt", "tensorrt-rtx")), default="auto", show_default=True)
@click.option("--target", "targets", multiple=True, metavar="sm_NN", help="GPU generations, or `none` of them.")
@click.option("--max-batch", type=click.IntRange(min=2), default=64, show_default=True)
@click.option("--alpha", type=float, default=1.0, show_default=True, help="Weight of the bone stream.")
@click.option("--motion-alpha", type=float, help="Weight of the motion streams.  [default: that of the bones]")
@click.option("--with-prep", is_flag=True, help="The graph takes raw joints and prepares them.")
@click.option("--dense", is_flag=True, help="Computes absent bodies too: a graph that every TensorRT takes.")
@click.option("--aot", type=click.Choice(("cpu", "cuda")), help="Also a package that runs without Python.")
@click.option("--refittable", is_flag=True, help="Engines whose weights --refit can change.")
@click.option("--refit", metavar="DIR", help="Older export; its refittable engine takes the new weights.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replaces a key of the config.")
@click.option("--triton", metavar="DIR", help="Also writes a model repository for NVIDIA's Triton server.")
@reports
def export_trt(**options: Any) -> dict[str, Any]:
    """Export two or four streams as one graph. Writes ONNX and engines, and compares them with eager PyTorch."""
    from export.commands import run_export as export

    return export(**options)


@cli.command("fuse-eval", cls=MultiValueCommand)
@click.option("--joint-scores", metavar="PKL")
@click.option("--bone-scores", metavar="PKL")
@click.option("--scores", "more", multiple=True, metavar="NAME=PKL[:WEIGHT]", help="Another stream's scores.")
@click.option("--label", metavar="PKL")
@_dataset_option
@_config_option
@click.option("--engine", metavar="DIR", help="Runs an exported engine over the test split.")
@click.option("--runtime", metavar="NAME", default="auto", help="onnxruntime[-tensorrt], aotinductor, tensorrt[-rtx].")
@click.option("--alpha", type=float, default=None, help="Weight of every stream but joint.  [default: 1.0]")
@click.option("--allow-stale", is_flag=True, help="Takes scores of other weights than their run's best.pt too.")
@click.option("--search-alpha", is_flag=True, help="Tries weights and reports the best on these very labels.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replaces a key of the config.")
@reports
def fuse_eval(**options: Any) -> dict[str, Any]:
    """Measure the fused accuracy. From score files, from the usual folders, or by running an engine."""
    from export.commands import run_fuse_eval as run

    return run(**options)


@cli.command(cls=MultiValueCommand)
@_dataset_option
@click.option("--engine", metavar="DIR", help="Folder that export-trt wrote.  [default: the data set's]")
@_pretrained_option("Instead: trained weights")
@click.option("--runtime", metavar="NAME", default="auto", help="onnxruntime[-tensorrt], aotinductor, tensorrt[-rtx].")
@click.option("--top", type=click.IntRange(min=1), help="How many actions of each.  [default: 5]")
@click.option("--image-size", metavar="WxH", help="Of pose files in pixels.  [default: the training data's]")
@click.option("--video", metavar="FILE", help="Instead of CLIP: a video; prints its actions one after the other.")
@click.option("--camera", metavar="N|URL", help="Instead of CLIP: a camera, 0 for the first, until Ctrl-C.")
@click.option("--overlay", metavar="OUT.mp4", help="video: Draws skeletons and actions on it.")
@_pose_model_option("video, camera")
@click.option("--per-person", is_flag=True, help="Names the actions of each person alone too.")
@click.option("--stream", is_flag=True, help="Slides a window over one CLIP, or over JSON lines, - for stdin.")
@click.option("--follow", metavar="FILE", help="stream: JSON lines that are still written, instead of CLIP.")
@click.option("--timeline", metavar="FILE.csv", help="stream, video, camera: Writes the actions one after the other.")
@click.option("--idle", type=float, metavar="SECONDS", help="stream: Ends when --follow's file no longer grows.")
@click.option("--window", type=int, metavar="FRAMES", help="stream, video, camera: What an answer looks at.")
@click.option("--stride", type=int, metavar="FRAMES", help="stream, ...: From answer to answer (window / 6).")
@click.option("--fps", type=float, help="stream, ...: Frames a second; of videos what was trained on (30).")
@click.option("--gone", type=int, metavar="FRAMES", help="stream, ...: Longest dropout that is filled (10).")
@click.option("--realtime", is_flag=True, help="stream: Leaves out answers rather than fall behind.")
@click.option("--store", "stores", multiple=True, metavar="PATH", help="Packed store, shard, or a list of such.")
@click.option("--part", metavar="NAME", help="store: xsub/val, say; else all clips.")
@click.option("--out", metavar="FILE.pkl", help="store: Scores by name.")
@_cluster_option
@click.argument("clips", nargs=-1, metavar="[CLIP...]")
@reports
def predict(**options: Any) -> dict[str, Any]:
    """Name the actions in recordings, videos, a stream, or packed stores."""
    from export.commands import run_predict as run

    return run(**options)


@cli.command(cls=MultiValueCommand)
@click.argument("path", required=False, metavar="CLIP|STORE|EXPORT")
@click.option(
    "--clip",
    "clips",
    multiple=True,
    metavar="NAME",
    help="Clips of these names, one or several; else the first ones (of an export: six from everywhere).",
)
@click.option("--engine", metavar="DIR", help="Folder that export-trt wrote: adds its predictions over time.")
@click.option("--dataset", metavar="NAME", help="The runs that the clips are for: their weights and their engine.")
@_config_option
@click.option("--weights", metavar="PT", help="Joint checkpoint that colours joints.  [default: the run's best.pt]")
@click.option("--layout", metavar="NAME|FILE.yaml", help="Skeleton of files that do not tell it.")
@click.option("--image-size", metavar="WxH", help="Of pose files in pixels.")
@click.option("--out", metavar="FILE.html", help="The page.  [default: view.html, or none with --gif or --png]")
@click.option("--gif", metavar="FILE.gif", help="The first clip, prepared, as a film.")
@click.option("--png", metavar="FILE.png", help="Some of its frames side by side.")
@click.option("--frames", type=click.IntRange(min=1), help="png: How many.  [default: 8]")
@reports
def view(**options: Any) -> dict[str, Any]:
    """Show clips in a page that plays them. From a raw clip, prepared data, a packed store, or an exported folder."""
    from bench.pages.view import view as run

    return run(**options)


@click.command("weights")
@reports
def _list_weights() -> dict[str, Any]:
    from export.pretrained.commands import list_weights

    return list_weights()


@cli.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON line on a terminal too.")
@click.pass_context
def weights(context: click.Context, as_json: bool) -> None:
    """List trained weights that are published. `weights get NAME` fetches them, `weights pack` packs your own."""
    if context.invoked_subcommand is None:
        context.invoke(_list_weights, as_json=as_json)


@weights.command("get", cls=MultiValueCommand)
@click.option("--stream", "streams", multiple=True, type=click.Choice(STREAMS), help="Only these.")
@click.option("--from", "origin", metavar="FOLDER|URL", help="Where the files are, if not where they are published.")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@reports
def _get_weights(**options: Any) -> dict[str, Any]:
    """Fetch weights into the user's cache: by name, or what `weights pack` made by its URL."""
    from export.pretrained.commands import get_weights

    return get_weights(**options)


@weights.command("pack", cls=MultiValueCommand)
@_dataset_option
@_config_option
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replaces a key of the config.")
@click.option("--name", help="Name of the pack.  [default: the configuration's name]")
@click.option("--out", metavar="DIR", help="[default: weights/NAME]")
@click.option("--licence", default="unknown", show_default=True, help="For the model card.")
@click.option("--data", metavar="TEXT", help="What they were trained on, for the model card.")
@reports
def _pack_weights(**options: Any) -> dict[str, Any]:
    """Pack the best checkpoints of runs, with a model card, for others to load by folder or URL."""
    from export.pretrained.pack import pack

    return pack(**options)


@cli.command()
@click.argument("what", type=click.Choice(("prep", "train", "infer", "all", "gpu", "compare")), default="all")
@click.argument("folders", nargs=-1, metavar="[OLD NEW]")
@click.option("--out", metavar="DIR", help="[default: bench_out]")
@click.option("--ntu", "ntu_data", metavar="DIR", help="prep: .skeleton files instead of made ones.")
@click.option("--kinetics", "kinetics_data", metavar="DIR", help="prep: a Kinetics folder instead of a made one.")
@click.option("--minutes", type=float, help="gpu: For everything; what finds no time is listed.  [default: 9]")
@click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), help="gpu: cpu rehearses on tiny sizes.")
@click.option("--nw-ucla", metavar="DIR", help="gpu: Trains on NW-UCLA's raw files too, seed after seed.")
@click.option("--only", multiple=True, metavar="PART", help="gpu: One of its parts; may be repeated.")
@reports
def bench(what: str, folders: tuple[str, ...], out: str | None, **given: Any) -> dict[str, Any]:
    """Check parity, then measure speed. Fast variants must give the baseline's answers before any is timed.

    `bench compare OLD NEW` says what moved between two folders of results: what is faster, or slower, by a factor above
    1 + the larger of 5 % and the noise of both runs. A run's noise is its spread over the square root of its rounds, or
    20 % of a single round.
    """
    own = {name: given.pop(name) for name in ("ntu_data", "kinetics_data")}
    gpu = {name: value for name, value in given.items() if value not in (None, ())}
    if what == "compare":
        return _compare_benches(folders, [name for name, value in {"out": out, **own, **gpu}.items() if value])
    if folders:
        raise ValueError(f"bench {what} {' '.join(folders)}: only bench compare takes folders: leave them out")
    out = out or "bench_out"
    if what == "gpu":
        from bench.gpu.run import run_gpu

        return run_gpu(out, **gpu)
    if gpu:
        raise ValueError(f"--{next(iter(gpu)).replace('_', '-')} is for bench gpu: leave it out")
    from bench.run import run

    return run(what, out, prep=own)


def _compare_benches(folders: tuple[str, ...], options: list[str]) -> dict[str, Any]:
    if options:
        option = options[0].removesuffix("_data").replace("_", "-")
        raise ValueError(f"--{option} is not for bench compare: leave it out")
    if len(folders) != 2:
        raise ValueError(f"bench compare: {len(folders)} folders: give two, OLD and NEW")
    from bench.compare import compare

    return compare(*folders)


@cli.command()
@click.argument("folders", nargs=-1, metavar="[FOLDER...]")
@click.option("--out", metavar="FILE.html", default="report.html", show_default=True)
@click.option("--bench", metavar="DIR", help="What bench wrote.  [default: bench_out, where it is there]")
@reports
def report(**options: Any) -> dict[str, Any]:
    """Write what was trained as one HTML page: of work folders, all of work_dir by default."""
    from bench.pages.report import report as run

    return run(**options)


@cli.command()
@click.option("--out", metavar="DIR", default="demo_out", show_default=True, help="A new or empty folder.")
@click.option("--seed", type=int, default=0, show_default=True)
@reports
def demo(out: str, seed: int) -> dict[str, Any]:
    """Run everything on made recordings. From raw files to a fused answer and an engine, in minutes on two cores."""
    from bench.demo import demo as run

    return run(out, seed=seed)


@cli.command(cls=MultiValueCommand)
@click.option(
    "--require", multiple=True, metavar="NAME", help="Exit 1 without: cuda, tensorrt, tensorrt-rtx, numba-cuda, ..."
)
@reports
def doctor(require: tuple[str, ...]) -> dict[str, Any]:
    """Look at this machine: what it can do, what is missing, and how to get it."""
    from bench.doctor import doctor as run

    return run(require)


def _fail(message: str, status: int = 2) -> NoReturn:
    if os.environ.get("AGCN_TRACEBACK"):
        import traceback

        traceback.print_exc()
    print(f"Error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    raise SystemExit(status)


def main(args: list[str] | None = None) -> NoReturn:
    """Runs the command line; a user's error is one line on stderr, `AGCN_TRACEBACK=1` shows where it came from."""
    for name in ("SIGTERM", "SIGHUP"):  # which Windows lacks; nohup has it ignored
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda signum, _: sys.exit(128 + signum))
    try:
        cli.main(args=args, prog_name=_program(), standalone_mode=False)
    except click.ClickException as error:
        _fail(f"{error.format_message().rstrip('.')}: see --help")
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted: nothing half-written was left", 130)
    except OSError as error:
        where = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        _fail(f"{where}: check the path, its permissions and the space on its disk")
    except (ValueError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and type(error).__name__ != "OutOfMemoryError":  # PyTorch's, of a GPU
            raise
        _fail(str(error) or "out of memory: ask for less at a time")
    raise SystemExit(0)


if __name__ == "__main__":
    main()
