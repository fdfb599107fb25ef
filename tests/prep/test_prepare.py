"""`prepare`: what it writes of each data set."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from prep_checks import nothing_in
from prep_files import NAMES, write_kinetics_folder, write_ntu, write_ntu_folder, write_nw_ucla_folder

from native_prep import reference
from native_prep.cpu.one_file import read_clip
from native_prep.io.arrays import npy_header
from native_prep.io.pickles import load_pickle
from native_prep.pipeline.prepare import prepare
from native_prep.skeletons.layouts import NTU, NW_UCLA
from native_prep.skeletons.streams import STREAMS, stream_of


def test_ntu(tmp_path):
    raw, out = write_ntu_folder(tmp_path / "raw"), tmp_path / "out"
    (raw / "readme.txt").write_text("not a clip")
    result = prepare("ntu60", raw, out, streams=STREAMS, workers=3)
    assert list(result) == [
        "dataset",
        "clips",
        "frames",
        "bytes_read",
        "seconds",
        "bad_files",
        "ignored",
        "empty",
        "outputs",
    ]
    assert (result["clips"], result["frames"], result["bad_files"]) == (4, 8 + 9 + 10 + 11, 0)
    assert result["bytes_read"] == sum(path.stat().st_size for path in raw.glob("*.skeleton"))
    assert sorted(result["outputs"]) == sorted(str(path) for path in out.rglob("*") if path.is_file())
    assert len(result["outputs"]) == 2 * 2 * (len(STREAMS) + 1)
    names, labels = load_pickle(out / "xview" / "train_label.pkl")
    assert (names, labels) == ([NAMES[1], NAMES[2]], [1, 59])
    assert load_pickle(out / "xsub" / "train_label.pkl") == ([NAMES[0], NAMES[2]], [0, 59])
    assert load_pickle(out / "xsub" / "val_label.pkl") == ([NAMES[1], NAMES[3]], [1, 9])
    joint = np.load(out / "xview" / "train_data_joint.npy")
    assert (joint.shape, joint.dtype) == ((2, 3, 300, 25, 2), np.float32)
    assert np.abs(joint[1] - reference.prepare_ntu_clip(raw / NAMES[2])).max() < 1e-6
    assert np.array_equal(joint[0], read_clip(raw / NAMES[1], "ntu60"))
    for stream in STREAMS:
        assert np.array_equal(np.load(out / "xview" / f"train_data_{stream}.npy"), stream_of(joint, stream, NTU))


def test_motion_alone_and_one_benchmark(tmp_path):
    raw = write_ntu_folder(tmp_path / "raw")
    result = prepare("ntu60", raw, tmp_path / "out", benchmarks=["xview"], streams=["bone_motion"], max_frames=20)
    assert {Path(path).name for path in result["outputs"]} == {
        "train_data_bone_motion.npy", "val_data_bone_motion.npy", "train_label.pkl", "val_label.pkl"
    }  # fmt: skip
    made = np.load(tmp_path / "out" / "xview" / "train_data_bone_motion.npy")
    joint = np.stack([read_clip(raw / name, "ntu60", 20) for name in NAMES[1:3]])
    assert np.array_equal(made, stream_of(joint, "bone_motion", NTU))


def test_ntu120_in_two_folders(tmp_path):
    raw = write_ntu_folder(tmp_path / "raw" / "nturgb+d_skeletons").parent
    write_ntu(raw / "nturgb+d_skeletons" / "S004C001P002R001A061.skeleton")
    (raw / "nturgb+d_skeletons120").mkdir()
    write_ntu(raw / "nturgb+d_skeletons120" / "S018C001P045R001A120.skeleton")
    result = prepare("ntu120", raw, tmp_path / "out", streams=["joint"])
    assert result["clips"] == 6
    assert load_pickle(tmp_path / "out" / "xset" / "train_label.pkl")[1] == [59, 60, 119]
    with pytest.raises(ValueError, match=r"A061\.skeleton: action 61 is not one of the 60 of ntu60"):
        prepare("ntu60", raw, tmp_path / "out60")
    write_ntu(raw / "nturgb+d_skeletons120" / NAMES[0])
    with pytest.raises(ValueError, match=r"is in .* too"):
        prepare("ntu120", raw, tmp_path / "out")


def test_ignored_samples(tmp_path):
    raw = write_ntu_folder(tmp_path / "raw")
    write_ntu(raw / "S001C002P005R002A008.skeleton")  # on the shipped list
    names = tmp_path / "names.txt"
    names.write_text(f"Samples that are missing, all of them:\n\n{NAMES[0][:20]}\n{NAMES[1]}\n")
    for given, clips in ((None, 4), ("none", 5), (names, 3)):
        assert prepare("ntu60", raw, tmp_path / "out", ignored_samples=given, streams=["joint"])["clips"] == clips
    for text, message in (
        ("what is this\n", "names.txt: names no clip"),
        (f"{NAMES[0]}\nsomething\n", r"names.txt:2: 'something' is not the name"),
    ):
        names.write_text(text)
        with pytest.raises(ValueError, match=message):
            prepare("ntu60", raw, tmp_path / "out", ignored_samples=names)
    names.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"names\.txt: not text"):
        prepare("ntu60", raw, tmp_path / "out", ignored_samples=names)
    with pytest.raises(ValueError, match=r"absent\.txt: no such file"):
        prepare("ntu60", raw, tmp_path / "out", ignored_samples=tmp_path / "absent.txt")


def test_kinetics(tmp_path):
    raw, out = write_kinetics_folder(tmp_path / "raw"), tmp_path / "out"
    result = prepare("kinetics", raw, out, streams=["joint", "joint_motion"])
    assert (result["clips"], result["frames"]) == (4, 24)
    assert load_pickle(out / "val_label.pkl") == (["clip-val0_x.json", "clip-val2_x.json"], [0, 2])
    joint = np.load(out / "val_data_joint.npy")
    expected = reference.prepare_kinetics_clip(raw / "kinetics_val" / "clip-val2_x.json")
    assert np.array_equal(joint[1], expected)
    assert np.array_equal(np.load(out / "val_data_joint_motion.npy")[1], reference.motion(expected))


def test_kinetics_labels(tmp_path, capsys):
    raw = write_kinetics_folder(tmp_path / "raw")
    labels = raw / "kinetics_val_label.json"
    entries = json.loads(labels.read_text())
    entries["clip-val0_x"]["label_index"] = 7
    del entries["clip-val2_x"]
    labels.write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=r"has label_index 0, the label file says 7.*2 bad files"):
        prepare("kinetics", raw, tmp_path / "out")
    assert "clip-val2_x.json: has no label_index from 0 on in the label file" in capsys.readouterr().err
    labels.write_text("{\n]")
    with pytest.raises(ValueError, match=r"label\.json:2: not JSON"):
        prepare("kinetics", raw, tmp_path / "out")
    labels.unlink()
    with pytest.raises(ValueError, match=r"kinetics_val_label\.json: no such file"):
        prepare("kinetics", raw, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="neither kinetics_train nor kinetics_val"):
        prepare("kinetics", tmp_path / "empty", tmp_path / "out")
    assert nothing_in(tmp_path / "out")


def test_kinetics_one_side(tmp_path):
    raw = write_kinetics_folder(tmp_path / "raw")
    (raw / "kinetics_train").rename(raw / "elsewhere")
    assert prepare("kinetics", raw, tmp_path / "out")["clips"] == 2
    assert not (tmp_path / "out" / "train_label.pkl").exists()


def test_nw_ucla(tmp_path):
    raw = write_nw_ucla_folder(tmp_path / "raw")
    for folder in (raw, raw / "all_sqe"):
        result = prepare("nw-ucla", folder, tmp_path / "out")
        assert (result["clips"], result["frames"]) == (3, 5 + 7 + 9)
    train, val = (np.load(tmp_path / "out" / f"{split}_data_joint.npy") for split in ("train", "val"))
    assert (train.shape, val.shape) == ((2, 3, 9, 20, 1), (1, 3, 9, 20, 1))
    assert np.array_equal(train[1, :, :7], read_clip(raw / "all_sqe" / "a02_s01_e00_v02.json", "nw-ucla"))
    assert not train[1, :, 7:].any()
    assert load_pickle(tmp_path / "out" / "val_label.pkl") == (["a03_s01_e00_v03.json"], [2])
    bone = np.load(tmp_path / "out" / "val_data_bone.npy")
    assert np.array_equal(bone, stream_of(val, "bone", NW_UCLA))
    prepare("nw-ucla", raw, tmp_path / "out", max_frames=52)
    assert np.load(tmp_path / "out" / "val_data_joint.npy").shape == (1, 3, 52, 20, 1)
    with pytest.raises(ValueError, match="has 9 frames, there is room for 8"):
        prepare("nw-ucla", raw, tmp_path / "out", max_frames=8)


@pytest.mark.parametrize("formats", [("npy",), ("packed",), ("npy", "packed")])
def test_what_is_left_out_and_empty_is_counted(tmp_path, formats, capsys):
    """Clips that nobody is in stay, as in the original; both are told and counted."""
    raw = write_ntu_folder(tmp_path / "raw")
    (raw / NAMES[0]).write_text("3\n0\n0\n0\n")
    write_ntu(raw / "S001C001P001R001A003.skeleton")
    (tmp_path / "list.txt").write_text("S001C001P001R001A003\nS001C001P001R001A004\n")
    for _ in range(2):  # shards that are there are counted as they were
        result = prepare("ntu60", raw, tmp_path / "out", formats=formats, ignored_samples=tmp_path / "list.txt")
        assert (result["clips"], result["ignored"], result["empty"], result["bad_files"]) == (4, 1, 1, 0)
    told = capsys.readouterr().err
    assert "passed over 1 clips" in told and "nobody is seen in 1 of the clips: they stay" in told
    still = prepare("ntu60", raw, tmp_path / "motion", streams=("joint_motion",), ignored_samples="none")
    assert (still["clips"], still["ignored"], still["empty"]) == (5, 0, 0)  # motions do not tell who stands still


def test_kinetics_without_skeletons_are_counted(tmp_path):
    raw = write_kinetics_folder(tmp_path / "raw")
    file = raw / "kinetics_train_label.json"
    labels = json.loads(file.read_text())
    first = next(iter(labels))
    labels[first]["has_skeleton"] = False
    whole = prepare("kinetics", raw, tmp_path / "whole", streams=("joint",))
    file.write_text(json.dumps(labels))
    result = prepare("kinetics", raw, tmp_path / "out", streams=("joint",))
    assert (result["clips"], result["ignored"]) == (whole["clips"] - 1, whole["ignored"] + 1)


def test_header():
    for rows in (0, 1, 12345678):
        header = npy_header(rows, (3, 300, 25, 2))
        assert len(header) == 128
        assert np.lib.format.read_magic(io.BytesIO(header)) == (1, 0)
        stream = io.BytesIO(header)
        stream.seek(8)
        assert np.lib.format.read_array_header_1_0(stream) == ((rows, 3, 300, 25, 2), False, np.dtype("<f4"))


def test_many_chunks_keep_their_order(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in range(1, 41):
        frames = 60 if number % 7 == 1 else 3
        write_ntu(raw / f"S001C002P001R001A{number:03d}.skeleton", number, frames)
    prepare("ntu60", raw, tmp_path / "out", benchmarks=["xview"], streams=["joint"], workers=4, max_frames=60)
    names, labels = load_pickle(tmp_path / "out" / "xview" / "train_label.pkl")
    joint = np.load(tmp_path / "out" / "xview" / "train_data_joint.npy")
    assert labels == list(range(40))
    for row, name in enumerate(names):
        assert np.array_equal(joint[row], read_clip(raw / name, "ntu60", 60))
