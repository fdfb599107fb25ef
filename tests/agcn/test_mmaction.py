"""Weights of MMAction2 and PYSKL: the same logits as theirs, and nothing else of their files is run."""

import pickle
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from exported import trained_looking
from mmaction_names import theirs

from agcn.checkpoint import load_weights, read_state_dict
from agcn.model.network import Model
from native_prep.skeletons.layouts import COCO17, NTU


def model_of(seed: int, **options: object) -> Model:
    return trained_looking("aagcn", COCO17, seed, **{"attention": False, **options})


@pytest.mark.parametrize("classifier", ["fc", "fc_cls"])
@pytest.mark.parametrize("attention", [False, True])
def test_the_same_weights(tmp_path: Path, classifier: str, attention: bool) -> None:
    model, other = model_of(1, attention=attention), model_of(2, attention=attention)
    torch.save({"meta": {"epoch": 80}, "state_dict": theirs(model, classifier)}, tmp_path / "a.pth")
    load_weights(other, tmp_path / "a.pth")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())


def test_what_else_a_file_holds_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs and configurations of classes that are not installed here, arrays, and what would run code."""
    module = ModuleType("mmengine_like")

    class HistoryBuffer:
        def __init__(self) -> None:
            self.history = np.arange(3)
            self.methods = {"mean": print}

    class Evil:
        def __reduce__(self) -> tuple:
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    class Settings(dict):
        pass

    for kind in (HistoryBuffer, Settings):
        kind.__module__, kind.__qualname__ = module.__name__, kind.__name__
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    model = model_of(1)
    content = {
        "message_hub": {"log": HistoryBuffer(), "evil": Evil()}, "state_dict": theirs(model),
        "meta": Settings(a=1, b=[Evil()]), "seed": np.float64(3),
    }  # fmt: skip
    torch.save(content, tmp_path / "a.pth")
    monkeypatch.delitem(sys.modules, module.__name__)
    state = read_state_dict(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    # Our own checkpoints hold weights alone, and are read so.
    (tmp_path / "a.pth").rename(tmp_path / "a.pt")
    with pytest.raises(ValueError, match="not a checkpoint of weights alone"):
        read_state_dict(tmp_path / "a.pt")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(ValueError, match=r"bare\.pth: "):
        read_state_dict(tmp_path / "bare.pth")
    assert not (tmp_path / "ran").exists()


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"

    def fails(model: Model, state: dict[str, torch.Tensor]) -> str:
        torch.save({"state_dict": state}, path)
        with pytest.raises(ValueError) as caught:
            load_weights(model, path)
        assert str(caught.value).startswith(f"{path}: ")
        return str(caught.value)

    state = theirs(model_of(1))
    plus_plus = {**state, "backbone.gcn.0.tcn.branches.0.0.weight": torch.zeros(1)}
    assert "not of their 2s-AGCN or AAGCN, which have no backbone.gcn.0.tcn.branches.0.0.weight" in fails(
        model_of(1), plus_plus
    )
    assert "which have no backbone.conv1.conv.weight" in fails(
        model_of(1), {"backbone.conv1.conv.weight": torch.zeros(1)}
    )
    assert "set model: model.aagcn.Model and model_args.attention: False" in fails(
        trained_looking("agcn", COCO17, 1), state
    )
    assert "has 7 classes, the config asks for 5" in fails(model_of(1, num_class=5), state)
    assert "has 17 joints, the data has 25" in fails(trained_looking("aagcn", NTU, 1, attention=False), state)
    missing = {name: value for name, value in state.items() if "gcn.3" not in name}
    assert "misses" in fails(model_of(1), missing)
