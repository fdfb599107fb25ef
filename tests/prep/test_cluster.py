"""Work on a Ray cluster: the same bytes as here, whatever is lost on the way; and what is wrong, in one line."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import cluster_jobs
import numpy as np
import pytest
from cluster_jobs import Square
from packed_stores import SIZE, contents, write_raw
from pose_files import write_array_folder

from native_prep.datasets.recordings import BadClip
from native_prep.pipeline.cluster import Cluster, cluster
from native_prep.pipeline.prepare import prepare
from native_prep.poses.custom import prepare_custom

ALL = [(number, number * number) for number in range(9)]


@pytest.fixture(scope="module")
def machines() -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        helpers = Path(cluster_jobs.__file__).parent
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (helpers, helpers.parents[1]))))
        with cluster("local:2") as found:
            yield found


@pytest.fixture
def joined(machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the address, the cluster of these tests is joined."""
    monkeypatch.setattr("native_prep.store.shards.SHARD_CLIPS", SIZE)
    monkeypatch.setattr("native_prep.pipeline.store_run.cluster", lambda address: nullcontext(machines))


def test_every_piece_is_done_once(machines: Cluster, tmp_path: Path) -> None:
    results = list(machines.run(Square(tmp_path, waits_at=0), range(9)))
    assert sorted(results) == ALL
    assert results.index((0, 0)) >= 7  # who is slow keeps nobody waiting
    assert len(list(tmp_path.glob("opened-*"))) == 2


def test_a_lost_process(machines: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(machines.run(Square(tmp_path, dies_once_at=4), range(9))) == ALL
    assert (tmp_path / "died").exists()
    monkeypatch.setattr("native_prep.pipeline.cluster._RETRIES", 0)
    with pytest.raises(ValueError, match="--cluster: a piece of work lost its process 1 times"):
        list(machines.run(Square(tmp_path, dies_always_at=4), range(9)))
    with pytest.raises(ValueError, match="lost its process 1 times"):
        list(machines.run(Square(tmp_path, dies_opening=True), [4]))


def test_what_a_piece_raises(machines: Cluster, tmp_path: Path) -> None:
    with pytest.raises(BadClip, match=r"^clip\.json:7: is bad: fix it$"):
        list(machines.run(Square(tmp_path, fails_at=4), range(9)))
    with pytest.raises(ValueError, match=r"^model\.onnx: no such file: give another$"):
        list(machines.run(Square(tmp_path, opens=False), [1]))


@pytest.mark.parametrize("formats", [["packed"], ["npy"], ["npy", "packed"]])
def test_a_data_set(joined: None, tmp_path: Path, formats: list[str]) -> None:
    raw = write_raw(tmp_path / "raw")
    prepare("ntu60", raw, tmp_path / "here", formats=formats, max_frames=64)
    result = prepare("ntu60", raw, tmp_path / "there", formats=formats, max_frames=64, cluster="auto")
    assert (result["clips"], result["shards"]) == (9, 5)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_ones_own_poses(joined: None, tmp_path: Path) -> None:
    raw, given = write_array_folder(tmp_path / "raw"), {"layout": "coco17", "image_size": "640x480"}
    expected = prepare_custom(raw, tmp_path / "here", **given)
    found = prepare_custom(raw, tmp_path / "there", cluster="auto", **given)
    same = ("clips", "frames", "warnings", "quality")
    assert {key: found[key] for key in same} == {key: expected[key] for key in same}
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_videos(machines: Cluster, joined: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("cv2", "rtmlib", "av"):
        pytest.importorskip(package, exc_type=ImportError)
    from stick_figures import write_models, write_video

    monkeypatch.setattr("native_prep.poses.video.pose_cache.cluster", lambda address: nullcontext(machines))
    for split, action in (("train", "wave"), ("val", "squat")):
        write_video(tmp_path / "videos" / split / action / "a.mp4", np.arange(9) / 30, action)
    (tmp_path / "videos/val/squat/b.mp4").write_bytes(b"no video")
    given = {"pose_model": write_models(tmp_path), "on_bad_file": "skip"}
    results = [
        prepare_custom(tmp_path / "videos", tmp_path / out, cluster=address, **given)
        for out, address in (("here", None), ("there", "auto"))
    ]
    assert [(one["clips"], one["bad_files"], one["poses"]["estimated"]) for one in results] == [(2, 1, 2)] * 2
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_a_bad_file_in_every_shard(joined: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = write_raw(tmp_path / "raw", 20)
    bad = sorted(raw.iterdir())[::SIZE]
    for path in bad:
        path.write_text("1\n")
    with pytest.raises(ValueError, match=r"A003\.skeleton:2: .* \(10 bad files, nothing is written"):
        prepare("ntu60", raw, tmp_path / "out", formats=["packed"], max_frames=64, cluster="auto")
    assert not (tmp_path / "out").exists()
    results = [
        prepare("ntu60", raw, tmp_path / out, max_frames=64, on_bad_file="skip", cluster=address)
        for out, address in (("here", None), ("there", "auto"))
    ]
    assert [(result["clips"], result["bad_files"]) for result in results] == [(10, 10)] * 2
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_what_was_joined_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ray = SimpleNamespace(
        is_initialized=lambda: False, init=lambda **given: None, shutdown=lambda: None,
        get_runtime_context=lambda: SimpleNamespace(gcs_address="10.0.0.7:6379"),
        cluster_resources=lambda: {"CPU": 12.0, "node:10.0.0.7": 1.0},
    )  # fmt: skip
    monkeypatch.setattr("native_prep.pipeline.cluster._import_ray", lambda: ray)
    with cluster("auto"):
        pass
    assert capsys.readouterr().err == "--cluster auto: joined Ray at 10.0.0.7:6379, with 12 CPUs and 0 GPUs\n"
    with cluster("local:2"):
        pass
    assert capsys.readouterr().err == ""


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        dead = f"127.0.0.1:{taken.getsockname()[1]}"
        for address, words in (
            (dead, f"--cluster {dead}: nothing answers there"),
            (f"ray://{dead}", "nothing answers there"),
            ("local:0", "is no address: give local, local:N, auto"),
            ("here", "is no address"),
        ):
            with pytest.raises(ValueError, match=words), cluster(address):
                pass
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"needs Ray: pip install 'two-stream-agcn\[cluster\]'"), cluster("local"):
        pass
