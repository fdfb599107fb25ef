"""Videos of moving stick figures, and tiny networks that find them as YOLOX, RTMDet, RTMPose and RTMO find people.

Each of COCO's 17 joints is a square of a colour of its own. A detector's box is around what is coloured, in the left
and in the right half of its picture; the joints are where their colours are.
"""

import struct
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from native_prep.poses.video.media import video_writer
from native_prep.skeletons.layouts import COCO17

WIDTH, HEIGHT = 320, 240
# Blue, green, red; the brightest is always full, so that no colour is another one's shadow.
COLOURS = np.array([c for c in product((0, 128, 255), repeat=3) if max(c) == 255 and min(c) < 255][:17], np.float32)
_SQUARE = 4
MEAN, STD = np.array([123.675, 116.28, 103.53], np.float32), np.array([58.395, 57.12, 57.375], np.float32)
_DETECTOR_MEAN = np.array([103.53, 116.28, 123.675], np.float32)
_DETECTOR_STD = np.array([57.375, 57.12, 58.395], np.float32)
# Where joints are, in a person's height, from the middle between the hips: y points down.
_STANDING = np.array([
    [0, -0.62], [0.05, -0.67], [-0.05, -0.67], [0.1, -0.62], [-0.1, -0.62], [0.16, -0.45], [-0.16, -0.45],
    [0.28, -0.25], [-0.28, -0.25], [0.33, -0.05], [-0.33, -0.05], [0.1, 0], [-0.1, 0], [0.13, 0.22], [-0.13, 0.22],
    [0.15, 0.45], [-0.15, 0.45],
])  # fmt: skip


def figure(action: str, time: float, middle: float = 80, height: float = 160) -> np.ndarray:
    """A person at a time in seconds: (17, 2) in pixels. Who waves lifts an arm, who squats goes down."""
    joints = _STANDING.copy()
    share = (1 - np.cos(2 * np.pi * time)) / 2
    if action == "wave":
        joints[9] = [0.33, -0.05 - 0.75 * share]
    else:
        joints[:13, 1] += 0.15 * share
    return joints * height + [middle, HEIGHT * 0.58]


def picture(people: Sequence[np.ndarray], size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """uint8 (H, W, 3) of blue, green, red."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for joints in people:
        places = [tuple(map(int, np.round(joint))) for joint in joints]
        for child, parent in COCO17.edges:
            cv2.line(image, places[child], places[parent], (70, 70, 70), 2)
        for (x, y), colour in zip(places, COLOURS, strict=True):
            cv2.rectangle(image, (x - _SQUARE, y - _SQUARE), (x + _SQUARE, y + _SQUARE), colour.tolist(), -1)
    return image


def write_video(
    path: Path, times: Sequence[float], *actions: str, rotation: int = 0, people: int | None = None
) -> Path:
    """A video of a person for each action, the second in the right half; `rotation` (degrees) lies in its header alone.

    With `people` 0 nobody is in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with video_writer(path) as writer:
        for time in times:
            shown = [figure(action, time, 80 + 160 * place) for place, action in enumerate(actions)][:people]
            writer.write(np.rot90(picture(shown), rotation // 90), time)
    if rotation:
        _turn_header(path, rotation)
    return path


def _turn_header(path: Path, rotation: int) -> None:
    """Writes into an MP4's track header that players turn it by so many degrees clockwise."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[rotation]
    content[place : place + 36] = struct.pack(">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


class _Graph:
    """Nodes one after the other, named by their number."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, kind: str, *inputs: str | np.ndarray, **attributes: object) -> str:
        names = [self.constant(one) if isinstance(one, np.ndarray) else one for one in inputs]
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [name], **attributes))
        return name

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def save(self, path: Path, shape: Sequence[int | str], outputs: dict[str, tuple[str, int, list]]) -> Path:
        for name, (value, _, _) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [name]))
        graph = helper.make_graph(
            self.nodes, "made", [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, kind, axes) for name, (_, kind, axes) in outputs.items()],
            self.constants,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, path)
        return path


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _coloured(graph: _Graph, image: str) -> str:
    """Where a picture (N, 3, H, W) of 0 to 255 is coloured: float (N, H, W), 0 or 1."""
    low, high = graph("ReduceMin", image, axes=[1], keepdims=0), graph("ReduceMax", image, axes=[1], keepdims=0)
    return graph("Cast", graph("Greater", graph("Sub", high, low), np.float32(70)[None]), to=TensorProto.FLOAT)


