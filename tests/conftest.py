"""What the tests share: where known answers lie when they are at hand."""

import os
from pathlib import Path

import pytest

# Processes that share the tests share the processors too; PyTorch reads this when it is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


def _seconds(item: pytest.Item) -> int:
    long = item.get_closest_marker("long")
    return long.args[0] if long else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first: at the end no process waits for another's last test."""
    items.sort(key=_seconds, reverse=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no GPU is at hand")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings and golden answers, or the test is skipped by name."""
    folder = Path(os.environ.get("AGCN_SHARED", ROOT.parent / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip(f"golden answers are not at hand ({folder})")
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small job (see `exported.write_job`) and its fp32 export in `engine`, with an engine if possible.

    Tests that change files work on a copy.
    """
    from exported import FRAMES, export_job, write_job

    folder = tmp_path_factory.mktemp("exported")
    write_job(folder, sample="linear", window_size=FRAMES)
    assert export_job(folder, folder / "engine")["passed"]
    return folder
