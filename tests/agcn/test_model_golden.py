"""Logits, training losses and weights agree with what the original 2s-AGCN computes."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from agcn.model.absent_bodies import deduplicate_absent_bodies
from agcn.model.network import Model, build_model
from native_prep.skeletons.layouts import KINETICS, NTU, Layout

CASES = [("agcn", "ntu"), ("agcn", "kinetics"), ("aagcn", "ntu")]
LAYOUT = {"ntu": NTU, "kinetics": KINETICS}
CLASSES = {"ntu": 60, "kinetics": 400}


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, np.ndarray]:
    return dict(np.load(shared / "golden" / "models_expected.npz"))


@pytest.fixture(scope="module")
def recipe(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipe", shared / "golden" / "recipe.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(variant: str, data: str, recipe: ModuleType, seed: int) -> Model:
    layout = LAYOUT[data]
    model = build_model(variant, {"num_class": CLASSES[data], "num_point": layout.num_joints, "graph": data})
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    drawn = recipe.weights(shapes, seed)
    model.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in drawn.items()})
    return model


def bones(joints: np.ndarray, layout: Layout) -> np.ndarray:
    return joints - joints[:, :, :, list(layout.bone_parents)]


@pytest.mark.parametrize(("variant", "data"), CASES)
@pytest.mark.parametrize(("stream", "seed"), [("joint", 1), ("bone", 2)])
def test_logits(golden, recipe, variant: str, data: str, stream: str, seed: int) -> None:
    model = make(variant, data, recipe, seed).eval()
    joints = golden[f"{data}/input"]
    clips = torch.from_numpy(joints if stream == "joint" else bones(joints, LAYOUT[data]))
    expected = golden[f"{variant}/{data}/{stream}/logits_f64"]
    with torch.no_grad():
        features = model.features(clips)
        logits = model.fc(features).numpy()
    scale = np.abs(expected).max()
    assert np.abs(logits - expected).max() / scale < (2e-5 if variant == "aagcn" else 3e-6)
    expected_features = golden[f"{variant}/{data}/{stream}/features_f64"]
    assert np.abs(features.numpy() - expected_features).max() / np.abs(expected_features).max() < 2e-5


@pytest.mark.long(10)
@pytest.mark.parametrize("shares", [False, True], ids=["one by one", "absent bodies shared"])
@pytest.mark.parametrize(("variant", "data"), CASES)
def test_training(golden, recipe, variant: str, data: str, shares: bool) -> None:
    model = make(variant, data, recipe, 1).double().train()
    clips = torch.from_numpy(golden[f"{data}/input"][:, :, :96]).double()
    labels = torch.tensor([3, 1, 4, 1])
    rows = deduplicate_absent_bodies((clips != 0).flatten(1, 3).any(dim=1).numpy()) if shares else None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4)
    losses = []
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(model(clips, rows), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(losses, golden[f"{variant}/{data}/train_losses_f64"], rtol=1e-9)
    state = model.state_dict()
    names = golden[f"{variant}/{data}/train_norm_names"].tolist()
    assert sorted(names) == sorted(state)
    norms = [state[name].double().norm().item() for name in names]
    np.testing.assert_allclose(norms, golden[f"{variant}/{data}/train_norms_f64"], rtol=1e-7, atol=1e-12)
