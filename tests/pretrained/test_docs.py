"""`docs/pretrained.md`: its commands run as they stand, with made weights in the place of the published ones."""

import json
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from doc_blocks import blocks
from exported import three_blocks, trained_looking
from file_server import Server
from mmaction_names import theirs
from pose_files import annotation, walker, write_array_folder, write_pyskl

import cli
from export.manifest import read_manifest
from export.pretrained import catalog
from export.pretrained.catalog import known
from native_prep.skeletons.layouts import COCO17

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "pretrained.md").read_text(encoding="utf-8")
NAME = "mmaction-ntu60-xsub-2d"


@pytest.fixture
def published(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The catalogue with made weights on a server of this machine in the place of the published ones."""
    catalogue = yaml.safe_load(catalog.KNOWN.read_text())
    for seed, file in enumerate(catalogue[NAME]["streams"].values()):
        model = trained_looking("aagcn", COCO17, seed, num_class=60, attention=False)
        name = file["url"].rsplit("/", 1)[1]
        torch.save({"meta": {"epoch": 16}, "state_dict": theirs(model)}, server.folder / name)
        file["url"] = f"{server.url}/{name}"
        del file["checksum"]
    (tmp_path / "known.yaml").write_text(yaml.safe_dump(catalogue))
    monkeypatch.setattr(catalog, "KNOWN", tmp_path / "known.yaml")
    known.cache_clear()
    with three_blocks():
        yield server
    known.cache_clear()


@pytest.mark.long(60)
def test_the_commands_run(
    published: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "somewhere"
    place.mkdir()
    monkeypatch.chdir(place)
    models = ""
    if all(map(find_spec, ("cv2", "rtmlib", "av"))):  # else all but the video
        from stick_figures import write_models, write_video

        models = write_models(tmp_path / "networks")
        write_video(place / "video.mp4", np.arange(30) / 30, "wave")
    frames = [
        {"frame_id": number, "instances": [{"keypoints": one[:, :2].tolist(), "keypoint_scores": one[:, 2].tolist()}]}
        for number, one in enumerate(walker(40))
    ]
    (place / "poses.json").write_text(json.dumps({"meta_info": {"dataset_name": "coco"}, "instance_info": frames}))
    clips = [annotation(f"clip{label}", label, walker(30, seed=label)[None]) for label in range(60)]
    names = [one["frame_dir"] for one in clips]
    write_pyskl(place / "ntu60_2d.pkl", clips, {"xsub_train": names[:50], "xsub_val": names[50:]})
    write_array_folder(place / "poses")
    (place / "downloads").symlink_to(published.folder)
    commands = [line for block in blocks("bash", "pretrained.md") if not block.why for line in block.commands()]
    results = []
    for line in commands:
        words = shlex.split(line, comments=True)
        assert words[:2] == ["python", "cli.py"]
        args = words[2:]
        if "--video" in args:
            if not models:
                continue
            args += ["--pose-model", models]
        if args[0] == "train":  # what makes it long
            args += ["--set", "num_epoch=1", "batch_size=4", "train_feeder_args.repeat=1", "test_windows=1"]
        if args[0] == "export-trt":
            args += ["--target", "none"]
        capsys.readouterr()
        with pytest.raises(SystemExit) as done:
            cli.main(args)
        shown = capsys.readouterr()
        assert done.value.code == 0, f"{line}: {shown.err}"
        results.append(json.loads(shown.out.splitlines()[-1]))
    assert [one["command"] for one in results] == [
        "weights", "weights get", *["predict"] * bool(models), "predict", "weights get", "export-trt", "export-trt",
        "prep", "test", "fuse-eval", "prep", "train", "export-trt", "weights pack", "predict",
    ]  # fmt: skip
    shapes = [read_manifest(f"engines/{name}").shape for name in (f"pretrained/{NAME}", "raw", "custom-finetune")]
    assert shapes == [(3, 200, 17, 2), (3, 300, 17, 2), (3, 100, 17, 2)]
    assert read_manifest("engines/custom-finetune").class_names == ["fall", "wave"]
    assert set(results[-7]["streams"]) == {"joint", "bone"} and results[-7]["streams"]["joint"]["clips"] == 10
    assert results[-1]["clips"][0]["top"][0]["class"] in ("fall", "wave")


def test_the_table_is_the_catalogues() -> None:
    rows = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| `")]
    assert [row[0].strip("`") for row in rows] == list(known())
    for row, one in zip(rows, known().values(), strict=True):
        order = ("joint", "bone", "joint_motion", "bone_motion")
        shares = [*(one.files[stream].top1 for stream in order), one.two_streams, one.four_streams]
        assert [float(cell) for cell in row[1:]] == pytest.approx([100 * (share or 0) for share in shares])
