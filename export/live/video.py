"""`predict --video` and `--camera`: people found in pictures take the way of a stream."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from export.live.frames import Frame, body_of
from export.live.session import LiveSession, LiveSettings, print_answer
from export.live.sources import Arrival
from export.live.timeline import Timeline
from export.manifest import Manifest
from export.raw_clips import RawClips
from export.runtime.open import open_engine
from native_prep.io.atomic import atomic_file
from native_prep.io.progress import Progress, percent
from native_prep.poses.custom import DEFAULT_FPS
from native_prep.poses.tracking import Follower
from native_prep.poses.video.estimator import DEFAULT_MODEL, MODELS, Estimator
from native_prep.poses.video.media import pictures, seconds_of, video_writer
from native_prep.poses.video.opencv import Camera, draw_people, draw_text
from native_prep.poses.video.people import VideoPeople
from native_prep.poses.video.rate import Resampler
from native_prep.skeletons.layouts import LAYOUTS, Layout

People = dict[int, np.ndarray]


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
        runtime.

    Raises:
        ValueError: a video that is damaged, an engine that shows no pictures, networks that cannot be had.
        OSError: a file cannot be read or written.
    """
    path = os.fspath(video)
    if overlay is not None and Path(overlay).suffix.lower() != ".mp4":
        raise ValueError(f"--overlay {overlay}: is written as MP4: give a name that ends in .mp4")
    with Path(path).open("rb"):
        pass  # what is not there is told before networks are loaded
    engine = open_engine(folder, runtime)
    model, settings = _pose_model(engine.manifest, pose_model), _with_rate(engine.manifest, settings)
    fps = settings.fps or DEFAULT_FPS
    session = LiveSession(engine, settings, path, lambda answer: None)
    estimator, found = _open_estimator(model, session.raw, path)
    seen: list[People] = []
    with ExitStack() as stack:
        rows = stack.enter_context(atomic_file(timeline)) if timeline else None
        drawn = stack.enter_context(atomic_file(overlay)) if overlay else None
        with Progress(round(seconds_of(path) * fps), "estimate", "frame") as progress:
            people = VideoPeople(path, estimator, fps, progress.update)
            arrivals = _arrivals(people, lambda: people.size, session.raw, found, seen if overlay else None)
            if session.run(arrivals):
                raise KeyboardInterrupt
        if not session.timeline.rows:
            print(f"{path}: nobody is seen in it", file=sys.stderr)
        if rows is not None:
            session.timeline.write(rows)
        if drawn is not None:
            _draw(path, drawn, seen, found, session.timeline, fps)
    result = session.result()
    return {
        "video": path, "frames": result["frames"], "fps": fps, "actions": session.timeline.as_dicts(),
        **{key: result[key] for key in ("answers", "window", "stride")},
        "timeline": timeline and os.fspath(timeline), "overlay": overlay and os.fspath(overlay), "pose_model": model,
        "runtime": f"{engine.runtime} on {engine.device}",
    }  # fmt: skip


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
    """Names the actions before a camera until it ends, or Ctrl-C.

    Args:
        folder, pose_model, timeline, settings, runtime: as `predict_video`'s.
        source: see `Camera`.
        write: takes each answer; JSON lines on stdout where not given.

    Returns:
        What `predict_stream` returns; dropped.too_fast are the camera's pictures that came while another was looked at,
        estimated those that were looked at.

    Raises:
        ValueError: no such camera, and as `predict_video`.
        OSError: a file cannot be written.
    """
    with ExitStack() as stack:
        camera = stack.enter_context(Camera(source))
        engine = open_engine(folder, runtime)
        model, settings = _pose_model(engine.manifest, pose_model), _with_rate(engine.manifest, settings)
        session = LiveSession(engine, settings, f"camera {source}", write or print_answer)
        estimator, found = _open_estimator(model, session.raw, f"camera {source}")
        people = _CameraPeople(camera, estimator, settings.fps or DEFAULT_FPS)
        rows = stack.enter_context(atomic_file(timeline)) if timeline else None
        interrupted = session.run(_arrivals(people, lambda: people.size, session.raw, found))
        if rows is not None:
            session.timeline.write(rows)
    result = session.result()
    result["dropped"]["too_fast"] = camera.dropped
    return result | {
        "estimated": people.estimated, "timeline": timeline and os.fspath(timeline), "interrupted": interrupted,
        "pose_model": model, "runtime": f"{engine.runtime} on {engine.device}",
    }  # fmt: skip


