"""`predict --video` and `--camera`: people found in images take the way of a stream."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from export.live.frames import Frame, body_of
from export.live.session import LiveSession, LiveSettings, output_file, print_answer
from export.live.sources import Arrival
from export.live.timeline import Timeline
from export.manifest import Manifest
from export.raw_clips import RawClips
from export.runtime.open import open_engine
from native_prep.datasets.recordings import NOBODY
from native_prep.io.progress import Progress, percent
from native_prep.poses.custom import DEFAULT_FPS
from native_prep.poses.video.camera import Camera
from native_prep.poses.video.drawing import draw_people, draw_text
from native_prep.poses.video.estimator import DEFAULT_MODEL, MODELS, Estimator
from native_prep.poses.video.media import check_file, expected_frames, read_frames, video_writer
from native_prep.poses.video.people import FollowedPeople, People, VideoPeople
from native_prep.skeletons.layouts import LAYOUTS, Layout

# People who are seen less often, a second, are strangers each time.
_SLOWEST = 2.0


def predict_video(
    folder: str | os.PathLike[str],
    video: str | os.PathLike[str],
    *,
    pose_model: str | None = None,
    timeline: str | os.PathLike[str] | None = None,
    overlay: str | os.PathLike[str] | None = None,
    settings: LiveSettings | None = None,
    runtime: str = "auto",
) -> dict[str, Any]:
    """Names the actions of a video.

    Args:
        folder: what `export-trt` wrote, for a skeleton of x y score.
        video: any that FFmpeg reads.
        pose_model: see `Estimator`; None for that of the training data, or `DEFAULT_MODEL`.
        timeline: CSV file to write, see `timeline`.
        overlay: MP4 file to write: the video with skeletons and names of actions.
        settings: see `LiveSettings`; fps is what the engine was trained for, None for what its manifest says, or 30.
        runtime: see `open_engine`.

    Returns:
        video, frames, fps, actions (see `Timeline.as_dicts`), answers, window, stride, timeline, overlay, pose_model,
        runtime; and nobody, True, where nobody was seen in any frame.

    Raises:
        ValueError: a video that is damaged, an engine for 3-D skeletons, networks that cannot be had.
        OSError: a file cannot be read or written.
    """
    path = os.fspath(video)
    if overlay is not None and Path(overlay).suffix.lower() != ".mp4":
        raise ValueError(f"--overlay {overlay}: is written as MP4: give a name that ends in .mp4")
    check_file(path)
    _check_outputs(path, overlay, timeline)
    engine = open_engine(folder, runtime)
    model, fps = _pose_model(engine.manifest, pose_model), _rate(engine.manifest, settings)
    session = LiveSession(engine, replace(settings or LiveSettings(), fps=fps), path, lambda answer: None)
    estimator, found = _open_estimator(model, session.raw, path)
    seen: list[People] = []
    with ExitStack() as stack:
        rows, drawn = (output_file(stack, file) for file in (timeline, overlay))
        with Progress(expected_frames(path, fps), "estimate", "frame") as progress:
            people = VideoPeople(path, estimator, fps, progress.update)
            frames = _kept(people, seen) if overlay else people
            if session.run(_arrivals(frames, people.followed, session.raw, found, time.monotonic)):
                raise KeyboardInterrupt
        if session.nobody:
            print(f"{path}: {NOBODY}", file=sys.stderr)
        if rows is not None:
            session.timeline.write(rows)
        if drawn is not None:
            _draw(path, drawn, seen, people.followed.size, found, session.timeline, fps)
    result = session.result()
    return {
        "video": path, "frames": result["frames"], "fps": fps, "actions": session.timeline.as_dicts(),
        **{key: result[key] for key in ("answers", "window", "stride")},
        "timeline": timeline and os.fspath(timeline), "overlay": overlay and os.fspath(overlay), "pose_model": model,
        "runtime": f"{engine.runtime} on {engine.device}", **({"nobody": True} if session.nobody else {}),
    }  # fmt: skip


def _check_outputs(path: str, *outputs: str | os.PathLike[str] | None) -> None:
    """Raises ValueError where two of the files that are read and written are one."""
    known = {Path(path).resolve(): "the video itself"}
    for output in outputs:
        if output is not None:
            place = Path(output).resolve()
            if place in known:
                raise ValueError(f"{output}: is {known[place]}, which it would replace: give another name")
            known[place] = "both --overlay and --timeline"


def predict_camera(
    folder: str | os.PathLike[str],
    source: str,
    *,
    pose_model: str | None = None,
    timeline: str | os.PathLike[str] | None = None,
    settings: LiveSettings | None = None,
    runtime: str = "auto",
    write: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Names the actions in front of a camera until it ends, or Ctrl-C.

    Args:
        folder, pose_model, timeline, settings, runtime: as `predict_video`'s.
        source: see `Camera`.
        write: takes each answer; JSON lines on stdout where not given.

    Returns:
        What `predict_stream` returns; dropped.too_fast are the camera's images that came while another was looked at,
        estimated those that were looked at.

    Raises:
        ValueError: no such camera, and as `predict_video`.
        OSError: a file cannot be written.
    """
    with ExitStack() as stack:
        camera = stack.enter_context(Camera(source))
        engine = open_engine(folder, runtime)
        model, fps = _pose_model(engine.manifest, pose_model), _rate(engine.manifest, settings)
        place = f"camera {source}"
        session = LiveSession(engine, replace(settings or LiveSettings(), fps=fps), place, write or print_answer)
        estimator, found = _open_estimator(model, session.raw, place)
        people = _CameraPeople(camera, estimator, fps)
        rows = output_file(stack, timeline)
        interrupted = session.run(_arrivals(people, people.followed, session.raw, found, people.taken))
        if rows is not None:
            session.timeline.write(rows)
        if people.rate and people.rate < _SLOWEST:
            print(f"{place}: {people.rate:.2g} images a second are too few to follow people", file=sys.stderr)
    result = session.result()
    result["dropped"]["too_fast"] = camera.dropped
    return result | {
        "estimated": people.followed.images, "timeline": timeline and os.fspath(timeline), "interrupted": interrupted,
        "pose_model": model, "runtime": f"{engine.runtime} on {engine.device}",
    }  # fmt: skip


