"""The network on small inputs: numbers, names, initialisation, variants, half precision, graph capture."""

import math

import numpy as np
import pytest
import torch

from agcn.model.network import Model, build_model

KINETICS = {"num_class": 7, "num_point": 18, "graph": "graph.kinetics.Graph"}
SMALL = {"num_class": 3, "num_point": 4, "graph": "mine", "graph_args": {"edges": [[1, 0], [2, 1], [3, 1]]}}

# What the original's model/agcn.py and model/aagcn.py answer in float64 for `wave_weights` and `wave_clips`:
# logits in evaluation; in training the loss for labels 2 and 5, and the norms of two gradients.
ANSWERS = {
    "agcn": (
        [
            [2.12047969, -9.70699579, -1.7478765, 9.91996197, 1.67535422, -9.79387422, -1.29692264],
            [2.1302407, -9.67290957, -1.7585221, 9.88615202, 1.68687724, -9.7603633, -1.30931533],
        ],
        (3.391028412489376, 14.461972666754273, 11.19976107353534),
    ),
    "aagcn": (
        [
            [0.26627495, -3.19837656, -0.06258099, 3.36760659, 0.16010296, -3.2021956, 0.04726387],
            [0.17897503, -3.28566655, 0.02698425, 3.45257221, 0.06833273, -3.28477964, 0.14117728],
        ],
        (2.534712555645061, 27.35418111654845, 13.379803894301803),
    ),
}


def wave_weights(model: Model) -> Model:
    """Weights from a formula, so that no file is needed."""
    state = model.state_dict()
    for i, name in enumerate(sorted(state)):
        value = state[name]
        if name.endswith("num_batches_tracked"):
            continue
        wave = torch.cos(torch.arange(value.numel(), dtype=torch.float64) * 12.9898 + i)
        if name.endswith("running_var"):
            wave = 1 + 0.5 * wave
        elif value.ndim == 1 and name.endswith("weight"):
            wave = 0.75 + 0.25 * wave
        elif value.ndim > 1 and not name.endswith("PA"):
            wave = wave * math.sqrt(2.0 / (value.numel() / value.shape[0]))
        else:
            wave = 0.1 * wave
        state[name] = wave.reshape(value.shape)
    model.load_state_dict(state)
    return model


def wave_clips() -> torch.Tensor:
    return torch.sin(torch.arange(2 * 3 * 8 * 18 * 2, dtype=torch.float64) * 0.7).reshape(2, 3, 8, 18, 2)


@pytest.mark.parametrize("variant", ["agcn", "aagcn"])
def test_numbers_of_the_original(variant: str) -> None:
    logits, (loss, graph_norm, conv_norm) = ANSWERS[variant]
    model = build_model(variant, KINETICS).double()
    wave_weights(model).eval()
    np.testing.assert_allclose(model(wave_clips()).detach().numpy(), logits, rtol=0, atol=2e-8)
    model.train()
    found = torch.nn.functional.cross_entropy(model(wave_clips()), torch.tensor([2, 5]))
    found.backward()
    gradients = model.l1.gcn1.PA.grad, model.l10.tcn1.conv.weight.grad
    assert gradients[0] is not None and gradients[1] is not None
    numbers = [found.item(), gradients[0].norm().item(), gradients[1].norm().item()]
    np.testing.assert_allclose(numbers, [loss, graph_norm, conv_norm], rtol=1e-7)


def test_names_of_the_original() -> None:
    names = set(build_model("model.agcn.Model", KINETICS).state_dict())
    assert len(names) == 352
    assert {
        "data_bn.running_var", "l1.gcn1.PA", "l1.gcn1.conv_a.0.weight", "l1.gcn1.down.1.num_batches_tracked",
        "l5.residual.conv.weight", "l5.residual.bn.bias", "l10.tcn1.bn.running_mean", "fc.weight",
    } <= names  # fmt: skip
    assert not any(name.endswith((".A", ".alpha")) for name in names)
    attentive = set(build_model("model.aagcn.Model", KINETICS).state_dict())
    assert len(attentive) == 442
    assert {"l1.gcn1.alpha", "l3.gcn1.conv_ta.weight", "l3.gcn1.conv_sa.bias", "l3.gcn1.fc2c.weight"} <= attentive


