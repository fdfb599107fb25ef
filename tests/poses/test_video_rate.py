"""Poses at one rate: what is between two pictures, who comes and goes, pauses."""

import numpy as np
import pytest

pytest.importorskip("av", exc_type=ImportError)

from native_prep.poses.video.media import VideoFrame
from native_prep.poses.video.rate import Resampler, select_nearest


def person(x: float, score: float = 1.0) -> np.ndarray:
    return np.array([[x, 2 * x, score], [x + 1, 5.0, score]])


def resampled(fps: float, *shots: tuple[float, dict[int, np.ndarray]]) -> list[dict[int, np.ndarray]]:
    resampler, found = Resampler(fps), []
    for time, people in shots:
        for number, some in resampler.add(time, people):
            assert number == len(found), "every frame comes once, in order"
            found.append(some)
    return found


def test_pictures_on_the_frames_stay_as_they_are() -> None:
    shots = [(number / 30, {7: person(number)}) for number in range(50)]
    found = resampled(30, *shots)
    assert len(found) == 50
    for number, people in enumerate(found):
        np.testing.assert_allclose(people[7], person(number), atol=1e-9)


@pytest.mark.parametrize("rate", [7.3, 12, 25, 29.97, 50, 60])
def test_a_steady_walk_stays_one_at_any_rate(rate: float) -> None:
    count = int(2 * rate)
    found = resampled(30, *((number / rate, {1: person(number / rate)}) for number in range(count)))
    last = (count - 1) / rate
    assert len(found) == int(last * 30 + 0.05) + 1
    for number, people in enumerate(found):
        # Within a twentieth of a frame, of x and of 2 x.
        np.testing.assert_allclose(people[1], person(min(number / 30, last)), atol=2 * 0.05 / 30)


def test_times_in_milliseconds_are_frames_all_the_same() -> None:
    times = np.round(np.arange(60) / 30, 3)
    shown = [frame.time for frame in select_nearest((VideoFrame(time, None) for time in times), 30)]
    assert shown == times.tolist()
    assert len(resampled(30, *((time, {1: person(time)}) for time in times))) == 60


def test_who_is_in_one_picture_is_in_the_frames_nearer_to_it() -> None:
    found = resampled(30, (0, {1: person(1), 2: person(9)}), (0.1, {1: person(4), 3: person(5)}))
    assert [sorted(people) for people in found] == [[1, 2], [1, 2], [1, 3], [1, 3]]
    np.testing.assert_allclose([people[1][0, 0] for people in found], [1, 2, 3, 4])
    assert found[1][2][0, 0] == 9 and found[2][3][0, 0] == 5


def test_a_joint_that_is_seen_once_stays_where_it_is_nearer() -> None:
    hidden = person(4)
    hidden[0] = 0
    found = resampled(30, (0, {1: person(1)}), (0.1, {1: hidden}))
    np.testing.assert_allclose([people[1][0] for people in found], [[1, 2, 1], [1, 2, 1], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose([people[1][1, 0] for people in found], [2, 3, 4, 5])


def test_nobody_is_in_a_long_pause() -> None:
    found = resampled(30, (0, {1: person(1)}), (1 / 30, {1: person(2)}), (1.1, {1: person(3)}))
    there = [number for number, people in enumerate(found) if people]
    assert len(found) == 34 and there == [0, 1, 33]
    # A second is a pause for few images a second, ten frames are for many.
    assert all(resampled(30, (0, {1: person(1)}), (1, {1: person(2)})))
    slow = resampled(2, (0, {1: person(1)}), (5, {1: person(2)}))
    assert len(slow) == 11 and all(slow)
    assert resampled(30, (0, {}), (0.1, {})) == [{}] * 4


def test_scores_move_too() -> None:
    found = resampled(10, (0, {1: person(1, 0.2)}), (0.2, {1: person(1, 0.8)}))
    np.testing.assert_allclose([people[1][0, 2] for people in found], [0.2, 0.5, 0.8])
