"""What the tests share: where known answers lie when they are at hand."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings and golden answers, or the test is skipped by name."""
    folder = Path(os.environ.get("AGCN_SHARED", ROOT.parent / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip(f"golden answers are not at hand ({folder})")
    return folder
