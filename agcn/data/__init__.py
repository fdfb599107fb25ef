"""Clips on disk to batches on the device, changed there as the configuration asks."""
