"""Pose files of all kinds: which program wrote one, and its people as `Poses`.

A source is told by keys and shapes, never by elimination: what fits no reader, or two, is said as what was seen.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from native_prep.datasets.recordings import BadClip, EmptyClip
from native_prep.io.archives import is_hidden
from native_prep.poses.labels import is_label_file
from native_prep.poses.readers import alphapose, array, azure_kinect, mediapipe, mmpose, openpose, ultralytics
from native_prep.poses.readers.frames import MOST_FRAME, Frames, Person, describe, gather, load_json, numbered_files
from native_prep.poses.readers.mediapipe_csv import read_mediapipe_csv
from native_prep.poses.to_clip import Poses, checked_points, convert
from native_prep.skeletons.layouts import LAYOUTS, Layout

SOURCES = (
    "pyskl", "numpy", "openpose", "alphapose", "mediapipe", "mmpose", "ultralytics", "azure-kinect", "video",
)  # fmt: skip
# JSON of a whole clip; MediaPipe's has its reader for each kind of layout.
_CLIPS: dict[str, ModuleType] = {
    "alphapose": alphapose,
    "mediapipe": mediapipe,
    "mmpose": mmpose,
    "ultralytics": ultralytics,
    "azure-kinect": azure_kinect,
}
# JSON of one frame, of which a folder is a clip; OpenPose's is told by its name.
_FRAMES: dict[str, ModuleType] = {"mmpose": mmpose, "ultralytics": ultralytics}
# The layouts that a source's people may have; the number of their joints tells which it is.
_LAYOUTS = {
    "openpose": ("openpose18", "openpose25"),
    "alphapose": ("coco17", "halpe26", "coco133", "halpe136"),
    "mediapipe": ("mediapipe33",),
    "mmpose": ("coco17", "halpe26", "coco133", "h36m17"),
    "ultralytics": ("coco17",),
    "azure-kinect": ("azure32",),
}


class Kind(NamedTuple):
    """What a clip is: the program, how its files' names end, and whether a clip is a folder of one file a frame."""

    source: str
    suffixes: tuple[str, ...]
    a_file_a_frame: bool = False


OPENPOSE = Kind("openpose", (openpose.SUFFIX,), True)
NUMPY = Kind("numpy", (".npy",))
MEDIAPIPE = Kind("mediapipe", (".json", ".csv"))
MMPOSE = Kind("mmpose", (".json",))
VIDEO = Kind("video", (
    ".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".asf", ".flv", ".3gp", ".ts", ".mts",
    ".m2ts", ".ogv",
))  # fmt: skip
_TEXT = Kind("ultralytics", (ultralytics.TEXT_SUFFIX,), True)


def kind_of_file(file: Path, source: str | None = None) -> Kind | None:
    """Of which kind the clip is that a file belongs to, or is; None where nobody is in it, so that it cannot be told.

    Args:
        file: one that may hold poses.
        source: which to take of several that it fits.

    Raises:
        BadClip: it is of no kind that is known, or damaged.
        OSError: it cannot be read.
    """
    if file.name.endswith(openpose.SUFFIX):
        return OPENPOSE
    suffix = file.suffix.lower()
    if suffix == ".npy":
        return NUMPY
    if suffix == ".csv":
        return MEDIAPIPE
    if suffix in VIDEO.suffixes:
        return VIDEO
    if suffix == ultralytics.TEXT_SUFFIX and file.stat().st_size == 0:
        return None
    if suffix == ultralytics.TEXT_SUFFIX and ultralytics.text_fits(file):
        return _TEXT
    if suffix == ultralytics.TEXT_SUFFIX:
        raise BadClip(
            str(file), "is text, no label file of Ultralytics: read it by write_clips, as docs/your-own-data.md shows"
        )
    if suffix != ".json":
        raise BadClip(str(file), f"is of no kind that is known: give poses of {', '.join(SOURCES)}")
    return _kind_of_json(load_json(str(file)), file, source)


def _kind_of_json(content: Any, file: Path, source: str | None) -> Kind | None:
    clips = [name for name, reader in _CLIPS.items() if reader.fits(content)]
    frames = [name for name, reader in _FRAMES.items() if reader.fits_frame(content)]
    if source in clips + frames:
        clips, frames = ([source], []) if source in clips else ([], [source])
    if len(clips) + len(frames) == 1:
        return MEDIAPIPE if clips == ["mediapipe"] else Kind((clips + frames)[0], (".json",), bool(frames))
    if _nobody(content):
        return None
    fitting = f"fits {' and '.join(clips + frames)}: give --source" if clips or frames else "fits nothing that is known"
    advice = "" if clips or frames else f": give poses of {', '.join(SOURCES)}, or read them by write_clips"
    raise BadClip(str(file), f"{describe(content)}: {fitting}{advice}")


