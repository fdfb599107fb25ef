"""Clips as PYSKL and MMAction2 make them: golden answers, and all that can be odd about a clip."""

import json
import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from exported import three_blocks, trained_looking
from pyskl_reference import prepared

from agcn.checkpoint import load_weights
from agcn.config import load_config
from agcn.data.augment import augment, numbers_per_clip
from agcn.data.augment_rng import constant, draw
from agcn.data.clips import open_clips
from agcn.data.loader import BatchLoader, batches_in_order
from agcn.data.pyskl import ONE_VIEW, View, bone_parents, drawn_frames, fixed_frames, frame_table
from agcn.model.network import Model
from agcn.settings import FeederArgs
from export.graph.network import TwoStream
from export.graph.preprocess import PysklPreprocess
from export.inputs import to_input
from native_prep.poses.custom import prepare_custom
from native_prep.skeletons.layouts import COCO17, NTU, NW_UCLA, Layout
from native_prep.skeletons.streams import STREAMS

SIZE = (1920, 1080)
ARGS = FeederArgs(convention="pyskl", sample="uniform", window_size=100, make_stream="joint")
SHORT = {"j": "joint", "b": "bone", "jm": "joint_motion", "bm": "bone_motion"}
LAYOUT = {"coco": COCO17, "ntu": NTU}


def prepare(folder: Path, clips: list[tuple[np.ndarray, np.ndarray | None]], layout: Layout) -> FeederArgs:
    """Clips in a pickle as PYSKL has it through `prep custom`, opened as a configuration does."""
    annotations = [
        {"frame_dir": f"clip{place:02}", "label": 0, "total_frames": points.shape[1], "keypoint": points,
         "img_shape": SIZE[::-1], **({} if scores is None else {"keypoint_score": scores})}
        for place, (points, scores) in enumerate(clips)
    ]  # fmt: skip
    names = [one["frame_dir"] for one in annotations]
    (folder / "poses.pkl").write_bytes(pickle.dumps({"split": {"val": names}, "annotations": annotations}))
    prepare_custom(folder / "poses.pkl", folder / "out", layout=layout.name, streams=("joint",))
    data, label = (str(folder / "out" / f"val_{name}") for name in ("data_joint.npy", "label.pkl"))
    return replace(ARGS, data_path=data, label_path=label)


def seen(args: FeederArgs, layout: Layout, stream: str, view: View = ONE_VIEW) -> torch.Tensor:
    """All clips as the network sees them, (N, C, T, V, M)."""
    args = replace(args, make_stream=stream)
    clips = open_clips(args)
    loader = BatchLoader(clips, args, layout, torch.device("cpu"))
    return next(loader.test_batches(batches_in_order(np.arange(len(clips)), len(clips)), view)).clips


def as_batch(clips: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(clips)).permute(0, 4, 2, 3, 1)


@pytest.mark.parametrize("key", ["coco", "ntu"])
def test_golden(tmp_path: Path, shared: Path, key: str) -> None:
    """What MMAction2's own pipeline and model say, from the raw keypoints on."""
    sys.path.insert(0, str(shared / "golden"))
    try:
        import recipe
    finally:
        sys.path.pop(0)
    golden, layout = np.load(shared / "golden/mmaction_expected.npz"), LAYOUT[key]
    clips = []
    for place in range(3):
        score = f"{key}/clip{place}/keypoint_score"
        clips.append((golden[f"{key}/clip{place}/keypoint"], golden[score] if score in golden.files else None))
    args = prepare(tmp_path, clips, layout)
    names, shapes = golden[f"{key}/names"], golden[f"{key}/shapes"]
    sizes = {str(name): json.loads(shape) for name, shape in zip(names, shapes, strict=True)}
    for seed, (short, stream) in enumerate(SHORT.items(), 1):
        ours = seen(args, layout, stream)
        theirs = as_batch([prepared(*clip, SIZE, layout.bone_parents, stream) for clip in clips])
        if short in "jb":
            assert (ours - as_batch(list(golden[f"{key}/{short}/prepared"]))).abs().max() < 1e-6
            assert (theirs - as_batch(list(golden[f"{key}/{short}/prepared"]))).abs().max() < 1e-7
        assert (ours - theirs).abs().max() < 1e-6
        graph = golden[f"{key}/A"]
        state = {
            name: torch.from_numpy(
                graph if name == "backbone.A" else graph + value if name.endswith("gcn.A") else value
            )
            for name, value in recipe.weights(sizes, seed).items()
        }
        torch.save({"state_dict": state}, tmp_path / "a.pth")
        model = Model(60, layout.num_joints, 2, layout.name, variant="aagcn", attention=False).eval()
        load_weights(model, tmp_path / "a.pth")
        expected = torch.from_numpy(golden[f"{key}/{short}/logits_f64"])
        with torch.no_grad():
            assert (model(ours) - expected).abs().max() < 2e-5 * expected.abs().max()
            exact = theirs if short not in "jb" else as_batch(list(golden[f"{key}/{short}/prepared"]))
            assert (model.double()(exact.double()) - expected).abs().max() < 1e-9


