"""A recording that nobody is in: `predict` and a stream say the same (`test_agcn_run.py`: so does the C++ program)."""

import json
from pathlib import Path

import numpy as np
import pytest
from live_streams import Looker, engine_for

from export.live import session
from export.runtime import predict as predictions
from native_prep.datasets.recordings import NOBODY
from native_prep.poses.custom import default_metadata
from native_prep.skeletons.layouts import KINETICS

BODY = "7 0 1 1 1 1 0 0 0 2\n25\n" + "0 0 0 0 0 0 0 0 0 0 0 2\n" * 25
ZEROS = {"frame_index": 1, "skeleton": [{"pose": [0.0] * 36, "score": [0.0] * 18}]}
NO_PEOPLE = '{"version": 1.3, "people": []}'
# Of an engine for a data set, a clip's files.
CLIPS: list[tuple[str, dict[str, str]]] = [
    ("ntu60", {"S001C001P001R001A001.skeleton": "2\n0\n0\n"}),
    ("ntu60", {"S001C001P001R001A001.skeleton": f"1\n1\n{BODY}"}),
    ("ntu60", {"clip.json": "[[], []]"}),
    ("kinetics", {"clip.json": json.dumps({"data": [], "label": "x", "label_index": 1})}),
    ("kinetics", {"clip.json": json.dumps({"data": [ZEROS], "label": "x", "label_index": 1})}),
    ("kinetics", {"clip/x_0_keypoints.json": NO_PEOPLE, "clip/x_1_keypoints.json": NO_PEOPLE}),
    ("nw-ucla", {"a01_s01_e00_v01.json": json.dumps({"skeletons": [[[0.0] * 3] * 20] * 3, "label": 1})}),
    ("custom", {"clip.npy": ""}),
    ("custom", {"clip.json": '{"frames": []}'}),
    ("custom", {"clip/x_0_keypoints.json": NO_PEOPLE, "clip/x_1_keypoints.json": NO_PEOPLE}),
    ("custom", {"clip/x_0.txt": "", "clip/x_1.txt": ""}),
]


def looker(exported: Path, dataset: str, monkeypatch: pytest.MonkeyPatch) -> Looker:
    own = {"dataset": "custom", "custom": default_metadata(KINETICS, 2, ["one", "two"])}
    found = engine_for(exported, "kinetics", **own) if dataset == "custom" else engine_for(exported, dataset)
    for module in (session, predictions):
        monkeypatch.setattr(module, "open_engine", lambda folder, runtime: found)
    return found


@pytest.mark.parametrize(("dataset", "files"), CLIPS, ids=lambda value: value if isinstance(value, str) else min(value))
def test_no_answer_and_said_so(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    dataset: str, files: dict[str, str],
) -> None:  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    clip = str(tmp_path / min(files).split("/")[0])
    if clip.endswith(".npy"):
        np.save(clip, np.zeros((2, 5, 18, 3), np.float32))
    looker(exported, dataset, monkeypatch)
    for per_person in (False, True):
        found = predictions.predict("engine", [clip], per_person=per_person)["clips"]
        persons = {"persons": []} if per_person else {}
        assert found == [{"clip": clip, "top": [], "nobody": True, **persons}]
    answers: list[dict] = []
    result = session.predict_stream("engine", clip, write=answers.append)
    assert result["nobody"] is True and result["answers"] == len(answers)
    assert all(one["top"] == [] and one["people"] == 0 for one in answers)
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("predict: ")]
    assert said == 3 * [f"{clip}: {NOBODY}"]


@pytest.mark.parametrize(
    ("dataset", "name", "text"),
    [
        ("ntu60", "S001C001P001R001A001.skeleton", "0\n"),
        ("nw-ucla", "a01_s01_e00_v01.json", '{"skeletons": [], "label": 1}'),
    ],
)
def test_a_file_without_frames_is_no_recording(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    looker(exported, dataset, monkeypatch)
    for call in (
        lambda: predictions.predict("engine", [tmp_path / name]),
        lambda: session.predict_stream("engine", str(tmp_path / name)),
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert str(error.value) == f"{tmp_path / name}:1: says that there are no frames: leave the clip out"
