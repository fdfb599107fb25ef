"""Reads a run's configuration from YAML: the original's files and this project's, with `{stream}` and overrides.

Also a hash of what decides about scores, and where two configurations differ in that.
"""

import dataclasses
import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from agcn.defaults import SHIPPED
from agcn.model.network import model_arguments, model_keys
from agcn.settings import Config, FeederArgs
from agcn.validate import coerce, nearest
from native_prep.io.hashes import hash_value
from native_prep.io.whole import read_whole
from native_prep.io.yaml_file import dump_yaml, read_yaml, yaml_value
from native_prep.poses.custom import custom_file, custom_metadata
from native_prep.skeletons.layouts import LAYOUTS
from native_prep.skeletons.streams import STREAMS

__all__ = ["Config", "FeederArgs", "load_config", "to_yaml"]
Settings = TypeVar("Settings", Config, FeederArgs)
# What training leaves of its configuration, in the work folder.
RUN_CONFIG = "config.yaml"
# The longer names first: joint_motion is not joint.
_STREAM_TOKEN = re.compile(r"(?<![A-Za-z])(joint_motion|bone_motion|joint|bone)(?![A-Za-z])")


def load_config(path: str | Path, stream: str | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration.

    Args:
        path: a YAML file with the original's keys, whose strings may hold `{stream}`, or the name of a shipped one.
        stream: replaces the stream in the names of data, work folder, model and weights.
        overrides: `KEY=VALUE` pairs, VALUE in YAML, KEY dotted for nested ones (`train_feeder_args.window_size=52`).

    Raises:
        ValueError: not YAML, an unknown key, a value of the wrong kind, a contradiction; names file and line.
        OSError: the file cannot be read.
    """
    path = find_config(path)
    raw, lines = _read_yaml(path)
    for pair in overrides:
        _override(raw, lines, pair)
    where = _Where(str(path), lines)
    name = stream or raw.get("stream") or _stream_of(raw) or "joint"
    if name not in STREAMS:
        raise ValueError(f"{where('stream')}: stream {name!r} is not known: {nearest(str(name), STREAMS)}")
    raw["stream"] = name
    if stream is not None:
        _rename_stream(raw, name, where)
    raw = _fill_in(raw, name)
    raw.setdefault("config", str(path))
    values: dict[str, Any] = {}
    for key in ("train_feeder_args", "test_feeder_args"):
        values[key] = _feeder(raw.pop(key, None), key, name, where)
    values |= _known(Config, raw, "", where)
    from_data = _args_from_data(values["train_feeder_args"], values["test_feeder_args"])
    model_args = {**from_data, **values.get("model_args", {})}
    values["model_args"] = model_arguments(model_args, lambda key: where(key) + ": ")
    return _build(Config, values, "", where)


def to_yaml(config: Config) -> str:
    """`config` as a file that `load_config` reads back."""
    return dump_yaml(_without_tuples(dataclasses.asdict(config)))


def _without_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_tuples(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _args_from_data(*feeders: FeederArgs) -> dict[str, Any]:
    """The model's arguments that one's own data say themselves; {} for other data and where they are not at hand."""
    for feeder in feeders:
        if metadata := custom_metadata(feeder.data_path):
            name, joints = metadata["layout"]["name"], len(metadata["layout"]["joints"])
            graph = name if name in LAYOUTS else str(custom_file(feeder.data_path))
            sizes = {"num_class": len(metadata["classes"]), "num_point": joints, "num_person": metadata["max_bodies"]}
            return {**sizes, "graph": graph}
    return {}


class _Where:
    """Says where a key stands: `FILE:LINE`, or `--set KEY=VALUE`."""

    def __init__(self, path: str, lines: dict[str, int | str]) -> None:
        self.path, self.lines = path, lines

    def __call__(self, key: str) -> str:
        line = self.lines.get(key)
        return line if isinstance(line, str) else f"{self.path}:{line}" if line else self.path


def shipped_configs() -> list[str]:
    """The names of the shipped configurations."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def find_config(name: str | Path) -> Path:
    """The file of a configuration: a path, or the name of a shipped one, also as `configs/NAME.yaml`.

    Raises:
        ValueError: there is none; names the nearest shipped one.
    """
    path = Path(name)
    if path.is_file():
        return path
    ours = SHIPPED / f"{path.stem}.yaml"
    if path.parts in ((path.stem,), (path.name,), ("configs", path.name)) and ours.is_file():
        return ours
    advice = nearest(path.stem, shipped_configs(), lists_all=True)
    raise ValueError(f"{name}: no such file, nor a shipped configuration: {advice}")


def has_streams(name: str | Path) -> bool:
    """Whether a configuration is for all streams: whether `{stream}` stands in it."""
    return b"{stream}" in read_whole(find_config(name), "a YAML file")


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[str, int | str]]:
    raw, found = read_yaml(path, "a configuration")
    return raw, dict(found)


