"""Which trained weights there are: those in `known.yaml`, and what `weights pack` made, in a folder or at a URL."""

import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from agcn.checkpoint import SAFETENSORS, load_weights
from agcn.config import load_config
from agcn.model.network import build_model
from agcn.settings import Config
from agcn.validate import nearest
from export.pretrained.download import LARGEST_TEXT, NoConnection, cache_folder, fetch, is_url, read_url
from native_prep.io.atomic import atomic_file
from native_prep.io.hashes import hash_value, sha256
from native_prep.io.yaml_file import read_yaml
from native_prep.pipeline.outputs import CUSTOM
from native_prep.skeletons.layouts import SUFFIXES
from native_prep.skeletons.streams import STREAMS

KNOWN = Path(__file__).with_name("known.yaml")
# What `weights pack` writes: a description, the joint stream's configuration (`config.yaml` is a run's), a model card,
# and the skeleton where it is described by a file.
PACK, CONFIG, CARD, LAYOUT = "weights.json", "configuration.yaml", "README.md", "layout.yaml"
VERSION = 1
# What a pack may be called, as folders are named after it.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile("[0-9a-f]{64}")
# No network of this kind has more; what a server sends may ask for any amount of memory.
_MOST = {"num_class": 10_000, "num_point": 1000, "num_person": 64, "base_channels": 1024}
_MOST_FRAMES = 10_000


@dataclass(frozen=True)
class WeightsFile:
    """A stream's file: its URL or path, the first digits of its SHA-256 ("" unknown), top-1 as a fraction or None."""

    location: str
    checksum: str = ""
    top1: float | None = None

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.location.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Pretrained:
    """Trained weights of two or four streams.

    Attributes:
        name: what they are called.
        config, overrides: what `agcn.config.load_config` reads.
        files: stream -> its file.
        bytes: about how large each of them is.
        two_streams, four_streams: fused top-1 as a fraction, None where it is not known.
        motion_alpha: weight of the motions where four streams are fused, beside 1 of joints and bones; None for that of
            the bones.
        data, source, licence: what they were trained on, who publishes them, under which terms.
        folder: of a pack; "" for known weights.
    """

    name: str
    config: str
    files: dict[str, WeightsFile]
    overrides: tuple[str, ...] = ()
    bytes: int = 0
    two_streams: float | None = None
    four_streams: float | None = None
    motion_alpha: float | None = None
    data: str = ""
    source: str = ""
    licence: str = ""
    folder: str = ""

    def load_config(self) -> Config:
        """The configuration of the joint stream.

        Raises:
            ValueError: a packed configuration is wrong, or names files outside its folder.
        """
        if self.folder:
            places = _overrides(str(Path(self.folder) / "val_data_joint.npy"))
            return _check_config(load_config(self.config, overrides=(*places, *self.overrides)), Path(self.folder))
        # What lies in the usual folders is not what known weights were trained on, unless somebody says so.
        return load_config(self.config, "joint", (*_overrides(""), *self.overrides))

    def check_streams(self, streams: int) -> tuple[str, ...]:
        """The names of so many streams.

        Raises:
            ValueError: neither 2 nor 4, or there are no weights for one.
        """
        if streams not in (2, 4):
            raise ValueError(f"--streams {streams}: a graph has 2 or 4 streams: give one of them")
        wanted = STREAMS[:streams]
        if missing := [stream for stream in wanted if stream not in self.files]:
            raise ValueError(f"{self.name}: has no weights of {missing[0]}: ask for 2 streams")
        return wanted


def _overrides(data_path: str) -> tuple[str, ...]:
    """The place of data, which for packs holds `custom.json` at most, in a configuration."""
    feeders = ("train_feeder_args", "test_feeder_args")
    return tuple(f"{one}.data_path={json.dumps(data_path)}" for one in feeders) + tuple(
        f'{one}.label_path=""' for one in feeders
    )


