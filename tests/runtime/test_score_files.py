"""Nothing stale is taken for new: what runs leave in their folders, the notes of score files, and who refuses what."""

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agcn.config import Config, FeederArgs, config_mismatches
from agcn.data.clips import hash_clips, open_clips
from agcn.evaluate import test as score
from agcn.metrics import top5
from agcn.score_files import SCORE_FILE, note_path, read_note, stale_reason, write_scores
from agcn.training import train as training
from agcn.training.train import train
from export.commands import run_fuse_eval as fuse_eval
from export.fusion import fuse_arrays, fuse_dataset, fuse_scores
from native_prep.io.atomic import OutputSet
from native_prep.io.hashes import sha256
from native_prep.io.pickles import load_pickle, save_pickle

CLASSES = 3
MODEL = {"num_class": CLASSES, "num_point": 4, "num_person": 1, "graph": "mine"}
MODEL |= {"graph_args": {"edges": [[1, 0], [3, 1]]}}


def clips(folder: Path, part: str, count: int, classes: int = CLASSES, seed: int = 0) -> FeederArgs:
    """Clips whose class shows in where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([count, seed])
    labels = rng.integers(0, classes, count)
    data = rng.standard_normal((count, 3, 16, 4, 1)) + labels[:, None, None, None, None]
    for stream in ("joint", "bone"):
        np.save(folder / f"{part}_data_{stream}.npy", data.astype(np.float32))
    save_pickle(folder / f"{part}_label.pkl", ([f"{part}{i}.json" for i in range(count)], labels.tolist()))
    return FeederArgs(str(folder / f"{part}_data_joint.npy"), str(folder / f"{part}_label.pkl"))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        work_dir=str(tmp_path / "work_dir/ntu/xsub/agcn_joint"), model_saved_name="./runs/tiny", config="tiny.yaml",
        train_feeder_args=clips(tmp_path / "data/ntu/xsub", "train", 18),
        test_feeder_args=clips(tmp_path / "data/ntu/xsub", "val", 7),
        model_args=MODEL, batch_size=6, test_batch_size=4, num_epoch=2, base_lr=0.01, nesterov=True,
    )  # fmt: skip


def put(path: Path, content: bytes = b"old") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_scores_are_written_a_batch_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is an ordinary pickle of a dictionary, whatever the batches."""
    monkeypatch.setattr("agcn.score_files._BATCH", 3)
    rows = np.arange(40, dtype=np.float32).reshape(8, 5)
    for count in (0, 1, 3, 4, 8):
        names = [f"clip é{number}" for number in range(count)]
        with OutputSet() as outputs:
            write_scores(outputs, tmp_path / "s.pkl", zip(names, rows, strict=False), {"weights": {}, "data": {}})
        assert read_note(tmp_path / "s.pkl")["version"] == 1
        with (tmp_path / "s.pkl").open("rb") as file:
            plain = pickle.load(file)
        for scores in (plain, load_pickle(tmp_path / "s.pkl")):
            assert list(scores) == names
            for name, row in zip(names, rows, strict=False):
                assert scores[name].dtype == np.float32 and scores[name].tolist() == row.tolist()


def test_a_run_leaves_its_best_scores_with_their_hashes(config: Config) -> None:
    train(config, device="cpu")
    work = Path(config.work_dir)
    note = json.loads(note_path(work / SCORE_FILE).read_text())
    best = note["weights"]["joint"]
    assert best == {"file": "best.pt", "sha256": sha256(work / "best.pt")}
    assert note["data"]["clips"] == 7
    assert note["data"]["sha256"] == hash_clips(open_clips(config.test_feeder_args))
    assert len(note["config_sha256"]) == 64
    left = load_pickle(work / SCORE_FILE)
    tested = score(config, work / "best.pt", device="cpu", work_dir=work.with_name("elsewhere"))
    again = load_pickle(Path(tested["scores"]))
    assert tested["warnings"] == [] and list(left) == list(again)
    assert all(np.allclose(left[name], again[name], atol=1e-5) for name in left)
    assert read_note(tested["scores"])["weights"]["joint"]["sha256"] == best["sha256"]


