"""Configurations that the tests of exporting use."""

from pathlib import Path

from agcn.config import load_config


def joint_config(folder: Path):
    return load_config(folder / "config.yaml", stream="joint")
