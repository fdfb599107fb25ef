"""Checks on folders that `prepare` writes."""

from pathlib import Path


def nothing_in(folder: Path) -> bool:
    return not [path for path in folder.rglob("*") if path.is_file()]
