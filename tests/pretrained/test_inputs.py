"""A clip is prepared as PYSKL does on every way to an engine: files, streams, images, people alone, in the graph."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pose_files import walker
from pyskl_reference import prepared

from agcn.config import load_config
from agcn.model.network import build_model
from export.graph.preprocess import PysklPreprocess
from export.inputs import feeder_settings
from export.live.frames import FrameParser, frames_of
from export.live.window import Window
from export.raw_clips import ClipForm, RawClips, read_input
from native_prep.datasets.catalog import class_names
from native_prep.poses.custom import default_metadata
from native_prep.poses.readers.array import read as read_array
from native_prep.skeletons.layouts import COCO17, NTU, Layout
from native_prep.skeletons.streams import STREAMS

SIZE = (640, 480)


def clips_for(layout: Layout, with_prep: bool = False, streams: int = 2) -> RawClips:
    """What reads recordings for an engine of the shipped configuration."""
    config = load_config(f"mmaction-ntu60-xsub-{'2d' if layout == COCO17 else '3d'}", stream="joint")
    frames = 300 if with_prep else 100 * (2 if streams == 4 else 1)
    form = ClipForm(
        "custom", layout.name, default_metadata(layout, 2, class_names("ntu60")), feeder_settings(config, streams),
        (3, frames, layout.num_joints, 2), 0, with_prep,
    )  # fmt: skip
    return RawClips(form, "engine")


def write_people(folder: Path, layout: Layout, frames: int = 130) -> tuple[Path, np.ndarray]:
    """Two people in an array as `.npy`, in shares of the picture or metres, and the array (M, T, V, 3)."""
    people = np.stack([walker(frames, layout.num_joints, seed, 100 + 150 * seed, 1) for seed in range(2)])
    people = (people / ((*SIZE, 1) if layout == COCO17 else 200)).astype(np.float32)
    np.save(folder / "clip.npy", people)
    return folder / "clip.npy", people


def expected(people: np.ndarray, layout: Layout, stream: str = "joint") -> np.ndarray:
    """(C, T, V, M) as a network sees it."""
    scores = people[..., 2] if layout == COCO17 else None
    points = people if scores is None else people[..., :2]
    return prepared(points, scores, (1, 1), layout.bone_parents, stream).transpose(3, 1, 2, 0)


@pytest.mark.parametrize("layout", [COCO17, NTU], ids=["coco", "ntu"])
def test_files_streams_and_people(tmp_path: Path, layout: Layout) -> None:
    path, people = write_people(tmp_path, layout)
    raw, wanted = clips_for(layout), expected(people, layout)
    assert raw.default_window == (100 if layout == COCO17 else 90)
    np.testing.assert_allclose(raw.read(str(path))[0], wanted, atol=1e-6)
    alone = raw.people(str(path))
    assert [frames for frames, _ in alone.values()] == [(0, 129), (0, 129)]
    for (_, clip), one in zip(alone.values(), people, strict=True):
        np.testing.assert_allclose(clip[0], expected(one[None], layout), atol=1e-6)
    # A recording of any length as a stream, and lines of JSON as a sender writes them.
    parser = FrameParser(raw.layout, None, raw.fault)
    lines = [
        json.dumps({"bodies": [{"id": str(one), "joints": people[one, number].tolist()} for one in range(2)]})
        for number in range(130)
    ]
    for frames in (frames_of(raw.read_people(str(path)), layout), map(parser.parse, map(str.encode, lines))):
        window = Window(130, 10, layout)
        for frame in frames:
            assert frame is not None
            window.add(frame)
        points = np.stack(list(window.people().values()))
        np.testing.assert_allclose(raw.prepare(points, "stream")[0], wanted, atol=1e-6)


def test_images() -> None:
    """People as pose networks find them in the images of a video, in pixels."""
    raw = clips_for(COCO17)
    people = np.stack([walker(110, 17, seed, 100 + 150 * seed, 1) for seed in range(2)])
    points = np.stack([raw.from_image(people[:, frame], SIZE, COCO17) for frame in range(110)], axis=1)
    found = raw.prepare(points, "video")[0]
    np.testing.assert_allclose(found, expected(people / (*SIZE, 1), COCO17), atol=1e-6)


@pytest.mark.parametrize("layout", [COCO17, NTU], ids=["coco", "ntu"])
@pytest.mark.parametrize("streams", [2, 4])
def test_engines_that_prepare(tmp_path: Path, layout: Layout, streams: int) -> None:
    """Raw clips through the graph's preparation are what other engines are given."""
    path, people = write_people(tmp_path, layout)
    raw = clips_for(layout, with_prep=True, streams=streams).read(str(path))
    assert raw.shape == (1, 3, 300, layout.num_joints, 2) and not raw[:, :, 130:].any()
    np.testing.assert_allclose(raw[0, :, :130].transpose(3, 1, 2, 0), people, atol=1e-6)
    graph = PysklPreprocess(layout, 300, 100, streams == 4)
    plain = clips_for(layout, streams=streams).read(str(path))
    np.testing.assert_allclose(graph(torch.from_numpy(raw)).numpy(), plain, atol=1e-6)
    long = np.concatenate([people] * 3, axis=1)
    np.save(path, long)
    with pytest.raises(ValueError, match=r"clip\.npy: has 390 frames, there is room for 300: cut it"):
        clips_for(layout, with_prep=True).read(str(path))
    assert clips_for(layout).read(str(path)).shape == (1, 3, 100, layout.num_joints, 2)


@pytest.mark.parametrize("stream", STREAMS)
def test_one_stream_in_pytorch(tmp_path: Path, stream: str) -> None:
    """`read_input` gives a stream's own network what it was trained on."""
    path, people = write_people(tmp_path, NTU)
    config = load_config("mmaction-ntu60-xsub-3d", stream=stream)
    model = build_model(config.model, config.model_args)
    np.testing.assert_allclose(read_input(path, config, model)[0], expected(people, NTU, stream), atol=1e-6)
    assert read_array(str(path), NTU).points.shape == (2, 130, 25, 3)
