"""Trained weights that others published, or will: known ones by name, downloading, packing a run's own."""