def _boxes(graph: _Graph, image: str, side: int) -> str:
    """A box with a score for each half: (N, 2, 5)."""
    mask, found = _coloured(graph, image), []
    for begin in (0, side // 2):
        half = graph("Slice", mask, _ints(begin), _ints(begin + side // 2), _ints(2))
        edges = []
        for axis, offset in ((1, begin), (2, 0)):
            line = graph("ReduceMax", half, axes=[axis], keepdims=0)  # (N, W / 2) or (N, H)
            count = side // 2 if axis == 1 else side
            index = np.arange(count, dtype=np.float32) + offset
            there = graph("Cast", line, to=TensorProto.BOOL)
            edges.append(graph("ReduceMin", graph("Where", there, index, np.float32(9999)[None]), axes=[1]))
            edges.append(graph("ReduceMax", graph("Where", there, index, np.float32(-1)[None]), axes=[1]))
        score = graph("ReduceMax", graph("ReduceMax", half, axes=[2], keepdims=0), axes=[1])
        x1, x2, y1, y2 = edges
        found.append(graph("Unsqueeze", graph("Concat", x1, y1, x2, y2, score, axis=1), _ints(1)))
    return graph("Concat", *found, axis=1)


def _similarity(graph: _Graph, image: str, smooth: int) -> str:
    """The similarity of a picture of 0 to 255 to each joint's colour, around each pixel: (N, 17, H, W), 0 to 1."""
    weights = (-2 * COLOURS)[:, :, None, None]
    product_ = graph("Conv", image, weights, (COLOURS**2).sum(axis=1))
    square = graph("ReduceSum", graph("Mul", image, image), _ints(1), keepdims=1)
    near = graph("Exp", graph("Mul", graph("Add", product_, square), np.float32(-1 / 3000)[None]))
    pad = smooth // 2
    return graph("AveragePool", near, kernel_shape=[smooth, smooth], pads=[pad] * 4, count_include_pad=1)


def write_detector(path: Path, batch: int | str = "batch", side: int = 320) -> Path:
    """YOLOX, or RTMDet by the file's name, with its non-maximum suppression within: dets (N, 2, 5), labels (N, 2)."""
    graph = _Graph()
    image = "input"
    if "rtmdet" in path.name:
        scale, shift = (value[None, :, None, None] for value in (_DETECTOR_STD, _DETECTOR_MEAN))
        image = graph("Add", graph("Mul", image, scale), shift)
    boxes = _boxes(graph, image, side)
    score = graph("Slice", boxes, _ints(4), _ints(5), _ints(2))
    labels = graph("Cast", graph("Squeeze", graph("Mul", score, np.float32(0)[None]), _ints(2)), to=TensorProto.INT64)
    return graph.save(path, [batch, 3, side, side], {
        "dets": (boxes, TensorProto.FLOAT, [batch, 2, 5]), "labels": (labels, TensorProto.INT64, [batch, 2]),
    })  # fmt: skip


def write_pose(path: Path, batch: int | str = "batch") -> Path:
    """RTMPose: a row and a column of similarities for each joint, two places a pixel."""
    graph = _Graph()
    scale, shift = (value[None, :, None, None] for value in (STD, MEAN))
    near = _similarity(graph, graph("Add", graph("Mul", "input", scale), shift), 11)
    sides = {}
    for name, axis, count in (("simcc_x", 2, 192), ("simcc_y", 3, 256)):
        line = graph("ReduceMax", near, axes=[axis], keepdims=0)
        sides[name] = (graph("Gather", line, np.repeat(np.arange(count), 2), axis=2), TensorProto.FLOAT,
                       [batch, 17, 2 * count])  # fmt: skip
    return graph.save(path, [batch, 3, 256, 192], sides)


def write_rtmo(path: Path, side: int = 320) -> Path:
    """RTMO: dets (N, 2, 5) and keypoints (N, 2, 17, 3)."""
    graph = _Graph()
    boxes, near, found = _boxes(graph, "input", side), _similarity(graph, "input", 7), []
    for begin in (0, side // 2):
        half = graph("Slice", near, _ints(begin), _ints(begin + side // 2), _ints(3))
        places = []
        for axis, offset in ((2, begin), (3, 0)):
            line = graph("ReduceMax", half, axes=[axis], keepdims=0)
            index = graph("Cast", graph("ArgMax", line, axis=2), to=TensorProto.FLOAT)
            places.append(graph("Add", index, np.float32(offset)[None]))
        score = graph("ReduceMax", graph("ReduceMax", half, axes=[3], keepdims=0), axes=[2])
        found.append(graph("Unsqueeze", graph("Concat", *places, score, axis=2), _ints(1)))
    return graph.save(path, ["batch", 3, side, side], {
        "dets": (boxes, TensorProto.FLOAT, ["batch", 2, 5]),
        "keypoints": (graph("Concat", *found, axis=1), TensorProto.FLOAT, ["batch", 2, 17, 3]),
    })  # fmt: skip


def write_models(folder: Path) -> str:
    """A detector and a pose network: what `--pose-model` takes."""
    folder.mkdir(parents=True, exist_ok=True)
    return f"{write_detector(folder / 'yolox_tiny.onnx')},{write_pose(folder / 'rtmpose.onnx')}"
