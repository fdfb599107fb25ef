"""People and their joints in images, by RTMPose or RTMO under ONNX Runtime.

rtmlib has the networks, what is done to images before them and to their outputs after; here many images go through a
network at once. Letters: N images, n people of one, V joints.
"""

import http.client
import zipfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from native_prep.poses.video.packages import load


class Download(NamedTuple):
    """Networks that rtmlib downloads: the class, table and mode that name them there; the layout of their joints."""

    solution: str
    url_table: str
    mode: str
    layout: str


_SIZES = {"s": "lightweight", "m": "balanced", "x": "performance"}
MODELS = {
    **{f"rtmpose-{size}": Download("Body", "MODE", mode, "coco17") for size, mode in _SIZES.items()},
    **{f"rtmpose-{size}-halpe26": Download("BodyWithFeet", "MODE", mode, "halpe26") for size, mode in _SIZES.items()},
    **{f"rtmo-{size}": Download("Body", "RTMO_MODE", mode, "coco17")
       for size, mode in zip("sml", _SIZES.values(), strict=True)},
}  # fmt: skip
DEFAULT_MODEL = "rtmpose-m"
# The layouts that a network may have, by the number of its joints.
_LAYOUTS = {17: "coco17", 26: "halpe26", 133: "coco133"}
# Sides of the image that a network wants, where its file leaves them open: (H, W).
_OPEN_DETECTOR, _OPEN_POSE = (640, 640), (256, 192)
# More people in an image are noise of a detector; more images at once need memory without being faster.
_MOST_PEOPLE = _MOST_AT_ONCE = 64


