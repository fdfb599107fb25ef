"""Splits, labels and lists, against the published counts."""

import lzma

import numpy as np
import pytest

from native_prep.datasets.catalog import DATASETS, class_names, get_dataset, missing_samples
from native_prep.datasets.names import check_benchmarks, is_training, parse_name
from native_prep.skeletons.layouts import NTU
from native_prep.skeletons.streams import bones, check_streams, motion, stream_of

COUNTS = {
    ("ntu60", "xsub"): (40_091, 16_487),
    ("ntu60", "xview"): (37_646, 18_932),
    ("ntu120", "xsub"): (63_026, 50_919),
    ("ntu120", "xset"): (54_468, 59_477),
}


@pytest.mark.parametrize(("dataset", "benchmark"), COUNTS)
def test_published_counts(shared, dataset, benchmark):
    packed = (shared / "data" / "lists" / f"{dataset}_names.txt.xz").read_bytes()
    names = lzma.decompress(packed).decode().split()
    kept = [name for name in names if name.removesuffix(".skeleton") not in missing_samples(dataset)]
    training = sum(is_training(dataset, benchmark, name) for name in kept)
    assert (training, len(kept) - training) == COUNTS[dataset, benchmark]


def test_lists():
    assert {name: len(class_names(name)) for name in DATASETS} == {
        "ntu60": 60, "ntu120": 120, "kinetics": 400, "nw-ucla": 10
    }  # fmt: skip
    assert len(missing_samples("ntu60")) == 302
    assert len(missing_samples("ntu120")) == 535
    assert missing_samples("kinetics") == frozenset()
    assert class_names("ntu60")[0] == "drink water"
    assert class_names("ntu120")[119] == class_names("ntu120")[-1]


def test_names():
    assert parse_name("ntu60", "S001C002P003R002A013.skeleton") == (1, 2, 3, 2, 13)
    assert parse_name("nw-ucla", "a01_s02_e03_v01.json") == (-1, 1, 2, 3, 1)
    assert parse_name("kinetics", "anything.json") == (-1, -1, -1, -1, -1)
    for name in (
        "S001C002P003R002A13",
        "S001C002P003R002A013.txt",
        "xS001C002P003R002A013",
        "",
        "S001C002P003R002A013\n",
    ):
        with pytest.raises(ValueError, match="not the name of an NTU clip"):
            parse_name("ntu120", name)
    with pytest.raises(ValueError, match="not the name of an NW-UCLA clip"):
        parse_name("nw-ucla", "a1_s02_e03_v01.json")
    for name, words in (
        ("S033C001P001R001A001", "setup 33 is not one of NTU's 32"),
        ("S001C004P001R001A001", "camera 4"),
    ):
        with pytest.raises(ValueError, match=words):
            parse_name("ntu120", name)


def test_sides():
    assert is_training("ntu60", "xview", "S001C002P003R002A013")
    assert not is_training("ntu60", "xview", "S001C001P003R002A013")
    assert not is_training("ntu60", "xsub", "S001C002P003R002A013.skeleton")
    assert not is_training("ntu60", "xsub", "S001C002P103R002A013")
    assert is_training("ntu120", "xsub", "S001C002P103R002A013")
    assert is_training("ntu120", "xset", "S002C002P103R002A013")
    assert is_training("nw-ucla", "", "a01_s02_e03_v02.json")
    assert not is_training("nw-ucla", "", "a01_s02_e03_v03.json")
    with pytest.raises(ValueError, match="has no benchmark 'xset'"):
        is_training("ntu60", "xset", "S001C002P003R002A013")


def test_what_is_asked_for():
    assert check_benchmarks("ntu120", None) == ("xsub", "xset")
    assert check_benchmarks("ntu60", ["xview"]) == ("xview",)
    assert check_benchmarks("kinetics", ()) == ("",)
    assert check_streams(["bone", "joint", "bone"]) == ("joint", "bone")
    with pytest.raises(ValueError, match="no benchmark"):
        check_benchmarks("kinetics", ["xsub"])
    with pytest.raises(ValueError, match="no stream"):
        check_streams(["joints"])
    with pytest.raises(ValueError, match="no stream"):
        check_streams([])
    with pytest.raises(ValueError, match="no data set"):
        get_dataset("ntu")


def test_streams_by_hand():
    joint = np.random.default_rng(0).normal(size=(2, 3, 5, 25, 2)).astype(np.float32)  # (N, C, T, V, M)
    bone = bones(joint, NTU)
    assert np.array_equal(bone[:, :, :, 3], joint[:, :, :, 3] - joint[:, :, :, 2])
    assert not bone[:, :, :, 20].any()
    moved = motion(bone)
    assert np.array_equal(moved[:, :, 1], bone[:, :, 2] - bone[:, :, 1])
    assert not moved[:, :, -1].any()
    assert np.array_equal(stream_of(joint, "bone_motion", NTU), moved)
    assert np.array_equal(stream_of(joint[0], "joint", NTU), joint[0])
    with pytest.raises(ValueError, match="has 20 joints"):
        bones(joint[:, :, :, :20], NTU)
