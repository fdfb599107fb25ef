"""A Ray cluster of one machine, for the tests of `--cluster`."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_HEAD = """
import sys
import ray
ray.init(
    address="local", num_cpus=int(sys.argv[1]), include_dashboard=False, logging_level="error", _temp_dir=sys.argv[2]
)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@contextmanager
def ray_cluster(processors: int = 2) -> Iterator[str]:
    """The address of a cluster whose processes import what the tests do; it ends with the block."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "helpers")))
    # A process that has started Ray by `local` shows a token from then on, and asks for it.
    environment = {"RAY_AUTH_MODE": "disabled", **os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    folder = tempfile.mkdtemp(prefix="ray-")  # pytest's folders are too long for the names of sockets
    head = subprocess.Popen(
        [sys.executable, "-c", _HEAD, str(processors), folder],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert head.stdout is not None
        address = head.stdout.readline().strip()
        assert address, "Ray has not started"
        yield address
    finally:
        head.communicate(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
