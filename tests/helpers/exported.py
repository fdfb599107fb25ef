"""Small models, data and exported folders that several test files use."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from agcn.checkpoint import load_weights, save_weights
from agcn.config import load_config
from agcn.model.network import Model, build_model
from export.build import export_engines
from export.engines.flavors import is_installed
from export.graph.parity import Logits, eager_logits
from native_prep.io.pickles import save_pickle
from native_prep.skeletons.layouts import NTU, Layout
from native_prep.synth.make import joint_batch

CLASSES = 6
FRAMES = 16


def trained_looking(variant: str, layout: Layout, seed: int, persons: int = 2, **options: object) -> Model:
    """A model whose batch norms and learned graphs are not what they start as."""
    torch.manual_seed(seed)
    arguments = {"num_class": 7, "num_point": layout.num_joints, "num_person": persons, "graph": layout.name, **options}
    model = build_model(variant, arguments).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith(("running_mean", "bias", ".alpha")):
                value.normal_(0, 0.1, generator=generator)
            elif name.endswith("PA"):
                value.add_(0.05 * torch.randn(value.shape, generator=generator))
            elif "bn" in name and name.endswith("weight"):
                value.uniform_(0.5, 1.0, generator=generator)
    return model


@contextmanager
def three_blocks() -> Iterator[None]:
    """Models run three of their ten blocks: every kind of block, and exports that take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "blocks", property(lambda model: (model.l1, model.l5, model.l8)))
        yield


def eager_answers(folder: Path, joints: np.ndarray) -> Logits:
    """What the two streams of an exported job say in float64."""
    config = load_config(folder / "config.yaml", "joint")
    models = []
    for stream in ("joint", "bone"):
        model = build_model(config.model, config.model_args)
        load_weights(model, folder / f"{stream}.pt")
        models.append(model)
    with three_blocks():
        return eager_logits(models, (1.0, 0.5), joints)


def write_job(folder: Path, layout: Layout = NTU, variant: str = "agcn", persons: int = 2, **feeder: object) -> Path:
    """A configuration with test data and checkpoints `joint.pt`, `bone.pt` beside it; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    joints = joint_batch(layout, 12, FRAMES, persons, seed=5)
    names = [f"S001C001P001R001A{number:03d}.skeleton" for number in range(1, 13)]
    save_pickle(folder / "val_label.pkl", (names, [number % CLASSES for number in range(12)]))
    np.save(folder / "val_data_joint.npy", joints)
    np.save(folder / "val_data_bone.npy", joints - joints[:, :, :, list(layout.bone_parents)])
    for seed, stream in enumerate(("joint", "bone"), 1):
        model = trained_looking(variant, layout, seed, persons, num_class=CLASSES)
        save_weights(model, folder / f"{stream}.pt")
    data = {"data_path": str(folder / "val_data_{stream}.npy"), "label_path": str(folder / "val_label.pkl")}
    graph = {"num_class": CLASSES, "num_point": layout.num_joints, "num_person": persons, "graph": layout.name}
    config = {"model": variant, "model_args": graph, "test_feeder_args": {**data, **feeder}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / "config.yaml"


def export_job(folder: Path, out: Path, **options: object) -> dict:
    """`export_engines` on what `write_job` wrote, three blocks of it, for one GPU generation."""
    arguments: dict = {"max_batch": 5, "alpha": 0.5, "targets": ["sm_86"] if is_installed("tensorrt-rtx") else []}
    with three_blocks():
        return export_engines(
            folder / "joint.pt", folder / "bone.pt", load_config(folder / "config.yaml", stream="joint"), out,
            **{**arguments, **options},
        )  # fmt: skip
