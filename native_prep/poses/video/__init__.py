"""Poses of people in videos and in front of cameras: decoding, estimation, one rate, and poses that are kept."""
