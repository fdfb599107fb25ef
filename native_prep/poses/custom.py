"""`prep custom`: one's own poses, of any estimator and skeleton, as the arrays that networks are trained on."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from native_prep.datasets.recordings import SPLITS, BadClip, Recording, Recordings
from native_prep.io.folders import Local, local_copy
from native_prep.io.locks import sole_run
from native_prep.io.progress import first_names
from native_prep.io.remote import is_url
from native_prep.io.whole import read_whole
from native_prep.pipeline.outputs import CUSTOM, check_formats, check_room, output_folder
from native_prep.pipeline.pose_shards import MadeClip, write_poses
from native_prep.pipeline.store_run import StoreRun
from native_prep.poses.align import orientation_warnings, posture_warnings
from native_prep.poses.files import SOURCES, VIDEO, default_layout, read_as
from native_prep.poses.labels import number_classes, read_classes
from native_prep.poses.quality import FILE as QUALITY
from native_prep.poses.quality import Quality, QualityTable, quality_of
from native_prep.poses.sources import PoseClip, PoseSource, clips_below, detect_kind, open_source
from native_prep.poses.to_clip import Poses, PoseSettings, choose_bodies, keep_bodies, place_bodies
from native_prep.poses.to_clip import convert as convert_poses
from native_prep.skeletons.layouts import (
    Layout,
    conversion_table,
    conversions_as_dict,
    find_layout,
    layout_as_dict,
    layout_from_dict,
)
from native_prep.skeletons.streams import check_streams
from native_prep.store.format import StoreHead
from native_prep.store.labels import read_labels
from native_prep.store.reader import FOLDER

if TYPE_CHECKING:
    from native_prep.poses.video.pose_cache import PoseCache

OUT_FOLDER = "data/custom"
# Frames a second of videos: what NTU and Kinetics have.
DEFAULT_FPS, _MOST_FPS = 30.0, 1000
# Of `custom.json`; the first version turned clips (align: turn) by the shortest way, which the second does not.
_VERSION, _FIRST = 2, 1
# The layout of clips before they were converted, where they were.
_BEFORE = "layout_before"


def prepare_custom(
    data_path: str | os.PathLike[str] | None = None,
    out_folder: str | os.PathLike[str] | None = None,
    *,
    layout: str | None = None,
    convert: str | None = None,
    source: str = "auto",
    label: str | None = None,
    split: str | None = None,
    class_list: str | None = None,
    streams: Sequence[str] = ("joint", "bone"),
    formats: Sequence[str] = ("npy",),
    max_frames: int | None = None,
    max_bodies: int | None = None,
    image_size: str | None = None,
    align: str = "none",
    track: bool = False,
    unit: str = "m",
    keep_empty: bool = False,
    min_quality: float = 0.0,
    on_bad_file: str = "error",
    pose_model: str | None = None,
    fps: float | None = None,
    workers: int | None = None,
    cluster: str | None = None,
) -> dict[str, Any]:
    """Prepares one's own poses: float32 (N, 3, T, V, M) for each split and stream, label files and `custom.json`.

    Args:
        data_path, out_folder: a pickle, an array or a folder of clips, an archive of them, or a URL of those; where the
            arrays go, None for `data/custom`.
        layout: a name, or a YAML file; None where the source has one of its own.
        convert: another layout, in which the clips are written; see `to_clip.convert`.
        source: one of `files.SOURCES`, or auto.
        label: CSV file of name,label[,split]; None for `labels.csv` beside the clips, for clips that lie in folders
            `[train|val/]CLASS`, and for pickles.
        split: which of a pickle's splits; or the split of all clips where the label file names none.
        class_list: file of the names of the classes, one a line.
        streams, formats: as `prepare`'s.
        max_frames: T; None for the longest clip's. Shorter clips have zeros behind their last frame, longer are bad.
        max_bodies: M, 2 by default.
        image_size: WIDTHxHEIGHT of the pictures, where coordinates are pixels and the files do not say.
        align, track, unit, keep_empty, min_quality: see `to_clip.PoseSettings`.
        on_bad_file: as `prepare`'s.
        pose_model, fps: of videos, see `video.pose_cache.PoseCache`; None for `DEFAULT_MODEL`, and for 30.
        workers: processes; None for one a processor. Work of a second or less is done in this one.
        cluster: see `pipeline.cluster.cluster`; None for this machine.

    Returns:
        What `prepare` returns; warnings: what looks wrong with clips that were prepared, and how many; quality: see
        `quality.QualityTable.summary`; of videos also poses: in which folder they are kept, and how many were estimated
        and reused.

    Raises:
        ValueError: something that was asked for does not exist or does not fit, or a clip is bad; it names the file.
        OSError: a file or folder cannot be read or written.
    """
    given, folder = _places(data_path, out_folder)
    output = PoseOutput(folder, streams, formats, max_frames, on_bad_file, workers, cluster)
    if source not in ("auto", *SOURCES):
        raise ValueError(f"source {source!r} is not known: use auto or one of {', '.join(SOURCES)}")
    with local_copy(given, folder) as local:
        path = local.path
        kind = detect_kind(path, None if source == "auto" else source)
        videos = None
        if kind == VIDEO:
            videos = _open_videos(folder, layout, image_size, pose_model, fps)
        elif pose_model is not None or fps is not None:
            option = "--pose-model" if pose_model is not None else "--fps"
            raise ValueError(f"{path}: holds poses of {kind.source}, {option} is for videos: leave it out")
        began = time.monotonic()
        own = videos.layout if videos else find_layout(layout or default_layout(kind, clips_below(kind, path), path))
        target = find_layout(convert) if convert is not None else own
        if convert is not None:
            conversion_table(own, target)  # raises before anything is read
        track = track or videos is not None  # people of videos have numbers
        settings = PoseSettings(max_bodies or 2, parse_size(image_size), align, track, unit, keep_empty, min_quality)
        settings.check(own)
        check_room(max_frames, target, settings.max_bodies, output.streams)
        found = open_source(kind, path, own, label, split, read_classes(class_list) if class_list else None)
        if videos is not None:
            found = _estimated(found, videos, cluster)
        if convert is not None:
            found = _converted(found, own, target)
        result = write_source(copied(found, local), local.source, target, settings, output)
    if videos is None:
        return result
    return result | {"seconds": time.monotonic() - began, "poses": videos.summary()}


def copied(found: PoseSource, local: Local) -> PoseSource:
    """What was found in a copy, as one that messages name by its source; what was found elsewhere as it is."""
    if not local.copy:
        return found
    return replace(found, copy=local.copy, notes=[text.replace(local.copy, local.source) for text in found.notes])


def _open_videos(
    folder: Path, layout: str | None, image_size: str | None, pose_model: str | None, fps: float | None
) -> "PoseCache":
    from native_prep.poses.video.estimator import DEFAULT_MODEL
    from native_prep.poses.video.pose_cache import PoseCache

    for option, given, reason in (
        ("--layout", layout, "the networks' joints are theirs: leave it out, or give --convert"),
        ("--image-size", image_size, "videos have their own: leave it out"),
    ):
        if given is not None:
            raise ValueError(f"{option} {given}: {reason}")
    if fps is not None and not 0 < fps <= _MOST_FPS:
        raise ValueError(f"--fps {fps:g}: give a number above 0, at most {_MOST_FPS}")
    return PoseCache(folder / "poses", DEFAULT_MODEL if pose_model is None else pose_model, fps or DEFAULT_FPS)


def _estimated(found: PoseSource, videos: "PoseCache", cluster: str | None) -> PoseSource:
    with sole_run(videos.folder):
        videos.estimate([(clip.name, clip.path) for clip in found.clips], cluster)
    return replace(found, read=videos.reader(), metadata=videos.metadata(), key=videos.key)


def _converted(found: PoseSource, source: Layout, target: Layout) -> PoseSource:
    return replace(found, read=partial(_read_converted, found.read, source, target), before=source)


def _read_converted(read: Callable[[PoseClip], Poses], source: Layout, target: Layout, clip: PoseClip) -> Poses:
    return convert_poses(read(clip), source, target)


@dataclass(frozen=True)
class PoseOutput:
    """What is to be written, and where; see `prepare_custom`.

    Raises:
        ValueError: a stream or a format is not known.
    """

    folder: Path
    streams: Sequence[str]
    formats: Sequence[str]
    max_frames: int | None
    on_bad_file: str
    workers: int | None = None
    cluster: str | None = None

    def __post_init__(self) -> None:
        check_streams(tuple(self.streams))
        check_formats(self.formats)


@dataclass(frozen=True)
class _Maker:
    """Makes clips of poses; each has a note: name, split, quality, warnings."""

    read: Callable[[PoseClip], Poses]
    layout: Layout
    settings: PoseSettings

    def __call__(self, recording: Recording) -> MadeClip:
        clip, layout, settings = recording.content, self.layout, self.settings
        poses = self.read(clip)
        kept = keep_bodies(poses, layout, settings, clip.path, clip.what)
        quality = quality_of(kept, layout.coordinates == "image")
        if quality.quality < settings.min_quality:
            return MadeClip(None, 0, [clip.name, clip.split, quality, []])
        bodies = place_bodies(kept, poses, layout, settings)
        return MadeClip(bodies, bodies.shape[1], [clip.name, clip.split, quality, _warnings(kept, layout, settings)])


def write_source(
    found: PoseSource, path: str | Path, layout: Layout, settings: PoseSettings, output: PoseOutput
) -> dict[str, Any]:
    """Writes the clips of a source; `path` is where they are from, for messages, the rest as `prepare_custom`'s."""
    with sole_run(output.folder / FOLDER, output.folder):
        return _write_alone(found, path, layout, settings, output)