def _override(raw: dict[str, Any], lines: dict[str, int | str], pair: str) -> None:
    key, equals, text = pair.partition("=")
    key = key.strip()
    if not (key and equals):
        raise ValueError(f"--set {pair}: give KEY=VALUE")
    try:
        value = yaml_value(text)
    except ValueError as error:
        raise ValueError(f"--set {pair}: {error}") from error
    *parents, leaf = key.split(".")
    place = raw
    for parent in parents:
        inside = place.get(parent) or {}
        if not isinstance(inside, dict):
            raise ValueError(f"--set {pair}: {parent} is {inside!r}, it holds no keys: give {parent}=VALUE")
        place[parent] = dict(inside)
        place = place[parent]
    place[leaf] = value
    lines[key] = f"--set {pair}"


def _stream_of(raw: Mapping[str, Any]) -> str | None:
    for key in ("train_feeder_args", "test_feeder_args"):
        args = raw.get(key)
        path = args.get("data_path") if isinstance(args, dict) else None
        found = _STREAM_TOKEN.search(Path(str(path)).name) if path else None
        if found:
            return found[1]
    return None


def _rename_stream(raw: dict[str, Any], stream: str, where: _Where) -> None:
    """Puts `stream` in the place of another in the last part of each path; only data must name one."""
    for key in ("work_dir", "model_saved_name", "weights"):
        if isinstance(raw.get(key), str):
            raw[key] = _renamed(raw[key], stream)
    for key in ("train_feeder_args", "test_feeder_args"):
        args = raw.get(key)
        if not isinstance(args, dict) or not isinstance(args.get("data_path"), str) or args.get("make_stream"):
            continue
        path = args["data_path"]
        if "{stream}" not in path and not _STREAM_TOKEN.search(Path(path).name):
            raise ValueError(
                f"{where(key + '.data_path')}: {path} names no stream: write {{stream}} where its name belongs"
            )
        raw[key] = {**args, "data_path": _renamed(path, stream)}


def _renamed(path: str, stream: str) -> str:
    head, slash, last = path.rpartition("/")
    return head + slash + _STREAM_TOKEN.sub(stream, last)


def _fill_in(value: Any, stream: str) -> Any:
    """`value` with `{stream}` replaced in every string."""
    if isinstance(value, str):
        return value.replace("{stream}", stream)
    if isinstance(value, dict):
        return {key: _fill_in(inner, stream) for key, inner in value.items()}
    return value


def _feeder(args: Any, key: str, stream: str, where: _Where) -> FeederArgs:
    if args is not None and not isinstance(args, dict):
        raise ValueError(f"{where(key)}: {key} must hold KEY: VALUE pairs")
    values = _known(FeederArgs, args or {}, key + ".", where)
    if stream != "joint" and not values.get("make_stream"):
        values["centre"] = False
    return _build(FeederArgs, values, key + ".", where)