def test_the_last_checkpoint_is_the_best_to_the_byte_where_it_is_the_best(config: Config, monkeypatch) -> None:
    losses = iter((2.0, 1.0))
    monkeypatch.setattr(training, "mean_loss", lambda scores, labels: next(losses))
    monkeypatch.setattr(training, "top_k", lambda scores, labels, k: 0.5)
    train(config, device="cpu")
    work = Path(config.work_dir)
    assert (work / "best.pt").read_bytes() == (work / "tiny-1-6.pt").read_bytes()


@pytest.mark.parametrize(("losses", "best"), [((2.0, 1.0), 1), ((1.0, 2.0), 0), ((1.0, 1.0), 0)])
def test_of_equals_the_lower_loss_is_best(config: Config, monkeypatch, losses: tuple, best: int) -> None:
    coming = iter(losses)
    monkeypatch.setattr(training, "mean_loss", lambda scores, labels: next(coming))
    monkeypatch.setattr(training, "top_k", lambda scores, labels, k: 0.5)
    train(replace(config, save_interval=1), device="cpu")
    work = Path(config.work_dir)
    numbered = [torch.load(work / f"tiny-{epoch}-{3 * epoch + 3}.pt", weights_only=True) for epoch in range(2)]
    kept = torch.load(work / "best.pt", weights_only=True)
    assert [all(torch.equal(one[name], kept[name]) for name in kept) for one in numbered] == [best == 0, best == 1]


def test_a_state_of_an_older_version_knows_no_loss(config: Config) -> None:
    train(replace(config, num_epoch=1), device="cpu")
    path = Path(config.work_dir, "resume.pt")
    state = torch.load(path, weights_only=True)
    del state["at"]["best_loss"]
    torch.save(state, path)
    assert train(config, device="cpu", resume=True)["epochs"] == 2


def test_tables_are_of_the_best_checkpoint(config: Config, monkeypatch) -> None:
    accuracies = iter((0.9, 0.1))
    monkeypatch.setattr(training, "top_k", lambda scores, labels, k: next(accuracies))
    train(replace(config, show_topk=()), device="cpu")
    work = Path(config.work_dir)
    scores, labels = (
        load_pickle(work / SCORE_FILE),
        dict(zip(*load_pickle(config.test_feeder_args.label_path), strict=True)),
    )
    right = sum(int(row.argmax()) == labels[name] for name, row in scores.items())
    rows = [line.split(",") for line in (work / "per_class.csv").read_text().splitlines()[1:]]
    assert sum(int(row[3]) for row in rows) == right and sum(int(row[2]) for row in rows) == 7
    assert stale_reason(work / SCORE_FILE) == ""


def test_a_folder_with_a_run_is_refused(config: Config) -> None:
    train(config, device="cpu")
    work = Path(config.work_dir)
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"agcn_joint: holds a run of 2 of 2 epochs: --resume goes on .*--overwrite"):
        train(config, device="cpu")
    with pytest.raises(ValueError, match="give one of them"):
        train(config, device="cpu", resume=True, overwrite=True)
    with pytest.raises(ValueError, match=r"best\.pt: lies in the work folder that begins anew"):
        train(replace(config, weights=str(work / "best.pt")), device="cpu", overwrite=True)
    with pytest.raises(ValueError, match="num_class"):  # nothing goes before all is checked
        train(replace(config, model_args={**MODEL, "num_class": 2}), device="cpu", overwrite=True)
    assert {path: path.read_bytes() for path in work.rglob("*") if path.is_file()} == before