def _nobody(content: Any) -> bool:
    """Whether JSON is empty frames and nothing else."""
    frames = content.get("frames") if isinstance(content, dict) and set(content) == {"frames"} else content
    return isinstance(frames, list) and all(one in (None, []) for one in frames)


def kind_of_clip(path: Path) -> Kind | None:
    """Of which kind one clip is, a file or a folder of one file a frame; else as `kind_of_file`."""
    path.stat()  # raises where nothing is
    if not path.is_dir():
        kind = kind_of_file(path)
        if kind is not None and kind.a_file_a_frame:
            raise BadClip(str(path), f"is one frame of {kind.source}: give the folder of the clip's frames")
        return kind
    files = [file for file in sorted(path.iterdir()) if file.is_file() and not is_hidden(file.name)]
    kind = first_kind(files)
    if kind is None and any(file.name.lower().endswith((".json", ultralytics.TEXT_SUFFIX)) for file in files):
        return None
    if kind is None:
        text = f"holds no file of poses: give a folder of *{openpose.SUFFIX}, .json or .txt, one a frame"
        raise BadClip(str(path), text)
    if not kind.a_file_a_frame:
        raise BadClip(str(path), f"is a folder of clips of {kind.source}, not one of frames: give one clip")
    return kind


def first_kind(files: Sequence[Path], source: str | None = None) -> Kind | None:
    """The kind of the first file that tells one, of those that are likeliest to hold poses; None where none is.

    Args:
        files: of one or of several clips, and whatever lies beside them.
        source: which is wanted; another one is given where none of it is there.

    Raises:
        BadClip: none tells one, and one that could is of no kind that is known.
        OSError: a file cannot be read.
    """
    wrong: BadClip | None = None
    other: Kind | None = None
    for suffixes in ((openpose.SUFFIX,), (".npy",), (".json",), (".csv",), (ultralytics.TEXT_SUFFIX,), VIDEO.suffixes):
        for file in files:
            if not file.name.lower().endswith(suffixes) or (suffixes == (".csv",) and is_label_file(file)):
                continue
            try:
                kind = kind_of_file(file, source)
            except BadClip as error:  # another file may still tell
                wrong = wrong or error
                continue
            if kind is not None and source in (None, kind.source):
                return kind
            other = other or kind
    if other is None and wrong is not None:
        raise wrong
    return other


def read_pose_file(path: str, layout: Layout, kind: Kind | None = None) -> Poses:
    """A clip of one file or folder.

    Args:
        path: the file, or the folder of one file a frame.
        layout: its skeleton.
        kind: None where what it holds tells it.

    Raises:
        EmptyClip: nobody is in it, so that its form cannot be told.
        BadClip: it is of no form that is known, of another one than `kind`, or damaged.
        OSError: it cannot be read.
    """
    kind = kind or kind_of_clip(Path(path))
    if kind is None:
        raise EmptyClip(path, "nobody is in it: leave it out")
    if Path(path).is_dir() is not kind.a_file_a_frame:
        what = "a folder of one file a frame" if kind.a_file_a_frame else "a file"
        raise BadClip(path, f"is not {what}, expected {kind.source} as the other clips have it: keep them apart")
    if kind == VIDEO:
        raise BadClip(path, "is a video: give it by predict --video, or a folder of videos to prep custom")
    if kind == NUMPY:
        return array.read(path, layout)
    if path.lower().endswith(".csv"):
        return Poses(checked_points(read_mediapipe_csv(path, layout), layout, path))
    if kind.source == "mediapipe":
        return mediapipe.read(path, _checked_json(path, kind), layout)
    if kind.a_file_a_frame:
        poses = gather(_frames(path, kind), layout, path)
        # Shares of the picture, whatever size others in the folder have.
        return replace(poses, size=(1.0, 1.0)) if kind == _TEXT else poses
    content = _checked_json(path, kind)
    poses = gather(_CLIPS[kind.source].read(path, content), layout, path)
    return replace(poses, size=mmpose.picture_size(content)) if kind == MMPOSE else poses


