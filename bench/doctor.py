"""`doctor`: what of this machine the toolkit can use, what is missing, and how to get it."""

import os
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numba
import onnxruntime
import torch

import native_prep.cpu
from agcn.device import has_half
from agcn.validate import nearest
from export.engines.flavors import RTX_TARGETS, is_installed, load_flavor, present_target
from export.engines.tensorrt import cache_folder
from native_prep.datasets.catalog import DATASETS, Dataset
from native_prep.datasets.recordings import files_below
from native_prep.poses.video.packages import load


@dataclass(frozen=True)
class _Published:
    """How large a data set is said to be: clips, and frames times the bodies in them."""

    clips: int
    bodies: int


# NTU: Shahroudy et al. 2016 and Liu et al. 2019, whose frames have 1.2 bodies. Kinetics: Yan et al. 2018, two bodies of
# ten seconds at most. NW-UCLA: counted.
_PUBLISHED = {
    "ntu60": _Published(56_880, 4_800_000),
    "ntu120": _Published(114_480, 9_600_000),
    "kinetics": _Published(260_232, 2 * 300 * 260_232),
    "nw-ucla": _Published(1_484, 58_534),
}
_STREAMS = 2  # prep makes joint and bone arrays


def doctor(require: Sequence[str] = ()) -> dict[str, Any]:
    """Look at this machine.

    Args:
        require: names of what has to be usable, of `needs`.

    Returns:
        passed and failed (of `require`), needs (name -> whether it is usable), software, processor, gpu, folders, data
        (data set -> what was found) and advice (lines).

    Raises:
        ValueError: something is required that is not known.
    """
    checks = dict(_checks())
    for name in require:
        if name not in checks:
            raise ValueError(f"--require {name}: is not known: {nearest(name, list(checks))}")
    needs = {name: not wrong for name, (wrong, _) in checks.items()}
    failed = [f"{name}: {checks[name][0]}" for name in require if not needs[name]]
    return {
        "passed": not failed,
        "failed": failed,
        "needs": needs,
        "software": _software(),
        "processor": _processor(),
        "gpu": _gpu(),
        "folders": {name: _folder(path) for name, path in _folders().items()},
        "data": {name: _data(dataset) for name, dataset in DATASETS.items()},
        "advice": [f"{name}: {wrong}: {remedy}" for name, (wrong, remedy) in checks.items() if wrong and remedy],
    }


def _checks() -> Iterator[tuple[str, tuple[str, str]]]:
    """Name -> what is wrong with it ("" where nothing is) and what helps, if anything does."""
    cuda = torch.cuda.is_available()
    no_gpu = "PyTorch sees no GPU"
    remedy = "install PyTorch for CUDA on a machine with an NVIDIA GPU"
    yield "cuda", ("" if cuda else no_gpu, "" if cuda else remedy)
    for name in ("tensorrt", "tensorrt-rtx"):
        wanted = cuda or name == "tensorrt-rtx"
        absent = "is not installed" if wanted else "is not installed, and builds only on the GPU that an engine is for"
        wrong = _wrong_with(partial(load_flavor, name)) if is_installed(name) else absent
        yield name, (wrong, f"pip install '.[{name}]'" if wanted else "")
    providers = onnxruntime.get_available_providers()
    there = "CUDAExecutionProvider" in providers
    swap = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
    yield (
        "onnxruntime-cuda",
        ("" if there and cuda else "has no CUDA provider" if cuda else no_gpu, swap if cuda else ""),
    )
    yield "numba-cuda", (_wrong_with(_check_numba), "pip install '.[gpu]'" if cuda else "")
    yield "video", (_wrong_with(_check_video), "pip install '.[video]'")
    device = torch.device("cuda" if cuda else "cpu")
    yield "bf16", ("" if has_half(device, "bf16") else f"this {device.type} has no bf16: --amp computes in fp32", "")
    compiler = os.environ.get("CXX", "g++")
    found = shutil.which(compiler) is not None
    yield "compiler", ("" if found else f"no {compiler}: no --aot, no agcn_run", "install g++, or name one in CXX")


def _wrong_with(work: Callable[[], object]) -> str:
    try:
        work()
    except (ValueError, ImportError) as error:
        return str(error)
    return ""


def _check_numba() -> None:
    from native_prep.cuda.target import check_device

    try:
        check_device()
    except ValueError as error:  # the advice of `prep --device cuda`, without what is of that option
        raise ValueError(str(error).removeprefix("device cuda: ").removesuffix(" or use --device cpu")) from error


def _check_video() -> None:
    for name in ("av", "cv2", "rtmlib"):
        load(name)


def _software() -> dict[str, str]:
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    found = {"system": system, "Python": platform.python_version(), "PyTorch": torch.__version__}
    found["CUDA of PyTorch"] = torch.version.cuda or "none, processor only"
    present = present_target()
    for name in ("tensorrt", "tensorrt-rtx"):
        if not is_installed(name):
            found[name] = "not installed"
            continue
        try:
            version = load_flavor(name).version
        except ValueError as error:
            found[name] = str(error)
            continue
        targets = RTX_TARGETS if name == "tensorrt-rtx" else (present,) if present else ()
        found[name] = f"{version}, builds for {', '.join(targets) or 'nothing here: it needs the GPU'}"
    providers = [name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()]
    found["ONNX Runtime"] = f"{onnxruntime.__version__}, {', '.join(providers)}"
    found["Numba"] = numba.__version__
    found["CUDA of Numba"] = _wrong_with(_check_numba) or "works"
    return found


def _processor() -> dict[str, str]:
    flags = set()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = set(next((line for line in lines if line.startswith("flags")), "").split())
    cpu, vnni = torch.device("cpu"), bool(flags & {"avx512_vnni", "avx_vnni"})
    return {
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bf16": "yes: --amp is faster" if has_half(cpu, "bf16") else "no: --amp computes in fp32",
        "VNNI": "yes: int8 at its full speed" if vnni else "no: int8 gains less" if flags else "not known here",
    }


def _gpu() -> dict[str, str] | None:
    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    major, minor = torch.cuda.get_device_capability()
    return {
        "name": properties.name,
        "capability": f"{major}.{minor}",
        "memory": f"{properties.total_memory / 1e9:.0f} GB",
    }


def _folders() -> dict[str, Path]:
    package = Path(native_prep.cpu.__file__).parent / "__pycache__"  # most of them; others beside their modules
    return {"engines": cache_folder(), "compiled kernels": Path(os.environ.get("NUMBA_CACHE_DIR") or package)}


def _folder(path: Path) -> str:
    there = path
    while not there.exists() and there != there.parent:
        there = there.parent
    usable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return f"{path}, {'can be written' if usable else 'CANNOT be written'}"


def _data(dataset: Dataset) -> str:
    """The raw files that are in the usual place, and whether there is room for what `prep` makes of all of them."""
    published, folder = _PUBLISHED[dataset.name], Path(dataset.data_path)
    if not folder.is_dir():
        return f"{folder}: is not here ({published.clips:,} files are published)"
    count = sum(file.name.endswith(dataset.suffix) and "label" not in file.name for file in files_below(folder))
    frame = 3 * dataset.layout.num_joints * 4
    dense = frame * (dataset.max_frames or 201) * dataset.num_person
    arrays = published.clips * dense * _STREAMS * max(1, len(dataset.benchmarks)) / 1e9
    free = shutil.disk_usage(folder).free / 1e9
    return (
        f"{folder}: {count:,} of {published.clips:,} published files; of all npy takes {arrays:.3g} GB, packed about "
        f"{published.bodies * frame / 1e9:.2g} GB, {free:.3g} GB are free"
    )