def test_a_run_begun_anew_removes_what_is_not_its_own(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    work = Path(config.work_dir)
    train(replace(config, model_saved_name="earlier"), device="cpu")
    stale = [
        put(work / name)
        for name in (
            SCORE_FILE, f"{SCORE_FILE}.json", "per_class.csv", "confusion.csv", "confusion.png", "profile.json",
            "earlier-7-99.pt", "tiny-8-100.pt",
        )
    ]  # fmt: skip
    own = [put(work / name) for name in ("notes.txt", "pretrained-2024-11.pt", "tensorboard/mine.txt")]
    events = list((work / "tensorboard").rglob("events*"))
    train(replace(config, num_epoch=1), device="cpu", overwrite=True)
    told = capsys.readouterr().err
    assert "removed of what lay here before: resume.pt, best.pt" in told and "earlier-7-99.pt" in told
    assert all(path.read_bytes() == b"old" for path in own)
    assert all(not path.exists() or path.read_bytes() != b"old" for path in stale)
    assert not (work / "earlier-7-99.pt").exists() and not (work / "earlier-1-6.pt").exists()
    assert not any(path.exists() for path in events)
    assert (work / "log.txt").read_text().count("training tiny") == 1


def test_scores_of_a_test_go_when_a_run_begins_there(config: Config) -> None:
    work = Path(config.work_dir)
    save_pickle(work / SCORE_FILE, {"someone": np.zeros(3)})
    train(replace(config, num_epoch=1), device="cpu")
    assert len(load_pickle(work / SCORE_FILE)) == 7


def test_a_test_of_other_clips_replaces_no_scores_of_a_run(config: Config, tmp_path: Path) -> None:
    train(config, device="cpu")
    best = Path(config.work_dir, "best.pt")
    before = Path(config.work_dir, SCORE_FILE).read_bytes()
    others = replace(config, test_feeder_args=clips(tmp_path / "others", "val", 7, seed=1))  # of the same names
    with pytest.raises(ValueError, match=r"holds scores of other clips: name another --work-dir, or give --overwrite"):
        score(others, best, device="cpu")
    assert Path(config.work_dir, SCORE_FILE).read_bytes() == before
    note_path(Path(config.work_dir, SCORE_FILE)).unlink()
    fewer = replace(config, test_feeder_args=clips(tmp_path / "fewer", "val", 5))
    with pytest.raises(ValueError, match="holds scores of other clips"):
        score(fewer, best, device="cpu")
    Path(config.work_dir, SCORE_FILE).unlink()
    with pytest.raises(ValueError, match=r"is for the scores of .*data/ntu/xsub/val_data_joint\.npy, these are of"):
        score(others, best, device="cpu")
    assert score(others, best, device="cpu", work_dir=tmp_path / "apart")["clips"] == 7
    assert score(config, best, device="cpu")["clips"] == 7
    assert score(fewer, best, device="cpu", overwrite=True)["clips"] == 5


def test_a_test_says_where_the_run_was_shown_other_clips(config: Config, tmp_path: Path, capsys) -> None:
    train(config, device="cpu")
    other = replace(config, test_feeder_args=replace(config.test_feeder_args, centre=True))
    result = score(other, Path(config.work_dir, "best.pt"), device="cpu", work_dir=tmp_path / "apart")
    assert "is of a run with test_feeder_args.centre=False, here it is True" in result["warnings"][0]
    assert result["warnings"][0] in capsys.readouterr().err


def test_weights_of_another_stream_are_told(config: Config, tmp_path: Path) -> None:
    train(config, device="cpu")
    best = Path(config.work_dir, "best.pt")
    bones = replace(config, stream="bone")
    result = score(bones, best, device="cpu", work_dir=tmp_path / "apart")
    assert "is of a run on the joint stream, here it is taken for bone" in result["warnings"][0]
    best.with_name("config.yaml").write_text("model_args: {num_class: 3}\n")  # for all streams
    assert not any("stream" in text for text in config_mismatches(bones, best, "bone"))


def both_streams(config: Config) -> Path:
    """Two runs in the usual places; the data folder."""
    for stream in ("joint", "bone"):
        feeders = {
            key: replace(getattr(config, key), data_path=getattr(config, key).data_path.replace("joint", stream))
            for key in ("train_feeder_args", "test_feeder_args")
        }
        work = config.work_dir.replace("joint", stream)
        train(replace(config, **feeders, work_dir=work, stream=stream), device="cpu")
    return Path(config.test_feeder_args.data_path).parents[2]


def fuse(config: Config, data: Path, **options: object) -> dict:
    return fuse_dataset("ntu/xsub", Path(config.work_dir).parents[2], data, **options)


def test_fuse_eval_refuses_scores_of_other_weights(config: Config, tmp_path: Path, capsys) -> None:
    data = both_streams(config)
    joint, bone = (Path(config.work_dir.replace("joint", stream)) for stream in ("joint", "bone"))
    good = fuse(config, data)
    assert good["clips"] == 7 and good["top5"] is None
    # A test of another checkpoint in the run's folder takes the place of the best one's scores, and says so.
    other = torch.load(joint / "best.pt", weights_only=True)
    torch.save({**other, "fc.weight": 2 * other["fc.weight"]}, joint / "x.pt")
    result = score(config, joint / "x.pt", device="cpu")
    assert "fuse-eval refuses it without --allow-stale" in result["warnings"][-1]
    with pytest.raises(
        ValueError, match=r"agcn_joint.*holds the scores of other weights \(x\.pt\) than .*: test the joint"
    ):
        fuse(config, data)
    files = {"joint": joint / SCORE_FILE, "bone": bone / SCORE_FILE}
    label = data / "ntu/xsub/val_label.pkl"
    with pytest.raises(ValueError, match="other weights"):
        fuse_scores(files, label)
    assert fuse_scores(files, label, allow_stale=True)["clips"] == 7
    assert "taken all the same" in capsys.readouterr().err
    # Fresh scores of a test of its own folder are taken where the run's own are stale.
    apart = joint.with_name("agcn_test_joint")
    score(config, joint / "best.pt", device="cpu", work_dir=apart)
    assert fuse(config, data)["joint_top1"] == good["joint_top1"]
    score(config, joint / "x.pt", device="cpu", work_dir=apart)
    with pytest.raises(ValueError, match="other weights"):
        fuse(config, data)


def test_weights_that_are_newer_than_scores_without_a_note(config: Config) -> None:
    data = both_streams(config)
    path = Path(config.work_dir, SCORE_FILE)
    note_path(path).unlink()  # as the original writes it
    assert fuse(config, data)["clips"] == 7
    os.utime(path, (1e9, 1e9))
    with pytest.raises(
        ValueError, match=r"epoch1_test_score\.pkl: is older than .*best\.pt: test the joint stream again"
    ):
        fuse(config, data)


def test_a_note_speaks_for_its_own_pickle_only(config: Config) -> None:
    train(config, device="cpu")
    path = Path(config.work_dir, SCORE_FILE)
    assert read_note(path)
    path.write_bytes(pickle.dumps({"a": np.zeros(3, np.float32)}))
    assert read_note(path) == {}
    for damaged in ("", "[]", '{"version": 9}', '{"version": 1, "scores_sha256": 4}'):
        note_path(path).write_text(damaged)
        assert read_note(path) == {}


def test_stale_is_for_score_files(tmp_path: Path) -> None:
    none = dict.fromkeys(("joint_scores", "bone_scores", "label"))
    with pytest.raises(ValueError, match="--allow-stale is for score files"):
        fuse_eval(None, "engine", "config.yaml", None, False, more=(), allow_stale=True, **none)


def test_five_of_five_is_no_result() -> None:
    scores, labels = np.eye(5, dtype=np.float32), np.arange(5)
    assert top5(scores, labels) is None and top5(np.eye(6, dtype=np.float32), np.arange(6)) == 1.0
    assert fuse_arrays({"joint": scores, "bone": scores}, labels)["top5"] is None


def test_labels_of_fewer_classes_than_the_model_has(config: Config, tmp_path: Path, capsys) -> None:
    few = {"train_feeder_args": clips(tmp_path / "few", "train", 18, classes=2)}
    train(replace(config, num_epoch=1, **few), device="cpu")
    assert "the labels name 2 of the model's 3 classes" in capsys.readouterr().err
    train(replace(config, num_epoch=1), device="cpu", overwrite=True)
    assert "the labels name" not in capsys.readouterr().err