def _known(kind: type, raw: Mapping[str, Any], prefix: str, where: _Where) -> dict[str, Any]:
    """The values of `raw` as the fields of the dataclass `kind` want them."""
    fields = {item.name: item.type for item in dataclasses.fields(kind)}
    values = {}
    for key, value in raw.items():
        if key not in fields:
            name = prefix + str(key)
            raise ValueError(f"{where(name)}: unknown key {name!r}: {_nearest_key(str(key), list(fields))}")
        values[key] = coerce(value, fields[key], f"{where(prefix + key)}: {prefix}{key}")
    return values


def _nearest_key(key: str, fields: Sequence[str]) -> str:
    """Advice for a key that is none of `fields`: the nearest of them, or one elsewhere that is nearer and very near."""
    elsewhere: dict[str, str] = {}
    for group, names in (("model_args", model_keys()), ("train_feeder_args", FeederArgs.__dataclass_fields__)):
        for name in names:
            if name not in fields:
                elsewhere |= {name: f"{group}.{name}", f"{group}.{name}": f"{group}.{name}"}
    close = difflib.get_close_matches(key, [*fields, *elsewhere], n=1, cutoff=0.75)
    return f"did you mean {elsewhere[close[0]]!r}?" if close and close[0] in elsewhere else nearest(key, fields)


def _build(kind: type[Settings], values: dict[str, Any], prefix: str, where: _Where) -> Settings:
    """`kind(**values)`; an error is raised again with the place (FILE:LINE) of the key that its message starts with."""
    try:
        return kind(**values)
    except ValueError as error:
        key = prefix + str(error).split(" ", 1)[0]
        raise ValueError(f"{where(key)}: {prefix}{error}") from error


# Where the clips are and how they are read says nothing about the input.
_PLACE_KEYS = ("data_path", "label_path", "debug", "use_mmap", "resident")


def input_settings(config: Config) -> dict[str, Any]:
    """The parts of the test feeder's arguments that change a clip, as plain values."""
    return {key: value for key, value in asdict(config.test_feeder_args).items() if key not in _PLACE_KEYS}


def hash_config(config: Config, amp_dtype: str | None = None) -> str:
    """SHA-256 over the settings that decide about the scores of given weights and clips."""
    settings: dict[str, Any] = {
        "model": config.model, "model_args": config.model_args, "input": input_settings(config),
        "stream": config.stream, "windows": config.test_windows, "amp": amp_dtype,
    }  # fmt: skip
    if config.test_windows > 1:
        settings["seed"] = config.seed
    return hash_value(settings)


def seen_stream(args: FeederArgs, stream: str) -> str:
    """The stream that a feeder shows: the one it makes, or that its data are called, or else the run's `stream`."""
    named = _STREAM_TOKEN.search(Path(args.data_path).name)
    return args.make_stream or (named[1] if named else stream)


def config_mismatches(
    config: Config, weights: str | os.PathLike[str], stream: str, may_differ: frozenset[str] = frozenset()
) -> list[str]:
    """How clips were changed for a checkpoint's model and are not here, where its configuration lies beside it.

    Args:
        config: what is to be used.
        weights: the checkpoint.
        stream: whose it is taken for.
        may_differ: keys of the feeder that need not be the same.
    """
    file = Path(weights).with_name(RUN_CONFIG)
    if not file.is_file():
        return []
    try:
        own = load_config(file)
        # What a run wrote names its stream; a configuration for all streams does not.
        trained = read_yaml(file, "a configuration")[0].get("stream", stream)
    except ValueError as error:
        return [f"{weights}: whether it is for such clips is not known: {error}"]
    if own.stream != "joint" and not own.test_feeder_args.make_stream:
        may_differ |= {"centre"}  # bones are the same wherever the joints are: their files are not centred
    ours = input_settings(config)
    other = [f"{weights}: is of a run on the {trained} stream, here it is taken for {stream}: check its accuracy"]
    return (other if trained != stream else []) + [
        f"{weights}: is of a run with test_feeder_args.{key}={value}, here it is {ours[key]}: check its accuracy"
        for key, value in input_settings(own).items()
        if value != ours[key] and key not in may_differ
    ]
