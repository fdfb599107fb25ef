"""A checkpoint of MMAction2 is exported as our own are."""

from pathlib import Path

import numpy as np
import torch
import yaml
from exported import CLASSES, eager_answers, three_blocks, trained_looking, write_job
from mmaction_names import theirs

from agcn.checkpoint import save_weights
from agcn.config import load_config
from export.build import export_engines
from export.runtime.open import open_engine
from native_prep.skeletons.layouts import NTU


def test_the_graph_of_a_published_checkpoint(tmp_path: Path) -> None:
    path = write_job(tmp_path, NTU, "aagcn")
    config = yaml.safe_load(path.read_text())
    config["model_args"]["attention"] = False
    path.write_text(yaml.safe_dump(config))
    for seed, stream in enumerate(("joint", "bone"), 1):
        model = trained_looking("aagcn", NTU, seed, num_class=CLASSES, attention=False)
        save_weights(model, tmp_path / f"{stream}.pt")
        torch.save({"meta": {"epoch": 80}, "state_dict": theirs(model)}, tmp_path / f"{stream}.pth")
    with three_blocks():
        found = export_engines(
            tmp_path / "joint.pth", tmp_path / "bone.pth", load_config(path, stream="joint"), tmp_path / "engine",
            max_batch=4, alpha=0.5, targets=[],
        )  # fmt: skip
    assert found["passed"]
    joints = np.load(tmp_path / "val_data_joint.npy")[:3]
    scores = open_engine(tmp_path / "engine", "onnxruntime").run(joints)[-1]
    expected = eager_answers(tmp_path, joints)[-1]
    assert np.abs(scores - expected).max() < 2e-5 * np.abs(expected).max()