def _write_alone(
    found: PoseSource, path: str | Path, layout: Layout, settings: PoseSettings, output: PoseOutput
) -> dict[str, Any]:
    folder = output.folder
    warned: dict[str, list[str]] = {}
    table = QualityTable(settings.min_quality)
    metadata = _metadata(layout, settings, found.classes) | dict(found.metadata)
    if found.before is not None:
        metadata[_BEFORE] = layout_as_dict(found.before) | {"conversions": conversions_as_dict(found.before)}
    metadata["classes"] = _classes_beside(metadata, folder, {clip.split for clip in found.clips})

    def files(notes: Sequence[Any]) -> Mapping[str, str]:
        for name, split, quality, warnings in notes:
            table.add(name, split, Quality(*quality))
            for text in warnings:
                warned.setdefault(text, []).append(name)
        if notes and len(table.left_out) == len(found.clips):
            raise ValueError(
                f"{path}: no clip has a quality of {settings.min_quality:g}, the best {table.best:.3g}: lower "
                "--min-quality"
            )
        return {CUSTOM: json.dumps(metadata, indent=2) + "\n", QUALITY: table.as_csv(folder / QUALITY)}

    recordings = _recordings(found.clips, found.bad)
    head = StoreHead("custom", layout, settings.max_bodies, output.max_frames, recordings.parts, "zero")
    run = StoreRun(
        "custom", path, folder, head, recordings.parts if "npy" in output.formats else (), tuple(output.streams),
        "packed" in output.formats, output.on_bad_file == "skip", output.workers or os.cpu_count() or 1, output.cluster,
        files, settings=json.dumps(metadata), copy=found.copy,
    )  # fmt: skip
    splits = [
        {clip.name for clip in found.clips if clip.split == split} or _names_beside(folder, split) for split in SPLITS
    ]
    key = f"{metadata} {settings} {found.key}"
    result = write_poses(run, _Maker(found.read, layout, settings), recordings, key, found.whole_files)
    if both := sorted(splits[0] & splits[1]):
        warned["are in train and in val, whose accuracy then says nothing of new clips"] = both
    warnings = [
        f"{len(names)} of {result['clips']} clips {text} ({first_names(names)})" for text, names in warned.items()
    ]
    if table.left_out:
        what = f"{len(table.left_out)} of {len(found.clips)} clips are left out, of a quality below"
        warnings.append(f"{what} {settings.min_quality:g}: see {QUALITY} ({first_names(table.left_out)})")
    warnings += found.notes
    for warning in warnings:
        print(f"{path}: {warning}", file=sys.stderr)
    return {**result, "warnings": warnings, "quality": table.summary()}