def read_as(path: str, layout: Layout, before: Layout | None = None) -> tuple[Poses, Layout]:
    """A clip in the joints of `layout`, made of its own where those are others, and the layout that it had.

    Args:
        path, layout: as `read_pose_file`'s.
        before: the layout that clips of the training data had, for files that do not say which joints they have.

    Raises:
        EmptyClip, BadClip, OSError: as `read_pose_file`; BadClip also where no conversion is known.
    """
    kind = kind_of_clip(Path(path))
    own = layout
    if kind is not None and kind.source in _LAYOUTS:
        found, _ = _layout_of(kind, [Path(path)])
        own = layout if found is None or found.num_joints == layout.num_joints else found
    elif kind == NUMPY and before is not None and array.joint_count(path) == before.num_joints:
        own = before
    poses = read_pose_file(path, own, kind)
    if own is layout:
        return poses, own
    try:
        return convert(poses, own, layout), own
    except ValueError as error:
        text = f"its {own.name} joints cannot become those of {layout.name}: give poses of {layout.name}"
        raise BadClip(path, text) from error


def _frames(path: str, kind: Kind) -> Frames:
    if not kind.a_file_a_frame:
        frames: Frames = _CLIPS[kind.source].read(path, _checked_json(path, kind))
        return frames
    return {number: _people(str(file), kind) for number, file in numbered_files(path, kind.suffixes[0]).items()}


def _people(file: str, kind: Kind) -> list[Person]:
    if kind == OPENPOSE:
        return openpose.people(file)
    if kind == _TEXT:
        return ultralytics.text_people(file)
    found: list[Person] = _FRAMES[kind.source].people(file, load_json(file, MOST_FRAME))
    return found


def _checked_json(path: str, kind: Kind) -> Any:
    """The JSON of a clip, if it is of that kind, or empty, or so damaged that the kind's own reader can say how."""
    content = load_json(path)
    others = [source for source, reader in _CLIPS.items() if source != kind.source and reader.fits(content)]
    if others and not _CLIPS[kind.source].fits(content):
        raise BadClip(path, f"{describe(content)}: looks like {others[0]}, expected {kind.source}: keep them apart")
    return content


def default_layout(kind: Kind, clips: Iterable[Path], path: Path) -> str:
    """The layout of the first people that are found in clips of a kind.

    Raises:
        ValueError: it has none, or its files are damaged.
        OSError: a file cannot be read.
    """
    advice = f"give --layout one of {', '.join(LAYOUTS)}, or a YAML file"
    clips = list(clips)
    if not clips and path.is_dir():
        raise ValueError(
            f"{path}: holds no clip of {kind.source} where clips are looked for: put them into the "
            "folder itself, with a label file, or into folders [train|val/]CLASS"
        )
    layout, seen = _layout_of(kind, clips)
    if layout is not None:
        return layout.name
    if seen:
        raise ValueError(f"{path}: has {seen} joints, no layout of {kind.source}'s: {advice}")
    raise ValueError(f"{path}: does not say which joints it has: {advice}")


def _layout_of(kind: Kind, clips: Iterable[Path]) -> tuple[Layout | None, int]:
    """The layout of the first person that is found, if its source has such a one, and how many joints there are."""
    layouts = [LAYOUTS[name] for name in _LAYOUTS.get(kind.source, ())]
    if kind.source == "mediapipe":  # its readers need a layout, and it has one only
        return layouts[0], layouts[0].num_joints
    wrong: BadClip | None = None
    for clip in clips if layouts else ():
        try:
            frames = _frames(str(clip), kind)
        except BadClip as error:  # another clip may still tell
            wrong = wrong or error
            continue
        for person in (person for people in frames.values() for person in people):
            _check_dataset(kind, clip)
            joints = (len(person.points), person.coordinates)
            fitting = [layout for layout in layouts if (layout.num_joints, layout.coordinates) == joints]
            return (fitting[0] if fitting else None), joints[0]
    if wrong is not None:
        raise wrong
    return None, 0


def _check_dataset(kind: Kind, clip: Path) -> None:
    """Raises BadClip where MMPose says that its joints are those of a data set whose layout is not known here."""
    name = mmpose.dataset_name(load_json(str(clip))) if kind.source == "mmpose" and not kind.a_file_a_frame else None
    if name is not None and name not in mmpose.DATASETS:
        raise BadClip(str(clip), f"its joints are those of {name!r}, unknown here: give --layout a YAML file")
