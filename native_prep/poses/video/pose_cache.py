"""Poses of videos, kept so that none is estimated twice: one file a video, as MMPose's demo writes them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.datasets.recordings import BadClip
from native_prep.io.atomic import atomic_file
from native_prep.io.hashes import sha256
from native_prep.io.progress import Progress
from native_prep.pipeline.cluster import cluster
from native_prep.poses.files import MMPOSE, read_pose_file
from native_prep.poses.readers import mmpose
from native_prep.poses.readers.frames import load_json
from native_prep.poses.sources import PoseClip
from native_prep.poses.to_clip import MOST_FRAMES, Poses
from native_prep.poses.video.estimator import MODELS, Estimator, model_files
from native_prep.poses.video.media import check_file, expected_frames
from native_prep.poses.video.people import People, VideoPeople
from native_prep.skeletons.layouts import LAYOUTS, Layout

_DATASETS = {layout: name for name, layout in mmpose.DATASETS.items()}


class PoseCache:
    """The poses of videos at one rate.

    Args:
        folder: where they are kept.
        model: see `Estimator`, which is opened only where nothing is kept that says what is asked.
        fps: frames a second.
        threads: see `Estimator`.

    Attributes:
        estimated, reused: how many videos were, after `estimate`.

    Raises:
        ValueError: there are no such networks.
    """

    def __init__(self, folder: Path, model: str, fps: float, threads: int | None = None) -> None:
        self.folder, self.estimated, self.reused = folder, 0, 0
        self._model, self._fps, self._threads = model, fps, threads
        self._estimator: Estimator | None = None
        self._bad: dict[str, BadClip | OSError] = {}
        self._files = [] if model in MODELS else model_files(model)
        self._networks = model if model in MODELS else [sha256(file) for file in self._files]

    @cached_property
    def layout(self) -> Layout:
        """The skeleton that the networks find."""
        if self._model in MODELS:
            return LAYOUTS[MODELS[self._model].layout]
        return self._kept_layout() or LAYOUTS[self._opened().layout]

    def _kept_layout(self) -> Layout | None:
        """That of the first file which these networks have made."""
        for file in sorted(self.folder.rglob("*.json")):
            content = _read(file)
            if content.get("video", {}).get("networks") == self._networks:
                name = mmpose.DATASETS.get(str(mmpose.dataset_name(content)))
                return LAYOUTS[name] if name else None
        return None

    def _opened(self) -> Estimator:
        self._estimator = self._estimator or Estimator(self._model, self._threads)
        return self._estimator

    def metadata(self) -> dict[str, Any]:
        """What `custom.json` says of them, for `predict`: networks by the names of their files, and the rate."""
        return {"pose_model": ",".join(Path(file).name for file in self._files) or self._model, "fps": self._fps}

    def summary(self) -> dict[str, Any]:
        """Where poses are kept, and how many videos were estimated and reused."""
        return {"folder": str(self.folder), "estimated": self.estimated, "reused": self.reused}

    def estimate(self, videos: Sequence[tuple[str, str]], address: str | None = None) -> None:
        """Estimates those of which no poses are kept.

        Args:
            videos: the name of each, under which its poses are kept, and its path.
            address: of the machines that do it, see `cluster.cluster`; None for this one.

        Raises:
            ValueError: the networks cannot be had, or fail. What is wrong with a video, `read` raises.
            OSError: poses cannot be written.
        """
        missing = [(name, path) for name, path in videos if not self._is_kept(name, path)]
        self.reused = len(videos) - len(missing)
        if not missing:
            return
        lengths = {path: expected_frames(path, self._fps) for _, path in missing}
        with Progress(sum(lengths.values()), "estimate", "frame") as progress:
            if address is None:
                for name, path in missing:
                    self._note(path, self.estimate_one(name, path, progress.update))
                return
            with cluster(address) as machines:
                job = EstimateJob(self.folder, self._model, self._fps, machines.threads)
                for (_, path), bad in machines.run(job, missing, gpu=True):
                    self._note(path, bad)
                    progress.update(lengths[path])

    def _note(self, path: str, bad: BadClip | OSError | None) -> None:
        if bad is not None:
            self._bad[path] = bad
        self.estimated += bad is None

    def estimate_one(self, name: str, path: str, update: Callable[[int], None]) -> BadClip | OSError | None:
        """Estimates the poses of a video and keeps them; what is wrong with it, None for nothing.

        Raises:
            ValueError: the networks cannot be had, or fail.
            OSError: poses cannot be written.
        """
        estimator = self._opened()
        try:
            video = self._about(path)
            people = VideoPeople(path, estimator, self._fps, update)
            frames = _in_memory(people, path, self._fps)
        except (BadClip, OSError) as error:
            return error.with_traceback(None)  # which would hold all the frames so far
        self._write(name, {**video, "size": people.followed.size}, frames)
        return None

    def _is_kept(self, name: str, path: str) -> bool:
        """Whether poses of the very video are kept, by these networks, at this rate, and can be read."""
        video = _read(self._file(name)).get("video", {})
        try:
            found = Path(path).stat()
            if (video.get("bytes"), video.get("fps"), video.get("networks")) != (
                found.st_size, self._fps, self._networks,
            ):  # fmt: skip
                return False
            # A copy has another time, but not other bytes.
            if video.get("modified") != found.st_mtime_ns and video.get("sha256") != sha256(path):
                return False
            return read_pose_file(str(self._file(name)), self.layout, MMPOSE).size is not None
        except (BadClip, OSError):
            return False  # estimating it says what is wrong

    def _file(self, name: str) -> Path:
        return _kept_file(self.folder, name)

    def _about(self, path: str) -> dict[str, Any]:
        """What tells a video, and how it is looked at."""
        check_file(path)
        found = Path(path).stat()
        return {
            "bytes": found.st_size, "modified": found.st_mtime_ns, "sha256": sha256(path), "fps": self._fps,
            "networks": self._networks,
        }  # fmt: skip

    def _write(self, name: str, video: dict[str, Any], frames: list[People]) -> None:
        content = {
            "video": video,
            "meta_info": {"dataset_name": _DATASETS[self.layout.name]},
            "instance_info": [
                {"frame_id": number, "instances": [_instance(*one) for one in people.items()]}
                for number, people in enumerate(frames)
            ],
        }
        with atomic_file(self._file(name)) as part:
            part.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")

    @property
    def key(self) -> str:
        """What decides about the poses besides the videos."""
        return f"{self._networks} {self._fps}"

    def reader(self) -> Callable[[PoseClip], Poses]:
        """What reads the poses of a video that was estimated; can be pickled.

        It raises BadClip or OSError, what was wrong with the video, or where what was kept cannot be read.
        """
        return partial(_read_kept, self.folder, self.layout, self._bad)


@dataclass(frozen=True)
class EstimateJob:
    """The poses of videos by other machines; see `PoseCache`. A piece is the name and the path of a video."""

    folder: Path
    model: str
    fps: float
    threads: int

    def open(self) -> Callable[[tuple[str, str]], BadClip | OSError | None]:
        """What estimates one video."""
        cache = PoseCache(self.folder, self.model, self.fps, self.threads)
        return lambda video: cache.estimate_one(*video, lambda count: None)


def _read_kept(folder: Path, layout: Layout, bad: Mapping[str, BadClip | OSError], clip: PoseClip) -> Poses:
    if clip.path in bad:
        raise bad[clip.path]
    return read_pose_file(str(_kept_file(folder, clip.name)), layout, MMPOSE)


def _kept_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _read(file: Path) -> dict[str, Any]:
    """What is kept; {} where nothing is, or something else."""
    try:
        content = load_json(str(file))
    except (BadClip, OSError):
        return {}
    return content if isinstance(content, dict) and isinstance(content.get("video"), dict) else {}


def _in_memory(people: VideoPeople, path: str, fps: float) -> list[People]:
    frames = []
    for _, found in people:
        frames.append(found)
        if len(frames) > MOST_FRAMES:
            raise BadClip(path, f"has more than {MOST_FRAMES} frames at {fps:g} a second: cut it into clips")
    return frames


def _instance(number: int, points: np.ndarray) -> dict[str, Any]:
    return {
        "track_id": number,
        "keypoints": np.round(points[:, :2], 2).tolist(),
        "keypoint_scores": np.round(points[:, 2], 4).tolist(),
    }
