"""Angles and turns as the original takes them (2s-AGCN, rotation), to the last bit that can be seen."""

import math

import numpy as np

from native_prep.jit import scalar


@scalar
def angle_to(x, y, z, along):
    """The angle in radians between a float32 vector and the axis whose component `along` is, as NumPy rounds it.

    NumPy keeps the vector's length in float32; close to 0 and pi the arc cosine makes that rounding visible.
    """
    if abs(x) + abs(y) + abs(z) < np.float32(1e-6):
        return 0.0
    square = np.float32(np.float64(x * x) + np.float64(y * y) + np.float64(z * z))
    cosine = np.float64(along / np.float32(math.sqrt(square)))
    return math.acos(min(max(cosine, -1.0), 1.0))


@scalar
def rotation(x, y, z, angle, matrix):
    """The 3x3 float64 matrix of a turn about the axis x y z (Euler-Rodrigues); the identity for a tiny one."""
    length = math.sqrt(x * x + y * y + z * z)
    if abs(x) + abs(y) + abs(z) < 1e-6 or abs(angle) < 1e-6:
        angle, length = 0.0, 1.0
    sine = -math.sin(angle / 2.0)
    a = math.cos(angle / 2.0)
    b, c, d = x / length * sine, y / length * sine, z / length * sine
    matrix[0, 0] = a * a + b * b - c * c - d * d
    matrix[0, 1] = 2 * (b * c + a * d)
    matrix[0, 2] = 2 * (b * d - a * c)
    matrix[1, 0] = 2 * (b * c - a * d)
    matrix[1, 1] = a * a + c * c - b * b - d * d
    matrix[1, 2] = 2 * (c * d + a * b)
    matrix[2, 0] = 2 * (b * d + a * c)
    matrix[2, 1] = 2 * (c * d - a * b)
    matrix[2, 2] = a * a + d * d - b * b - c * c
