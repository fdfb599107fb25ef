"""`manifest.json`: what an exported folder holds and what it was made from, checked when the folder is opened."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from native_prep.io.hashes import sha256
from native_prep.io.whole import read_whole

FILE_NAME = "manifest.json"
VERSION = 1


@dataclass(frozen=True)
class EngineFile:
    """One engine: its file's name, flavour and version, target, size and hash, and how its layers compute.

    A flavour is tensorrt, tensorrt-rtx or aotinductor, a target a GPU generation or "cpu".

    `takes` is "joints", or "rows" where whoever runs it picks the bodies that are there (see
    `export.graph.network.present_rows`).
    `refittable` says whether `export.engines.refit` can change its weights.
    """

    file: str
    flavor: str
    version: str
    target: str
    bytes: int
    sha256: str
    layers: dict[str, Any] = field(default_factory=dict)
    takes: str = "joints"
    refittable: bool = False


@dataclass(frozen=True)
class Manifest:
    """What was exported.

    Attributes:
        frames, joints, bodies, channels: T, V, M, C of the input.
        layout: name of the skeleton; dataset: the one whose raw clips `predict` reads, "custom" for one's own, "" for
            none.
        num_class, class_names: the classes; names are empty where they are not known.
        precision: fp32, tf32, fp16, bf16 or int8.
        alpha: weight of the bone stream in `scores`.
        motion_alpha: weight of the motion streams, where there are four streams.
        streams: which the graph holds, in the order of its outputs.
        with_prep: whether the input is raw joints instead of prepared ones.
        prepared_frames: T of the test data before it became the input, 0 where it was not at hand.
        max_batch: the largest batch of the engines.
        feeder_args: how a prepared clip becomes the input (test_feeder_args of the configuration).
        onnx, onnx_sha256: the graph.
        sources: stream -> {"file": name, "sha256": hash} of the checkpoints.
        engines: the engines beside it.
        parity: what the export measured, see `export.graph.parity`.
        versions: of the packages that wrote it.
        custom: how clips of one's own are read, see `native_prep.poses.custom.custom_metadata`; else empty.
    """

    frames: int
    joints: int
    bodies: int
    channels: int
    layout: str
    dataset: str
    num_class: int
    class_names: list[str]
    precision: str
    alpha: float
    max_batch: int
    feeder_args: dict[str, Any]
    onnx: str
    onnx_sha256: str
    sources: dict[str, dict[str, str]]
    engines: list[EngineFile]
    parity: dict[str, Any]
    versions: dict[str, str]
    custom: dict[str, Any] = field(default_factory=dict)
    version: int = VERSION
    motion_alpha: float = 1.0
    streams: tuple[str, ...] = ("joint", "bone")
    with_prep: bool = False
    prepared_frames: int = 0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(C, T, V, M)."""
        return self.channels, self.frames, self.joints, self.bodies

    def check_shape(self, shape: tuple[int, ...], what: str, place: str | os.PathLike[str]) -> None:
        """Raises ValueError where (C, T, V, M) of `what` is not the engine's; `place` is the engine's folder."""
        check_shape(self.shape, shape, what, place)


def check_shape(wanted: tuple[int, ...], shape: tuple[int, ...], what: str, place: str | os.PathLike[str]) -> None:
    """Raises ValueError where (C, T, V, M) of `what` is not the one that an engine in `place` wants."""
    for letter, ours, theirs in zip("CTVM", wanted, shape, strict=True):
        if ours != theirs:
            raise ValueError(
                f"{place}: engine for {letter}={ours}, {what} gives {letter}={theirs}: export again for it"
            )


def write_manifest(folder: str | os.PathLike[str], manifest: Manifest) -> Path:
    """Write `manifest` into `folder` and return its path."""
    path = Path(folder) / FILE_NAME
    path.write_text(json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """The manifest of an exported folder; the ONNX file beside it must be the one that was exported.

    Raises:
        ValueError: no exported folder, a manifest of another form, or an ONNX file that is missing or another one.
    """
    path = Path(folder) / FILE_NAME
    if not path.is_file():
        raise ValueError(f"{folder}: no {FILE_NAME} in it: give the folder that export-trt wrote")
    content = read_whole(path, "a manifest")
    try:
        raw = json.loads(content)
        if not isinstance(raw, dict):
            raise ValueError("no table of keys")
        version = raw.pop("version")
        engines = [EngineFile(**engine) for engine in raw.pop("engines")]
        manifest = Manifest(engines=engines, **{**raw, "streams": tuple(raw.get("streams", Manifest.streams))})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: not a manifest that this version reads ({error}): run export-trt again") from error
    if version != VERSION:
        raise ValueError(f"{path}: of form {version}, this program reads form {VERSION}: run export-trt again")
    _check(manifest, path)
    check_file(Path(folder) / manifest.onnx, manifest.onnx_sha256)
    return manifest


def _check(manifest: Manifest, path: Path) -> None:
    """Raises ValueError for values that nothing later would notice."""
    numbers = (*manifest.shape, manifest.num_class, manifest.max_batch)
    if any(type(number) is not int or number < 1 for number in numbers):
        raise ValueError(f"{path}: its sizes are not all whole numbers above 0: run export-trt again")
    if len(manifest.class_names) not in (0, manifest.num_class):
        raise ValueError(
            f"{path}: has {len(manifest.class_names)} names for {manifest.num_class} classes: run export-trt again"
        )
    if any(Path(name).name != name for name in (manifest.onnx, *(engine.file for engine in manifest.engines))):
        raise ValueError(f"{path}: names files of another folder: run export-trt again")


def check_file(path: Path, expected: str) -> None:
    """Raises ValueError where a file of the export is missing or not the one that the manifest names."""
    if not path.is_file():
        raise ValueError(f"{path}: is missing, the manifest beside it names it: run export-trt again")
    if sha256(path) != expected:
        raise ValueError(f"{path}: is not the file that was exported (its SHA-256 differs): run export-trt again")