def _warnings(kept: np.ndarray, layout: Layout, settings: PoseSettings) -> list[str]:
    """What looks wrong with a clip's bodies as recorded, (M, T, V, 3), without being so for certain."""
    if layout.coordinates == "image":
        return posture_warnings(kept, layout)
    return orientation_warnings(kept, layout) if settings.align == "turn" else []


def _classes_beside(metadata: dict[str, Any], folder: Path, splits: set[str]) -> list[str]:
    """The names of the classes, with those of the other split, which an earlier run into the same folder has made.

    Raises:
        ValueError: the other split was made with other settings, or has other classes.
    """
    ours: list[str] = metadata["classes"]
    others = [split for split in SPLITS if split not in splits and (folder / f"{split}_label.pkl").is_file()]
    before = custom_metadata(folder / "of_any_array.npy") if others else {}
    if not before:
        return ours
    before = {"unit": "m", **before}  # an older version knew metres only
    differ = [key for key in metadata if key not in ("classes", "version") and before.get(key) != metadata[key]]
    if differ:
        raise ValueError(
            f"{folder}: its {others[0]} clips were prepared with another {differ[0].replace('_', ' ')}: prepare both "
            "splits alike, or name another --out-folder"
        )
    theirs: list[str] = before["classes"]
    if all(names == number_classes(len(names)) for names in (ours, theirs)):
        return max(ours, theirs, key=len)
    if ours != theirs:
        raise ValueError(f"{folder}: its {others[0]} clips have other classes: give both runs the same --class-list")
    return ours


