"""The demonstration on tiny sizes: every step runs and fits the next; how well it learns is for `demo` itself."""

from pathlib import Path

import pytest
from exported import three_blocks

from bench.demo import DemoSizes, demo

TINY = DemoSizes(clips=12, classes=2, frames=8, window=8, epochs=1, batch=4)


def test_demo_goes_the_whole_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with three_blocks():
        result = demo(tmp_path / "demo", sizes=TINY)
    assert result["chance"] == 0.5 and result["clips"] == 4
    assert result["engine_top1"] is not None
    assert abs(result["engine_top1"] - result["top1"]) < 0.5
    # Two classes cannot be met three times better than chance.
    assert not result["passed"] and "times chance" in result["failed"][0] and len(result["failed"]) == 1
    assert len(result["prediction"][0]["top"]) == 3
    assert Path(result["onnx"]).is_file()
    assert len(result["steps"]) == 7
    told = capsys.readouterr()
    assert told.out == "" and "[7/7] predict" in told.err


def test_demo_refuses_a_folder_in_use_and_too_little(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(ValueError, match="is not an empty folder"):
        demo(tmp_path)
    with pytest.raises(ValueError, match="6 clips of each"):
        DemoSizes(clips=10, classes=2)
