"""The people of a video: decoded in one thread, estimated in batches, followed, at one rate."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np

from native_prep.datasets.recordings import BadClip
from native_prep.poses.tracking import Follower
from native_prep.poses.video.media import Picture, nearest, pictures
from native_prep.poses.video.rate import Resampler

# Pictures (H, W, 3) to people (n, V, 3) of each: `estimator.Estimator`.
Estimate = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
# So many pictures are estimated at once, of fewer than so many bytes.
_MOST, _MOST_BYTES = 16, 64 << 20
# Seconds from one picture to the next: longer are damaged times.
_LONGEST_PAUSE = 600.0


class VideoPeople:
    """Frame by frame the people of a video by number: x y in pixels and score, float64 (V, 3).

    >>> for number, people in VideoPeople("a.mp4", estimator, fps=30):
    ...     print(number, sorted(people))

    Args:
        path: the video.
        estimate: finds people in pictures.
        fps: frames a second that come out; the pictures nearest to them are looked at, those between are not.
        tell: called with the number of pictures that were estimated.

    Attributes:
        size: width and height in pixels of the first picture, in which all places are; (0, 0) before it.

    Raises:
        BadClip: the video is damaged, or of one picture.
        OSError: it cannot be read.
    """

    def __init__(self, path: str, estimate: Estimate, fps: float, tell: Callable[[int], None] = lambda count: None):
        self.size = (0, 0)
        self._path, self._estimate, self._fps, self._tell = path, estimate, fps, tell

    def __iter__(self) -> Iterator[tuple[int, dict[int, np.ndarray]]]:
        follower, resampler, count, before = Follower(image=True), Resampler(self._fps), 0, 0.0
        for batch in _decoded_ahead(nearest(pictures(self._path), self._fps)):
            images = [image for _, image in batch]
            if not count:
                self.size = _size(images[0])
            for (time, image), people in zip(batch, self._estimate(images), strict=True):
                if len(people) and _size(image) != self.size:  # calls change it while they are recorded
                    people[..., :2] *= np.divide(self.size, _size(image))
                if time - before > _LONGEST_PAUSE:
                    raise BadClip(self._path, f"jumps from {before:.1f} to {time:.1f} s: its times are damaged: cut it")
                names = follower.follow(round(time * self._fps), people)
                yield from resampler.add(time, dict(zip(names, people, strict=True)))
                before = time
            count += len(batch)
            self._tell(len(batch))
        if count < 2:
            raise BadClip(self._path, "is one picture, in which nothing moves: give a video")


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _decoded_ahead(frames: Iterator[Picture]) -> Iterator[list[tuple[float, np.ndarray]]]:
    """Times and pictures in batches; the next one is decoded while one is looked at."""
    count = 1

    def take() -> list[tuple[float, np.ndarray]]:
        nonlocal count
        batch = [(picture.time, picture.array()) for picture in islice(frames, count)]
        if batch:
            count = max(1, min(_MOST, _MOST_BYTES // batch[0][1].nbytes))
        return batch

    with ThreadPoolExecutor(1, "decoder") as decoder:
        coming = decoder.submit(take)
        while batch := coming.result():
            coming = decoder.submit(take)
            yield batch
