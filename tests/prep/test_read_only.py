"""A folder that cannot be written is named as it was given, before any work, and said to be read-only."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pose_files import walker, write_array_folder
from prep_files import write_ntu_folder

from agcn.config import load_config
from agcn.evaluate import test as score_test_split
from agcn.training.train import train
from bench.demo import demo
from bench.run import run
from export.runtime.stores import score_stores
from native_prep import Clip, write_clips
from native_prep.command import prep
from native_prep.io.atomic import atomic_file, atomic_folder
from native_prep.synth.make import synth

ROOT = Path(__file__).resolve().parents[2]


def _prep(dataset: str, **options: object) -> Callable[[Path, Path], object]:
    return lambda raw, out: prep(dataset, data_path=raw / dataset, out_folder=out, **options)


def _write_file(raw: Path, out: Path) -> None:
    with atomic_file(out / "page.html"):
        pytest.fail("works for nothing")


def _write_folder(raw: Path, out: Path) -> None:
    with atomic_folder(out):
        pytest.fail("works for nothing")


WRITERS: dict[str, Callable[[Path, Path], object]] = {
    "prep": _prep("ntu60"),
    "packed": _prep("ntu60", formats=("packed",)),
    "track": _prep("ntu60", track=True),
    "custom": _prep("custom", layout="coco17", image_size="640x480"),
    "uav-human": _prep("uav-human"),
    "write_clips": lambda raw, out: write_clips([Clip("a", walker(3), 0, "train")], out, "coco17"),
    "train": lambda raw, out: train(load_config("ntu-xsub"), work_dir=out),
    "test": lambda raw, out: score_test_split(load_config("ntu-xsub"), weights="best.pt", work_dir=out),
    "predict --out": lambda raw, out: score_stores(raw, [], out / "scores.pkl"),
    "demo": lambda raw, out: demo(out),
    "bench": lambda raw, out: run("prep", out),
    "synth": lambda raw, out: synth("ntu60", out, clips=1),
    "a file": _write_file,
    "export-trt": _write_folder,
}


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(("code", "why"), [(errno.EROFS, "read-only"), (errno.EACCES, "Permission denied")])
@pytest.mark.parametrize("writer", WRITERS)
def test_the_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str, code: int, why: str, there: bool
) -> None:
    write_ntu_folder(tmp_path / "raw/ntu60")
    write_array_folder(tmp_path / "raw/custom", clips=1)
    (tmp_path / "raw/uav-human").mkdir()
    locked = tmp_path / "locked"
    locked.mkdir()
    out = locked / "out" if there else locked / "new/out"
    if there:
        out.mkdir()
    make_file, make_folder = os.open, os.mkdir

    def refuse(path: object) -> None:
        if str(path).startswith(str(locked)):
            raise OSError(code, os.strerror(code), str(path))

    def open_(path: object, flags: int, *args: object, **given: object) -> int:
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            refuse(path)
        return make_file(path, flags, *args, **given)

    def mkdir(path: object, *args: object, **given: object) -> None:
        refuse(path)
        make_folder(path, *args, **given)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "mkdir", mkdir)
    monkeypatch.setattr(np, "load", lambda path, **_: pytest.fail("works for nothing"))
    with pytest.raises(OSError) as error:
        WRITERS[writer](tmp_path / "raw", out)
    assert (error.value.filename, error.value.strerror) == (str(out), f"cannot be written ({why})")
    assert isinstance(error.value, PermissionError) is (code == errno.EACCES)
