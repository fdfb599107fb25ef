"""What OpenCV does here: it takes pictures from cameras and draws on those of videos."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from native_prep.poses.video.packages import load
from native_prep.skeletons.layouts import Layout

# So many pictures in a row that a camera fails to give are its end.
_MOST_FAILURES = 30
# Joints that are less certain are not drawn.
_LEAST_SCORE = 0.3
_COLOURS = ((66, 200, 66), (255, 144, 30), (60, 76, 231), (0, 200, 255), (211, 85, 186), (208, 224, 64))
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


class Shot(NamedTuple):
    """A picture uint8 (H, W, 3) of blue, green, red, and the seconds since the first one."""

    time: float
    image: np.ndarray


class Camera:
    """The newest picture of a camera whenever one is asked for; a thread takes them all, so that none is old.

    >>> with Camera("0") as camera:
    ...     for shot in camera:
    ...         print(shot.time, camera.dropped)

    Args:
        source: the camera's number, or the address of a stream, as rtsp://...

    Attributes:
        dropped: pictures that came while nobody asked for one.

    Raises:
        ValueError: no such camera.
    """

    def __init__(self, source: str) -> None:
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what it would say says nothing that we do not
        cv2 = load("cv2")
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self._camera = cv2.VideoCapture(int(source) if source.isdigit() else source)
        if not self._camera.isOpened():
            raise ValueError(f"--camera {source}: cannot be opened: give its number, 0 for the first, or its address")
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self.dropped = 0
        self._newest: Shot | None = None
        self._ended = False
        self._came = threading.Condition()
        self._reader: threading.Thread | None = None

    def _read(self) -> None:
        begin, failures = None, 0
        while not self._ended and failures < _MOST_FAILURES:
            there, image = self._camera.read()
            now = time.monotonic()
            if not there:
                failures += 1
                time.sleep(0.01)
                continue
            failures, begin = 0, now if begin is None else begin
            with self._came:
                self.dropped += self._newest is not None
                self._newest = Shot(now - begin, image)
                self._came.notify()
        with self._came:
            self._ended = True
            self._came.notify()

    def __enter__(self) -> "Camera":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        if self._reader is not None:
            self._reader.join(timeout=5)
        self._camera.release()

    def __iter__(self) -> Iterator[Shot]:
        """From the first time that one is asked for until the camera gives no more."""
        self._reader = threading.Thread(target=self._read, name="camera", daemon=True)
        self._reader.start()
        while True:
            with self._came:
                self._came.wait_for(lambda: self._newest is not None or self._ended)
                shot, self._newest = self._newest, None
            if shot is None:
                return
            yield shot


def draw_people(image: np.ndarray, people: dict[int, np.ndarray], layout: Layout) -> None:
    """Draws skeletons onto a picture.

    Args:
        image: uint8 (H, W, 3), which is drawn on.
        people: x y in pixels and score (V, 3) by number; who keeps a number keeps the colour.
        layout: which joints are joined.
    """
    cv2 = load("cv2")
    width = max(2, round(min(image.shape[:2]) / 200))
    for number, points in people.items():
        colour = _COLOURS[number % len(_COLOURS)]
        sure = points[:, 2] >= _LEAST_SCORE
        places = [tuple(map(int, np.round(point))) for point in points[:, :2]]
        for child, parent in layout.edges:
            if sure[child] and sure[parent]:
                cv2.line(image, places[child], places[parent], colour, width, cv2.LINE_AA)
        for place in np.flatnonzero(sure):
            cv2.circle(image, places[place], width + 1, _WHITE, -1, cv2.LINE_AA)


def draw_text(image: np.ndarray, lines: Sequence[str], corner: tuple[float, float]) -> None:
    """Writes lines onto a picture, white on black, with their upper left corner at `corner` if there is room."""
    cv2 = load("cv2")
    face, height = cv2.FontFace("sans"), max(14, round(min(image.shape[:2]) / 22))
    space = round(height * 1.4)
    wide = max(cv2.getTextSize((0, 0), line, (0, 0), face, height)[2] for line in lines) + space
    left = int(np.clip(corner[0], 0, max(0, image.shape[1] - wide)))
    top = int(np.clip(corner[1], 0, max(0, image.shape[0] - space * len(lines))))
    box = image[top : top + space * len(lines), left : left + wide]
    box //= 3
    for place, line in enumerate(lines):
        cv2.putText(image, line, (left + space // 2, top + place * space + height), _WHITE, face, height)
