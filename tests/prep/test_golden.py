"""The kernels against the answers of the original data_gen, on real and on made recordings."""

import numpy as np
import pytest
from prep_files import unpack

from native_prep.io.pickles import load_pickle
from native_prep.pipeline.prepare import prepare
from native_prep.skeletons.layouts import KINETICS, NTU
from native_prep.skeletons.streams import stream_of

ALLOWED = 2e-6
NTU_ARCHIVES = {
    "data": ("ntu.tar.xz", "ntu_expected.npz"),
    "golden": ("ntu_synthetic.tar.xz", "ntu_synthetic_expected.npz"),
}
KINETICS_ARCHIVES = {
    "data": ("kinetics.tar.xz", "kinetics_expected.npz"),
    "golden": ("kinetics_synthetic.tar.xz", "kinetics_synthetic_expected.npz"),
}


def folder_of(folder, pattern):
    return next(iter(sorted(folder.rglob(pattern)))).parent


@pytest.mark.parametrize("where", NTU_ARCHIVES)
def test_ntu(shared, tmp_path, where):
    archive, answers = NTU_ARCHIVES[where]
    raw = folder_of(unpack(shared / where / archive, tmp_path / "raw"), "*.skeleton")
    expected = np.load(shared / where / answers)
    names = [name.removesuffix(".skeleton") for name in expected["names"].tolist()]
    result = prepare("ntu60", raw, tmp_path / "out", ignored_samples="none", streams=("joint", "bone", "bone_motion"))
    assert result["clips"] == len(names) == len(set(names))
    for benchmark in ("xsub", "xview"):
        for split in ("train", "val"):
            begin = tmp_path / "out" / benchmark
            found, labels = load_pickle(begin / f"{split}_label.pkl")
            places = [names.index(name.removesuffix(".skeleton")) for name in found]
            assert sorted(places) == np.flatnonzero(expected[benchmark] == split).tolist()
            assert found == sorted(found)
            assert labels == expected["label"][places].tolist()
            joint = np.load(begin / f"{split}_data_joint.npy")
            assert np.abs(joint - expected["joint"][places]).max(initial=0) <= ALLOWED
            for stream in ("bone", "bone_motion"):
                made = np.load(begin / f"{split}_data_{stream}.npy")
                assert np.array_equal(made, stream_of(joint, stream, NTU))


@pytest.mark.parametrize("where", KINETICS_ARCHIVES)
def test_kinetics(shared, tmp_path, where):
    archive, answers = KINETICS_ARCHIVES[where]
    raw = folder_of(unpack(shared / where / archive, tmp_path / "raw"), "kinetics_train_label.json")
    expected = np.load(shared / where / answers)
    prepare("kinetics", raw, tmp_path / "out")
    for split in ("train", "val"):
        found, labels = load_pickle(tmp_path / "out" / f"{split}_label.pkl")
        names = [name.removesuffix(".json") for name in expected[f"{split}_names"].tolist()]
        assert sorted(names) == [name.removesuffix(".json") for name in found]
        places = [names.index(name.removesuffix(".json")) for name in found]
        assert labels == expected[f"{split}_label"][places].tolist()
        joint = np.load(tmp_path / "out" / f"{split}_data_joint.npy")
        assert np.abs(joint - expected[f"{split}_joint"][places]).max() <= ALLOWED
        assert np.array_equal(np.load(tmp_path / "out" / f"{split}_data_bone.npy"), stream_of(joint, "bone", KINETICS))


def test_nw_ucla(shared, tmp_path):
    raw = unpack(shared / "data" / "nw-ucla.tar.xz", tmp_path / "raw")
    raw = folder_of(raw, "a01_*.json")
    result = prepare("nw-ucla", raw, tmp_path / "out", streams=("joint",))
    assert result["clips"] == 1484
    train, val = (np.load(tmp_path / "out" / f"{split}_data_joint.npy", mmap_mode="r") for split in ("train", "val"))
    assert (train.shape, val.shape) == ((1020, 3, 201, 20, 1), (464, 3, 201, 20, 1))
    labels = load_pickle(tmp_path / "out" / "val_label.pkl")[1]
    assert set(labels) == set(range(10))


def test_truncated_recordings(shared, tmp_path, capsys):
    unpack(shared / "data" / "ntu.tar.xz", tmp_path / "raw")
    cut = next(iter((tmp_path / "raw").rglob("truncated")))
    with pytest.raises(ValueError, match=r"S005C002P013R002A056\.skeleton:2086: .* 11 numbers .*2 bad files"):
        prepare("ntu60", cut, tmp_path / "out")
    assert "S012C001P008R002A030.skeleton:2819: " in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.*"))
