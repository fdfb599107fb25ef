"""`prep pku-mmd` and `prep uav-human` on made files in the forms that published code reads."""

import os
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from mutations import mutated

from native_prep.command import prep
from native_prep.io.pickles import load_pickle
from native_prep.poses.custom import custom_metadata
from native_prep.poses.published.prepare import PUBLISHED
from native_prep.poses.published.uav_human import training_subjects

RNG = np.random.default_rng(0)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def bodies(frames: int, joints: int = 25, people: int = 2) -> np.ndarray:
    """(T, M, V, 3) in metres, as text has them."""
    return (RNG.uniform(-0.5, 0.8, (frames, people, joints, 3)) + np.array((0.0, 0.0, 2.5))).round(6)


@pytest.fixture
def pku(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    folder = tmp_path / "pku"
    made = {"0002-L": bodies(40), "0003-M": bodies(30), "0004-R": bodies(20), "0009-L": bodies(5)}
    made["0003-M"][:, 1] = 0
    for name, points in made.items():
        lines = (" ".join(f"{number:.6f}" for number in row) for row in points.reshape(len(points), 150))
        write(folder / "Data/PKU_Skeleton_Renew" / f"{name}.txt", "\n ".join(lines) + "\n")
    labels = {"0002-L": "3,6,17,2\n41,21,37,2\n", "0003-M": "51,30,1,1\n\n", "0004-R": "1,0,20,1", "0009-L": ""}
    for name, text in labels.items():
        write(folder / "Label/Train_Label_PKU_final" / f"{name}.txt", text)
    for kind, train, val in (("view", "0003-M, 0004-R, ", "0002-L, "), ("subject", "0002-L, ", "0003-M, 0004-R, ")):
        text = f"Training videos:\n{train}\nValidataion videos: \n{val}\n"
        write(folder / f"Split/cross-{kind}.txt", text)
    return folder, made


def prepared(out: Path) -> dict[str, tuple[str, int, np.ndarray]]:
    found = {}
    for split in ("train", "val"):
        arrays = np.load(out / f"{split}_data_joint.npy")
        for name, label, array in zip(*load_pickle(out / f"{split}_label.pkl"), arrays, strict=True):
            found[name] = (split, label, array)
    return found


def test_recordings_are_cut_by_their_labels(tmp_path: Path, pku: tuple, capsys: pytest.CaptureFixture[str]) -> None:
    folder, made = pku
    out = tmp_path / "out"
    result = prep("pku-mmd", data_path=str(folder), out_folder=str(out), benchmarks=("xview",))
    assert result["clips"] == 4 and result["bad_files"] == 0
    found = prepared(out)
    frames = {"0002-L_00006-00017_03": (5, 17), "0002-L_00021-00037_41": (20, 37), "0003-M_00001-00030_51": (0, 30),
              "0004-R_00000-00020_01": (0, 20)}  # fmt: skip
    assert {name: one[:2] for name, one in found.items()} == {
        "0002-L_00006-00017_03": ("val", 2), "0002-L_00021-00037_41": ("val", 40),
        "0003-M_00001-00030_51": ("train", 50), "0004-R_00000-00020_01": ("train", 0),
    }  # fmt: skip
    for name, (first, last) in frames.items():
        points = made[name[:6]][first:last].transpose(3, 0, 2, 1)  # (C, T, V, M)
        array = found[name][2]
        assert array.shape == (3, 30, 25, 2)
        np.testing.assert_allclose(array[:, : last - first], points, atol=1e-6)
        assert not array[:, last - first :].any()
    assert "1 recordings have no labels, or are in no split (0009-L)" in capsys.readouterr().err
    metadata = custom_metadata(out / "train_data_joint.npy")
    assert metadata["layout"]["name"] == "ntu" and metadata["classes"][2] == "brushing teeth"
    prep("pku-mmd", data_path=str(folder), out_folder=str(tmp_path / "xsub"))
    assert {name[:6]: one[0] for name, one in prepared(tmp_path / "xsub").items()} == {
        "0002-L": "train", "0003-M": "val", "0004-R": "val",
    }  # fmt: skip


def test_the_second_phase_has_names_of_its_own(tmp_path: Path, pku: tuple) -> None:
    folder, _ = pku
    for path in (*folder.rglob("*.txt"),):
        renamed = {"0002-L": "A01N02-L", "0003-M": "A01N02-M", "0004-R": "A26N13-R", "0009-L": "A02N01-L"}
        text = path.read_text()
        for old, new in renamed.items():
            text = text.replace(old, new)
        name = renamed.get(path.stem, path.stem.replace("-", "_") + "_v2")
        path.unlink()
        write(path.with_name(f"{name}.txt"), text)
    prep("pku-mmd", data_path=str(folder), out_folder=str(tmp_path / "out"), benchmarks=("xview",))
    assert {name.split("_")[0] for name in prepared(tmp_path / "out")} == {"A01N02-L", "A01N02-M", "A26N13-R"}


def fails(tmp_path: Path, dataset: str, folder: Path, **options: object) -> str:
    with pytest.raises(ValueError) as caught:
        prep(dataset, data_path=str(folder), out_folder=str(tmp_path / "out"), **options)
    assert not (tmp_path / "out").exists() and "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_wrong_with_pku_mmd_is_one_line(tmp_path: Path, pku: tuple, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = pku
    labels = folder / "Label/Train_Label_PKU_final"
    write(labels / "0002-L.txt", "3,6,17,2\n52,1,2,1\nwalk,1,2\n3,6,17,1\n3,50,60,1\n")
    write(labels / "0011-L.txt", "3,6,17,2\n")
    text = fails(tmp_path, "pku-mmd", folder) + capsys.readouterr().err
    for says in (
        "0002-L.txt:2: class 52 is not from 1 to 51", "0002-L.txt:3: is not class,first frame,last frame,confidence",
        "0002-L.txt:4: is there twice", "the recording has 40 frames: fix the label file",
        "0011-L.txt: there is no skeleton file 0011-L.txt",
    ):  # fmt: skip
        assert says in text, text
    (labels / "0011-L.txt").unlink()
    write(labels / "0002-L.txt", "3,6,17,2\n")
    skeleton = folder / "Data/PKU_Skeleton_Renew/0002-L.txt"
    good = skeleton.read_text()
    for content, says in (
        (good.replace("0.", "o.", 1), "0002-L.txt: is not 150 numbers a line"),
        ("\n".join(line.rsplit(" ", 1)[0] for line in good.splitlines()), "has 149 numbers a line, expected 150"),
        (good[: len(good) // 2], "is not 150 numbers a line"),
        (good.replace(good.split()[900], "nan"), "frame 1 holds what is not a coordinate"),
    ):
        write(skeleton, content)
        assert says in fails(tmp_path, "pku-mmd", folder)
    write(skeleton, good)
    assert "--benchmark v1: prep pku-mmd is for one at a time, xsub or xview" in fails(
        tmp_path, "pku-mmd", folder, benchmarks=("v1",)
    )
    assert "--layout is not for prep pku-mmd" in fails(tmp_path, "pku-mmd", folder, layout="ntu")
    write(folder / "Split/cross-view.txt", "Training videos:\n0002-L;\n")
    assert "cross-view.txt: is no list of recordings" in fails(tmp_path, "pku-mmd", folder, benchmarks=("xview",))
    (folder / "Split/cross-view.txt").unlink()
    assert "cross-view.txt is not there" in fails(tmp_path, "pku-mmd", folder, benchmarks=("xview",))
    write(folder / "again/skeleton/0002-L.txt", good)
    assert "is there twice" in fails(tmp_path, "pku-mmd", folder)
    assert "has no folder of skeletons" in fails(tmp_path, "pku-mmd", labels)
    assert "no such folder" in fails(tmp_path, "pku-mmd", tmp_path / "none")


def test_odd_files_of_pku_mmd_are_told(tmp_path: Path, pku: tuple, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = pku
    labels = folder / "Label/Train_Label_PKU_final"
    write(labels / "0003-M.txt", "\n")
    (labels / "0004-R.txt").unlink()
    os.mkfifo(labels / "0004-R.txt")
    result = prep("pku-mmd", data_path=str(folder), out_folder=str(tmp_path / "out"), max_frames=30)
    assert result["clips"] == 2
    assert "3 recordings have no labels, or are in no split (0003-M, 0004-R, 0009-L)" in result["warnings"]
    write(labels / "0003-M.txt", "1,0,9,1\n1,20,9999,1\n")
    assert "the recording has 30 frames: fix the label file" in fails(tmp_path / "x", "pku-mmd", folder)
    skipped = prep("pku-mmd", data_path=str(folder), out_folder=str(tmp_path / "out"), on_bad_file="skip")
    assert skipped["clips"] == 3 and skipped["bad_files"] == 1
    assert any("1 clips begin with frame 0: do these label files count from 0?" in text for text in skipped["warnings"])
    with (labels / "0003-M.txt").open("wb") as file:
        file.truncate(1 << 30)
    assert "0003-M.txt: cannot be read (too large)" in fails(tmp_path / "x", "pku-mmd", folder)
    write(folder / "Split/cross-subject.txt", "Training videos:\n0002-L,\nValidataion videos:\n0002-L,\n")
    assert "cross-subject.txt: 0002-L trains and tests" in fails(tmp_path / "x", "pku-mmd", folder)


def uav_text(points: np.ndarray, columns: Iterable[str] = ()) -> str:
    """People (T, M, V, 2) as a file of UAV-Human."""
    lines = [str(len(points))]
    for people in points:
        lines.append(str(len(people)))
        for joints in people:
            lines += ["000 0 0 0 0 0 0 0 0 0", "17"]
            lines += [" ".join([f"{x:.3f}", f"{y:.3f}", *columns]) for x, y in joints]
    return "\n".join(lines) + "\n"


UAV = "P{:03d}S00G10B10H10UC022000LC021000A{:03d}R0_08241716"


def test_poses_of_a_drone(tmp_path: Path) -> None:
    one, two = (RNG.uniform(100, 900, (4, people, 17, 2)).round(3) for people in (1, 2))
    one[2] = 0  # nobody
    write(tmp_path / "uav/Skeleton" / f"{UAV.format(0, 7)}.txt", uav_text(one, ["0.5"]))
    write(tmp_path / "uav/Skeleton" / f"{UAV.format(1, 154)}.txt", uav_text(two, ["0"] * 10))
    write(tmp_path / "uav/Skeleton/notes.txt", "")
    prep("uav-human", data_path=str(tmp_path / "uav"), out_folder=str(tmp_path / "out"), image_size="1920x1080")
    found = prepared(tmp_path / "out")
    assert {name: clip[:2] for name, clip in found.items()} == {
        UAV.format(0, 7): ("train", 7), UAV.format(1, 154): ("val", 154),
    }  # fmt: skip
    for points, (_, _, array) in zip((one, two), found.values(), strict=True):
        assert array.shape == (3, 4, 17, 2)
        for place in range(points.shape[1]):
            shares = points[:, place] / (1920, 1080) - 0.5
            seen = points[:, place].any(axis=-1)
            np.testing.assert_allclose(array[0, ..., place], np.where(seen, shares[..., 0], 0), atol=1e-6)
            np.testing.assert_allclose(array[1, ..., place], np.where(seen, -shares[..., 1], 0), atol=1e-6)
            np.testing.assert_array_equal(array[2, ..., place], seen)
    classes = custom_metadata(tmp_path / "out/train_data_joint.npy")["classes"]
    assert len(classes) == 155 and classes[7] == "stand up" and classes[154] == "close an umbrella"
    assert "are pixels: give --image-size" in fails(tmp_path / "x", "uav-human", tmp_path / "uav")


def test_subjects_that_train() -> None:
    v1, v2 = training_subjects("v1"), training_subjects("v2")
    assert len(v1) == len(v2) == 89 and max(v1 | v2) == 118
    assert {0, 2, 8, 10, 118} <= v1 and not {1, 3, 4, 9, 113} & v1
    assert {0, 3, 101, 118} <= v2 and not {1, 2, 105, 116} & v2


def test_what_is_wrong_with_uav_human_is_one_line(tmp_path: Path) -> None:
    good = uav_text(RNG.uniform(100, 900, (3, 1, 17, 2)))
    path = tmp_path / "uav" / f"{UAV.format(0, 7)}.txt"
    for content, says in (
        (good[: len(good) // 2], "the file ends here, expected more"), ("x" + good, ":1: is 'x3'"),
        (good.replace("\n17\n", "\n16\n", 1), ":4: has 16 joints, expected 17"), ("999999999", ":1: is '999999999'"),
        (good.replace(".", "o"), ":5: is "), ("", ":1: the file ends here"), ("\0" * 50, ":1: is "),
    ):  # fmt: skip
        write(path, content)
        assert says in fails(tmp_path, "uav-human", tmp_path / "uav", image_size="1920x1080")
    (tmp_path / "empty").mkdir()
    write(path, good + "\n7\n")
    assert ":63: goes on behind its last frame" in fails(tmp_path, "uav-human", tmp_path / "uav", image_size="9x9")
    assert "has no file Skeleton/P000S00" in fails(tmp_path, "uav-human", tmp_path / "empty")


def test_a_thousand_mutations_of_each(tmp_path: Path, pku: tuple) -> None:
    """Whatever bytes a file holds, it is read, or one line says what is wrong."""
    folder, _ = pku
    uav = write(tmp_path / "uav" / f"{UAV.format(0, 7)}.txt", uav_text(RNG.uniform(100, 900, (2, 1, 17, 2))))
    rng, read = random.Random(0), 0
    files = [
        *(folder / f"{place}/0002-L.txt" for place in ("Data/PKU_Skeleton_Renew", "Label/Train_Label_PKU_final")),
        folder / "Split/cross-subject.txt", uav,
    ]  # fmt: skip
    for path in files:
        good, opened = path.read_bytes(), "uav-human" if path == uav else "pku-mmd"
        found = PUBLISHED[opened]
        classes = [f"A{number}" for number in range(found_classes(opened))]
        for _ in range(1000):
            path.write_bytes(mutated(good, rng))
            try:
                source = found.open(tmp_path / ("uav" if path == uav else "pku"), found.benchmarks[0], classes)
                poses = [source.read(clip) for clip in source.clips if clip.name.startswith(("0002-L", "P"))]
                assert all(np.isfinite(one.points).all() for one in poses)
                read += 1
            except ValueError as error:
                assert "\n" not in str(error) and str(tmp_path) in str(error)
        path.write_bytes(good)
    assert 500 < read < 4000


def found_classes(dataset: str) -> int:
    return {"pku-mmd": 51, "uav-human": 155}[dataset]


def test_lists_of_classes() -> None:
    from native_prep.datasets.catalog import LISTS

    for name in PUBLISHED:
        count = found_classes(name)
        names = (LISTS / PUBLISHED[name].class_list).read_text().splitlines()
        assert len(names) == len(set(names)) == count
