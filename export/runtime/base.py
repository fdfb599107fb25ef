"""What every runtime of an exported folder can do."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from agcn.device import to_host
from export.graph.parity import Logits
from export.manifest import Manifest
from export.raw_clips import RawClips
from native_prep.datasets.recordings import EmptyClip
from native_prep.io.progress import Progress


class Engine(ABC):
    """An exported folder, ready to run.

    Attributes:
        folder: what was opened.
        manifest: what the folder says of itself.
        runtime: what runs it, "onnxruntime", "aotinductor" or a flavour of TensorRT.
        device: "cpu" or "cuda".
    """

    runtime = "onnxruntime"
    device = "cpu"

    def __init__(self, folder: str | os.PathLike[str], manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest

    def run(self, joints: np.ndarray) -> Logits:
        """Joints (N, C, T, V, M) -> the logits of each stream and last the scores, each float32 (N, num_class).

        The joints are prepared ones, or raw ones where the manifest's `with_prep` says so.

        Batches above the engine's largest are run in parts.

        Raises:
            ValueError: the input is of another shape than the engine's.
        """
        if joints.ndim != 5 or not len(joints):
            raise ValueError(f"input of shape {joints.shape}: give at least one clip as (N, C, T, V, M)")
        self.manifest.check_shape(joints.shape[1:], "the input", self.folder)
        joints = np.ascontiguousarray(joints, dtype=np.float32)
        step = self.manifest.max_batch
        parts = [self._run(joints[start : start + step]) for start in range(0, len(joints), step)]
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))

    def predict(self, clips: Sequence[str | os.PathLike[str] | np.ndarray]) -> tuple[list[str | None], np.ndarray]:
        """The likeliest action of each recording.

        Examples:
            >>> classes, scores = open_engine("engines/nw-ucla").predict(["a01_s01_e00_v01.json", joints])

        Args:
            clips: raw files of the data set that the engine is for (of one's own, a file or folder for each clip), or
                joints (M, T, V, C) or (T, V, C) as such files would have them: x, y and z or score; NaN or zeros where
                nothing was seen.

        Returns:
            The name of each clip's class, None where nobody is in it, and float32 (N, num_class), the softmax of the
            fused scores, NaN where nobody is.

        Raises:
            ValueError: a recording that cannot be read (file and line), joints of another shape, no clip at all.
        """
        found = score_recordings(self, clips)
        nobody = np.full(self.manifest.num_class, np.nan, np.float32)
        classes = [None if scores is None else self.manifest.class_names[int(scores.argmax())] for scores in found]
        return classes, np.stack([nobody if scores is None else scores for scores in found])

    @abstractmethod
    def run_on_device(self, joints: Tensor) -> tuple[Tensor, ...]:
        """What `run` gives, without its copies: joints on the engine's device, float32, no more than its largest batch.

        The answers stay there, may be still to come (as of any work of PyTorch's current stream), and may be
        overwritten by the next call.
        """

    def _run(self, joints: np.ndarray) -> Logits:
        return to_host(self.run_on_device(torch.from_numpy(joints).to(self.device, non_blocking=True)))


# Clips prepared at a time.
_BATCH = 32


def score_recordings(
    engine: Engine,
    clips: Sequence[str | os.PathLike[str] | np.ndarray],
    raw: RawClips | None = None,
) -> list[np.ndarray | None]:
    """The softmax of the fused scores of each recording, float32 (num_class,); None where nobody is in it.

    Args:
        clips: see `Engine.predict`.
        raw: what reads them; None for `RawClips` of the engine.

    Raises:
        ValueError: see `Engine.predict`.
    """
    if not len(clips):
        raise ValueError("no clip to look at: name at least one raw file")
    raw = raw or RawClips(engine.manifest, engine.folder)
    found: list[np.ndarray | None] = [None] * len(clips)
    with Progress(len(clips), "predict", "clip") as progress:
        for start in range(0, len(clips), _BATCH):
            read: dict[int, np.ndarray] = {}
            for place, clip in enumerate(clips[start : start + _BATCH], start):
                with suppress(EmptyClip):
                    read[place] = _read(raw, clip, place)
            if read:
                for place, scores in zip(read, engine.run(np.concatenate(list(read.values())))[-1], strict=True):
                    found[place] = softmax(scores)
            progress.update(len(clips[start : start + _BATCH]))
    return found


def _read(raw: RawClips, clip: str | os.PathLike[str] | np.ndarray, place: int) -> np.ndarray:
    """One recording, a path or joints, as the engine's input (1, C, T, V, M)."""
    if not isinstance(clip, np.ndarray):
        return raw.read(os.fspath(clip))
    what, joints = f"clip {place + 1}", raw.layout.num_joints
    points = np.nan_to_num(np.asarray(clip, dtype=np.float64))
    if points.ndim == 3:
        points = points[None]
    if points.ndim != 4 or points.shape[2:] != (joints, 3) or not points.shape[1]:
        raise ValueError(f"{what}: joints of shape {clip.shape}: give (M, T, {joints}, 3) or (T, {joints}, 3)")
    if not points.any():
        raise EmptyClip(what, "nobody is seen in any of its frames")
    return raw.prepare(points, what)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Scores (num_class,) as probabilities."""
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()
