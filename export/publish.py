"""A folder that appears whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from export.manifest import FILE_NAME
from native_prep.files import is_alive


class Withheld(Exception):
    """Raised inside `whole_folder` to leave what is written unpublished."""


@contextmanager
def whole_folder(final: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a new hidden folder beside `final`, which takes its place when the block ends without an error.

    An older export at `final` is replaced; files in it that are not of an export stay. A block that raises
    `Withheld` publishes nothing and is not an error.

    Raises:
        ValueError: `final` is a file, or a folder with files but no export in it.
    """
    final = Path(final)
    _check_place(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    _sweep(final)
    part = final.with_name(f".{final.name}.{os.getpid()}.part")
    part.mkdir()
    try:
        yield part
        _publish(part, final)
    except Withheld:
        pass
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _check_place(final: Path) -> None:
    if final.exists() and not final.is_dir():
        raise ValueError(f"{final}: is a file, a folder is to be written: name another")
    if final.is_dir() and any(final.iterdir()) and not (final / FILE_NAME).is_file():
        raise ValueError(f"{final}: is a folder of other files: name a new one, or one that export-trt wrote")


def _publish(part: Path, final: Path) -> None:
    if not final.exists():
        part.rename(final)
        return
    old = final.with_name(f".{final.name}.{os.getpid()}.old")
    final.rename(old)
    part.rename(final)
    for path in old.iterdir():
        if path.suffix not in (".onnx", ".engine") and path.name != FILE_NAME:
            path.rename(final / path.name)
    shutil.rmtree(old)


def _sweep(final: Path) -> None:
    """Removes what killed runs left."""
    for part in final.parent.glob(f".{final.name}.*.part"):
        owner = part.name.split(".")[-2]
        if part.is_dir() and owner.isdigit() and not is_alive(int(owner)):
            shutil.rmtree(part, ignore_errors=True)
