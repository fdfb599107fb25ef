"""Skeletons and words on images, by OpenCV."""

from collections.abc import Mapping

import numpy as np

from native_prep.poses.video.packages import load
from native_prep.skeletons.layouts import Layout

# Joints that are less certain are not drawn.
_LEAST_SCORE = 0.3
_COLOURS = ((66, 200, 66), (255, 144, 30), (60, 76, 231), (0, 200, 255), (211, 85, 186), (208, 224, 64))
_WHITE = (255, 255, 255)


def draw_people(image: np.ndarray, people: Mapping[int, np.ndarray], layout: Layout) -> None:
    """Draws skeletons onto an image.

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


def draw_text(image: np.ndarray, text: str, corner: tuple[float, float]) -> None:
    """Writes a line onto an image, white on black.

    Args:
        image: uint8 (H, W, 3), which is drawn on.
        text: in Latin, Greek or Cyrillic letters; others become question marks.
        corner: x y in pixels of its upper left corner, moved inwards where there is no room.
    """
    cv2 = load("cv2")
    face, height = cv2.FontFace("sans"), max(14, round(min(image.shape[:2]) / 22))
    space = round(height * 1.4)
    wide = cv2.getTextSize((0, 0), text, (0, 0), face, height)[2] + space
    left = int(np.clip(corner[0], 0, max(0, image.shape[1] - wide)))
    top = int(np.clip(corner[1], 0, max(0, image.shape[0] - space)))
    box = image[top : top + space, left : left + wide]
    box //= 3
    cv2.putText(image, text, (left + space // 2, top + height), _WHITE, face, height)
