"""Raw recordings as an engine's input: prepared as the clips of the training data were, or raw for one that does it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agcn.model.network import Model
from agcn.settings import Config, FeederArgs
from export.inputs import feeder_from, feeder_settings, input_shape, prepared_frames, recordings_of, to_input
from export.manifest import Manifest, check_shape
from native_prep.cpu.in_memory import prepare_frames, raw_frames
from native_prep.cpu.one_file import read_clip, read_raw_clip
from native_prep.datasets.catalog import DATASETS, get_dataset
from native_prep.datasets.recordings import BadClip, EmptyClip
from native_prep.poses.checks import MARGIN, metre_fault, picture_fault
from native_prep.poses.custom import custom_clip, layout_before, raw_custom_clip, settings_from
from native_prep.poses.files import kind_of_clip, read_as
from native_prep.poses.people import dataset_of_file, read_people
from native_prep.poses.to_clip import NO_UNIT, Poses, PoseSettings, convert, keep_bodies
from native_prep.poses.tracking import bodies_of_highest_motion, people_of
from native_prep.skeletons.layouts import Layout, conversion_table, layout_from_dict

# About as long as NTU's clips are; prep repeats them to the engine's T.
NTU_FRAMES = 90
# Its files are taken where an engine is for poses of its skeleton, too.
_NTU = DATASETS["ntu60"]


@contextmanager
def one_thread() -> Iterator[None]:
    """The block in which PyTorch uses one thread: a single clip is done before others have begun.

    On two busy cores a 3x3 product of 640 points took 36 ms with two threads, below 1 ms with one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class ClipForm:
    """What of a network decides about its input, as a manifest has it; see `Manifest`."""

    dataset: str
    layout: str
    custom: dict[str, Any]
    feeder_args: dict[str, Any]
    shape: tuple[int, int, int, int]
    prepared_frames: int
    with_prep: bool = False

    @property
    def frames(self) -> int:
        """T."""
        return self.shape[1]


def read_input(path: str | os.PathLike[str], config: Config, model: Model) -> np.ndarray:
    """A raw recording as `test` shows it to `model`: what `predict` gives an engine of it.

    `read_clip` alone is what `prep` makes of the file; between it and the model lies what `test_feeder_args` asks for.

    >>> model(torch.from_numpy(read_input("S001C001P001R001A001.skeleton", config, model)))

    Args:
        path: a raw file of the data set; of one's own, a file or folder of a clip.
        config: of the model's stream.
        model: as `config` describes it.

    Returns:
        float32 (1, C, T, V, M).

    Raises:
        EmptyClip: nobody is in it.
        ValueError: the recording does not fit the model, or cannot be read (file and line); streams that are each
            changed in a way of their own.
    """
    return raw_clips_for(config, model).read(os.fspath(path))


def raw_clips_for(config: Config, model: Model, image_size: tuple[int, int] | None = None) -> "RawClips":
    """What reads recordings for a network that is not exported; as `RawClips`."""
    return RawClips(clip_form(config, model), config.config, image_size)


def clip_form(config: Config, model: Model) -> ClipForm:
    """What decides about the input of a network that is not exported.

    Raises:
        ValueError: the data of the configuration were prepared with another skeleton.
    """
    dataset, _, metadata = recordings_of(config, model)
    return ClipForm(
        dataset,
        model.layout.name,
        metadata,
        {**feeder_settings(config), "make_stream": config.stream},
        input_shape(config, model),
        prepared_frames(config),
    )