def _check_config(config: Config, folder: Path) -> Config:
    """A packed configuration whose graph is a file of its folder, if it has one.

    Raises:
        ValueError: sizes that no such network has, a graph of another folder.
    """
    for key, most in _MOST.items():
        if config.model_args.get(key, 0) > most:
            raise ValueError(f"{folder / CONFIG}: model_args.{key} is more than {most}: it is no network of this kind")
    if config.test_feeder_args.window_size > _MOST_FRAMES:
        raise ValueError(f"{folder / CONFIG}: window_size is more than {_MOST_FRAMES}: it is no network of this kind")
    graph = config.model_args.get("graph")
    if graph in (CUSTOM, LAYOUT):
        return replace(config, model_args={**config.model_args, "graph": str(folder / graph)})
    if graph and graph.endswith((".json", *SUFFIXES)) and Path(graph) != folder / CUSTOM:
        raise ValueError(f"{folder / CONFIG}: model_args.graph names a file of another folder: pack the run again")
    return config


@cache
def known() -> dict[str, Pretrained]:
    """Those in `known.yaml`, by name."""
    raw, _ = read_yaml(KNOWN, "known weights")
    return {name: _known(name, one) for name, one in raw.items()}


def _known(name: str, one: dict[str, Any]) -> Pretrained:
    files = {
        stream: WeightsFile(file["url"], file.get("checksum", ""), _fraction(file["top1"]))
        for stream, file in one["streams"].items()
    }
    return Pretrained(
        name,
        one["config"],
        files,
        tuple(one.get("overrides", ())),
        bytes=one["bytes"],
        two_streams=_fraction(one["two_streams"]),
        four_streams=_fraction(one["four_streams"]),
        motion_alpha=0.5,  # joint : joint motion : bone : bone motion = 2 : 1 : 2 : 1
        data=one["data"],
        source=one["source"],
        licence=one["licence"],
    )


def _fraction(percent: float) -> float:
    return round(percent / 100, 6)


def find(name: str) -> Pretrained:
    """Weights by name, or a pack by its folder or URL.

    Raises:
        ValueError: there are none of that name, no server, or the folder holds something else.
    """
    if name in known():
        return known()[name]
    if is_url(name):
        return _at_url(name)
    path = Path(name)
    folder = path.parent if path.name == PACK else path
    if name and (folder / PACK).is_file():
        return _pack_in(folder, str(folder))
    if name and path.exists():
        raise ValueError(f"{name}: no {PACK} in it: give a folder that `weights pack` wrote")
    raise ValueError(f"no weights are called {name!r}: {nearest(name, list(known()), lists_all=True)}")


def _at_url(url: str) -> Pretrained:
    """A pack at a URL; its small files are fetched into the cache, which does without the server where it is away."""
    base = url.removesuffix(PACK).rstrip("/")
    folder = cache_folder() / "packed" / hash_value(base)[:16]
    try:
        content = read_url(f"{base}/{PACK}")
    except NoConnection as error:
        if not (folder / PACK).is_file():
            raise
        print(f"{error}: taken as it was fetched before", file=sys.stderr)
        return _pack_in(folder, base)
    pack = _read_pack(content, folder, base)
    for one in json.loads(content)["beside"]:
        fetch(f"{base}/{one['file']}", folder / one["file"], one["sha256"], largest=LARGEST_TEXT)
    with atomic_file(folder / PACK) as part:
        part.write_bytes(content)
    return pack


def _pack_in(folder: Path, base: str) -> Pretrained:
    """The pack of a folder of this machine, whose small files are as they were packed; its weights are at `base`."""
    content = (folder / PACK).read_bytes()
    pack = _read_pack(content, folder, base)
    for one in json.loads(content)["beside"]:
        _check_packed(folder / one["file"], one["sha256"])
    return pack


