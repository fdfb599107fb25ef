"""Two machines, played by two agents of torchrun with folders of their own: the same training, and the same ends."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import MODEL, build_double, weights, write_clips

from agcn.config import Config, to_yaml
from agcn.training import distributed
from agcn.training.distributed import DistributedContext, distributed_context
from agcn.training.setup import set_up_run
from agcn.training.train import train

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="processes talk by gloo")

# The command line, in float64, where nothing hides in rounding; the agent of the second process is killed before the
# step that KILL_AT names.
JOB = """
import os, signal, sys
import cli
from agcn.training import setup, train as training
from small_runs import build_double
setup.build_model = build_double
step = training.train_step
def train_step(run, *args):
    if os.environ["RANK"] == "1" and run.state.step == int(os.environ["KILL_AT"]):
        os.kill(os.getppid(), signal.SIGKILL)
        os.environ["KILL_AT"] = "-1"
    return step(run, *args)
training.train_step = train_step
cli.main(sys.argv[1:])
"""


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("Error: ")]


def two_agents(folder: Path, *args: str, kill_at: int = -1) -> list[tuple[int, str, str]]:
    """Exit status, stdout and stderr of each agent; each runs in its own folder below `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "job.py").write_text(JOB)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    launch += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "two", "--rdzv-conf"]
    job = [str(folder / "job.py"), "train", "--config", str(folder / "tiny.yaml"), "--device", "cpu", *args]
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests" / "helpers")))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "KILL_AT": str(kill_at)}
    agents = []
    for node in ("first", "second"):
        (folder / node).mkdir(exist_ok=True)
        command, pipe = [*launch, f"is_host={node == 'first'}", *job], subprocess.PIPE
        agents.append(
            subprocess.Popen(command, cwd=folder / node, env=environment, text=True, stdout=pipe, stderr=pipe)
        )
    try:
        # A pipe ends with the last process that has it, so that nothing is left running either.
        said = [agent.communicate(timeout=120) for agent in agents]
    finally:
        for agent in agents:
            agent.kill()
    return [(agent.returncode, *texts) for agent, texts in zip(agents, said, strict=True)]


@pytest.mark.long(20)
def test_two_machines_are_one_and_end_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agcn.training.setup.build_model", build_double)
    config = Config(
        work_dir="work",
        model_saved_name="tiny",
        train_feeder_args=replace(write_clips(tmp_path, "train", 32), random_shift=True),
        test_feeder_args=write_clips(tmp_path, "val", 5),
        model_args={**MODEL, "base_channels": 8},
        batch_size=16,
        test_batch_size=4,
        num_epoch=2,
        base_lr=0.0002,
        save_interval=1,
    )
    (tmp_path / "tiny.yaml").write_text(to_yaml(config))
    alone = train(replace(config, work_dir=str(tmp_path / "alone")), device="cpu")
    main, other = two_agents(tmp_path, kill_at=2)
    assert main[0] == 1 and other[0] == -9
    lost = "another process has ended, or its machine cannot be reached: look for what it said, then start all again"
    assert errors(main[2]) == [f"Error: process 0 of 2: {lost} (train goes on with --resume)"]
    assert "[rank" not in main[2]  # as PyTorch begins each line of a process's traceback
    gone = "the torchrun that started it has ended: train again with --resume"
    assert other[2].splitlines() == [f"Error: process 1 of 2: {gone}"]

    main, other = two_agents(tmp_path, "--resume")
    assert main[0] == other[0] == 0, main[2] + other[2]
    assert "epochs 2 to 2" in main[2] and other[1:] == ("", "")  # the first process alone talks and writes
    assert list((tmp_path / "second").iterdir()) == []
    result = json.loads(main[1])
    assert result["losses"] == pytest.approx(alone["losses"], rel=1e-6)
    joined = weights(tmp_path / "first" / result["checkpoint"])
    for name, value in weights(alone["checkpoint"]).items():
        torch.testing.assert_close(joined[name], value, rtol=1e-9, atol=1e-9)


class Told(DistributedContext):
    """One of two processes, the other of which tells `theirs`, one after the other."""

    def __init__(self, rank: int, *theirs: Any) -> None:
        super().__init__(torch.device("cpu"), rank, 2)
        object.__setattr__(self, "theirs", iter(theirs))

    def gather(self, value: Any) -> list[Any]:
        values = [value, next(self.theirs)]
        return values if self.is_main_process else values[::-1]


def fails() -> None:
    raise ValueError("clips.npy: is gone: copy it again")


def test_an_error_of_one_process_ends_all_and_is_said_once() -> None:
    with pytest.raises(ValueError, match=r"^process 1 of 2: clips.npy: is gone: copy it again$"):
        Told(0, "clips.npy: is gone: copy it again").together(lambda: 1)
    with pytest.raises(ValueError, match=r"^clips.npy: is gone"):
        Told(0, None).together(fails)
    for theirs, work in (("clips.npy: is gone: copy it again", lambda: 1), (None, fails)):
        with pytest.raises(SystemExit):
            Told(1, theirs).together(work)
    with pytest.raises(ZeroDivisionError):  # a mistake of ours keeps its traceback
        Told(1, None).together(lambda: 1 // 0)
    assert Told(1, None).together(lambda: 1) == 1


@pytest.mark.parametrize(
    ("theirs", "text"),
    [
        ("cuda", "process 1 of 2: computes on cuda, process 0 on cpu: start all with --device cpu, or"),
        ("device cuda: PyTorch sees no GPU", "process 1 of 2: device cuda: PyTorch sees no GPU$"),
    ],
)
def test_processes_agree_on_the_device(monkeypatch: pytest.MonkeyPatch, theirs: str, text: str) -> None:
    store = torch.distributed.HashStore()
    store.set("device/0/1", theirs)
    monkeypatch.setattr(distributed, "_joinings", count())
    monkeypatch.setattr("torch.distributed.rendezvous", lambda url, timeout: iter([(store, 0, 2)]))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ValueError, match=text), distributed_context("cpu"):
        pass


def test_processes_do_not_share_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    store = torch.distributed.HashStore()
    store.set("device/0/1", "cuda")
    monkeypatch.setattr(distributed, "_joinings", count())
    for key, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "1", "TORCHELASTIC_RUN_ID": "x"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("torch.distributed.rendezvous", lambda url, timeout: iter([(store, 0, 2)]))
    with pytest.raises(ValueError, match=r"more processes than GPUs \(1\) on this machine: start one for each"):
        distributed_context("auto").__enter__()


def test_machines_with_other_clips_are_refused(config: Config) -> None:
    with pytest.raises(ValueError, match=r"train_data_joint.npy: process 1 has other clips there than process 0: copy"):
        set_up_run(config, Told(0, None, ["", ""], None), None, False, False)
