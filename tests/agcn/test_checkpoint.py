"""Checkpoints: plain ones, the original's older ones, and those that do not fit."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from agcn.checkpoint import current_name, load_weights, read_state_dict, save_weights
from agcn.model.network import Model, build_model
from native_prep.io.pickles import save_pickle


def small(variant: str = "agcn", joints: int = 4, classes: int = 3, persons: int = 1, **args: object) -> Model:
    edges = [[joint, 0] for joint in range(1, joints)]
    shape = {"num_class": classes, "num_point": joints, "num_person": persons}
    return build_model(variant, {**shape, "graph": "mine", "graph_args": {"edges": edges}, **args})


@pytest.fixture(scope="module")
def trained() -> Model:
    torch.manual_seed(5)
    return small()


def same(one: Model, other: Model) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


def rename(state: dict[str, Tensor], layout: str) -> dict[str, object]:
    """`state` as an older release, a wrapper or a parallel run would have written it."""
    if layout == "module.":
        return OrderedDict(("module." + name, value) for name, value in state.items())
    if layout == "compiled":
        return {"_orig_mod." + name: value for name, value in state.items()}
    if layout == "conv_res":
        return {name.replace(".down.", ".conv_res."): value for name, value in state.items()}
    if layout == "l1a":
        return {name.replace("l1.", "l1a."): value for name, value in state.items()}
    if layout == "flat l1a":
        names = {name: name.replace("l1.gcn1.", "l1a.").replace("l1.tcn1.", "l1b.") for name in state}
        return {names[name]: value for name, value in state.items()}
    if layout == "0.3":
        return {name: value for name, value in state.items() if "num_batches" not in name}
    if layout == "half":
        return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    if layout == "fixed graph":
        return {**state, "l1.gcn1.A": small().l1.gcn1.A}
    return {layout: state, "epoch": 3}


def test_safetensors(trained: Model, tmp_path: Path) -> None:
    """Read and written by the name of the file; nothing else is taken for it."""
    path = tmp_path / "weights.safetensors"
    save_weights(trained, path)
    other = small()
    load_weights(other, path)
    assert same(other, trained) and [one.name for one in tmp_path.iterdir()] == [path.name]
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt"} and set(file.keys()) == set(trained.state_dict())
    for damaged in (path.read_bytes()[:-10], b"", b"\x80\x02}q\x00."):
        path.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"weights\.safetensors: not weights as safetensors keeps them, or cut off"
        ):
            read_state_dict(path)
    with pytest.raises(ValueError, match="no such file"):
        read_state_dict(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "layout",
    ["module.", "compiled", "conv_res", "l1a", "flat l1a", "0.3", "fixed graph", "state_dict", "model", "net"],
)
def test_layouts(trained: Model, tmp_path: Path, layout: str) -> None:
    path = tmp_path / "old.pt"
    torch.save(rename(trained.state_dict(), layout), path)
    model = small()
    assert not same(model, trained)
    load_weights(model, path)
    assert same(model, trained)


def test_plain_and_back(trained: Model, tmp_path: Path) -> None:
    save_weights(trained, tmp_path / "new.pt")
    state = torch.load(tmp_path / "new.pt", weights_only=True)
    assert list(state) == list(trained.state_dict())
    assert all(type(value) is Tensor for value in state.values())
    model = small()
    load_weights(model, tmp_path / "new.pt")
    assert same(model, trained)


def test_pickle_of_arrays(trained: Model, tmp_path: Path) -> None:
    save_pickle(tmp_path / "old.pkl", {name: value.numpy() for name, value in trained.state_dict().items()})
    model = small()
    load_weights(model, tmp_path / "old.pkl")
    assert same(model, trained)


def test_half_precision_weights(trained: Model, tmp_path: Path) -> None:
    torch.save(rename(trained.state_dict(), "half"), tmp_path / "half.pt")
    model = small()
    load_weights(model, tmp_path / "half.pt")
    torch.testing.assert_close(model.fc.weight, trained.fc.weight, rtol=1e-3, atol=1e-3)
    assert model.fc.weight.dtype == torch.float32


def test_old_names() -> None:
    assert current_name("module.l1.gcn1.conv_res.0.weight") == "l1.gcn1.down.0.weight"
    assert current_name("l1a.PA") == current_name("l1a.gcn1.PA") == "l1.gcn1.PA"
    assert current_name("l1b.bn.bias") == "l1.tcn1.bn.bias"
    assert current_name("l10.tcn1.conv.weight") == "l10.tcn1.conv.weight"


def test_ignored_weights_stay(trained: Model, tmp_path: Path) -> None:
    save_weights(trained, tmp_path / "three.pt")
    model = small(classes=5)
    before = model.fc.weight.clone()
    load_weights(model, tmp_path / "three.pt", ignore=["fc"])
    assert torch.equal(model.fc.weight, before)
    assert torch.equal(model.l4.tcn1.conv.weight, trained.l4.tcn1.conv.weight)


def test_a_new_classifier_leaves_attention_alone(tmp_path: Path) -> None:
    theirs = small("aagcn")
    torch.nn.init.ones_(theirs.l1.gcn1.fc1c.weight)
    save_weights(theirs, tmp_path / "three.pt")
    model = small("aagcn", classes=5)
    with pytest.raises(ValueError, match=r"ignore_weights: \[fc\.\]"):
        load_weights(model, tmp_path / "three.pt")
    load_weights(model, tmp_path / "three.pt", ignore=["fc."])
    assert torch.equal(model.l1.gcn1.fc1c.weight, theirs.l1.gcn1.fc1c.weight)


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (lambda: small(joints=6), "has 4 joints, the data has 6"),
        (lambda: small(classes=9), "has 3 classes, the config asks for 9: set model_args.num_class"),
        (lambda: small(persons=2), "has 1 bodies, the config asks for 2"),
        (lambda: small(base_channels=16), "has 64 base channels, the config asks for 16: set model_args.base_channels"),
        (lambda: small(adaptive=False), "was trained with the adaptive graph: set model_args.adaptive: True"),
        (lambda: small("aagcn"), "is of AGCN without attention: set model: model.agcn.Model"),
    ],
)
def test_another_models_weights(trained: Model, tmp_path: Path, model, text: str) -> None:
    save_weights(trained, tmp_path / "mine.pt")
    with pytest.raises(ValueError, match=text) as told:
        load_weights(model(), tmp_path / "mine.pt")
    assert str(told.value).startswith(f"{tmp_path / 'mine.pt'}: ") and "\n" not in str(told.value)


def test_not_adaptive_weights(tmp_path: Path) -> None:
    save_weights(small(adaptive=False), tmp_path / "fixed.pt")
    with pytest.raises(ValueError, match=r"without the adaptive graph: set model_args\.adaptive: False"):
        load_weights(small(), tmp_path / "fixed.pt")
    load_weights(small(adaptive=False), tmp_path / "fixed.pt")


def test_missing_and_unknown_names_are_counted(trained: Model, tmp_path: Path) -> None:
    state = {name: value for name, value in trained.state_dict().items() if not name.startswith("l9.")}
    torch.save({**state, "l11.bias": torch.zeros(1)}, tmp_path / "odd.pt")
    with pytest.raises(
        ValueError, match=r"misses 29 weights \(l9\.\S+, .*\.\.\.\) and has unknown 1 weights \(l11\.bias\)"
    ):
        load_weights(small(), tmp_path / "odd.pt")


def test_another_fixed_graph(trained: Model, tmp_path: Path) -> None:
    torch.save({**trained.state_dict(), "l1.gcn1.A": torch.ones(3, 4, 4)}, tmp_path / "graph.pt")
    with pytest.raises(ValueError, match="another graph of 4 joints"):
        load_weights(small(), tmp_path / "graph.pt")


class Harmful:
    """Unpickling it would run code."""

    def __reduce__(self) -> tuple:
        return (print, ("code ran",))


@pytest.mark.parametrize("name", ["l1.gcn1.bn.weight", "fc.bias", "l1.gcn1.A", "l1.gcn1.PA", "fc.weight"])
def test_weights_of_other_dimensions(trained: Model, tmp_path: Path, name: str) -> None:
    value = torch.zeros(3, 99) if name == "fc.weight" else torch.zeros(())
    torch.save({**trained.state_dict(), name: value}, tmp_path / "odd.pt")
    with pytest.raises(ValueError, match=r"(is \(.*\), the model's is|on another graph)"):
        load_weights(small(), tmp_path / "odd.pt")


def test_no_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": Harmful()}, tmp_path / "harmful.pt")
    (tmp_path / "text.pt").write_text("these are no weights")
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"lr": "high"}, tmp_path / "words.pt")
    torch.save({"l1.gcn1.PA": torch.zeros(1), "l1a.PA": torch.zeros(1)}, tmp_path / "twice.pt")
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("harmful.pt", "text.pt", "empty.pt", "list.pt", "words.pt", "twice.pt", "array.npy", "none.pt", "."):
        with pytest.raises(ValueError) as told:
            read_state_dict(tmp_path / name)
        assert str(told.value).startswith(str(tmp_path)) and "\n" not in str(told.value)
    assert "code ran" not in capsys.readouterr().out
