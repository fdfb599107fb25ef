"""SHA-256 of files, and of values that JSON can hold."""

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any


def sha256(path: str | os.PathLike[str]) -> str:
    """Of a file, as hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def sources_digest(*packages: str) -> str:
    """Of the code and the tables of packages of ours, of native_prep where none is named: tells versions apart."""
    folders = [Path(__file__).resolve().parents[2] / package for package in packages or ("native_prep",)]
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".yaml"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def hash_value(value: Any) -> str:
    """Of dicts, lists, numbers and strings, as hexadecimal digits; the order of keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
