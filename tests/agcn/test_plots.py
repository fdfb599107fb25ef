"""Pictures of clips and of a layer's graphs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from exported import trained_looking
from PIL import Image

from agcn.model.layer_graphs import all_layer_graphs, layer_graphs
from agcn.plots import draw_clip, draw_graphs, draw_rates
from native_prep.skeletons.layouts import KINETICS, NTU, NW_UCLA, Layout
from native_prep.synth.make import joint_batch

T = 12


def clip_of(layout: Layout, persons: int = 2) -> np.ndarray:
    return joint_batch(layout, 1, T, persons, seed=3, one_body_share=0.0)[0]


@pytest.mark.parametrize("layout", (NTU, KINETICS, NW_UCLA))
def test_a_clip(tmp_path: Path, layout: Layout) -> None:
    clip = clip_of(layout)
    draw_clip(tmp_path / "clip.png", clip, layout, frames=4)
    draw_clip(tmp_path / "one.png", clip, layout, frames=1)
    with Image.open(tmp_path / "clip.png") as image, Image.open(tmp_path / "one.png") as one:
        assert image.width > 3 * one.width
        assert len(np.unique(np.asarray(image.convert("L")))) > 10  # not an empty page
    draw_clip(tmp_path / "clip.gif", clip[:, :5], layout)
    with Image.open(tmp_path / "clip.gif") as film:
        assert film.n_frames == 5
    with pytest.raises(ValueError, match="nobody is in any frame"):
        draw_clip(tmp_path / "none.png", np.zeros_like(clip), layout)
    with pytest.raises(ValueError, match="clip of shape"):
        draw_clip(tmp_path / "none.png", clip[0], layout)


@pytest.mark.parametrize("variant", ("agcn", "aagcn"))
@pytest.mark.parametrize("layer", (1, 5))
def test_graphs_are_those_that_the_layer_uses(tmp_path: Path, variant: str, layer: int) -> None:
    clip, model = clip_of(NTU), trained_looking(variant, NTU, 1)
    seen: list[torch.Tensor] = []
    conv = model.blocks[layer - 1].gcn1
    conv.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(torch.from_numpy(clip)[None])
        used = conv.graphs(seen[0])[0].numpy()  # (K, V, V) of the first body
    graphs = layer_graphs(model, clip, layer)
    total = graphs.learned + graphs.data_dependent + (graphs.fixed if variant == "agcn" else 0)
    np.testing.assert_allclose(total, used, atol=1e-6)
    draw_graphs(tmp_path / "graphs.png", graphs, NTU, clip[:, 0, :, 0])
    with Image.open(tmp_path / "graphs.png") as image:
        assert image.height > image.width and len(np.unique(np.asarray(image.convert("L")))) > 50


def test_one_pass_gives_the_graphs_of_all_layers() -> None:
    clip, model = clip_of(NTU), trained_looking("agcn", NTU, 1)
    runs: list[int] = []
    for number, block in enumerate(model.blocks, 1):
        block.register_forward_pre_hook(lambda module, inputs, number=number: runs.append(number))
    every = all_layer_graphs(model, clip)
    assert list(every) == list(range(1, 11)) and runs == list(range(1, 10))
    some = all_layer_graphs(model, clip, (7, 3))
    assert list(some) == [3, 7]
    for layer, graphs in some.items():
        for one, other, alone in zip(graphs, every[layer], layer_graphs(model, clip, layer), strict=True):
            np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(one, alone)


def test_rates_say_their_unit_and_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))[1])

    def rate(name: str, number: float) -> dict[str, object]:
        return {"label": name, "rate": number, "ratio": number}

    plain, fast = rate("plain", 1.0), rate("fast", 4.0)
    panels = [
        ("A batch", "clips/s", [plain, fast], plain),
        ("One clip", "clips/s", [plain, rate("fast", 750.0)], plain),
        ("Alone", "clips/s", [rate("start", 2.0)], None),
    ]
    draw_rates(tmp_path / "rates.png", "Inference", panels)
    batch, one = figures[0].axes
    assert [axis.get_title(loc="left") for axis in (batch, one)] == ["A batch", "One clip"]
    assert "clips/s" in batch.get_xlabel() and "logarithmic" in one.get_xlabel() and one.get_xscale() == "log"
    for axis in (batch, one):
        (line,) = axis.get_lines()
        assert set(line.get_xdata()) == {1.0} and line.get_label() == "baseline: plain, 1 clips/s"
    assert [text.get_text() for text in batch.texts] == ["4  (4 x)", "1  (1 x)"]
    draw_rates(tmp_path / "old.png", "of no group", [("", "clips/s", [plain, fast], None), ("", "GB/s", [fast], None)])
    assert not figures[1].axes[0].get_lines()
    with Image.open(tmp_path / "rates.png") as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 10


def test_wrong_wishes(tmp_path: Path) -> None:
    clip, model = clip_of(NTU), trained_looking("agcn", NTU, 1)
    with pytest.raises(ValueError, match="layer 11: the model has 10"):
        layer_graphs(model, clip, 11)
    with pytest.raises(ValueError, match=r"give \(3, T, 25, 2\)"):
        layer_graphs(model, clip[..., :1])
    with pytest.raises(ValueError, match="is not adaptive"):
        layer_graphs(trained_looking("agcn", NTU, 1, adaptive=False), clip)
    with pytest.raises(ValueError, match="the skeleton has 20 joints"):
        draw_graphs(tmp_path / "no.png", layer_graphs(model, clip), NW_UCLA, clip[:, 0, :, 0])
