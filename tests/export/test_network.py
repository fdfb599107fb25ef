"""The folded two-stream network gives what the two trained models give."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from exported import three_blocks, trained_looking

from agcn.model.network import build_model
from export.graph.network import RowNetwork, TwoStream, present_rows
from export.graph.parity import FACTOR
from native_prep.skeletons.layouts import KINETICS, NTU, NW_UCLA, Layout


@pytest.mark.parametrize(
    ("variant", "layout", "persons", "options", "own_kernels"),
    [
        ("agcn", NTU, 2, {}, False),
        ("agcn", NTU, 2, {}, True),
        ("agcn", KINETICS, 3, {}, False),
        ("agcn", NW_UCLA, 1, {"adaptive": False}, False),
        ("agcn", NW_UCLA, 1, {"adaptive": False}, True),
        ("aagcn", NTU, 2, {}, False),
        ("aagcn", KINETICS, 1, {"attention": False}, True),
    ],
)
def test_equals_the_two_models(variant: str, layout: Layout, persons: int, options: dict, own_kernels: bool) -> None:
    joint = trained_looking(variant, layout, 1, persons, **options)
    bone = trained_looking(variant, layout, 2, persons, **options)
    fused = TwoStream(joint, bone, layout.bone_parents, 0.7, frames=13)
    if own_kernels:
        fused.fuse_graph_conv()
    joints = torch.randn(3, 3, 13, layout.num_joints, persons, generator=torch.Generator().manual_seed(3))
    bones = joints - joints[:, :, :, list(layout.bone_parents)]
    with torch.no_grad():
        eager_joint, eager_bone = joint(joints), bone(bones)
        expected_joint = joint.double()(joints.double())
        expected_bone = bone.double()(bones.double())
        joint_logits, bone_logits, scores = fused(joints)
    for got, eager, expected in (
        (joint_logits, eager_joint, expected_joint),
        (bone_logits, eager_bone, expected_bone),
        (scores, eager_joint + 0.7 * eager_bone, expected_joint + 0.7 * expected_bone),
    ):
        assert got.dtype == torch.float32
        allowed = (3e-6 if variant == "agcn" else 1e-5) * expected.abs().max()
        if variant == "aagcn":
            # The parity rule: these drawn weights make eager float32 itself err by 4e-5 to 1e-4, by number of threads.
            allowed = max(allowed, FACTOR * (eager - expected).abs().max())
        assert (got - expected).abs().max() < allowed


def people(clips: list[tuple[int, ...]], frames: int = 8) -> torch.Tensor:
    """Clips (N, 3, T, 25, 2) with bodies in these places."""
    joints = torch.randn(len(clips), 3, frames, 25, 2, generator=torch.Generator().manual_seed(3))
    for joint, there in zip(joints, clips, strict=True):
        for body in {0, 1} - set(there):
            joint[..., body] = 0
    return joints


@pytest.mark.parametrize("clips", [[(0,)], [(0, 1)], [()], [(1,)], [(0,), (0, 1), (), (1,), (0,)]])
def test_bodies_that_are_not_there_are_not_computed(clips: list[tuple[int, ...]], monkeypatch) -> None:
    joints = people(clips)
    with three_blocks():
        pair = [trained_looking("agcn", NTU, seed) for seed in (1, 2)]
        network = TwoStream(*pair, NTU.bone_parents, 0.7, frames=8)
        dense = TwoStream(*pair, NTU.bone_parents, 0.7, frames=8, skip_absent=False)
        bones = joints - joints[:, :, :, list(NTU.bone_parents)]
        with torch.no_grad():
            expected = pair[0].double()(joints.double()), pair[1].double()(bones.double())
        rows = []
        monkeypatch.setattr(network.streams[0].blocks, "forward", count_rows(network.streams[0].blocks, rows))
        got, all_bodies = network(joints), dense(joints)
    assert rows == [sum(1 + (1 in there) for there in clips)]  # the first of each clip is always computed
    for one, other, exact in zip(got, all_bodies, expected, strict=False):
        assert (one - exact).abs().max() < 3e-6 * exact.abs().max()
        assert (other - exact).abs().max() < 3e-6 * exact.abs().max()


def count_rows(blocks: torch.nn.Module, rows: list[int]):
    run = type(blocks).forward

    def forward(x: torch.Tensor) -> torch.Tensor:
        rows.append(len(x))
        return run(blocks, x)

    return forward


def test_four_streams() -> None:
    joints = people([(0,), (0, 1)])
    parents = list(NTU.bone_parents)
    with three_blocks():
        models = [trained_looking("agcn", NTU, seed) for seed in (1, 2, 3, 4)]
        network = TwoStream(
            *models[:2], NTU.bone_parents, 0.7, motion_models=(models[2], models[3]), motion_alpha=0.3, frames=8
        )
        got = network(joints)
        bones = joints - joints[:, :, :, parents]
        motions = [torch.cat([x[:, :, 1:] - x[:, :, :-1], 0 * x[:, :, :1]], dim=2) for x in (joints, bones)]
        with torch.no_grad():
            exact = [model.double()(x.double()) for model, x in zip(models, (joints, bones, *motions), strict=True)]
    exact.append(exact[0] + 0.7 * exact[1] + 0.3 * (exact[2] + exact[3]))
    assert len(got) == 5
    for one, expected in zip(got, exact, strict=True):
        assert (one - expected).abs().max() < 5e-6 * expected.abs().max()


def test_rows_are_what_the_whole_network_computes() -> None:
    joints = people([(0,), (0, 1), (1,), ()])
    with three_blocks():
        pair = [trained_looking("agcn", NTU, seed) for seed in (1, 2)]
        network = TwoStream(*pair, NTU.bone_parents, frames=8)
        take, slots, place = present_rows(joints)
        assert (take.tolist(), slots.tolist()) == ([0, 2, 3, 4, 5, 6], [0, 0, 1, 0, 1, 0])
        assert place.tolist() == [0, 6 + 1, 1, 2, 3, 4, 5, 6 + 1]
        rows = joints.permute(0, 4, 1, 2, 3).flatten(0, 1)[take]
        for one, other in zip(RowNetwork(network)(rows, slots, place), network(joints), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_near(dtype: torch.dtype) -> None:
    with three_blocks():
        joint, bone = (trained_looking("agcn", NTU, seed) for seed in (1, 2))
        joints = torch.randn(2, 3, 8, 25, 2, generator=torch.Generator().manual_seed(3))
        exact = TwoStream(joint, bone, NTU.bone_parents, frames=8)(joints)
        near = TwoStream(joint, bone, NTU.bone_parents, frames=8, dtype=dtype)(joints)
    for got, expected in zip(near, exact, strict=True):
        assert got.dtype == torch.float32
        assert 0 < (got - expected).abs().max() < 16 * torch.finfo(dtype).eps * expected.abs().max()


def test_models_must_match() -> None:
    joint = trained_looking("agcn", NTU, 1)
    with pytest.raises(ValueError, match="joint model has num_class 7, the bone model 9"):
        TwoStream(joint, trained_looking("agcn", NTU, 1, num_class=9), NTU.bone_parents, frames=16)
    with pytest.raises(ValueError, match="bones for 18 joints, the model has 25"):
        TwoStream(joint, joint, KINETICS.bone_parents, frames=16)


@pytest.mark.parametrize(("variant", "data", "layout"), [("agcn", "ntu", NTU), ("agcn", "kinetics", KINETICS)])
def test_golden_logits(shared: Path, variant: str, data: str, layout: Layout) -> None:
    spec = importlib.util.spec_from_file_location("recipe", shared / "golden" / "recipe.py")
    assert spec is not None and spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    golden = np.load(shared / "golden" / "models_expected.npz")
    models = []
    for seed in (1, 2):
        classes = golden[f"{variant}/{data}/joint/logits_f64"].shape[1]
        model = build_model(variant, {"num_class": classes, "num_point": layout.num_joints, "graph": layout.name})
        drawn = recipe.weights({name: value.shape for name, value in model.state_dict().items()}, seed)
        model.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in drawn.items()})
        models.append(model.eval())
    joints = torch.from_numpy(golden[f"{data}/input"][:2])
    results = TwoStream(*models, layout.bone_parents, frames=joints.shape[2])(joints)
    for stream, got in zip(("joint", "bone"), results[:2], strict=True):
        expected = golden[f"{variant}/{data}/{stream}/logits_f64"][:2]
        assert np.abs(got.numpy() - expected).max() < 5e-6 * np.abs(expected).max()