def _read_pack(content: bytes, folder: Path, base: str) -> Pretrained:
    """What a `weights.json` says of the files at `base`."""
    try:
        raw = json.loads(content)
        if raw["version"] != VERSION:
            raise ValueError(f"of form {raw['version']}, this program reads form {VERSION}")
        if not NAME.fullmatch(raw["name"]):
            raise ValueError("its name is not one of letters, digits, '.', '_' and '-'")
        beside = {_file_name(one["file"]): _checksum(one["sha256"]) for one in raw["beside"]}
        files = {
            stream: WeightsFile(f"{base}/{_file_name(one['file'])}", _checksum(one["sha256"]), _number(one["top1"]))
            for stream, one in raw["streams"].items()
        }
        if any(file.name != f"{stream}{SAFETENSORS}" for stream, file in files.items()):
            raise ValueError(f"its weights are not STREAM{SAFETENSORS}")
        if CONFIG not in beside:
            raise ValueError(f"without {CONFIG}")
        if not set(STREAMS[:2]) <= set(files) <= set(STREAMS):
            raise ValueError(f"its streams are not joint and bone, or all of {', '.join(STREAMS)}")
        return Pretrained(
            raw["name"],
            str(folder / CONFIG),
            files,
            two_streams=_number(raw["two_streams"]),
            four_streams=_number(raw["four_streams"]),
            data=str(raw["data"]),
            licence=str(raw["licence"]),
            folder=str(folder),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{base}/{PACK}: not what `weights pack` writes ({error}): pack the run again") from error


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if not math.isfinite(float(value)):
        raise ValueError(f"{value} is no accuracy")
    return float(value)


def _checksum(value: Any) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError("a checksum is no SHA-256")
    return value


def _file_name(name: Any) -> str:
    """The name of a file in the folder itself."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"{str(name)[:40]!r} is no name of a file")
    return name


def weights_path(pretrained: Pretrained, stream: str) -> Path:
    """Where a stream's weights are, or will be once they are fetched."""
    file = pretrained.files[stream]
    if not is_url(file.location):
        return Path(file.location)
    if pretrained.folder:
        return Path(pretrained.folder) / file.name
    return cache_folder() / "weights" / pretrained.name / f"{stream}{Path(file.name).suffix}"


def is_here(pretrained: Pretrained, stream: str) -> bool:
    """Whether a stream's weights need not be fetched."""
    return weights_path(pretrained, stream).is_file()


def fetch_weights(pretrained: Pretrained, streams: Sequence[str], origin: str | None = None) -> dict[str, Path]:
    """The files of some streams, fetched where they are not here.

    Args:
        origin: a folder, or the URL of one, that has files of the published names; they are taken from there also where
            others are here. None for where they are published.

    Raises:
        ValueError: no connection, no such file, a checksum that is not the published one; an origin for a pack.
        OSError: a file cannot be written.
    """
    if origin is not None and (pretrained.folder or not origin):
        raise ValueError(f"--from {origin!r}: names a folder or URL of published files: leave it out for a pack")
    if missing := [stream for stream in streams if stream not in pretrained.files]:
        raise ValueError(f"{pretrained.name}: has no weights of {missing[0]}: it has {', '.join(pretrained.files)}")
    found = {}
    for stream in streams:
        file, path = pretrained.files[stream], weights_path(pretrained, stream)
        fits = partial(_check_fits, pretrained)
        if not is_url(file.location):
            found[stream] = _check_packed(path, file.checksum)
        elif origin is None:
            by_hand = f"fetch it by other means and run weights get {pretrained.name} --from ITS_FOLDER"
            advice = "" if pretrained.folder else by_hand
            found[stream] = fetch(file.location, path, file.checksum, advice=advice, fits=fits)
        elif is_url(origin):
            url = f"{origin.rstrip('/')}/{file.name}"
            found[stream] = fetch(url, path, file.checksum, again=True, fits=fits)
        else:
            found[stream] = _copied(Path(origin) / file.name, path, file.checksum, fits)
    return found


def _check_fits(pretrained: Pretrained, path: Path, source: str) -> None:
    """Raises ValueError where a file holds other weights than the network's."""
    config = pretrained.load_config()
    try:
        load_weights(build_model(config.model, config.model_args), path)
    except ValueError as error:
        why = str(error).removeprefix(f"{path}: ").split(": ")[0]
        raise ValueError(f"{source}: are not the weights of {pretrained.name} ({why}): fetch another file") from error


def _check_packed(path: Path, checksum: str) -> Path:
    """The path of a packed file, if it is there as it was packed."""
    if not path.is_file():
        raise ValueError(f"{path}: is missing, the {PACK} beside it names it: copy the whole folder")
    if sha256(path) != checksum:
        raise ValueError(f"{path}: is not the file that was packed (its SHA-256 differs): copy the folder again")
    return path


def _copied(source: Path, path: Path, checksum: str, fits: Callable[[Path, str], None]) -> Path:
    if not source.is_file():
        raise ValueError(f"{source}: no such file: --from names the folder that it is in")
    if checksum and not sha256(source).startswith(checksum):
        raise ValueError(f"{source}: its SHA-256 does not begin with {checksum} as published: fetch it again")
    fits(source, str(source))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as part:
        part.write_bytes(source.read_bytes())
    return path
