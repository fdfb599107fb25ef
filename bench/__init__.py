"""Measurements: parity first, then speed; and `demo` and `doctor`."""
