"""Networks that find people: YOLOX or RTMDet with RTMPose, and RTMO; one at a time and in batches; what is none."""

import urllib.error
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2", exc_type=ImportError)
pytest.importorskip("rtmlib", exc_type=ImportError)

import onnx
from onnx import TensorProto, helper, numpy_helper
from stick_figures import HEIGHT, WIDTH, figure, picture, write_detector, write_models, write_pose, write_rtmo

from native_prep.poses.video import estimator as module
from native_prep.poses.video.estimator import MODELS, Estimator

PEOPLE = [figure("wave", 0.3), figure("squat", 0.2, 240)]


def networks(folder: Path, kind: str) -> str:
    if kind == "rtmo":
        return str(write_rtmo(folder / "rtmo.onnx"))
    detector, batch = kind.split("-")
    size = {"any": "batch", "one": 1, "four": 4}[batch]
    return f"{write_detector(folder / f'{detector}.onnx', size)},{write_pose(folder / 'pose.onnx', size)}"


@pytest.mark.parametrize("kind", ["yolox-any", "rtmdet-any", "yolox-one", "rtmdet-four", "rtmo"])
def test_people_are_where_they_are(tmp_path: Path, kind: str) -> None:
    estimator = Estimator(networks(tmp_path, kind))
    assert estimator.layout == "coco17"
    shown = [PEOPLE, PEOPLE[:1], [], PEOPLE[1:], PEOPLE]
    found = estimator([picture(people) for people in shown])
    assert [len(people) for people in found] == [2, 1, 0, 1, 2]
    for people, truth in zip(found, shown, strict=True):
        for joints in truth:
            nearest = min(people, key=lambda one, joints=joints: np.abs(one[:, :2] - joints).mean())
            assert np.abs(nearest[:, :2] - joints).max() < 2.5
            assert (nearest[:, 2] > 0.4).all() and (nearest[:, 2] <= 1).all()


def test_pictures_of_any_size(tmp_path: Path) -> None:
    estimator = Estimator(write_models(tmp_path))
    tall = np.zeros((700, WIDTH, 3), np.uint8)
    tall[:HEIGHT] = picture(PEOPLE[:1])
    (found,) = estimator([tall])[0]
    assert np.abs(found[:, :2] - PEOPLE[0]).max() < 4
    assert estimator([]) == [] and len(estimator([np.zeros((3, 5, 3), np.uint8)])[0]) == 0


def test_boxes_of_other_things_than_people_are_left_out(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "yolox.onnx")
    model = onnx.load(path)
    (cast,) = (node for node in model.graph.node if node.op_type == "Cast" and node.attribute[0].i == TensorProto.INT64)
    model.graph.node.insert(0, helper.make_node("Constant", [], ["sixteen"], value_int=16))
    labels = next(node for node in model.graph.node if node.output[0] == "labels")
    place = list(model.graph.node).index(labels)
    model.graph.node.insert(place, helper.make_node("Add", [cast.output[0], "sixteen"], ["dogs"]))
    labels.input[0] = "dogs"
    onnx.save(model, path)
    (found,) = Estimator(f"{path},{write_pose(tmp_path / 'pose.onnx')}")([picture(PEOPLE)])
    assert len(found) == 0


def test_a_detector_of_many_classes_without_suppression(tmp_path: Path) -> None:
    """YOLOX as it is trained on COCO: 85 numbers a place of its grid; the same box may be a person or a dog."""
    side, places = 32, 16 + 4 + 1
    for kind, people in ((0, 1), (16, 0)):
        grid = np.full((1, places, 85), -50, np.float32)
        grid[..., :4] = 0
        grid[..., 4:] = 0
        # The third place of strides of eight: a box of e² eights around it.
        grid[0, 2] = 0
        grid[0, 2, 2:4], grid[0, 2, 4], grid[0, 2, 5 + kind] = 2, 1, 0.9
        path = tmp_path / f"yolox_{kind}.onnx"
        nodes = [
            helper.make_node("ReduceSum", ["input"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
            helper.make_node("Add", ["grid", "nothing"], ["output"]),
        ]
        graph = helper.make_graph(
            nodes, "grid", [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side, side])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, places, 85])],
            [numpy_helper.from_array(grid, "grid"), numpy_helper.from_array(np.float32(0), "zero")],
        )  # fmt: skip
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
        estimator = Estimator(f"{path},{write_pose(tmp_path / 'pose.onnx')}")
        boxes = estimator._boxes([np.zeros((side, side, 3), np.uint8)])[0]
        assert len(boxes) == people
        if people:
            np.testing.assert_allclose(boxes[0, 2:] - boxes[0, :2], 8 * np.exp(2), rtol=1e-5)


