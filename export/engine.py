"""What every runtime of an exported folder can do."""

import os
from abc import ABC, abstractmethod

import numpy as np

from export.manifest import Manifest
from export.parity import Answers


class Engine(ABC):
    """An exported folder, ready to run.

    Attributes:
        folder, manifest: what was opened.
        runtime: what runs it, "onnxruntime", "aotinductor" or a flavour of TensorRT.
        device: "cpu" or "cuda".
    """

    runtime = "onnxruntime"
    device = "cpu"

    def __init__(self, folder: str | os.PathLike[str], manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest

    def run(self, joints: np.ndarray) -> Answers:
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

    @abstractmethod
    def _run(self, joints: np.ndarray) -> Answers: ...
