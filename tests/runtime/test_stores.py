"""Scores of packed shards: by name, those of one process to the byte however they are shared, or one line of error."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import broken_jobs
import numpy as np
import pytest
from exported import CLASSES, FRAMES
from prep_files import write_kinetics_folder, write_ntu

import cli
from export.fusion import fuse_scores, read_scores
from export.inputs import feeder_from, to_input
from export.runtime.open import open_engine
from export.runtime.shard_list import list_shards
from export.runtime.stores import ScoreJob, plan_pieces, score_stores
from native_prep.io.locks import sole_run
from native_prep.io.pickles import save_pickle
from native_prep.pipeline.cluster import Cluster, cluster
from native_prep.pipeline.prepare import prepare
from native_prep.skeletons.layouts import NTU
from native_prep.store.reader import Store
from native_prep.synth.make import joint_batch

ROOT = Path(__file__).resolve().parents[2]
# What other processes import.
PATHS = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "helpers")))
NAMES = ("s.pkl", "s_joint.pkl", "s_bone.pkl")


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


@pytest.fixture(scope="module")
def machines() -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PATHS)
        with cluster("local:2") as found:
            yield found


@pytest.fixture
def joined(machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the address, the cluster of these tests is joined."""
    monkeypatch.setattr("export.runtime.stores.cluster", lambda address: nullcontext(machines))


@pytest.fixture(scope="module")
def scores(exported: Path, stores: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The score files of one process."""
    folder = tmp_path_factory.mktemp("alone")
    result = score_stores(exported / "engine", [str(stores / "two"), str(stores / "one")], folder / "s.pkl")
    assert (result["shards"], result["resumed"]) == (4, 0)
    return read(folder)


def read(folder: Path) -> list[bytes]:
    """The score files, beside which nothing else is left."""
    assert sorted(path.name for path in folder.iterdir()) == sorted([*NAMES, *(f"{name}.json" for name in NAMES)])
    return [(folder / name).read_bytes() for name in NAMES]


def run(exported: Path, stores: Path, out: Path, address: str | None = None) -> dict:
    return score_stores(exported / "engine", [str(stores / "one"), str(stores / "two")], out / "s.pkl", address=address)


def test_scores_are_the_engines(exported: Path, stores: Path, tmp_path: Path) -> None:
    result = score_stores(exported / "engine", [str(stores / "one")], tmp_path / "s.pkl", runtime="onnxruntime")
    assert (result["clips"], result["shards"], result["resumed"]) == (7, 3, 0)
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


def test_two_processes_are_one_also_where_one_is_killed(
    exported: Path, stores: Path, tmp_path: Path, joined: None, scores: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.runtime.stores.ScoreJob", broken_jobs.KilledOnce)
    result = run(exported, stores, tmp_path, "auto")
    (tmp_path / ".s.pkl.shards.killed").unlink()
    assert read(tmp_path) == scores
    assert result.pop("seconds") > 0 and result.pop("clips_per_second") > 0
    assert " on c" in result.pop("runtime")
    assert result.pop("scores") == [str(tmp_path / name) for name in NAMES]
    assert result == {"clips": 14, "shards": 4, "resumed": 0}


def test_threads_change_no_bit(exported: Path, stores: Path) -> None:
    joints = joint_batch(NTU, 3, FRAMES, 2, seed=1)
    answers = [open_engine(exported / "engine", "onnxruntime", threads).run(joints) for threads in (1, 2, 3)]
    assert len({np.stack(answer).tobytes() for answer in answers}) == 1


def test_a_killed_run_is_resumed(exported: Path, stores: Path, tmp_path: Path, scores: list[bytes]) -> None:
    words = ["predict", "--engine", exported / "engine", "--store", stores / "one", stores / "two"]
    words += ["--out", tmp_path / "s.pkl", "--cluster", "local:2"]
    killed = subprocess.run(
        [sys.executable, broken_jobs.__file__, *map(str, words)],
        env={**os.environ, "PYTHONPATH": PATHS}, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert not (tmp_path / "s.pkl").exists()
    assert run(exported, stores, tmp_path)["resumed"] >= 1
    assert read(tmp_path) == scores


@pytest.mark.parametrize("shared", [False, True])
def test_an_error_is_one_line_and_finished_shards_stay(
    exported: Path, stores: Path, tmp_path: Path, scores: list[bytes], shared: bool,
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    address = ["--cluster", "auto"] if shared else []
    if shared:
        request.getfixturevalue("joined")
    words = ["predict", "--engine", exported / "engine", "--store", stores / "one", stores / "two"]
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as done:
        patch.setattr("export.runtime.stores.ScoreJob", broken_jobs.Failing)
        cli.main([*map(str, words), "--out", str(tmp_path / "s.pkl"), *address])
    out, err = capfd.readouterr()
    assert (done.value.code, out) == (2, "")
    assert [line for line in err.splitlines() if "predict: " not in line] == [f"Error: {broken_jobs.GONE}"]
    assert [path.name for path in tmp_path.iterdir()] == [".s.pkl.shards"]
    if shared:
        return
    kept = sorted((tmp_path / ".s.pkl.shards").iterdir())
    assert len(kept) == 3
    kept[0].write_bytes(kept[0].read_bytes()[:-1])
    assert run(exported, stores, tmp_path)["resumed"] == 2
    assert read(tmp_path) == scores


def test_scores_of_another_kind_are_not_taken(exported: Path, stores: Path, tmp_path: Path) -> None:
    """What decides about a shard's scores is in its fingerprint: which clips, the engine, what runs it."""
    engine, one = str(exported / "engine"), [str(stores / "one")]
    everything, part = list_shards(one), list_shards(one, "xview/val")
    (tmp_path / "manifest.json").write_text((exported / "engine" / "manifest.json").read_text() + "\n")

    def keys(shards: list, engine: str = engine, runtime: str = "auto") -> list[str]:
        return [piece.key for piece in plan_pieces(ScoreJob(engine, runtime, tmp_path), shards)]

    known = set(keys(everything))
    assert len(known) == 3 and keys(list_shards(one)) == keys(everything)
    for shard, key in zip(part, keys(part), strict=True):
        assert (key in known) == (len(shard.clips) == (everything[0].store.shards == shard.number).sum())
    assert known.isdisjoint(keys(everything, runtime="onnxruntime"))
    assert known.isdisjoint(keys(everything, engine=str(tmp_path)))


def test_no_run_where_another_works(exported: Path, stores: Path, tmp_path: Path) -> None:
    with sole_run(tmp_path / "s.pkl"), pytest.raises(ValueError, match=r"s\.pkl: another run writes there"):
        run(exported, stores, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("address", "message"),
    [("local", r"--cluster: needs Ray: pip install"), ("127.0.0.1:9", r"--cluster 127\.0\.0\.1:9: nothing answers")],
)
def test_no_cluster(
    exported: Path, stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, message: str
) -> None:
    if address == "local":
        monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=message):
        run(exported, stores, tmp_path, address)
    assert not list(tmp_path.iterdir())


def test_torchrun_is_for_training(
    exported: Path, stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="torchrun is for training: give --cluster local:N"):
        run(exported, stores, tmp_path)


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
