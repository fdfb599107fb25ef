"""The CUDA driver gives the CPU's reports and numbers: on a GPU where there is one, else in Numba's simulator.

`python3 -m pytest tests/kernels/test_cuda.py` runs all of it on the GPU of the machine; without one, the first test
starts this file again with NUMBA_ENABLE_CUDASIM=1, and the others are skipped.
"""

import ctypes
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import numba
import numpy as np
import pytest
from cuda_texts import ALLOWED, T, good_texts, odd_texts
from mutations import mutated
from prep_files import unpack, write_kinetics_folder, write_nw_ucla_folder

from native_prep.cpu import reader as cpu
from native_prep.cpu.reader import CODE
from native_prep.datasets.catalog import get_dataset
from native_prep.kernels import status
from native_prep.skeletons.streams import STREAMS

ROOT = Path(__file__).resolve().parents[2]
SIMULATED = bool(numba.config.ENABLE_CUDASIM)


def _gpu() -> bool:
    from native_prep.cuda.target import check_device

    try:
        check_device()
    except ValueError:
        return False
    return True


GPU = not SIMULATED and _gpu()
on_device = pytest.mark.skipif(not (SIMULATED or GPU), reason="runs in the simulator, or on a GPU")
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # plain Python's words overflow


def write(folder: Path, texts: dict[str, str]) -> list[str]:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
    return [str(folder / name) for name in texts]


def readers(dataset: str, files: int, streams=STREAMS, frames: int = T):
    """Both readers, and the list of files that the second leaves to the CPU."""
    from native_prep.cuda import reader as cuda_driver

    found = get_dataset(dataset)
    ours = cuda_driver.Reader(found, streams, frames, files)
    left: list[str] = []
    run = ours._cpu.run_table
    ours._cpu.run_table = lambda table: (left.append(ctypes.string_at(int(table[0, 0])).decode()), run(table))[1]
    return cpu.Reader(found, streams, frames, files), ours, left


def check(plain, ours, paths: list[str]) -> np.ndarray:
    expected, reports = plain.run(paths), ours.run(paths)
    assert np.array_equal(reports, expected), [paths[place] for place in np.flatnonzero((reports != expected).any(1))]
    good = reports[:, CODE] == status.OK
    assert np.abs(plain.rows[: len(paths)][good] - ours.rows[: len(paths)][good]).max(initial=0) <= ALLOWED
    return reports


@pytest.mark.long(30)
@pytest.mark.skipif(SIMULATED or GPU, reason="the others run themselves")
def test_in_the_simulator():
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(Path(__file__).resolve())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


@on_device
def test_good_files(tmp_path):
    paths = write(tmp_path, good_texts())
    plain, ours, left = readers("ntu60", len(paths))
    reports = check(plain, ours, paths)
    assert (reports[:, CODE] == status.OK).all()
    assert not left


@on_device
def test_left_on_the_device(tmp_path):
    odd, code = odd_texts()["equal bodies"]
    assert code == status.OK
    paths = write(tmp_path, {"two": good_texts()["two"], "odd": odd})
    _, ours, left = readers("ntu60", 3, ("joint_motion",))
    reports, rows = ours.run_on_device(paths)
    assert left == paths[1:]
    assert SIMULATED or rows.__cuda_array_interface__["shape"] == (2, 1, 3, T, 25, 2)
    rows = rows.copy_to_host()
    assert np.array_equal(reports, ours.run(paths))
    assert np.array_equal(rows, ours.rows[:2]) and rows.any()


@on_device
def test_odd_files(tmp_path):
    texts = odd_texts()
    paths = [*write(tmp_path, {name: text for name, (text, _) in texts.items()}), str(tmp_path / "missing")]
    codes = [*(code for _, code in texts.values()), status.UNREADABLE]
    plain, ours, left = readers("ntu60", len(paths), ("bone", "joint_motion"))
    assert check(plain, ours, paths)[:, CODE].tolist() == codes
    assert left == paths[:-1]  # all that could be read


@on_device
def test_batches(tmp_path, monkeypatch):
    """Files that find no room wait for the next batch, of which two take turns; one file fills a batch."""
    from native_prep.cuda import batches as cuda_batches

    texts = {name: text for name, text in good_texts().items() if name in ("one", "two", "nobody", "five bodies")}
    paths = write(tmp_path, texts)
    monkeypatch.setattr(cuda_batches, "TEXT_BYTES", max(map(len, texts.values())) + 72 & -8)
    plain, ours, left = readers("ntu60", len(paths), ("joint",))
    check(plain, ours, paths)
    assert not left


@on_device
def test_many_short_lines(tmp_path, monkeypatch):
    """Where there are more lines than room for their starts, the CPU reads the batch."""
    from native_prep.cuda import batches as cuda_batches

    monkeypatch.setattr(cuda_batches, "TEXT_BYTES", 4096)
    paths = write(tmp_path, {"feeds": "\n" * 3000})
    plain, ours, left = readers("ntu60", 2, ("joint",))
    check(plain, ours, paths)
    assert left == paths


