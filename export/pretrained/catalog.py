"""Which trained weights there are: those in `known.yaml`, and what `weights pack` made, in a folder or at a URL."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from agcn.config import load_config
from agcn.settings import Config
from agcn.validate import nearest
from export.pretrained.download import cache_folder, check, fetch, is_url, read_url
from native_prep.io.atomic import atomic_file
from native_prep.io.hashes import hash_value, sha256
from native_prep.io.yaml_file import read_yaml
from native_prep.pipeline.outputs import CUSTOM
from native_prep.skeletons.streams import STREAMS

KNOWN = Path(__file__).with_name("known.yaml")
# What `weights pack` writes: a description, the configuration of the joint stream, weights, a model card.
PACK, CONFIG, CARD = "weights.json", "config.yaml", "README.md"
VERSION = 1


@dataclass(frozen=True)
class WeightsFile:
    """A stream's file: its address or path, the first digits of its SHA-256 ("" unknown), top-1 as a share or None."""

    place: str
    checksum: str = ""
    top1: float | None = None

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.place.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Pretrained:
    """Trained weights of two or four streams.

    Attributes:
        name: what they are called.
        config, overrides: what `agcn.config.load_config` reads.
        files: stream -> its file.
        two_streams, four_streams: fused top-1 as a share, None where it is not published.
        alpha, motion_alpha: weights of the bones and of the motions beside the joints.
        data, source, licence: what they were trained on, who publishes them, under which terms.
        folder: of what was packed; "" for known ones.
    """

    name: str
    config: str
    files: dict[str, WeightsFile]
    overrides: tuple[str, ...] = ()
    two_streams: float | None = None
    four_streams: float | None = None
    alpha: float = 1.0
    motion_alpha: float = 1.0
    data: str = ""
    source: str = ""
    licence: str = ""
    folder: str = ""

    def load_config(self) -> Config:
        """The configuration of the joint stream.

        Raises:
            ValueError: of what was packed by another version.
        """
        config = load_config(self.config, "joint" if not self.folder else None, self.overrides)
        return _within(config, Path(self.folder)) if self.folder else config

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


def _within(config: Config, folder: Path) -> Config:
    """A packed configuration whose data, of which only `custom.json` is packed, would lie in its folder."""
    args = replace(config.test_feeder_args, data_path=str(folder / "val_data_joint.npy"), label_path="")
    graph = config.model_args.get("graph")
    own = {"graph": str(folder / CUSTOM)} if graph and Path(graph).name == CUSTOM else {}
    return replace(config, test_feeder_args=args, train_feeder_args=args, model_args={**config.model_args, **own})


@cache
def known() -> dict[str, Pretrained]:
    """Those in `known.yaml`, by name."""
    raw, _ = read_yaml(KNOWN, "known weights")
    return {name: _known(name, one) for name, one in raw.items()}


def _known(name: str, one: dict[str, Any]) -> Pretrained:
    files = {
        stream: WeightsFile(file["url"], file.get("checksum", ""), _share(file["top1"]))
        for stream, file in one["streams"].items()
    }
    return Pretrained(
        name,
        one["config"],
        files,
        tuple(one.get("overrides", ())),
        two_streams=_share(one["two_streams"]),
        four_streams=_share(one["four_streams"]),
        motion_alpha=0.5,  # joint : joint motion : bone : bone motion = 2 : 1 : 2 : 1
        data=one["data"],
        source=one["source"],
        licence=one["licence"],
    )


def _share(percent: float) -> float:
    return round(percent / 100, 6)


def find(name: str) -> Pretrained:
    """Weights by name, or what was packed, by its folder or URL.

    Raises:
        ValueError: there are none of that name, no server, or the folder holds something else.
    """
    if name in known():
        return known()[name]
    if is_url(name):
        return _at_url(name)
    path = Path(name)
    folder = path.parent if path.name == PACK else path
    if (folder / PACK).is_file():
        return _packed((folder / PACK).read_bytes(), folder, str(folder))
    if path.exists():
        raise ValueError(f"{name}: no {PACK} in it: give a folder that `weights pack` wrote")
    raise ValueError(f"no weights are called {name!r}: {nearest(name, list(known()), lists_all=True)}")