def test_nobody_at_all_of_rtmo(tmp_path: Path) -> None:
    """Exports whose suppression leaves no row rather than rows of zeros."""
    path = write_rtmo(tmp_path / "rtmo.onnx")
    model = onnx.load(path)
    for name, output in zip(("dets", "keypoints"), model.graph.output, strict=True):
        node = next(node for node in model.graph.node if node.output[0] == name)
        node.op_type = "Slice"
        node.input.extend(["none", "none", "one"])
        output.type.tensor_type.shape.dim[1].ClearField("dim_value")
    model.graph.initializer.extend(
        [numpy_helper.from_array(np.array([value], np.int64), name) for name, value in (("none", 0), ("one", 1))]
    )
    onnx.save(model, path)
    found = Estimator(str(path))([picture(PEOPLE)] * 2)
    assert [len(people) for people in found] == [0, 0]


def fails(model: str) -> str:
    with pytest.raises(ValueError) as caught:
        Estimator(model)
    text = str(caught.value)
    assert "\n" not in text and text.count(": ") >= 2, text
    return text


def test_files_that_are_none_or_others(tmp_path: Path) -> None:
    detector, pose = write_models(tmp_path).split(",")
    rtmo = str(write_rtmo(tmp_path / "rtmo.onnx"))
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    named = write_detector(tmp_path / "end2end.onnx")
    assert "finds joints" in fails(f"{pose},{detector}") and "give DETECTOR.onnx,POSE.onnx" in fails(detector)
    assert "give DETECTOR.onnx,POSE.onnx" in fails(f"{detector},{rtmo}")
    assert "bad.onnx: is no ONNX file" in fails(f"{detector},{tmp_path / 'bad.onnx'}")
    assert "missing.onnx: no such file" in fails(f"{detector},{tmp_path / 'missing.onnx'}")
    assert "end2end.onnx: its name must say yolox or rtmdet" in fails(f"{named},{pose}")
    assert "rtmpose-m, rtmpose-x" in fails("rtmpose-xxl") and "or a name to download" in fails("")
    folder = tmp_path / "rtmdet_nano"
    folder.mkdir()
    Estimator(f"{write_detector(folder / 'end2end.onnx')},{pose}")  # wants other colours than it was made for


def test_networks_of_other_shapes(tmp_path: Path) -> None:
    detector, _ = write_models(tmp_path).split(",")

    def save(shape: list, outputs: list[list], op: str = "Identity") -> str:
        made = [
            helper.make_tensor_value_info(f"o{place}", TensorProto.FLOAT, axes) for place, axes in enumerate(outputs)
        ]
        graph = helper.make_graph(
            [helper.make_node(op, ["input"], [f"o{place}"]) for place in range(len(outputs))], "other",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)], made,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(model, tmp_path / "other.onnx")
        return f"{detector},{tmp_path / 'other.onnx'}"

    assert "takes [[1, 3, 8, 8]] and gives [[1, 1000]]" in fails(save([1, 3, 8, 8], [[1, 1000]]))
    assert "as no YOLOX, RTMDet, RTMPose or RTMO does" in fails(save([1, 4], [[1, 2, 3], [1, 2, 3]]))
    assert "ONNX Runtime does not run it" in fails(save([1, 3, 8, 8], [[1, 2, 3], [1, 2, 3]], "Nonsense"))
    assert "gives other outputs than it says" in fails(save([1, 3, 8, 8], [[1, 2, 3], [1, 2, 3]]))


def test_joints_that_are_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = write_models(tmp_path)
    monkeypatch.setattr(module, "_LAYOUTS", {26: "halpe26"})
    assert "finds 17 joints, known are halpe26 (26)" in fails(models)


def test_names_are_downloaded_or_it_says_what_to_fetch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import rtmlib.tools.file

    asked: list[str] = []

    def offline(url: str) -> str:
        asked.append(url)
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(rtmlib.tools.file, "download_checkpoint", offline)
    for name in MODELS:
        text = fails(name)
        assert f"--pose-model {name}: cannot be downloaded (<urlopen error no network>)" in text
        assert asked[-1] in text and asked[-1].startswith("https://")
    assert len(set(asked)) == 6  # three detectors, three of RTMO

    def cut_short(url: str) -> str:
        raise zipfile.BadZipFile("File is not a zip file")

    monkeypatch.setattr(rtmlib.tools.file, "download_checkpoint", cut_short)
    assert "rtmo-s_8xb32-600e_body7-640x640-dac2bf74_20231211.zip came incomplete: remove it from" in fails("rtmo-s")
    detector, pose = write_models(tmp_path).split(",")
    monkeypatch.setattr(rtmlib.tools.file, "download_checkpoint", lambda url: detector if "yolox" in url else pose)
    assert len(Estimator("rtmpose-s")([picture(PEOPLE)])[0]) == 2


def test_every_name_is_of_rtmlib() -> None:
    import rtmlib

    for name, asked in MODELS.items():
        table = getattr(getattr(rtmlib, asked.solution), asked.url_table)[asked.mode]
        size = name.split("-")[1]
        assert f"{name.split('-')[0]}-{size}" in table["pose"] and ("det" in table) is not name.startswith("rtmo")
        assert ("halpe26" in table["pose"]) is (asked.layout == "halpe26")


def test_without_rtmlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "rtmlib", None)
    assert "rtmlib: is needed for videos, but does not load" in fails(write_models(tmp_path))
