"""Scores of packed shards: by name, the same in two processes as in one, or one line of error."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exported import CLASSES
from prep_files import write_kinetics_folder, write_ntu

from export.fusion import fuse_scores, read_scores
from export.inputs import feeder_from, to_input
from export.runtime.open import open_engine
from export.runtime.stores import list_shards, score_stores
from native_prep.io.pickles import save_pickle
from native_prep.pipeline.prepare import prepare
from native_prep.skeletons.layouts import NTU
from native_prep.store.reader import Store

ROOT = Path(__file__).resolve().parents[2]
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one/packed` of three shards, `two/packed` of one shard of two batches; seven clips each, all of NTU."""
    folder = tmp_path_factory.mktemp("stores")
    with pytest.MonkeyPatch.context() as patch:
        for place, (name, clips) in enumerate((("one", 3), ("two", 1024))):
            patch.setattr("native_prep.store.shards.SHARD_CLIPS", clips)
            (folder / name / "raw").mkdir(parents=True)
            for clip in range(7):
                file = f"S00{1 + place}C00{1 + clip % 3}P00{1 + clip % 4}R001A00{1 + clip % 6}.skeleton"
                write_ntu(folder / name / "raw" / file, 10 * place + clip, 10 + clip, 1 + clip % 2)
            prepare("ntu60", folder / name / "raw", folder / name, formats=["packed"], max_frames=40)
    return folder


def command(exported: Path, *args: object) -> list[str]:
    return [str(ROOT / "cli.py"), "predict", "--engine", str(exported / "engine"), *map(str, args)]


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=200, check=False
    )


def test_scores_are_the_engines(exported: Path, stores: Path, tmp_path: Path) -> None:
    result = score_stores(exported / "engine", [str(stores / "one")], tmp_path / "s.pkl", runtime="onnxruntime")
    assert (result["clips"], result["shards"], result["processes"]) == (7, 3, 1)
    assert result["scores"] == [str(tmp_path / f"{name}.pkl") for name in ("s", "s_joint", "s_bone")]
    engine, store = open_engine(exported / "engine", "onnxruntime"), Store(stores / "one" / "packed")
    args = feeder_from(engine.manifest.feeder_args)
    dense = store.select(np.arange(7), "joint")
    expected = engine.run(np.concatenate([to_input(clip, args, NTU) for clip in dense]))
    for path, rows in zip(("s_joint", "s_bone", "s"), expected, strict=True):
        scores = read_scores(tmp_path / f"{path}.pkl")
        assert list(scores) == sorted(store.names)
        for name, row in zip(store.names, rows, strict=True):
            assert scores[name].dtype == np.float32 and scores[name].shape == (CLASSES,)
            np.testing.assert_allclose(scores[name], row, rtol=1e-5, atol=1e-5)
    names, labels = store.names, store.labels.tolist()
    save_pickle(tmp_path / "label.pkl", (names, labels))
    files = {stream: tmp_path / f"s_{stream}.pkl" for stream in ("joint", "bone")}
    fused = fuse_scores(files, tmp_path / "label.pkl", alpha=engine.manifest.alpha)
    assert fused["top1"] == float(
        (np.array([read_scores(tmp_path / "s.pkl")[n].argmax() for n in names]) == labels).mean()
    )


def test_a_part_of_a_store(exported: Path, stores: Path, tmp_path: Path) -> None:
    store = Store(stores / "one" / "packed")
    score_stores(exported / "engine", [str(store.folder)], tmp_path / "s.pkl", "xview/val", "onnxruntime")
    assert list(read_scores(tmp_path / "s.pkl")) == sorted(store.names_and_labels("xview/val")[0])


def test_two_processes_are_one(exported: Path, stores: Path, tmp_path: Path) -> None:
    one, two = stores / "one" / "packed", stores / "two" / "packed"
    shards = [one / name for name in Store(one).shard_folders]
    (tmp_path / "shards.txt").write_text("\n".join(["# all", *map(str, shards), "", str(two)]))
    alone = run([sys.executable, *command(exported, "--store", one, two, "--out", tmp_path / "alone" / "s.pkl")])
    assert alone.returncode == 0, alone.stderr[-2000:]
    both = run([*TWO, *command(exported, "--store", tmp_path / "shards.txt", "--out", tmp_path / "both" / "s.pkl")])
    assert both.returncode == 0, both.stderr[-2000:]
    (line,) = both.stdout.splitlines()
    result = json.loads(line)
    assert (result["command"], result["clips"], result["shards"], result["processes"]) == ("predict", 14, 4, 2)
    for name in ("s.pkl", "s_joint.pkl", "s_bone.pkl"):
        assert (tmp_path / "both" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
        assert len(read_scores(tmp_path / "both" / name)) == 14


def test_a_process_that_fails_fails_all(exported: Path, stores: Path, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(
        "import os, sys\n"
        "import cli, export.runtime.stores as scoring\n"
        "plain = scoring._score_shards\n"
        "def broken(engine, shards):\n"
        "    if os.environ['RANK'] == '1':\n"
        "        raise ValueError('frames.npy: its disk has gone: copy it again')\n"
        "    return plain(engine, shards)\n"
        "scoring._score_shards = broken\n"
        "cli.main(sys.argv[1:])\n"
    )
    args = command(exported, "--store", stores / "one", "--out", tmp_path / "out" / "s.pkl")[1:]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    words = [*TWO, str(tmp_path / "job.py"), *args]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode != 0 and done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert errors == ["Error: process 1 of 2: frames.npy: its disk has gone: copy it again"]
    assert not (tmp_path / "out").exists()


def test_wrong_lists(exported: Path, stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = stores / "one" / "packed"
    shutil.copytree(one, tmp_path / "again")
    with pytest.raises(
        ValueError, match=r"again: 7 names are in two shards, S001\S+ first \(in packed/shard-00000\S* and"
    ):
        list_shards([str(one), str(tmp_path / "again")])
    with pytest.raises(ValueError, match=r"has no part 'xset/val'"):
        list_shards([str(one)], "xset/val")
    with pytest.raises(ValueError, match=r"nowhere: no packed store and no shard of one"):
        list_shards([str(tmp_path / "nowhere")])
    (one / "shard-99999").mkdir()
    with pytest.raises(ValueError, match=r"shard-99999: is not a shard of "):
        list_shards([str(one / "shard-99999")])
    (one / "shard-99999").rmdir()
    (tmp_path / "list.txt").write_text("# nothing\n")
    with pytest.raises(ValueError, match=r"list\.txt: no clips in it"):
        list_shards([str(tmp_path / "list.txt")])
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"list\.txt: not text"):
        list_shards([str(tmp_path / "list.txt")])
    shard = one / Store(one).shard_folders[0]
    capsys.readouterr()
    assert len(list_shards([str(one), str(shard)])) == 3
    assert capsys.readouterr().err == f"{shard}: shard {shard.name} is listed twice: it is scored once\n"
    write_kinetics_folder(tmp_path / "raw")
    prepare("kinetics", tmp_path / "raw", tmp_path / "kinetics", formats=["packed"], max_frames=20)
    with pytest.raises(ValueError, match=r"packed: is of skeleton 'kinetics', the engine for 'ntu'"):
        score_stores(exported / "engine", [str(tmp_path / "kinetics")], tmp_path / "s.pkl")
    with pytest.raises(ValueError, match="is a folder: name a file for --out"):
        score_stores(exported / "engine", [str(one)], tmp_path)
