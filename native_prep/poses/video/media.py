"""Video files, read and written by PyAV.

OpenCV has the same times of frames and turns them upright too, but cannot tell a file that ends from one that is
damaged, and its wheels write no H.264.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from native_prep.datasets.recordings import BadClip
from native_prep.poses.video.packages import load

av = load("av")

# Containers of video. Not among them: playlists and the like, which name other files, or addresses.
_FORMATS = "mov,avi,matroska,mpeg,mpegvideo,mpegts,asf,flv,ogg,m4v,h264,hevc,mxf,ivf"
# Frames of more pixels need more memory than they are worth (8K has 33 million); narrower ones show nobody.
_MOST_PIXELS, _NARROWEST = 40_000_000, 1 / 64
# So much of what a file promises must come.
_LEAST_SHARE = 0.9
# Of a written video: ticks a second, as MPEG has them, and what can be encoded, the best first.
_TICKS = 90_000
_ENCODERS = ("libx264", "libopenh264", "mpeg4")


class VideoFrame(NamedTuple):
    """A frame that was decoded: seconds since the first one, and PyAV's frame."""

    time: float
    frame: Any

    def image(self) -> np.ndarray:
        """uint8 (H, W, 3) of blue, green, red, upright; a frame that nobody wants costs no conversion."""
        image = self.frame.to_ndarray(format="bgr24")
        return np.ascontiguousarray(np.rot90(image, self.frame.rotation // 90 % 4))


def read_frames(path: str) -> Iterator[VideoFrame]:
    """The frames of a video in the order in which they are shown, without those that are not later than one before.

    Raises:
        BadClip: it is no video, of a codec that is not known, damaged, or has no frame.
        OSError: it cannot be read.
    """
    check_file(path)
    frames, packets, begin, last = 0, 0, 0.0, 0.0
    try:
        with _open(path) as container:
            stream = _video_stream(container, path)
            for packet in container.demux(stream):
                packets += bool(packet.size)
                for frame in packet.decode():
                    _check_size(frame.width, frame.height, path)
                    # A frame without a time follows the one before at the stream's rate.
                    time = last + 1 / float(stream.average_rate or 30) if frame.time is None else float(frame.time)
                    begin = begin if frames else time
                    if not frames or time > last:
                        yield VideoFrame(time - begin, frame)
                    last = max(last, time) if frames else time
                    frames += 1
            promised = stream.frames
    except av.error.FFmpegError as error:
        where = f"damaged after {last - begin:.1f} s" if frames else "no video, or damaged"
        raise BadClip(path, f"is {where} ({error.strerror}): convert it again") from error
    if not frames:
        raise BadClip(path, "holds no picture: convert it again")
    # Packets and not frames: what was trimmed off is in the file still.
    if packets < _LEAST_SHARE * promised:
        raise BadClip(path, f"ends after {packets} of the {promised} frames that it promises: copy it again")


def check_file(path: str) -> None:
    """Raises what reading a file raises (OSError), and BadClip for a pipe, which reading would wait for."""
    file = Path(path)
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise BadClip(path, "is no file, but a pipe or a device: give a video")
    with file.open("rb"):
        pass


def _open(path: str) -> Any:
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
    return av.open(f"file:{path}", options=options, metadata_errors="replace")


def _video_stream(container: Any, path: str) -> Any:
    if not container.streams.video:
        raise BadClip(path, "holds no pictures, sound alone perhaps: give a video")
    stream = container.streams.video[0]
    codec = stream.codec_context
    if codec is None:
        raise BadClip(path, "its codec is not known to FFmpeg here: convert it to H.264")
    if codec.width and codec.height:  # some say it in their first frame only
        _check_size(codec.width, codec.height, path)
    codec.options = {"max_pixels": str(_MOST_PIXELS)}
    stream.thread_type = "AUTO"
    return stream


def _check_size(width: int, height: int, path: str) -> None:
    if width * height > _MOST_PIXELS:
        raise BadClip(path, f"has frames of {width}x{height}: make them smaller")
    if min(width, height) < _NARROWEST * max(width, height):
        raise BadClip(path, f"has frames of {width}x{height}, too narrow to show anybody: give another video")


def expected_frames(path: str, fps: float | None = None) -> int:
    """How many frames a video says that it has, with `fps` of those that are read for so many a second; 0: unknown."""
    try:
        with _open(path) as container:
            rate = float(container.streams.video[0].average_rate or 0) if container.streams.video else 0.0
            seconds = max(0.0, float(container.duration or 0) / av.time_base)
    except (av.error.FFmpegError, OSError):
        return 0
    return round(seconds * (min(rate, fps) if fps else rate))


class VideoWriter:
    """Writes images as a video; see `video_writer`."""

    def __init__(self, container: Any, encoder: str) -> None:
        self._container, self._encoder = container, encoder
        self._stream: Any = None
        self._last = -1

    def write(self, image: np.ndarray, time: float) -> None:
        """Adds an image uint8 (H, W, 3) of blue, green, red, shown from `time` (seconds) on, as large as the first."""
        # Colours are kept for two by two pixels.
        image = np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])
        if self._stream is None:
            self._stream = self._container.add_stream(self._encoder, rate=30)
            self._stream.height, self._stream.width = image.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            if self._encoder == "libx264":  # its own preset keeps some fifty frames
                self._stream.options = {"preset": "veryfast"}
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
    """An MP4 file of H.264, or of MPEG-4 where FFmpeg was built without.

    Raises:
        ValueError: neither can be encoded, or the images cannot.
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
