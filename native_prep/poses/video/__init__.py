"""Poses of people in videos and before cameras: decoding, estimation, one rate for all, and poses that are kept."""
