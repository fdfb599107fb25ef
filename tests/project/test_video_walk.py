"""README's commands for videos, one after the other as they stand: from made videos to an engine and an overlay."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2", exc_type=ImportError)
pytest.importorskip("rtmlib", exc_type=ImportError)
pytest.importorskip("av", exc_type=ImportError)

from stick_figures import write_models, write_video

import cli
from native_prep.poses.video.media import read_frames

ROOT = Path(__file__).resolve().parents[2]
# What keeps the run small, and stands for networks that would be downloaded.
MORE = {"prep": ["--pose-model", "{models}"], "train": ["--set", "num_epoch=2", "batch_size=4"], "export-trt": [],
        "predict": ["--pose-model", "{models}"]}  # fmt: skip


def commands() -> list[list[str]]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"### Video\n\n```bash\n(.*?)```", readme, re.DOTALL)
    return [shlex.split(line, comments=True)[2:] for line in block.splitlines()]


def test_from_videos_to_an_overlay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    models = write_models(tmp_path / "networks")
    for number in range(5):
        for action in ("wave", "squat"):
            write_video(Path(f"videos/{action}/{number}.mp4"), np.arange(30) / (20 + 5 * number), action)
    write_video(Path("new.mp4"), np.arange(45) / 30, "wave", "squat", rotation=90)
    *walk, camera = commands()
    assert [words[0] for words in walk] == ["prep", "train", "export-trt", "predict"] and "--camera" in camera
    results = []
    for words in walk:
        more = [word.format(models=models) for word in MORE[words[0]]]
        with pytest.raises(SystemExit) as caught:
            cli.main([*words, *more])
        shown = capsys.readouterr()
        assert caught.value.code == 0, shown.err
        results.append(json.loads(shown.out.splitlines()[-1]))
    prep, train, export, predict = results
    assert prep["clips"] == 10 and prep["poses"]["estimated"] == 10
    assert {one["epochs"] for one in train["streams"].values()} == {2} and export["parity"]["passed"]
    assert predict["frames"] == 45 and {one["class"] for one in predict["actions"]} <= {"wave", "squat"}
    assert len(list(read_frames("seen.mp4"))) == 45 and len(Path("actions.csv").read_text().splitlines()) > 1
