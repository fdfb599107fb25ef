"""Layouts that the tests of several readers use."""

from dataclasses import replace

from native_prep.skeletons.layouts import LAYOUTS

OPENPOSE18, OPENPOSE25, MEDIAPIPE33 = (LAYOUTS[name] for name in ("openpose18", "openpose25", "mediapipe33"))


WORLD33 = replace(MEDIAPIPE33, name="world33", coordinates="world")
