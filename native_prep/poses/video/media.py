"""Video files, read and written by PyAV.

OpenCV has the same times of frames and turns them upright too, but cannot tell a file that ends from one that is
damaged, and its wheels write no H.264.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from native_prep.datasets.recordings import BadClip
from native_prep.poses.video.packages import load

av = load("av")

# A picture of more pixels is damage, or needs more memory than it is worth: 8K has 33 million.
_MOST_PIXELS = 40_000_000
# Of a time that falls on a frame but for rounding, in frames.
ROUNDING = 1e-6
# So much of the frames that a file promises must come.
_LEAST_SHARE = 0.9
# Of a written video: times in its unit, as MPEG has them, and what can be encoded, the best first.
_TICKS = 90_000
_ENCODERS = ("libx264", "libopenh264", "mpeg4")


class Picture(NamedTuple):
    """One frame: seconds since the first, and what makes it uint8 (H, W, 3) of blue, green, red, upright."""

    time: float
    frame: Any

    def array(self) -> np.ndarray:
        """The picture itself; decoding is done before, so that a frame that nobody wants costs no conversion."""
        image = self.frame.to_ndarray(format="bgr24")
        return np.ascontiguousarray(np.rot90(image, self.frame.rotation // 90 % 4))


def pictures(path: str) -> Iterator[Picture]:
    """The frames of a video in the order in which they are shown; those that are not later than the one before go.

    Raises:
        BadClip: it is no video, of a codec that is not known, damaged, or has no frame.
        OSError: it cannot be read.
    """
    with Path(path).open("rb"):
        pass  # raises what reading it raises
    count, begin, last = 0, 0.0, 0.0
    try:
        with _open(path) as container:
            stream = _video_stream(container, path)
            for frame in container.decode(stream):
                _check_size(frame.width, frame.height, path)
                # A frame without a time follows the one before at the stream's rate.
                time = last + 1 / float(stream.average_rate or 30) if frame.time is None else float(frame.time)
                begin = begin if count else time
                if not count or time > last:
                    yield Picture(time - begin, frame)
                last = max(last, time) if count else time
                count += 1
            promised = stream.frames
    except av.error.FFmpegError as error:
        where = f"damaged after {last - begin:.1f} s" if count else "no video, or damaged"
        raise BadClip(path, f"is {where} ({error.strerror}): convert it again") from error
    if not count:
        raise BadClip(path, "holds no picture: convert it again")
    if count < _LEAST_SHARE * promised:
        raise BadClip(path, f"ends after {count} of the {promised} frames that it promises: copy it again")


def _open(path: str) -> Any:
    # A file of addresses, as playlists are, must not make us fetch them.
    return av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")


def _video_stream(container: Any, path: str) -> Any:
    if not container.streams.video:
        raise BadClip(path, "holds no pictures, sound alone perhaps: give a video")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise BadClip(path, "its codec is not known to FFmpeg here: convert it to H.264")
    _check_size(stream.codec_context.width, stream.codec_context.height, path)
    stream.thread_type = "AUTO"
    return stream


def _check_size(width: int, height: int, path: str) -> None:
    if width * height > _MOST_PIXELS:
        raise BadClip(path, f"has pictures of {width}x{height}: make them smaller")


def seconds_of(path: str) -> float:
    """How long a video says that it is; 0 where it does not say, or cannot be opened."""
    try:
        with _open(path) as container:
            return max(0.0, float(container.duration or 0) / av.time_base)
    except (av.error.FFmpegError, OSError):
        return 0.0


def nearest(frames: Iterator[Picture], fps: float) -> Iterator[Picture]:
    """Of frames in order those that are nearest to one of the times 0, 1/fps, 2/fps, ...

    >>> [round(picture.time, 2) for picture in nearest(of_60_fps, 30)]
    [0.0, 0.03, 0.07, 0.1]
    """
    before, taken = None, -1
    for frame in frames:
        if before is not None:
            # The last of those times to which the frame before is nearer than this one.
            number = floor((before.time + frame.time) / 2 * fps)
            if number > taken:
                yield before
            taken = max(taken, number)
        before = frame
    if before is not None and floor(before.time * fps + ROUNDING) > taken:
        yield before


class VideoWriter:
    """Writes pictures as a video; see `video_writer`."""

    def __init__(self, container: Any, encoder: str) -> None:
        self._container, self._encoder = container, encoder
        self._stream: Any = None
        self._last = -1

    def write(self, image: np.ndarray, time: float) -> None:
        """Adds a picture uint8 (H, W, 3) of blue, green, red, shown from `time` (seconds) on, as large as the first."""
        # Colours are kept for two by two pixels.
        image = np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])
        if self._stream is None:
            self._stream = self._container.add_stream(self._encoder, rate=30)
            self._stream.height, self._stream.width = image.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, _TICKS)
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame = frame.reformat(self._stream.width, self._stream.height)
        frame.pts = self._last = max(self._last + 1, round(time * _TICKS))
        frame.time_base = Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Writes what the encoder still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())


@contextmanager
def video_writer(path: str | os.PathLike[str]) -> Iterator[VideoWriter]:
    """A file of H.264, or of MPEG-4 where FFmpeg was built without.

    Raises:
        ValueError: neither can be encoded, or the pictures cannot.
        OSError: the file cannot be written.
    """
    encoder = next((name for name in _ENCODERS if name in av.codecs_available), None)
    if encoder is None:
        raise ValueError(f"{path}: FFmpeg here encodes neither H.264 nor MPEG-4: install PyAV's own wheel")
    try:
        with av.open(os.fspath(path), "w", format="mp4") as container:
            writer = VideoWriter(container, encoder)
            yield writer
            writer.finish()
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise ValueError(f"{path}: cannot be encoded ({error.strerror}): give another --overlay") from error
