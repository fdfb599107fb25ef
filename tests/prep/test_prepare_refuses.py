"""`prepare`: what it refuses, that it writes all or nothing, and what becomes of older files."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pose_files import write_array_folder
from prep_checks import nothing_in
from prep_files import NAMES, write_ntu, write_ntu_folder

from native_prep.command import prep
from native_prep.cpu.one_file import read_clip
from native_prep.io.pickles import load_pickle
from native_prep.pipeline.prepare import prepare
from native_prep.synth.make import synth

ROOT = Path(__file__).resolve().parents[2]


def spoilt(folder: Path) -> Path:
    """Of five files three are bad, one of them by its name, one a folder."""
    raw = write_ntu_folder(folder)
    (raw / NAMES[1]).write_text("3\n1\n")
    (raw / "clip.skeleton").write_text("")
    (raw / NAMES[3]).unlink()
    (raw / NAMES[3]).mkdir()
    return raw


def test_bad_files_are_all_listed(tmp_path, capsys):
    raw = spoilt(tmp_path / "raw")
    with pytest.raises(
        ValueError, match=r"R001A002\.skeleton:3: ends after 0 .*\(3 bad files, nothing is written"
    ) as error:
        prepare("ntu60", raw, tmp_path / "out")
    told = [str(error.value), *capsys.readouterr().err.splitlines()]
    assert [line.split(":")[0] for line in told] == [str(raw / name) for name in (NAMES[1], NAMES[3], "clip.skeleton")]
    assert "Is a directory" in told[1]
    assert nothing_in(tmp_path / "out")


def test_bad_files_are_skipped(tmp_path):
    raw, out = spoilt(tmp_path / "raw"), tmp_path / "out"
    result = prepare("ntu60", raw, out, on_bad_file="skip", streams=["joint"])
    assert (result["clips"], result["bad_files"]) == (2, 3)
    assert load_pickle(out / "xview" / "train_label.pkl") == ([NAMES[2]], [59])
    joint = np.load(out / "xview" / "train_data_joint.npy")
    assert np.array_equal(joint, read_clip(raw / NAMES[2], "ntu60")[None])
    with (out / "bad_files.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file", "line", "reason"]
    assert [row[:2] for row in rows[1:]] == [
        [str(raw / NAMES[1]), "3"], [str(raw / NAMES[3]), ""], [str(raw / "clip.skeleton"), ""]
    ]  # fmt: skip
    for path in raw.iterdir():
        if path.name != "clip.skeleton":
            path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(ValueError, match="no good one"):
        prepare("ntu60", raw, tmp_path / "other", on_bad_file="skip")
    assert nothing_in(tmp_path / "other")


def test_old_outputs_stay_when_a_run_fails(tmp_path):
    raw, out = write_ntu_folder(tmp_path / "raw"), tmp_path / "out"
    prepare("ntu60", raw, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (raw / NAMES[1]).write_text("")
    with pytest.raises(ValueError, match="is empty"):
        prepare("ntu60", raw, out)
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "ntu"}, "no data set is called 'ntu'"),
        ({"benchmarks": ["xset"]}, "has no benchmark 'xset'"),
        ({"streams": ["bones"]}, "no stream is called 'bones'"),
        ({"formats": ["npz"]}, "format 'npz' cannot be written"),
        ({"device": "tpu"}, "device 'tpu' cannot"),
        ({"on_bad_file": "ask"}, "on_bad_file is 'ask'"),
        ({"data_path": "absent"}, "absent: no such folder"),
        ({"data_path": "empty"}, "no ntu60 file"),
    ],
)
def test_wrong_requests(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    raw = write_ntu_folder(tmp_path / "raw")
    given = {"dataset": "ntu60", "data_path": raw, "out_folder": tmp_path / "out", **options}
    with pytest.raises(ValueError, match=message) as caught:
        prepare(**given)
    assert "\n" not in str(caught.value)
    assert nothing_in(tmp_path / "out")


OWN = {"layout": "coco17", "image_size": "640x480"}


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ("ntu60", {}, "a clip of 57220458 MiB is too long: set a smaller --max-frames"),
        ("ntu60", {"formats": ["packed"]}, "a clip of 57220458 MiB is too long: set a smaller --max-frames"),
        ("ntu60", {"track": True}, "a clip of 57220458 MiB is too long: set a smaller --max-frames"),
        ("kinetics", {}, "a clip of 41198730 MiB is too long: set a smaller --max-frames"),
        ("nw-ucla", {}, "a clip of 22888183 MiB is too long: set a smaller --max-frames"),
        ("custom", OWN, "a clip of 38909912 MiB is too long: set a smaller --max-frames"),
        ("custom", {**OWN, "formats": ["packed"]}, "a clip of 38909912 MiB is too long: set a smaller --max-frames"),
        ("custom", {**OWN, "max_bodies": 10**11}, "max bodies is 100000000000: keep at most 1000"),
        ("pku-mmd", {}, "a clip of 57220458 MiB is too long: set a smaller --max-frames"),
        ("uav-human", {"max_bodies": 10**11}, "max bodies is 100000000000: keep at most 1000"),
    ],
)
def test_clips_larger_than_memory_are_refused_before_any_is_read(tmp_path, monkeypatch, dataset, options, message):
    raw = tmp_path / "raw"
    if dataset == "custom":
        write_array_folder(raw, clips=1)
    elif dataset in ("pku-mmd", "uav-human"):
        raw.mkdir()
    else:
        synth(dataset, raw, clips=2, classes=2)
    monkeypatch.setattr(np, "load", lambda path, **_: pytest.fail(f"reads {path}"))
    with pytest.raises(ValueError, match=message) as caught:
        prep(dataset, data_path=raw, out_folder=tmp_path / "out", max_frames=10**11, **options)
    assert "\n" not in str(caught.value)
    assert nothing_in(tmp_path / "out")


def test_disk_full(tmp_path):
    raw, out = write_ntu_folder(tmp_path / "raw"), tmp_path / "out"
    prepare("ntu60", raw, tmp_path / "first", streams=["joint"])
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from native_prep.pipeline.prepare import prepare;"
        "least, most = resource.getrlimit(resource.RLIMIT_FSIZE);"
        # What ends with the process, a measurement of coverage say, may write again.
        "import atexit; atexit.register(resource.setrlimit, resource.RLIMIT_FSIZE, (least, most));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most));"
        f"prepare('ntu60', {str(raw)!r}, {str(out)!r}, streams=['joint'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("OSError: [Errno 27] File too large: ")
    assert nothing_in(out)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory as Linux tells it")
def test_memory_does_not_grow(tmp_path):
    # Not ru_maxrss: a child begins with that of the process that started it.
    good = write_ntu(tmp_path / "good.skeleton", frames=3).read_bytes()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    peaks = []
    for clips in (60, 600):
        raw = tmp_path / f"raw{clips}"
        raw.mkdir()
        for number in range(clips):
            (raw / f"S001C001P{number % 100 + 1:03d}R001A{number // 100 + 1:03d}.skeleton").write_bytes(good)
        code = (
            "import re; from pathlib import Path; from native_prep.pipeline.prepare import prepare;"
            f"print(prepare('ntu60', {str(raw)!r}, {str(tmp_path / 'out')!r}, benchmarks=['xsub'])['clips'],"
            r"re.search(r'VmHWM:\s+(\d+)', Path('/proc/self/status').read_text())[1])"
        )
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        prepared, kibibytes = map(int, done.stdout.split())
        assert prepared == clips
        peaks.append(kibibytes)
    # Kept in memory, 540 more clips of two streams would be 190 MiB more.
    assert peaks[1] < peaks[0] + (40 << 10)
    assert peaks[1] < 1 << 20


def test_streams_of_other_clips_do_not_stay(tmp_path, capsys):
    for number, streams in ((1, ("joint", "bone")), (2, ("joint",))):
        (tmp_path / f"raw{number}").mkdir()
        write_ntu(tmp_path / f"raw{number}" / f"S001C001P001R001A00{number}.skeleton")
        prepare("ntu60", tmp_path / f"raw{number}", tmp_path / "out", benchmarks=["xsub"], streams=streams)
    assert sorted(path.name for path in (tmp_path / "out/xsub").glob("train_data*")) == ["train_data_joint.npy"]
    assert "train_data_bone.npy: is of other clips" in capsys.readouterr().err


def test_streams_of_the_same_clips_stay(tmp_path):
    write_ntu_folder(tmp_path / "raw")
    for stream in ("joint", "bone"):
        prepare("ntu60", tmp_path / "raw", tmp_path / "out", benchmarks=["xsub"], streams=[stream])
    assert len(list((tmp_path / "out/xsub").glob("train_data*"))) == 2


def test_empty_folder_name_is_not_the_usual_one(tmp_path):
    write_ntu_folder(tmp_path / "raw")
    with pytest.raises(ValueError, match="--out-folder is empty"):
        prepare("ntu60", tmp_path / "raw", "")