@on_device
def test_mutations(tmp_path):
    rng = random.Random(11)
    texts = [text.encode() for name, text in good_texts().items() if name in ("one", "two", "no line end")]
    paths = []
    for number in range(2000 if GPU else 16):
        text = bytearray(rng.choice(texts))
        if number % 2:
            text = mutated(bytes(text), rng)
        else:  # another digit, or something odd in its place
            digits = [place for place, byte in enumerate(text) if 48 <= byte <= 57]
            text[rng.choice(digits)] = rng.choice(b"0123456789.e")
        paths.append(str(tmp_path / str(number)))
        Path(paths[-1]).write_bytes(text)
    plain, ours, left = readers("ntu60", len(paths), ("joint",))
    reports = check(plain, ours, paths)
    assert len(left) < len(paths) and (reports[:, CODE] != status.OK).any()


@on_device
@pytest.mark.parametrize("dataset", ("kinetics", "nw-ucla"))
def test_json(tmp_path, dataset):
    folder = write_kinetics_folder(tmp_path) if dataset == "kinetics" else write_nw_ucla_folder(tmp_path)
    paths = sorted(str(path) for path in folder.rglob("*.json") if "label" not in path.name)
    Path(paths[0]).write_text('{"data": [')
    plain, ours, _ = readers(dataset, len(paths), frames=9)
    reports = check(plain, ours, paths)
    assert reports[0, CODE] != status.OK and not reports[1:, CODE].any()
    assert np.array_equal(ours.run_texts([Path(path).read_bytes() for path in paths]), reports)


@on_device
@pytest.mark.parametrize("formats", [("npy",), ("npy", "packed")])
def test_prepare(tmp_path, formats):
    from native_prep.pipeline.prepare import prepare

    folder = tmp_path / "raw"
    named = {
        f"S001C00{1 + place}P001R001A001.skeleton": good_texts()[name] for place, name in enumerate(("one", "two"))
    }
    write(folder, named)
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    results = {}
    given = {"streams": ("joint",), "formats": formats, "max_frames": T}
    for device, source in (("cpu", folder), ("cuda", tmp_path / "raw.zip")):
        results[device] = prepare("ntu60", source, tmp_path / device, device=device, **given)
        results[device].pop("seconds")
        results[device]["outputs"] = [Path(path).relative_to(tmp_path / device) for path in results[device]["outputs"]]
    assert results["cpu"] == results["cuda"]
    for name in results["cpu"]["outputs"]:
        if name.suffix == ".npy":
            one, other = np.load(tmp_path / "cpu" / name), np.load(tmp_path / "cuda" / name)
            assert one.shape == other.shape
            assert np.abs(one - other).max(initial=0) <= ALLOWED


@on_device
def test_bench(tmp_path):
    from bench.part import Part
    from bench.prep.on_gpu import READER, TEXT, add_cuda

    paths = [Path(path) for path in write(tmp_path, {"one": good_texts()["one"]})]
    part = Part("prep", {})
    add_cuda(part, paths, runs=1, seconds=0.0, count=2, frames=T)
    assert part.passed and len(part.checks) == 2 and not part.left_out
    assert {rate.name for rate in part.rates if rate.unit == "clips/s"} >= {READER, TEXT}
    assert all(rate.rate > 0 for rate in part.rates)
    limit = part.groups[0].best[READER]
    assert limit is not None and limit.rate > 0 and part.limit["copy of the text to the GPU, GB/s"] > 0


@pytest.mark.skipif(not GPU, reason="whole recordings are for a GPU")
@pytest.mark.parametrize("archive", ("data/ntu.tar.xz", "golden/ntu_synthetic.tar.xz"))
def test_recordings(shared, tmp_path, archive):
    paths = sorted(str(path) for path in unpack(shared / archive, tmp_path).rglob("*.skeleton"))
    plain, ours, _ = readers("ntu60", len(paths), frames=300)
    check(plain, ours, paths)


@pytest.mark.skipif(SIMULATED or GPU, reason="there is a GPU")
def test_without_a_gpu(tmp_path):
    write(tmp_path, {"S001C001P001R001A001.skeleton": good_texts()["one"]})
    command = [sys.executable, str(ROOT / "cli.py"), "prep", "--device", "cuda", "--data-path", str(tmp_path)]
    command += ["--out-folder", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: device cuda: ") and done.stderr.endswith(" use --device cpu\n")
    assert done.stderr.count("\n") == 1 and not done.stdout and not (tmp_path / "out").exists()


@pytest.mark.skipif(SIMULATED or GPU, reason="there is a GPU")
def test_bench_says_what_it_leaves_out():
    from bench.part import Part
    from bench.prep.on_gpu import add_cuda

    part = Part("prep", {})
    add_cuda(part, [], runs=1, seconds=0.0)
    assert "device cuda: " in part.left_out["prep on a GPU"]


@pytest.mark.skipif(SIMULATED, reason="the simulator is part of Numba")
def test_numba_cuda_that_does_not_fit_numpy(monkeypatch):
    from native_prep.cuda import target

    def broken(name: str) -> None:
        raise AttributeError("module 'numpy' has no attribute 'row_stack'")

    monkeypatch.setattr(target, "find_spec", lambda name: object())
    monkeypatch.setattr(target, "import_module", broken)
    with pytest.raises(ValueError, match=r"does not work with NumPy .*row_stack.*numpy<2\.5"):
        target.check_device()
