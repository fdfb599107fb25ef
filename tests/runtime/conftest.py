"""A raw recording for the tests of streams."""

from pathlib import Path

import pytest
from prep_files import write_ntu


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 frames of two people."""
    folder = tmp_path_factory.mktemp("live")
    return write_ntu(folder / "S001C001P001R001A001.skeleton", seed=3, frames=70, bodies=1)