def test_initialisation() -> None:
    torch.manual_seed(0)
    model = build_model("agcn", KINETICS)
    gcn = model.l9.gcn1
    assert torch.all(gcn.PA == 1e-6) and torch.all(gcn.bn.weight == 1e-6) and torch.all(model.l9.tcn1.bn.weight == 1)
    assert torch.all(model.data_bn.weight == 1)
    for weight, deviation in (
        (model.l9.tcn1.conv.weight, math.sqrt(2 / (256 * 9))),
        (gcn.conv_a[0].weight, math.sqrt(2 / 64)),
        (gcn.conv_d[0].weight, math.sqrt(2 / (256 * 256 * 3))),
        (model.fc.weight, math.sqrt(2 / 7)),
    ):
        assert weight.std().item() == pytest.approx(deviation, rel=0.05)
    assert gcn.conv_a[0].bias.abs().max() == 0
    attentive = build_model("aagcn", KINETICS).l1.gcn1
    assert torch.equal(attentive.PA, attentive.A) and attentive.alpha.item() == 0
    assert attentive.conv_ta.weight.abs().max() == 0 and attentive.fc2c.weight.abs().max() == 0


@pytest.mark.parametrize("variant", ["agcn", "aagcn"])
@pytest.mark.parametrize(
    "switches", [{}, {"adaptive": False}, {"attention": False}, {"attention": True}, {"base_channels": 8}]
)
def test_switches(variant: str, switches: dict) -> None:
    model = build_model(variant, {**SMALL, **switches, "drop_out": 0.3, "num_person": 1})
    clips = torch.randn(2, 3, 8, 4, 1)
    model(clips).sum().backward()
    base = switches.get("base_channels", 64)
    assert model.eval().features(clips).shape == (2, 4 * base)
    assert model.l4.tcn1.conv.weight.shape[0] == base and model.l5.tcn1.conv.weight.shape[0] == 2 * base
    assert ("l1.gcn1.PA" in model.state_dict()) == switches.get("adaptive", True)
    assert ("l1.gcn1.fc1c.bias" in model.state_dict()) == switches.get("attention", variant == "aagcn")


def test_bodies_are_averaged_and_channels_free() -> None:
    model = build_model("agcn", {**SMALL, "num_person": 3, "in_channels": 2}).eval()
    one = torch.randn(1, 2, 8, 4, 3)
    both = torch.cat([one, torch.randn(1, 2, 8, 4, 3)])
    torch.testing.assert_close(model(both)[:1], model(one), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model(one[..., [2, 0, 1]]), model(one), rtol=1e-4, atol=1e-4)


def test_half_precision_does_not_overflow() -> None:
    model = build_model("agcn", {**SMALL, "num_person": 1}).eval()
    gcn = model.l1.gcn1
    with torch.no_grad():
        for conv in (*gcn.conv_a, *gcn.conv_b):
            conv.weight.fill_(4.0)
    # Unscaled, the sum over 16 channels and 300 frames of 24 * 24 would be 2.8 million.
    similar = gcn.half().similarity(torch.full((1, 3, 300, 4), 2.0).half())
    assert torch.isfinite(similar).all() and similar.mean().item() == pytest.approx(576, rel=0.01)


def test_captured_with_any_batch() -> None:
    model = build_model("aagcn", SMALL).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model, (torch.randn(2, 3, 8, 4, 2),), dynamic_shapes=({0: batch},))
    clips = torch.randn(5, 3, 8, 4, 2)
    torch.testing.assert_close(program.module()(clips), model(clips))


@pytest.mark.parametrize(
    ("model", "args", "text"),
    [
        ("model.agcn.Modle", SMALL, "did you mean 'model.agcn.Model'"),
        ("agcn", {**SMALL, "num_clas": 3}, "did you mean 'num_class'"),
        ("agcn", {**SMALL, "num_point": 5}, "num_point is 5, but the graph mine has 4 joints"),
        ("agcn", {**SMALL, "num_class": 0}, "num_class is 0"),
        ("agcn", {**SMALL, "base_channels": 6}, "base_channels is 6: must be a multiple of 4"),
        ("agcn", {**SMALL, "num_class": "ten"}, "give a whole number"),
        ("agcn", {"num_class": 3}, "no graph"),
    ],
)
def test_errors(model: str, args: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build_model(model, args)
