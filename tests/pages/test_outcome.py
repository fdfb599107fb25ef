"""The numbers of the report: accuracy, calibration, what fusion changed, and which clips stand for a mistake."""

import numpy as np
import pytest
import torch

from bench.pages.outcome import calibration_of, confused_pairs, examples_of, fusion_changes, outcome_of

# Logarithms of probabilities, so that the softmax gives them back.
SCORES = np.log([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.05, 0.05, 0.9], [0.45, 0.35, 0.2]])
LABELS = np.array([0, 0, 1, 2, 1])


def test_an_outcome_counts_clips() -> None:
    found = outcome_of(SCORES, LABELS)
    assert found.top1 == 3 / 5 and found.top5 is None
    assert found.confusion.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert found.by_class.tolist() == [0.5, 0.5, 1.0]
    assert found.mean_class == pytest.approx(2 / 3)
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(SCORES), torch.from_numpy(LABELS))
    assert found.loss == pytest.approx(expected.item())


def test_a_class_without_clips_has_no_accuracy() -> None:
    found = outcome_of(SCORES[:3], LABELS[:3])
    assert np.isnan(found.by_class[2]) and found.mean_class == pytest.approx(0.75)


def test_the_calibration_error_weighs_bins_by_their_clips() -> None:
    probabilities = np.array([[0.95, 0.05]] * 3 + [[0.55, 0.45]])
    found = calibration_of(probabilities, np.array([0, 0, 1, 1]))
    assert found.clips.tolist() == [0] * 5 + [1, 0, 0, 0, 3]
    assert found.accuracy[9] == pytest.approx(2 / 3) and found.confidence[9] == pytest.approx(0.95)
    assert found.error == pytest.approx((3 * abs(0.95 - 2 / 3) + 0.55) / 4)


def test_who_is_sure_of_everything_is_in_the_last_bin() -> None:
    assert calibration_of(np.array([[1.0, 0.0]]), np.array([0])).clips[-1] == 1


def test_what_fusion_puts_right_and_breaks() -> None:
    other = SCORES.copy()
    other[1] = np.log([0.8, 0.1, 0.1])  # put right
    other[2] = np.log([0.8, 0.1, 0.1])  # broken
    fixed, broke = fusion_changes(outcome_of(SCORES, LABELS), outcome_of(other, LABELS), LABELS, 3)
    assert fixed.tolist() == [1, 0, 0] and broke.tolist() == [0, 1, 0]


def test_confused_pairs_are_mistakes_alone() -> None:
    confusion = np.array([[9, 2, 0], [5, 9, 0], [0, 0, 9]])
    assert confused_pairs(confusion, 6) == [(1, 0, 5), (0, 1, 2)]
    assert confused_pairs(confusion, 1) == [(1, 0, 5)]


def test_a_pair_is_shown_by_its_surest_mistake_and_answer() -> None:
    assert examples_of(SCORES, LABELS, 0, 1) == (1, 2)
    assert examples_of(SCORES[:2], LABELS[:2], 0, 1) == (1, None)
