"""Scores of a test split, and what is written of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import MODEL

from agcn import evaluate
from agcn import metrics as outcome
from agcn.config import Config, load_config, shipped_configs, to_yaml
from agcn.data.loader import BatchIndices, BatchLoader
from agcn.metrics import top_k
from agcn.model.network import build_model


def test_outcome(tmp_path: Path) -> None:
    scores = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]]
    labels = np.array([0, 1, 1, 1])
    assert outcome.confusion_of(scores, labels).tolist() == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    outcome.write_outcome(tmp_path, scores, labels, ["sit", "stand", "wave"])
    assert (tmp_path / "confusion.csv").read_text().splitlines()[2] == "stand,1,2,0"
    assert (tmp_path / "per_class.csv").read_text().splitlines()[1:] == [
        "0,sit,1,1,1.0000",
        "1,stand,3,2,0.6667",
        "2,wave,0,0,",
    ]
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_mean_class_accuracy_counts_each_class_that_occurs_once() -> None:
    scores, labels = np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 3]], np.array([0, 0, 1, 1, 2])
    assert outcome.mean_class_accuracy(scores, labels) == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert top_k(scores, labels, 1) == 3 / 5
    assert outcome.mean_class_accuracy(scores[:0], labels[:0]) == 0.0


def test_windows_are_averaged(config: Config) -> None:
    drawn = replace(config, test_feeder_args=replace(config.test_feeder_args, sample="uniform", window_size=8))
    model = build_model("agcn", MODEL).train()
    feed = BatchLoader(evaluate.open_test_clips(drawn), drawn.test_feeder_args, model.layout, torch.device("cpu"))
    mean = evaluate.score_clips(model, feed, 4, views=2, quiet=True)
    with torch.inference_mode():
        apart = [model(next(feed.batches([BatchIndices(0, np.arange(7))], epoch)).clips).numpy() for epoch in (None, 1)]
    np.testing.assert_array_equal(evaluate.score_clips(model, feed, 7, quiet=True), apart[0])
    assert not np.allclose(*apart)
    np.testing.assert_allclose(mean, (apart[0] + apart[1]) / 2, rtol=1e-4, atol=1e-5)
    # A process that tests only the last clips draws for them what one that tests all does.
    last = evaluate.score_clips(model, feed, 4, index=np.arange(4, 7), views=2, quiet=True)
    np.testing.assert_allclose(last, mean[4:], rtol=1e-4, atol=1e-5)


TRAINED = "best.pt: was trained with train_feeder_args."


@pytest.mark.parametrize(
    ("trained", "tested", "warning"),
    [
        ({"centre": True}, {}, TRAINED + "centre=True, here test_feeder_args.centre is False: check its accuracy"),
        ({"normalization": True}, {}, TRAINED + "normalization=True, here test_feeder_args.normalization is False"),
        ({"fit": "axes"}, {"fit": "clip"}, TRAINED + "fit='axes', here test_feeder_args.fit is 'clip'"),
        ({"make_stream": "bone"}, {}, TRAINED + "make_stream='bone', here test_feeder_args.make_stream is 'joint'"),
        ({"sample": "crop", "window_size": 16}, {}, TRAINED + "sample='linear', here test_feeder_args.sample is ''"),
        (
            {"window_size": 20},
            {},
            "best.pt: was trained on 20 frames (train_feeder_args.window_size=20), here clips have 16",
        ),
        ({"sample": "crop", "window_size": 8, "random_warp": 0.5}, {"sample": "linear", "window_size": 8}, ""),
        ({"random_choose": True, "window_size": 8, "random_move": True}, {}, ""),
        ({"make_stream": "joint", "random_rotate": (9, 9, 9), "repeat": 2, "window_size": 4}, {}, ""),
        ({"make_stream": "bone", "centre": True}, {"make_stream": "bone"}, ""),
    ],
)
def test_what_training_showed_otherwise(config: Config, trained: dict, tested: dict, warning: str) -> None:
    shown = replace(
        config,
        train_feeder_args=replace(config.train_feeder_args, random_shift=False, **trained),
        test_feeder_args=replace(config.test_feeder_args, **tested),
    )
    best = Path(config.work_dir, "best.pt")
    best.parent.mkdir()
    assert evaluate.training_mismatches(shown, best, 16) == {}
    best.with_name("config.yaml").write_text(to_yaml(shown))
    told = list(evaluate.training_mismatches(shown, best, 16).values())
    assert [warning in text for text in told] == ([True] if warning else [])


def test_a_test_tells_each_difference_once(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    best = Path(config.work_dir, "best.pt")
    best.parent.mkdir()
    torch.save(build_model("agcn", MODEL).state_dict(), best)
    run = replace(config, train_feeder_args=replace(config.train_feeder_args, centre=True))
    best.with_name("config.yaml").write_text(to_yaml(run))
    other = replace(config, test_feeder_args=replace(config.test_feeder_args, fit="axes", window_size=20))
    warnings = evaluate.test(other, best, device="cpu", work_dir=best.parent / "apart")["warnings"]
    assert capsys.readouterr().err.splitlines() == warnings
    told = [text.removeprefix(f"{best.parent}/").split("=")[0] for text in warnings]
    beside = "best.pt: is of a run with test_feeder_args."
    assert told == [f"{beside}window_size", f"{beside}fit", f"{TRAINED}centre"]


def test_shipped_configurations_train_on_what_they_test(tmp_path: Path) -> None:
    for name in shipped_configs():
        for stream in ("joint", "bone_motion"):
            config = load_config(name, stream)
            (tmp_path / "config.yaml").write_text(to_yaml(config))
            assert evaluate.training_mismatches(config, tmp_path / "best.pt", 300) == {}, name


def test_top_k() -> None:
    scores = np.array([[3, 2, 1, 0], [0, 1, 2, 3], [0, 3, 2, 1]], np.float32)
    labels = np.array([0, 1, 3])
    assert [top_k(scores, labels, k) for k in (1, 2, 3, 5)] == pytest.approx([1 / 3, 1 / 3, 1, 1])