class _CameraPeople:
    """The people in front of a camera frame by frame, as `VideoPeople` has those of a video."""

    def __init__(self, camera: Camera, estimator: Estimator, fps: float) -> None:
        self.followed, self._last = FollowedPeople(fps), 0.0
        self._camera, self._estimator = camera, estimator

    def __iter__(self) -> Iterator[tuple[int, People]]:
        for image in self._camera:
            self._last = image.time
            (people,) = self._estimator([image.image])
            yield from self.followed.add(image, people)

    def taken(self) -> float:
        """When the image that was looked at last was taken (`time.monotonic`)."""
        return self._camera.begin + self._last

    @property
    def rate(self) -> float:
        """How many images a second were looked at; 0 of one only."""
        return (self.followed.images - 1) / self._last if self._last else 0.0


def _pose_model(manifest: Manifest, asked: str | None) -> str:
    """The networks that were asked for, or those that found the poses of the training data."""
    trained = str(manifest.custom.get("pose_model", DEFAULT_MODEL))
    if asked is None and trained not in MODELS:
        raise ValueError(f"the training data's poses were found by {trained}: give --pose-model these files")
    return asked or trained


def _rate(manifest: Manifest, settings: LiveSettings | None) -> float:
    """Frames a second: those asked for, or those of the training data."""
    return float((settings and settings.fps) or manifest.custom.get("fps", DEFAULT_FPS))


def _open_estimator(model: str, raw: RawClips, place: str) -> tuple[Estimator, Layout]:
    """The networks, and the layout of the joints that they find."""
    if raw.layout.coordinates == "world":
        raw.check_images(raw.layout)  # before networks are downloaded
    estimator = Estimator(model)
    found = LAYOUTS[estimator.layout]
    raw.check_images(found)
    if found.name != raw.layout.name:
        print(f"{place}: its {found.name} joints become {raw.layout.name}'s", file=sys.stderr)
    return estimator, found


def _kept(frames: Iterable[tuple[int, People]], seen: list[People]) -> Iterator[tuple[int, People]]:
    """The frames, whose people are added to `seen`, too, in half the memory."""
    for number, people in frames:
        seen.append({name: points.astype(np.float32) for name, points in people.items()})
        yield number, people


def _arrivals(
    frames: Iterable[tuple[int, People]],
    followed: FollowedPeople,
    raw: RawClips,
    found: Layout,
    taken: Callable[[], float],
) -> Iterator[Arrival]:
    """Frames of people as a stream has them; `taken` says when the newest was (`time.monotonic`)."""
    for number, people in frames:
        bodies = {}
        if people:
            points = raw.from_image(np.stack(list(people.values())), followed.size, found)
            bodies = {str(name): body_of(one, raw.layout) for name, one in zip(people, points, strict=True)}
        frame = Frame(number, None, {name: body for name, body in bodies.items() if body is not None})
        yield Arrival(frame, taken(), 0)


def _draw(
    path: str,
    overlay: Path,
    seen: list[People],
    size: tuple[int, int],
    layout: Layout,
    timeline: Timeline,
    fps: float,
) -> None:
    """Writes the video with everybody's skeleton, and the names of actions with their probabilities.

    Args:
        seen: the people of each frame at a rate of `fps`, in pixels of an image of `size`.
    """
    with Progress(expected_frames(path), "overlay", "frame") as progress, video_writer(overlay) as writer:
        for frame in read_frames(path):
            image, place = frame.image(), min(round(frame.time * fps), len(seen) - 1)
            scale = np.array([image.shape[1] / size[0], image.shape[0] / size[1], 1.0])
            people = {name: points * scale for name, points in seen[place].items()}
            draw_people(image, people, layout)
            for name, row in timeline.at(frame.time).items():
                text = f"{row.name} {percent(row.score)}"
                if not name:
                    draw_text(image, text, (0, image.shape[0]))  # below, where heads are not
                elif int(name) in people:
                    joints = people[int(name)]
                    left, top = joints[joints[:, 2] > 0, :2].min(axis=0)
                    draw_text(image, f"{name}: {text}", (left, top - image.shape[0] / 10))
            writer.write(image, frame.time)
            progress.update(1)
