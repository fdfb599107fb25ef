"""Networks that find people: YOLOX or RTMDet with RTMPose, and RTMO; one at a time and in batches; what is none."""

import urllib.error
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2", exc_type=ImportError)
pytest.importorskip("rtmlib", exc_type=ImportError)

import onnx
from onnx import TensorProto, helper
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
    detector, pose = write_models(tmp_path).split(",")
    monkeypatch.setattr(rtmlib.tools.file, "download_checkpoint", lambda url: detector if "yolox" in url else pose)
    assert len(Estimator("rtmpose-s")([picture(PEOPLE)])[0]) == 2


def test_every_name_is_of_rtmlib() -> None:
    import rtmlib

    for name, asked in MODELS.items():
        table = getattr(getattr(rtmlib, asked.solution), asked.table)[asked.mode]
        size = name.split("-")[1]
        assert f"{name.split('-')[0]}-{size}" in table["pose"] and ("det" in table) is not name.startswith("rtmo")
        assert ("halpe26" in table["pose"]) is (asked.layout == "halpe26")


def test_without_rtmlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "rtmlib", None)
    assert "rtmlib: is needed for videos, but does not load" in fails(write_models(tmp_path))
