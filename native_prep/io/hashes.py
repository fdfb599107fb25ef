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
def sources_digest() -> str:
    """Of the code that prepares clips, and of its skeletons: tells one version from another."""
    folder = Path(__file__).resolve().parent.parent
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".yaml"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def hash_value(value: Any) -> str:
    """Of dicts, lists, numbers and strings, as hexadecimal digits; the order of keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
