"""The people of a video: decoded in one thread, estimated in batches, followed, at one rate."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from native_prep.datasets.recordings import BadClip
from native_prep.poses.tracking import Follower
from native_prep.poses.video.media import VideoFrame, read_frames
from native_prep.poses.video.rate import Resampler, select_nearest

# Images (H, W, 3) to people (n, V, 3) of each: `estimator.Estimator`.
Estimate = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
# The people of a frame by number, (V, 3) each.
People = dict[int, np.ndarray]
# So many images are estimated at once, of fewer than so many bytes.
_MOST, _MOST_BYTES = 16, 64 << 20
# Seconds from one frame to the next: longer are damaged times. And frames, ten hours at 30 a second.
_LONGEST_PAUSE, _MOST_FRAMES = 60.0, 1_080_000


class TimedImage(NamedTuple):
    """An image uint8 (H, W, 3) of blue, green, red, and the seconds since the first one."""

    time: float
    image: np.ndarray


class FollowedPeople:
    """Numbers for people from image to image, and their frames at one rate.

    Args:
        fps: frames a second that come out.

    Attributes:
        size: width and height in pixels of the first image, in which all places are; (0, 0) before it.
        images: how many there were.
    """

    def __init__(self, fps: float) -> None:
        self.size, self.images = (0, 0), 0
        self._follower, self._resampler = Follower(image=True), Resampler(fps)

    def add(self, image: TimedImage, people: np.ndarray) -> Iterator[tuple[int, People]]:
        """The frames that are known with the people (n, V, 3) of an image, by number."""
        size = image.image.shape[1], image.image.shape[0]
        if not self.images:
            self.size = size
        elif len(people) and size != self.size:  # video calls change it while they are recorded
            people = people * np.array([*np.divide(self.size, size), 1.0])
        numbers = self._follower.follow(self.images, people)
        self.images += 1
        yield from self._resampler.add(image.time, dict(zip(numbers, people, strict=True)))


class VideoPeople:
    """Frame by frame the people of a video by number: x y in pixels and score, float64 (V, 3).

    >>> for number, people in VideoPeople("a.mp4", estimator, fps=30):
    ...     print(number, sorted(people))

    Args:
        path: the video.
        estimate: finds people in images.
        fps: frames a second that come out; the video's frames nearest to them are looked at, those between are not.
        on_progress: called with the number of images that were estimated.

    Attributes:
        followed: what is known of the video so far.

    Raises:
        BadClip: the video is damaged, of one frame, or of more than a million.
        OSError: it cannot be read.
    """

    def __init__(
        self, path: str, estimate: Estimate, fps: float, on_progress: Callable[[int], None] = lambda count: None
    ) -> None:
        self.followed = FollowedPeople(fps)
        self._path, self._estimate, self._fps, self._on_progress = path, estimate, fps, on_progress

    def __iter__(self) -> Iterator[tuple[int, People]]:
        before = 0.0
        for batch in _decoded_ahead(select_nearest(read_frames(self._path), self._fps)):
            for image, people in zip(batch, self._estimate([one.image for one in batch]), strict=True):
                if image.time - before > _LONGEST_PAUSE:
                    text = f"jumps from {before:.1f} to {image.time:.1f} s: its times are damaged: cut it there"
                    raise BadClip(self._path, text)
                before = image.time
                if image.time * self._fps > _MOST_FRAMES:
                    raise BadClip(self._path, f"has more than {_MOST_FRAMES} frames at {self._fps:g} a second: cut it")
                yield from self.followed.add(image, people)
            self._on_progress(len(batch))
        if self.followed.images < 2:
            text = f"has one frame at {self._fps:g} a second, in which nothing moves: give a longer video"
            raise BadClip(self._path, text)


def _decoded_ahead(frames: Iterator[VideoFrame]) -> Iterator[list[TimedImage]]:
    """Images in batches; the next one is decoded while one is looked at."""

    def take() -> list[TimedImage]:
        batch: list[TimedImage] = []
        room = _MOST_BYTES
        for frame in frames:
            batch.append(TimedImage(frame.time, frame.image()))
            room -= batch[-1].image.nbytes
            if len(batch) == _MOST or room < batch[-1].image.nbytes:
                break
        return batch

    with ThreadPoolExecutor(1, "decoder") as decoder:
        coming = decoder.submit(take)
        while batch := coming.result():
            coming = decoder.submit(take)
            yield batch