class _CameraPeople:
    """The people before a camera, as `VideoPeople` has them."""

    def __init__(self, camera: Camera, estimator: Estimator, fps: float) -> None:
        self.size, self.estimated = (0, 0), 0
        self._camera, self._estimator, self._fps = camera, estimator, fps

    def __iter__(self) -> Iterator[tuple[int, People]]:
        follower, resampler = Follower(image=True), Resampler(self._fps)
        for shot in self._camera:
            self.size = shot.image.shape[1], shot.image.shape[0]
            (people,) = self._estimator([shot.image])
            self.estimated += 1
            names = follower.follow(round(shot.time * self._fps), people)
            yield from resampler.add(shot.time, dict(zip(names, people, strict=True)))


def _pose_model(manifest: Manifest, asked: str | None) -> str:
    """The networks that were asked for, or those that found the poses of the training data."""
    trained = str(manifest.custom.get("pose_model", DEFAULT_MODEL))
    if asked is None and trained not in MODELS:
        raise ValueError(f"the training data's poses were found by {trained}: give --pose-model these files")
    return asked or trained


def _with_rate(manifest: Manifest, settings: LiveSettings | None) -> LiveSettings:
    settings = settings or LiveSettings()
    return replace(settings, fps=settings.fps or manifest.custom.get("fps", DEFAULT_FPS))


def _open_estimator(model: str, raw: RawClips, what: str) -> tuple[Estimator, Layout]:
    """The networks, and the layout of the joints that they find."""
    if raw.layout.coordinates == "world":
        raw.check_pictures(raw.layout)  # before networks are downloaded
    estimator = Estimator(model)
    found = LAYOUTS[estimator.layout]
    raw.check_pictures(found)
    if found.name != raw.layout.name:
        print(f"{what}: its {found.name} joints become {raw.layout.name}'s", file=sys.stderr)
    return estimator, found


def _arrivals(
    people: VideoPeople | _CameraPeople,
    size: Callable[[], tuple[int, int]],
    raw: RawClips,
    found: Layout,
    seen: list[People] | None = None,
) -> Iterator[Arrival]:
    """Frames of people as a stream has them; `seen` gets what they were in the pictures."""
    for number, some in people:
        if seen is not None:
            seen.append(some)
        bodies = {}
        if some:
            points = raw.from_picture(np.stack(list(some.values())), size(), found)
            bodies = {str(name): body_of(one, raw.layout) for name, one in zip(some, points, strict=True)}
        frame = Frame(number, None, {name: body for name, body in bodies.items() if body is not None})
        yield Arrival(frame, time.monotonic(), 0)


def _draw(path: str, overlay: Path, seen: list[People], found: Layout, timeline: Timeline, fps: float) -> None:
    """The video with everybody's skeleton, and the names of actions with their probabilities."""
    with Progress(len(seen), "overlay", "frame") as progress, video_writer(overlay) as writer:
        for picture in pictures(path):
            image, place = picture.array(), min(round(picture.time * fps), len(seen) - 1)
            draw_people(image, seen[place], found)
            for name, row in timeline.at(picture.time).items():
                text = f"{row.name} {percent(row.score)}"
                if not name:
                    draw_text(image, [text], (0, 0))
                elif int(name) in seen[place]:
                    joints = seen[place][int(name)]
                    left, top = joints[joints[:, 2] > 0, :2].min(axis=0)
                    draw_text(image, [f"{name}: {text}"], (left, top - image.shape[0] / 10))
            writer.write(image, picture.time)
            progress.update(1)