def _names_beside(folder: Path, split: str) -> set[str]:
    """The clips of a split that an earlier run into the same folder has made, as from a pickle for each split."""
    path = folder / f"{split}_label.pkl"
    return set(read_labels(path)[0]) if path.is_file() else set()


def _places(data_path: str | os.PathLike[str] | None, out_folder: str | os.PathLike[str] | None) -> tuple[str, Path]:
    if not data_path:
        raise ValueError("prep custom: give --data-path the file or folder of your poses")
    given, folder = os.fspath(data_path), output_folder(out_folder, OUT_FOLDER)
    path = Path(given)
    if path.is_dir() and path.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise ValueError(f"{folder}: lies in {path}, whose files are the clips: name another --out-folder")
    return (given if is_url(given) else str(path)), folder


def parse_size(text: str | None) -> tuple[int, int] | None:
    """WIDTHxHEIGHT as two numbers.

    Raises:
        ValueError: it is something else.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6})[xX](\d{1,6})", text)
    if match is None:
        raise ValueError(f"--image-size {text}: give WIDTHxHEIGHT in pixels, as 1920x1080")
    return int(match[1]), int(match[2])


def _recordings(clips: list[PoseClip], bad: list[Any]) -> Recordings:
    splits = tuple(split for split in SPLITS if any(clip.split == split for clip in clips)) or SPLITS[:1]
    found = [Recording(clip.path, clip.name, clip.label, (splits.index(clip.split),), content=clip) for clip in clips]
    return Recordings(found, list(bad), splits)


def _metadata(layout: Layout, settings: PoseSettings, classes: list[str]) -> dict[str, Any]:
    """What `export-trt` and `predict` need to know of the data, as plain values."""
    return {
        "version": _VERSION,
        "layout": layout_as_dict(layout),
        "classes": classes,
        "max_bodies": settings.max_bodies,
        "image_size": list(settings.image_size) if settings.image_size else None,
        "align": settings.align,
        "track": settings.track,
        "unit": settings.unit,
    }


def default_metadata(layout: Layout, max_bodies: int, classes: list[str]) -> dict[str, Any]:
    """What `custom_metadata` would say of clips of a layout that are prepared without options, or from videos."""
    return _metadata(layout, PoseSettings(max_bodies), classes)


def custom_file(data_path: str | os.PathLike[str]) -> Path:
    """Where `prep custom` noted what it knows of an array that it wrote."""
    folder = Path(data_path).parent
    return (folder.parent if folder.name == FOLDER else folder) / CUSTOM


def custom_metadata(data_path: str | os.PathLike[str]) -> dict[str, Any]:
    """What `prep custom` noted beside an array that it wrote; {} beside other arrays.

    Raises:
        ValueError: the note is damaged, or of another version.
    """
    path = custom_file(data_path)
    if not os.fspath(data_path) or not path.is_file():
        return {}
    content = read_whole(path, "such a note")
    try:
        metadata = json.loads(content)
        settings_from(metadata)
        layout_from_dict(metadata["layout"])
        layout_before(metadata)
        if metadata["version"] not in (_FIRST, _VERSION) or not isinstance(metadata["classes"], list):
            raise ValueError("of another version")
        if not all(isinstance(name, str) for name in metadata["classes"]):
            raise ValueError("a class has no name")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: not what prep custom wrote ({error}): run prep again") from error
    return metadata


def check_layout(data_path: str | os.PathLike[str], layout: Layout) -> None:
    """Raises ValueError where an array that `prep custom` wrote is of another skeleton than `layout`."""
    metadata = custom_metadata(data_path)
    if not metadata:
        return
    ours = layout_from_dict(metadata["layout"])
    if (ours.num_joints, ours.bone_parents, set(ours.edges)) != (
        layout.num_joints, layout.bone_parents, set(layout.edges),
    ):  # fmt: skip
        raise ValueError(
            f"{data_path}: was prepared with layout {ours.name} ({ours.num_joints} joints), the model's graph is "
            f"{layout.name} ({layout.num_joints}): set model_args.graph to that layout"
        )


def settings_from(metadata: dict[str, Any]) -> PoseSettings:
    """The settings that `custom.json` holds.

    Raises:
        ValueError: an older version turned these clips in another way.
    """
    if metadata["version"] == _FIRST and metadata["align"] == "turn":
        raise ValueError("an older version turned these clips, some over their heads: prepare them and train again")
    size = metadata["image_size"]
    if any(type(number) is not int for number in (metadata["max_bodies"], *(size or ()))) or len(size or (1, 1)) != 2:
        raise ValueError("max_bodies and image_size are no whole numbers")
    return PoseSettings(
        metadata["max_bodies"],
        tuple(size) if size else None,
        metadata["align"],
        metadata["track"],
        metadata.get("unit", "m"),
    )


def read_custom_clip(path: str, metadata: dict[str, Any], frames: int | None = None) -> np.ndarray:
    """A clip of one's own as `prep custom` made those that the network was trained on.

    Args:
        path: a file, or a folder of one file a frame, of any program that `prep custom` knows.
        metadata: what `custom_metadata` gave.
        frames: T, filled with zeros; None for the clip's own length.

    Returns:
        float32 (3, T, V, M).

    Raises:
        EmptyClip: nobody is in it.
        ValueError: the clip is bad, or longer than T.
        OSError: it cannot be read.
    """
    poses, _ = read_as(path, layout_from_dict(metadata["layout"]), layout_before(metadata))
    return custom_clip(poses, metadata, frames, path)


def layout_before(metadata: dict[str, Any]) -> Layout | None:
    """The layout that the clips had before they were converted; None where they were not."""
    return layout_from_dict(metadata[_BEFORE]) if _BEFORE in metadata else None


def custom_clip(
    poses: Poses, metadata: dict[str, Any], frames: int | None, path: str, from_stream: bool = False
) -> np.ndarray:
    """`read_custom_clip` for poses that were read.

    Args:
        path: what messages name.
        from_stream: whether these are a few frames of a stream, which was checked as it came in and may show nobody.
    """
    layout, settings = layout_from_dict(metadata["layout"]), settings_from(metadata)
    kept = _choose_bodies(poses, layout, settings, path, from_stream)
    return _pad_frames(place_bodies(kept, poses, layout, settings), frames, path)


def raw_custom_clip(
    poses: Poses, metadata: dict[str, Any], frames: int, path: str, from_stream: bool = False
) -> np.ndarray:
    """`custom_clip` as recorded, for an engine that prepares it: shares of the picture and score, or metres."""
    layout, settings = layout_from_dict(metadata["layout"]), settings_from(metadata)
    kept = _choose_bodies(poses, layout, settings, path, from_stream)
    if layout.coordinates == "image":
        kept[..., :2] /= poses.size or settings.image_size or (1, 1)
    else:
        kept = place_bodies(kept, poses, layout, settings)
    return _pad_frames(kept, frames, path)


def _choose_bodies(poses: Poses, layout: Layout, settings: PoseSettings, path: str, from_stream: bool) -> np.ndarray:
    if from_stream:
        return choose_bodies(poses, layout, settings)
    return keep_bodies(
        poses, layout, settings, path, advice="give it as the clips were that the network was trained on"
    )


def _pad_frames(bodies: np.ndarray, frames: int | None, path: str) -> np.ndarray:
    """Bodies (M, T', V, 3) as a clip (3, T, V, M), zeros behind their last frame."""
    count, length, joints, _ = bodies.shape
    if length > (frames or length):
        raise BadClip(path, f"has {length} frames, there is room for {frames}: cut it")
    clip = np.zeros((3, frames or length, joints, count), np.float32)
    clip[:, :length] = bodies.transpose(3, 1, 2, 0)
    return clip