def _at_url(url: str) -> Pretrained:
    """What was packed at a URL; its small files are fetched into the cache."""
    base = url.removesuffix(PACK).rstrip("/")
    folder = cache_folder() / "packed" / hash_value(base)[:16]
    content = read_url(f"{base}/{PACK}")
    pack = _packed(content, folder, base)
    for name, checksum in _small_files(content).items():
        fetch(f"{base}/{name}", folder / name, checksum)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / PACK) as part:
        part.write_bytes(content)
    return pack


def _small_files(content: bytes) -> dict[str, str]:
    """Names and checksums of the files beside the weights, which `_packed` has looked at."""
    return {str(one["file"]): str(one["sha256"]) for one in json.loads(content)["beside"]}


def _packed(content: bytes, folder: Path, place: str) -> Pretrained:
    """What a `weights.json` says; `place` is where the files of its folder are."""
    try:
        raw = json.loads(content)
        if raw["version"] != VERSION:
            raise ValueError(f"of form {raw['version']}, this program reads form {VERSION}")
        beside = {_plain(one["file"]) for one in raw["beside"]}
        files = {
            stream: WeightsFile(f"{place}/{_plain(one['file'])}", str(one["sha256"]), _number(one["top1"]))
            for stream, one in raw["streams"].items()
        }
        if CONFIG not in beside or not set(files) <= set(STREAMS):
            raise ValueError("names other files")
        return Pretrained(
            str(raw["name"]),
            str(folder / CONFIG),
            files,
            two_streams=_number(raw["two_streams"]),
            four_streams=_number(raw["four_streams"]),
            alpha=float(raw["alpha"]),
            motion_alpha=float(raw["motion_alpha"]),
            data=str(raw["data"]),
            source=str(raw["source"]),
            licence=str(raw["licence"]),
            folder=str(folder),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{place}/{PACK}: not what `weights pack` writes ({error}): pack the run again") from error


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _plain(name: Any) -> str:
    """The name of a file in the folder itself."""
    if not isinstance(name, str) or not name or Path(name).name != name or "\\" in name or name.startswith("."):
        raise ValueError(f"{str(name)[:40]!r} is no name of a file")
    return name


def weights_path(pretrained: Pretrained, stream: str) -> Path:
    """Where a stream's weights are, or will be once they are fetched."""
    file = pretrained.files[stream]
    if not is_url(file.place):
        return Path(file.place)
    if pretrained.folder:
        return Path(pretrained.folder) / file.name
    return cache_folder() / "weights" / pretrained.name / f"{stream}{Path(file.name).suffix}"


def is_here(pretrained: Pretrained, stream: str) -> bool:
    """Whether a stream's weights need not be fetched."""
    return weights_path(pretrained, stream).is_file()


def fetch_weights(pretrained: Pretrained, streams: Sequence[str], origin: str | None = None) -> dict[str, Path]:
    """The files of some streams, fetched where they are not here.

    Args:
        origin: a folder, or the URL of one, that has files of the same names; None for where they are published.

    Raises:
        ValueError: no connection, no such file, a checksum that is not the published one.
        OSError: a file cannot be written.
    """
    found = {}
    for stream in streams:
        file, path = pretrained.files[stream], weights_path(pretrained, stream)
        if not is_url(file.place):
            found[stream] = _checked(path, file)
            continue
        advice = f"fetch it by other means and run weights get {pretrained.name} --from ITS_FOLDER"
        place = file.place if origin is None else f"{origin.rstrip('/')}/{file.name}"
        if is_url(place):
            found[stream] = fetch(place, path, file.checksum, advice if origin is None else "")
        else:
            found[stream] = _copied(Path(place), path, file.checksum)
    return found


def _checked(path: Path, file: WeightsFile) -> Path:
    if not path.is_file():
        raise ValueError(f"{path}: is missing, the {PACK} beside it names it: copy the whole folder")
    if not sha256(path).startswith(file.checksum):
        raise ValueError(f"{path}: is not the file that was packed (its SHA-256 differs): copy the folder again")
    return path


def _copied(source: Path, path: Path, checksum: str) -> Path:
    if not source.is_file():
        raise ValueError(f"{source}: no such file: --from names the folder that it is in")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as part:
        part.write_bytes(source.read_bytes())
        check(part, checksum, str(source))
    return path
