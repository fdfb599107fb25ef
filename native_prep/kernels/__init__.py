"""Compiled functions that the CPU and the CUDA driver share: text to coordinates, coordinates to clips and rows."""
