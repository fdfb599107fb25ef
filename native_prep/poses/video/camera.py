"""Cameras, by OpenCV, which knows those of every system."""

import os
import threading
import time
from collections.abc import Iterator

import numpy as np

from native_prep.poses.video.packages import load
from native_prep.poses.video.people import TimedImage

# So many images in a row that a camera fails to give are its end.
_MOST_FAILURES = 30


class Camera:
    """The newest image of a camera whenever one is asked for; a thread takes them all, so that none is old.

    >>> with Camera("0") as camera:
    ...     for image in camera:
    ...         print(image.time, camera.dropped)

    Args:
        source: the camera's number, or the address of a stream, as rtsp://...

    Attributes:
        dropped: images that came while nobody asked for one.
        begin: when the first one came (`time.monotonic`).

    Raises:
        ValueError: no such camera.
    """

    def __init__(self, source: str) -> None:
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what it would say says nothing that we do not
        cv2 = load("cv2")
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self._camera = cv2.VideoCapture(int(source) if source.isdecimal() and len(source) < 6 else source)
        if not self._camera.isOpened():
            raise ValueError(f"--camera {source}: cannot be opened: give its number, 0 for the first, or its address")
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._source, self.dropped, self.begin = source, 0, 0.0
        self._error: Exception | None = None
        self._newest: TimedImage | None = None
        self._ended = False
        self._came = threading.Condition()
        self._reader: threading.Thread | None = None

    def _read(self) -> None:
        try:
            self._take_images()
        except Exception as error:  # of whatever camera; who asks for images gets it
            self._error = error
        with self._came:
            self._ended = True
            self._came.notify()

    def _take_images(self) -> None:
        failures = 0
        while not self._ended and failures < _MOST_FAILURES:
            there, image = self._camera.read()
            now = time.monotonic()
            if not there or image is None or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                failures += 1
                time.sleep(0.01)
                continue
            failures, self.begin = 0, self.begin or now
            with self._came:
                self.dropped += self._newest is not None
                self._newest = TimedImage(now - self.begin, image)
                self._came.notify()

    def __enter__(self) -> "Camera":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        if self._reader is not None:
            self._reader.join(timeout=5)
            if self._reader.is_alive():  # waits for a stream: what it reads from must not go
                return
        self._camera.release()

    def __iter__(self) -> Iterator[TimedImage]:
        """From the first time that one is asked for until the camera gives no more.

        Raises:
            ValueError: it fails, or gives none in colour at all.
        """
        self._reader = threading.Thread(target=self._read, name="camera", daemon=True)
        self._reader.start()
        while True:
            with self._came:
                self._came.wait_for(lambda: self._newest is not None or self._ended)
                newest, self._newest = self._newest, None
            if newest is None:
                break
            yield newest
        if self._error is not None:
            raise ValueError(f"--camera {self._source}: fails ({self._error}): look at it") from self._error
        if not self.begin:
            raise ValueError(f"--camera {self._source}: gives no picture in colour: does another program use it?")