def made_clips(layout: Layout) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Clips of 1 to 330 frames: one person and two, some who come late, go early, or are lost in between."""
    rng, clips = np.random.default_rng(5), []
    for place, length in enumerate((1, 2, 7, 60, 99, 100, 101, 140, 199, 200, 201, 330)):
        people = 1 + place % 2
        points = rng.uniform(0.5, 4, (people, length, layout.num_joints, 3)).astype(np.float32)
        if layout == NTU:
            points[:, :, 1] += (0, 1, 0)
            if length > 10:
                points[0, :4] = points[0, 20:25] = points[0, -3:] = 0  # of two people the second is there more often
                points[:, :, 5] = 0  # a joint that nobody sees
            clips.append((points, None))
            continue
        points[..., :2] *= 250
        scores = rng.uniform(0.1, 1, points.shape[:3]).astype(np.float32)
        scores[:, :, 3] = 0
        if length > 10:
            points[0, :4] = points[0, 20:25] = scores[0, :4] = scores[0, 20:25] = 0
        points[scores == 0] = 0
        clips.append((points[..., :2], scores))
    return clips


@pytest.mark.parametrize("layout", [COCO17, NTU], ids=["coco", "ntu"])
def test_odd_clips(tmp_path: Path, layout: Layout) -> None:
    clips = made_clips(layout)
    args = prepare(tmp_path, clips, layout)
    for stream in STREAMS:
        for view, views in ((0, 1), (0, 10), (3, 10), (9, 10)):
            ours = seen(args, layout, stream, View(view, views))
            theirs = as_batch([
                prepared(*clip, SIZE, layout.bone_parents, stream, view=view, views=views) for clip in clips
            ])  # fmt: skip
            assert torch.allclose(ours, theirs, rtol=0, atol=4e-6), (stream, view)
            absent = (theirs == 0).all(dim=(1, 2, 3))
            assert ((ours == 0).all(dim=(1, 2, 3)) == absent).all() and absent.any()


def test_frames_behind_the_last_person_are_not_counted(tmp_path: Path) -> None:
    """Prepared clips end with zeros, whoever was seen last: unlike theirs, which count a recording's empty end."""
    ((points, scores),) = made_clips(COCO17)[8:9]
    assert scores is not None
    ends = [(np.pad(one, [(0, 0), (0, 30), *[(0, 0)] * (one.ndim - 2)])) for one in (points, scores)]
    args = prepare(tmp_path, [(points, scores), (ends[0], ends[1])], COCO17)
    whole, ended = seen(args, COCO17, "joint_motion")
    assert torch.equal(whole, ended)


@pytest.mark.parametrize("layout", [COCO17, NTU], ids=["coco", "ntu"])
@pytest.mark.parametrize("followed", [False, True])
def test_within_the_graph(tmp_path: Path, layout: Layout, followed: bool) -> None:
    """What an engine with its preparation makes of raw clips, and the streams that it makes of frames."""
    args = prepare(tmp_path, [one for one in made_clips(layout) if one[0].shape[1] <= 300], layout)
    placed = torch.from_numpy(np.load(args.data_path))
    raw = torch.nn.functional.pad(placed, (0, 0, 0, 0, 0, 300 - placed.shape[2]))
    if layout == COCO17:
        there = raw[:, 2:] != 0
        raw = torch.cat([(raw[:, :1] + 0.5) * there, (0.5 - raw[:, 1:2]) * there, raw[:, 2:]], dim=1)
    engine = replace(args, make_stream="joint_pairs" if followed else "joint")
    found = PysklPreprocess(layout, 300, 100, followed)(raw)
    expected = torch.from_numpy(np.concatenate([to_input(clip.numpy(), engine, layout) for clip in placed]))
    assert found.shape[2] == (200 if followed else 100)
    assert (found - expected).abs().max() < 1e-6
    models = [trained_looking("aagcn", layout, seed, attention=False) for seed in range(4 if followed else 2)]
    with three_blocks():
        _check_streams(models, args, layout, expected, followed)


def _check_streams(
    models: list[Model], args: FeederArgs, layout: Layout, expected: torch.Tensor, followed: bool
) -> None:
    network = TwoStream(
        models[0], models[1], bone_parents(layout, "pyskl"), frames=100, convention="pyskl",
        motion_models=(models[2], models[3]) if followed else None,
    )  # fmt: skip
    with torch.no_grad():
        answers = network(expected)
        for stream, model, answer in zip(STREAMS, models, answers, strict=False):
            own = model(seen(args, layout, stream))
            assert (answer - own).abs().max() < 1e-4 * own.abs().max()