class Estimator:
    """Finds people, and their joints.

    >>> estimator = Estimator("rtmpose-m")
    >>> first, second = estimator([image, another])  # (n, V, 3) each: x y in pixels, score
    >>> estimator.layout
    'coco17'

    Args:
        model: a name of `MODELS`, downloaded once; or files, `DETECTOR.onnx,POSE.onnx`, or one of RTMO alone.
        threads: that ONNX Runtime may use; None for one a core.

    Raises:
        ValueError: no such name or file, no network, files of something else, rtmlib is missing.
    """

    def __init__(self, model: str = DEFAULT_MODEL, threads: int | None = None) -> None:
        rtmlib = load("rtmlib")
        files = _download(model, rtmlib) if model in MODELS else model_files(model)
        self._names = ",".join(files)
        networks = [_Network(file, rtmlib, threads) for file in files]
        if [one.kind for one in networks] not in (["detector", "pose"], ["one-stage"]):
            kinds = ", ".join(f"{one.path} {_DOES[one.kind]}" for one in networks)
            raise ValueError(f"--pose-model: {kinds}: give DETECTOR.onnx,POSE.onnx, or a file of RTMO alone")
        *detectors, self._pose = networks
        self._detector = detectors[0] if detectors else None
        self.layout = self._layout()

    def _layout(self) -> str:
        """As many joints as the network finds in a grey image."""
        grey = np.full((480, 640, 3), 127, np.uint8)
        self([grey])  # warms it up
        try:
            if self._detector is None:
                joints = self._pose.run([self._pose.rtmlib_model.preprocess(grey)[0]])[1].shape[2]
            else:
                joints = len(self._joints([(grey, np.array([0, 0, 640, 480.0]))])[0])
        except Exception as error:
            raise self._failure(error) from error
        if joints not in _LAYOUTS:
            known = ", ".join(f"{name} ({count})" for count, name in _LAYOUTS.items())
            raise ValueError(f"{self._pose.path}: finds {joints} joints, known are {known}: give another --pose-model")
        return _LAYOUTS[joints]

    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The people of each image.

        Args:
            images: uint8 (H, W, 3) of blue, green, red.

        Returns:
            For each float64 (n, V, 3): x y in pixels from the upper left corner, score from 0 to 1; zeros where a joint
            was not found.

        Raises:
            ValueError: a network fails.
        """
        if not images:
            return []
        try:
            found = self._one_stage(images) if self._detector is None else self._two_stages(images)
        except Exception as error:  # ONNX Runtime, OpenCV and rtmlib share no class
            raise self._failure(error) from error
        return [_checked(people) for people in found]

    def _failure(self, error: Exception) -> ValueError:
        return ValueError(f"{self._names}: fails ({error}): give another --pose-model")

    def _two_stages(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        boxes = self._boxes(images)
        crops = [(image, box) for image, some in zip(images, boxes, strict=True) for box in some]
        joints = self._joints(crops)
        ends = np.cumsum([len(some) for some in boxes])
        return [np.array(joints[end - len(some) : end]) for some, end in zip(boxes, ends, strict=True)]

    def _boxes(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Where people are, (n, 4) of x y x y in pixels for each image."""
        assert self._detector is not None
        inputs = [self._detector.rtmlib_model.preprocess(image) for image in images]
        outputs = self._detector.run([image for image, _ in inputs])
        boxes = outputs[0].copy()  # (N, n, 5 or more)
        if boxes.shape[-1] > 5:  # four numbers of a box, its score, one for each class: people are the first
            boxes[..., 6:] = 0
        elif len(outputs) > 1:  # labels: people are 0
            boxes *= (outputs[1] == 0)[..., None]
        found = []
        for place, (_, ratio) in enumerate(inputs):
            some = np.reshape(self._detector.rtmlib_model.postprocess(boxes[place : place + 1], ratio), (-1, 4))
            sides = some[:, 2:] - some[:, :2]
            found.append(some[np.isfinite(some).all(axis=1) & (sides >= 1).all(axis=1)][:_MOST_PEOPLE])
        return found

    def _joints(self, crops: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        """The joints (V, 3) of the person in each box (4,) of an image."""
        found, model = [], self._pose.rtmlib_model
        for begin in range(0, len(crops), _MOST_AT_ONCE):
            inputs = [model.preprocess(*crop) for crop in crops[begin : begin + _MOST_AT_ONCE]]
            columns, rows = self._pose.run([image for image, _, _ in inputs])  # (N, V, W), (N, V, H)
            for place, (_, centre, scale) in enumerate(inputs):
                one = slice(place, place + 1)
                places, scores = model.postprocess([columns[one], rows[one]], centre, scale)
                found.append(np.concatenate([places[0], scores[0][:, None]], axis=1))
        return found

    def _one_stage(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        model = self._pose.rtmlib_model
        inputs = [model.preprocess(image) for image in images]
        boxes, joints = self._pose.run([image for image, _ in inputs])  # (N, n, 5), (N, n, V, 3)
        if not boxes.shape[1]:
            return [np.zeros((0, 0, 3))] * len(images)
        found = []
        for place, (_, ratio) in enumerate(inputs):
            one = slice(place, place + 1)
            places, scores = model.postprocess([boxes[one], joints[one]], ratio, model.nms_thr, model.score_thr)
            found.append(np.concatenate([places, scores[..., None]], axis=2)[:_MOST_PEOPLE])
        return found


def _checked(people: np.ndarray) -> np.ndarray:
    """People (n, V, 3) with scores from 0 to 1, zeros where there is no joint, and without those who have none."""
    if not len(people):
        return np.zeros((0, 0, 3))
    people = np.nan_to_num(np.asarray(people, np.float64))
    people[..., 2] = np.clip(people[..., 2], 0, 1)
    people[people[..., 2] == 0] = 0
    return people[people.any(axis=(1, 2))]


# What a network does, told by how many axes its outputs have: boxes (N, n, 4, 5 or more), perhaps with labels (N, n); a
# row and a column of places for each joint (N, V, W); boxes and joints (N, n, V, 3).
_KINDS = {(3,): "detector", (3, 2): "detector", (3, 3): "pose", (3, 4): "one-stage"}
_DOES = {"detector": "finds people", "pose": "finds joints", "one-stage": "finds people and joints"}


class _Network:
    """One file under ONNX Runtime, with what rtmlib does before and after it.

    Attributes:
        kind: see `_KINDS`.
        rtmlib_model: its object there.
    """

    def __init__(self, path: str, rtmlib: Any, threads: int | None) -> None:
        import onnx
        from onnxruntime import InferenceSession, SessionOptions, get_available_providers, set_default_logger_severity

        self.path = path
        try:
            graph = onnx.load(path, load_external_data=False).graph
        except Exception as error:  # each of protobuf's errors is a class of its own, as ONNX Runtime's are
            raise ValueError(f"{path}: is no ONNX file ({error}): give networks for --pose-model") from error
        weights = {one.name for one in graph.initializer}
        inputs = [_shape(one) for one in graph.input if one.name not in weights]
        outputs = [_shape(one) for one in graph.output]
        kind = _KINDS.get(tuple(map(len, outputs)))
        if len(inputs) != 1 or len(inputs[0]) != 4 or inputs[0][1] != 3 or kind is None:
            text = f"takes {inputs} and gives {outputs}, as no YOLOX, RTMDet, RTMPose or RTMO does"
            raise ValueError(f"{path}: {text}: give such networks for --pose-model")
        self.kind, self._ranks = kind, list(map(len, outputs))
        self._batch, _, *sides = inputs[0]
        set_default_logger_severity(3)  # errors alone: its warnings are for those who make networks
        device = "cuda" if "CUDAExecutionProvider" in get_available_providers() else "cpu"
        try:
            with redirect_stdout(StringIO()):  # it prints what it loads
                self.rtmlib_model = self._open(rtmlib, path, sides, device)
            if threads is not None:  # rtmlib has no way to say so
                options = SessionOptions()
                options.intra_op_num_threads = threads
                providers = self.rtmlib_model.session.get_providers()
                self.rtmlib_model.session = InferenceSession(path, options, providers)
        except Exception as error:
            raise ValueError(f"{path}: ONNX Runtime does not run it ({error}): give another --pose-model") from error
        self._session = self.rtmlib_model.session
        self._input = self._session.get_inputs()[0].name

    def _open(self, rtmlib: Any, path: str, sides: list[int], device: str) -> Any:
        """Sides of 0 are those that the file leaves open."""
        if self.kind == "pose":
            height, width = sides if all(sides) else _OPEN_POSE
            return rtmlib.RTMPose(path, (width, height), device=device)
        make = rtmlib.RTMO if self.kind == "one-stage" else _detector_class(rtmlib, path)
        return make(path, tuple(sides if all(sides) else _OPEN_DETECTOR), device=device)

    def run(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Its outputs for images (H, W, 3) as it wants them, as many at once as it takes."""
        size = self._batch or min(len(images), _MOST_AT_ONCE)
        parts = []
        for begin in range(0, len(images), size):
            part = images[begin : begin + size]
            batch = np.zeros((size, 3, *part[0].shape[:2]), np.float32)
            batch[: len(part)] = np.stack(part).transpose(0, 3, 1, 2)
            outputs = self._session.run(None, {self._input: batch})
            if [output.ndim for output in outputs] != self._ranks:
                raise RuntimeError(f"{self.path} gives other outputs than it says")
            parts.append([output[: len(part)] for output in outputs])
        return [np.concatenate(some) for some in zip(*parts, strict=True)]


def _shape(value: Any) -> list[int]:
    """The sides of an input or output, 0 for one that is open."""
    return [axis.dim_value for axis in value.type.tensor_type.shape.dim]


def _detector_class(rtmlib: Any, path: str) -> Any:
    """YOLOX wants other colours than RTMDet, and nothing in a file says which it is but its name, or its folder's."""
    name = "/".join(Path(path).absolute().parts[-2:]).lower()
    if ("yolox" in name) is ("rtmdet" in name):
        raise ValueError(f"{path}: its name must say yolox or rtmdet, which want other colours: rename it")
    return rtmlib.YOLOX if "yolox" in name else rtmlib.RTMDet


def model_files(model: str) -> list[str]:
    """The files of a `--pose-model` that is no name.

    Raises:
        ValueError: they are none, or not there.
    """
    files = model.split(",")
    if any(not file.endswith(".onnx") for file in files):
        known = ", ".join(MODELS)
        raise ValueError(f"--pose-model {model}: give DETECTOR.onnx,POSE.onnx, or a name to download: {known}")
    for file in files:
        if not Path(file).is_file():
            raise ValueError(f"{file}: no such file: give --pose-model networks that are there")
    return files


def _download(name: str, rtmlib: Any) -> list[str]:
    """The files of a name, which rtmlib downloads where it has not, with a bar."""
    download = load("rtmlib.tools.file").download_checkpoint
    asked = MODELS[name]
    table = getattr(getattr(rtmlib, asked.solution), asked.url_table)[asked.mode]
    urls = [table[part] for part in ("det", "pose") if part in table]
    try:
        return [download(url) for url in urls]
    except zipfile.BadZipFile as error:
        files = " or ".join(Path(url).name for url in urls)
        where = "rtmlib's folder, ~/.cache/rtmlib/hub/checkpoints or $TORCH_HOME/hub/checkpoints"
        raise ValueError(f"--pose-model {name}: {files} came incomplete: remove it from {where}") from error
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise ValueError(
            f"--pose-model {name}: cannot be downloaded ({error}): fetch {' and '.join(urls)} where there is a "
            "network, and give --pose-model the .onnx files in them, their folders' names unchanged"
        ) from error
