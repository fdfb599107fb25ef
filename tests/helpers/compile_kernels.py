"""Compiles what runs on CPUs for a data set, so that tests in several processes find it compiled.

In one process it takes a third of the time: entry points share what they call.

    NUMBA_ENABLE_CUDASIM=1 python tests/helpers/compile_kernels.py ntu60|kinetics|nw-ucla
"""

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from prep_files import write_kinetics_folder, write_ntu_folder, write_nw_ucla_folder

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 24


def compile_kernels(name: str, folder: Path) -> None:
    """Calls every entry point on a made recording."""
    from bench.prep.kernels import TextKernels
    from native_prep.cpu.in_memory import prepare_frames
    from native_prep.cpu.reader import Reader
    from native_prep.cuda.reader import Reader as CudaReader
    from native_prep.datasets.catalog import get_dataset

    {"ntu60": write_ntu_folder, "kinetics": write_kinetics_folder, "nw-ucla": write_nw_ucla_folder}[name](folder)
    path = min(path for path in folder.rglob("*.*") if "label" not in path.name)
    dataset = get_dataset(name)
    for reader in (Reader, CudaReader):
        reader(dataset, ("joint",), FRAMES, 1).run([str(path)])
    prepare_frames(np.zeros((1, 2, dataset.layout.num_joints, 3)), dataset, FRAMES)
    if name != "nw-ucla":
        TextKernels([path], dataset.layout.name).run()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    warnings.simplefilter("ignore")  # plain Python's words overflow
    with tempfile.TemporaryDirectory() as made:
        compile_kernels(sys.argv[1], Path(made) / "recordings")