@pytest.mark.parametrize("layout", [COCO17, NTU], ids=["coco", "ntu"])
def test_a_trace_leaves_nothing_behind(layout: Layout) -> None:
    """What is made for a graph first is used outside of it afterwards."""
    constant.cache_clear()
    torch.export.export(PysklPreprocess(layout, 300, 100, True), (torch.zeros(2, 3, 300, layout.num_joints, 2),))
    clip = np.ones((3, 120, layout.num_joints, 2), np.float32)
    assert to_input(clip, replace(ARGS, make_stream="joint_pairs"), layout).shape[2] == 200


def test_what_training_draws() -> None:
    length = torch.tensor([1, 5, 99, 100, 150, 199, 200, 333]).repeat_interleave(50)
    uniform = torch.from_numpy(draw(1, 0, 0, len(length), 101))
    index = drawn_frames(length, 100, uniform)
    assert ((index >= 0) & (index < length[:, None])).all()
    for frames, own in ((int(one), index[length == one]) for one in length.unique()):
        if frames < 100:  # goes round, from anywhere
            assert ((own[:, 1:] - own[:, :-1]) % frames == 1 % frames).all()
            assert frames < 5 or len(own[:, 0].unique()) > 3
        else:
            assert (own[:, 1:] > own[:, :-1]).all()
            assert frames == 100 or len({tuple(one.tolist()) for one in own}) == 50
        if frames >= 200:
            assert (own * 100 // frames - torch.arange(100)).abs().max() <= 1
    assert index[length == 150].float().mean() == pytest.approx(74.5, abs=1)


def test_the_table_of_frames() -> None:
    length = torch.tensor([1, 50, 100, 120, 250, 300])
    for view in (ONE_VIEW, View(4, 10)):
        assert torch.equal(fixed_frames(length, 300, 100, view), frame_table(300, 100, view)[length])


@pytest.mark.parametrize("layout", [COCO17, NTU], ids=["coco", "ntu"])
def test_training_and_absent_bodies(tmp_path: Path, layout: Layout) -> None:
    """Other draws each epoch; bodies that are absent share a row, also where only the second place had somebody."""
    clips = made_clips(layout)[3:9]
    for place in (1, 3):
        clips[place] = tuple(
            part if part is None else np.concatenate([np.zeros_like(part), part]) for part in clips[place]
        )
    args = prepare(tmp_path, clips, layout)
    opened, plan = open_clips(args), batches_in_order(np.arange(6), 6)
    model = trained_looking("aagcn", layout, 1, attention=False)
    for stream in STREAMS:
        own = replace(args, make_stream=stream, random_flip=0.5, random_scale=(0.9, 1.1))
        loader = BatchLoader(opened, own, layout, torch.device("cpu"), share_absent=True)
        one, two = (next(loader.batches(plan, epoch)) for epoch in (0, 1))
        assert one.clips.shape == (6, 3, 100, layout.num_joints, 2) and not torch.equal(one.clips, two.clips)
        assert one.rows is not None and len(one.rows.gather_index) < 12
        with torch.no_grad(), three_blocks():
            assert torch.allclose(model(one.clips, one.rows), model(one.clips), rtol=1e-4, atol=1e-4)
    assert numbers_per_clip(args) == 101


def test_settings_that_do_not_go_together() -> None:
    for wrong, text in (
        ({"convention": "mmaction"}, "is not known: use pyskl"),
        ({"convention": "pyskl"}, "goes with sample uniform and make_stream"),
        ({"convention": "pyskl", "sample": "linear", "window_size": 64, "make_stream": "bone"}, "goes with sample"),
        ({"centre": True}, "centre conflicts with convention"),
        ({"fit": "clip"}, "fit conflicts with convention"),
        ({"convention": "", "make_stream": "joint_pairs"}, "is for engines of convention pyskl"),
    ):  # fmt: skip
        own = {"convention": "pyskl", "sample": "uniform", "window_size": 100, "make_stream": "joint"}
        with pytest.raises(ValueError, match=text):
            FeederArgs(**(wrong if "convention" in wrong else own | wrong))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="layout nw-ucla has no spine and shoulders"):
        augment(torch.ones(1, 3, 5, 20, 1), ARGS, torch.zeros(1, 101), NW_UCLA, ONE_VIEW)
    with pytest.raises(ValueError, match="classes 'ntu' is not known"):
        load_config("mmaction-ntu60-xsub-2d", overrides=["classes=ntu"])
    with pytest.raises(ValueError, match="classes ntu60 goes with test_feeder_args"):
        load_config("ntu-xsub", overrides=["classes=ntu60"])
    with pytest.raises(ValueError, match="make_stream joint_pairs is for engines"):
        load_config("mmaction-ntu60-xsub-2d", overrides=["test_feeder_args.make_stream=joint_pairs"])
    with pytest.raises(ValueError, match=r"classes ntu60 has 60, .*is 61: make them agree"):
        load_config("mmaction-ntu60-xsub-2d", overrides=["model_args.num_class=61"])
