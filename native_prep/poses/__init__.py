"""Poses of any estimator: reading, checking, tracking and aligning them, and `prep custom`."""