class RawClips:
    """Raw clips for one engine.

    Args:
        manifest: of the engine.
        folder: the engine's, for messages.
        image_size: width and height in pixels of pose files that do not say; None for the training data's.

    Attributes:
        form: the manifest, or what stands for one.
        layout: the skeleton of the recordings.
        frames: T of a prepared clip; None: as many as were recorded.

    Raises:
        ValueError: the engine is for a skeleton whose raw files are not known.
    """

    def __init__(
        self,
        manifest: Manifest | ClipForm,
        folder: str | os.PathLike[str],
        image_size: tuple[int, int] | None = None,
    ) -> None:
        if not manifest.dataset:
            raise ValueError(
                f"{folder}: is for the skeleton {manifest.layout!r}, whose raw files are not known: "
                "prepare its joints and use export.runtime.open"
            )
        self.form, self._folder = manifest, folder
        self._custom = manifest.custom | ({"image_size": list(image_size)} if image_size and manifest.custom else {})
        self._image_size = image_size
        self._converted: set[str] = set()
        self._args = feeder_from(manifest.feeder_args)
        # A part of a recording that ends as it began is not in disorder.
        self._streamed = replace(self._args, reorder=False)
        self._dataset = None if manifest.custom else get_dataset(manifest.dataset)
        if manifest.custom:
            try:
                settings_from(manifest.custom)
            except ValueError as error:
                raise ValueError(f"{folder}: {error}") from error
        self.layout = self._dataset.layout if self._dataset else layout_from_dict(manifest.custom["layout"])
        # What is sampled to the engine's T is prepared at full length; else prep's own padding gives T.
        self.frames = None if self._args.sample or self._args.random_choose else manifest.frames
        # NTU's clips are repeated up to T: another T than that of the test data makes other clips.
        self._filled: int | None = None
        if self._dataset and self._dataset.max_frames:
            if self.frames is None:
                self._filled = manifest.prepared_frames or None
            else:
                self.frames = manifest.prepared_frames or self.frames
            self.frames = self.frames or self._dataset.max_frames

    def read(self, path: str) -> np.ndarray:
        """A raw file as the engine's input (1, C, T, V, M).

        Raises:
            EmptyClip: nobody is in it.
            ValueError: a file of another data set, one that cannot be read (file and line), another shape.
        """
        if self._dataset is None:
            return self._of_poses(self._read_poses(path), path)
        if self._is_of_poses(path):
            return self.prepare(self._as_recorded(path).points.astype(np.float64), path)
        self._check_suffix(path)
        if self.form.with_prep:
            clip = read_raw_clip(path, self._dataset.name, self.form.frames)
        else:
            clip = read_clip(path, self._dataset.name, self.frames, self._filled)
        if not clip.any():
            raise EmptyClip(path, "nobody is seen in any of its frames")
        return self._fitted(clip, path, self._args)

    def _of_poses(self, poses: Poses, what: str) -> np.ndarray:
        """One's own poses as the engine's input."""
        if self.form.with_prep:
            return self._checked(raw_custom_clip(poses, self._custom, self.form.frames, what)[None], what)
        return self._fitted(custom_clip(poses, self._custom, self.frames, what), what, self._args)

    def _read_poses(self, path: str) -> Poses:
        """A pose file in the engine's joints; says once for each layout that it makes them of others."""
        if path.lower().endswith(_NTU.suffix) and self.layout.name == _NTU.layout.name:
            return _tracked(read_people(path, _NTU), self._custom["max_bodies"])
        try:
            poses, own = read_as(path, self.layout, layout_before(self.form.custom))
        except BadClip as error:
            self._check_dataset(path, error)
            raise
        if own.name != self.layout.name and own.name not in self._converted:
            self._converted.add(own.name)
            print(f"{path}: its {own.name} joints become {self.layout.name}'s", file=sys.stderr)
        if self.layout.coordinates == "image" and poses.size is None and self._image_size is None:
            largest = float(np.abs(poses.points[..., :2]).max(initial=0))
            if 0 < largest <= 1 + MARGIN:  # shares of the picture, whatever the training data were
                poses = replace(poses, size=(1.0, 1.0))
        return poses

    def _is_of_poses(self, path: str) -> bool:
        """Whether a clip for a data set's engine is a pose file rather than one of the data set's own."""
        if Path(path).is_dir() or self._dataset is None:
            return True
        if not path.endswith(".json") or not Path(path).is_file():
            return False
        if self._dataset.suffix != ".json":
            return True
        own = dataset_of_file(path)
        if own and own != self._dataset.name:
            self._check_dataset(path)
        try:
            return not own and kind_of_clip(Path(path)) is not None
        except ValueError:
            return False  # the data set's own reader says what is wrong

    def _check_dataset(self, path: str, error: Exception | None = None) -> None:
        """Raises ValueError for a clip of a data set that the engine, which could not read it, is not for."""
        if own := dataset_of_file(path):
            skeleton = self.layout.name
            raise ValueError(
                f"{path}: is a clip of {own}, the engine is for the skeleton {skeleton}: give it a clip of its own"
            ) from error

    def _as_recorded(self, path: str) -> Poses:
        """A pose file for a data set's engine, as the data set's own files have people: in metres, or shares."""
        poses = self._read_poses(path)
        keep_bodies(poses, self.layout, PoseSettings(image_size=self._image_size), path)  # raises for bad numbers
        if self.layout.coordinates == "image":
            poses.points[..., :2] /= poses.size or self._image_size or (1, 1)
        return Poses(poses.points, poses.ids)

    def people(self, path: str) -> dict[str, tuple[tuple[int, int], np.ndarray]]:
        """Each person of a raw file alone: first and last frame, and the engine's input (1, C, T, V, M).

        People are followed by their ids, or by the nearest pose; see `tracking`.

        Raises:
            ValueError: see `read`.
        """
        poses = self.read_people(path)
        image, ids = self.layout.coordinates == "image", poses.ids
        if self.layout.name == "kinetics" and self._dataset is not None and ids is None:
            ids = np.full(poses.points.shape[:2], -1)  # people are in no order there
        found = {}
        for name, body in people_of(poses.points, ids, image).items():
            frames = np.flatnonzero(body.any(axis=(1, 2)))
            if self._dataset is None:
                clip = self._of_poses(Poses(body[None], None, poses.size), path)
            else:
                clip = self.prepare(body[None].astype(np.float64), path)
            found[str(name)] = (int(frames[0]), int(frames[-1])), clip
        return found

    def prepare(self, points: np.ndarray, what: str) -> np.ndarray:
        """People float64 (P, T, V, 3), as a file would have them, as the engine's input (1, C, T, V, M).

        Their frames stay in the order that they came in, also where the feeder puts those of whole files in order.

        Raises:
            ValueError: more frames than the engine sees, or numbers that cannot be meant; `what` is what it names.
        """
        if fault := self.fault(points):
            raise ValueError(f"{what}: {fault}")
        with one_thread():
            if self._dataset is None:
                poses = Poses(points.astype(np.float32))
                if self.form.with_prep:
                    clip = raw_custom_clip(poses, self.form.custom, self.form.frames, what, from_stream=True)
                    return self._checked(clip[None], what)
                clip = custom_clip(poses, self.form.custom, self.frames, what, from_stream=True)
            elif self.form.with_prep:
                clip = raw_frames(points, self._dataset, self.form.frames)
            else:
                frames = self.frames
                if self._filled is not None and frames is not None:
                    frames = min(frames, max(self._filled, points.shape[1]))
                clip = prepare_frames(points, self._dataset, frames)
            return self._fitted(clip, what, self._streamed)

    def fault(self, points: np.ndarray) -> str:
        """What cannot be meant of the places of people (P, T, V, 3) in a stream, and what to do; "" where all can."""
        settings = settings_from(self.form.custom) if self.form.custom else PoseSettings()
        if self.layout.coordinates == "image":
            found = picture_fault(points, settings.image_size, from_stream=True)
        else:
            found = (
                None if settings.unit == NO_UNIT else metre_fault(points, self.layout, settings.unit, from_stream=True)
            )
        return f"{found.wrong}: send them as the clips of the training data have them" if found else ""

    def check_images(self, found: Layout) -> None:
        """Raises ValueError where the engine cannot take people with the joints of `found`, seen in images."""
        if self.layout.coordinates == "world":
            raise ValueError(
                f"{self._folder}: is for {self.layout.name} in 3-D, videos are 2-D: take an engine of 2-D poses"
            )
        if found.name != self.layout.name:
            conversion_table(found, self.layout)

    def from_image(self, people: np.ndarray, size: tuple[int, int], found: Layout) -> np.ndarray:
        """People in an image as a stream of the training data has them.

        Args:
            people: (P, V, 3) of x y in pixels and score, with the joints of `found`.
            size: width and height of the image in pixels.

        Returns:
            float64 (P, V of the engine, 3).
        """
        poses = Poses(people[:, None].astype(np.float32))
        if found.name != self.layout.name:
            poses = convert(poses, found, self.layout)
        points = poses.points[:, 0].astype(np.float64)
        self._to_training_size(points, size)
        return points

    def _to_training_size(self, points: np.ndarray, size: tuple[float, float]) -> None:
        """Pixels of an image of `size` become those of the training data, or shares, as a stream has them."""
        points[..., :2] *= np.divide(self._custom.get("image_size") or (1, 1), size)

    @property
    def default_window(self) -> int:
        """How many frames of a stream an answer usually looks at: the clip's, or of NTU what a recording has."""
        frames = self._args.window_size if self._args.convention else self.frames or self.form.frames
        return min(frames, NTU_FRAMES) if self.layout.name == "ntu" else frames

    def read_people(self, path: str) -> Poses:
        """A raw recording of any length.

        Raises:
            ValueError: it is damaged, or of another data set.
            OSError: it cannot be read.
        """
        if self._dataset is None:
            poses = self._read_poses(path)
            if poses.size is None or self.layout.coordinates == "world":
                return poses
            self._to_training_size(poses.points, poses.size)
            return replace(poses, size=None)
        if self._is_of_poses(path):
            return self._as_recorded(path)
        self._check_suffix(path)
        return read_people(path, self._dataset)

    def _check_suffix(self, path: str) -> None:
        dataset = self._dataset
        if dataset is not None and not path.endswith(dataset.suffix):
            raise ValueError(
                f"{path}: the engine is for {dataset.name}, whose clips end in {dataset.suffix}: give such a clip"
            )

    def _fitted(self, clip: np.ndarray, what: str, args: FeederArgs) -> np.ndarray:
        return self._checked(to_input(clip, args, self.layout), what)

    def _checked(self, clip: np.ndarray, what: str) -> np.ndarray:
        check_shape(self.form.shape, clip.shape[1:], what, self._folder)
        return clip


def _tracked(poses: Poses, bodies: int) -> Poses:
    """The people of an NTU recording as whoever trains on its joints keeps them: followed, without noise."""
    return Poses(bodies_of_highest_motion(poses.points, poses.ids, bodies, image=False))
