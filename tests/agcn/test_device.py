"""Mixed precision, devices and processes: the same training on each."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import MODEL, weights

from agcn import device
from agcn.config import Config
from agcn.data.loader import micro_batches
from agcn.device import autocast, has_half, pick_device, to_host
from agcn.training import train as training
from agcn.training.distributed import DistributedContext
from agcn.training.setup import set_up_run
from agcn.training.train import train

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_mixed_precision(config: Config, monkeypatch, dtype: str) -> None:
    monkeypatch.setattr("agcn.training.setup.has_half", lambda device, amp_dtype: True)
    one_step = replace(config, num_epoch=1, batch_size=16)
    result = train(one_step, device="cpu", amp=True, amp_dtype=dtype)
    assert result["amp"] == dtype
    assert all(value.dtype != device.AMP_DTYPES[dtype] for value in weights(result["checkpoint"]).values())
    plain = train(replace(one_step, work_dir=config.work_dir + "_fp32"), device="cpu")
    assert result["loss"] == pytest.approx(plain["loss"], rel=0.05) and result["loss"] != plain["loss"]
    scaler = torch.load(Path(config.work_dir, "resume.pt"), weights_only=True)["scaler"]
    assert bool(scaler) == (dtype == "fp16")


def test_mixed_precision_that_begins_where_it_would_be_emulated(config: Config, monkeypatch) -> None:
    monkeypatch.setattr("agcn.training.setup.has_half", lambda device, amp_dtype: False)
    train(replace(config, num_epoch=1), device="cpu", amp=True, amp_dtype="fp16")
    monkeypatch.setattr("agcn.training.setup.has_half", lambda device, amp_dtype: True)
    assert train(replace(config, num_epoch=2), device="cpu", amp=True, amp_dtype="fp16", resume=True)["epochs"] == 2
    scaler = torch.load(Path(config.work_dir, "resume.pt"), weights_only=True)["scaler"]
    assert scaler["scale"] > 0


@pytest.mark.gpu
@pytest.mark.parametrize("fused", [False, True])
def test_a_step_does_not_wait_for_the_gpu(config: Config, fused: bool) -> None:
    feeder = replace(
        config.train_feeder_args, resident=True, random_move=True, random_shift=True, random_scale=(0.9, 1.1)
    )
    one = set_up_run(
        replace(config, train_feeder_args=feeder, ema=0.9, fused_graph_conv=fused),
        DistributedContext(torch.device("cuda", 0)),
        "bf16",
        False,
        False,
    )
    assert one.model.fused == fused
    batches = one.train_data.batches(micro_batches(one.batches_of(0), 1), 0)
    training.train_step(one, [next(batches)], [])
    torch.cuda.set_sync_debug_mode("error")
    try:
        training.train_step(one, [next(batches)], [])
    finally:
        torch.cuda.set_sync_debug_mode("default")
        one.log.close()


def test_mixed_precision_that_would_be_emulated_is_left_out(config: Config, monkeypatch, capsys) -> None:
    monkeypatch.setattr("agcn.training.setup.has_half", lambda device, amp_dtype: False)
    result = train(replace(config, num_epoch=1), device="cpu", amp=True)
    assert result["amp"] is None and "has no bf16 instructions" in capsys.readouterr().err


def test_kernels_for_gpus_are_left_out_on_a_processor(config: Config, capsys) -> None:
    log = train(replace(config, num_epoch=1, fused_graph_conv=True), device="cpu")
    assert (
        log["epochs"] == 1 and "fused_graph_conv: needs an NVIDIA GPU: training without it" in capsys.readouterr().err
    )


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == pick_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="sees no GPU"):
        pick_device("cuda")
    with pytest.raises(ValueError, match="use auto, cpu or cuda"):
        pick_device("gpu")
    with pytest.raises(ValueError, match="use bf16 or fp16"):
        autocast(torch.device("cpu"), "fp8")
    assert isinstance(has_half(torch.device("cpu"), "bf16"), bool) and device.AMP_DTYPES["fp16"] is torch.float16


TWO = """
import copy, json, os, pathlib, pickle, sys
import torch
from agcn.model.absent_bodies import deduplicate_absent_bodies
from agcn.model.network import build_model
from agcn.training.distributed import distributed_context
from agcn.training.loss import cross_entropy, mean_part_weight
from agcn.training.train import train
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

folder, model_args = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
with distributed_context("cpu") as world:
    result, weighted = (train(one, device="cpu") for one in pickle.loads((folder / "both.pkl").read_bytes()))
    torch.manual_seed(0)
    model = build_model("aagcn", model_args).double()
    alone = copy.deepcopy(model)
    x, y = torch.randn(6, 3, 16, 4, 1).double(), torch.tensor([0, 1, 2, 0, 1, 2])
    torch.nn.functional.cross_entropy(alone(x), y).backward()
    share = slice(3 * world.rank, 3 * world.rank + 3)
    network = world.wrap(model)
    torch.nn.functional.cross_entropy(network(x[share]), y[share]).backward()
    ours, theirs = model.state_dict(), alone.state_dict()
    apart = [(ours[name] - theirs[name]).abs().max().item() for name in theirs]
    apart += [(a.grad - b.grad).abs().max().item() for a, b in zip(model.parameters(), alone.parameters())]
    # Two bodies, of which the processes lack different numbers; classes of different weights and shares.
    model = build_model("agcn", {**model_args, "num_person": 2}).double()
    alone = copy.deepcopy(model)
    x = torch.randn(6, 3, 16, 4, 2).double()
    absent = torch.tensor([1, 0, 1, 0, 0, 1]).bool()
    x[absent, ..., 1] = 0
    rows = deduplicate_absent_bodies(torch.stack([torch.ones(6).bool(), ~absent], 1)[share].numpy())
    y, heavy = torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor([0.2, 1.0, 6.0]).double()
    torch.nn.functional.cross_entropy(alone(x), y, heavy).backward()
    network = world.wrap(model)
    part_weight = mean_part_weight(heavy, [y[share]], world)
    cross_entropy(network(x[share], rows), y[share], 0.0, heavy, part_weight).backward()
    ours, theirs = model.state_dict(), alone.state_dict()
    apart += [(ours[name] - theirs[name]).abs().max().item() for name in theirs]
    apart += [(a.grad - b.grad).abs().max().item() for a, b in zip(model.parameters(), alone.parameters())]
    # The parts of a batch: gradients go from process to process with the last one only.
    sent = []
    network.register_comm_hook(None, lambda state, bucket: sent.append(1) or allreduce_hook(None, bucket))
    with world.no_sync(network):
        network(x[share], rows).sum().backward()
    early = len(sent)
    network(x[share], rows).sum().backward()
(folder / f"rank{os.environ['RANK']}.json").write_text(
    json.dumps({**result, "weighted": weighted, "apart": max(apart), "early": early, "late": len(sent)})
)
"""


def test_two_processes_are_one(config: Config, tmp_path: Path) -> None:
    alone_config = replace(config, num_epoch=1, batch_size=16, model_args=MODEL)
    heavier = replace(alone_config, class_weight=(0.2, 1.0, 6.0))
    heavier = replace(heavier, work_dir=str(tmp_path / "heavier"))
    alone, weighted = (train(one, device="cpu") for one in (alone_config, heavier))
    both = [replace(one, work_dir=str(tmp_path / name)) for one, name in ((alone_config, "a"), (heavier, "b"))]
    (tmp_path / "both.pkl").write_bytes(pickle.dumps(both))
    (tmp_path / "two.py").write_text(TWO)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, str(tmp_path / "two.py"), str(tmp_path), json.dumps(MODEL)],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    together, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    # One step of the model in float64: gradients and running statistics of the joined batch.
    assert max(together["apart"], second["apart"]) < 1e-9
    assert together["early"] == 0 < together["late"]
    assert together["loss"] == second["loss"] == pytest.approx(alone["loss"], rel=1e-6)
    assert together["weighted"]["loss"] == pytest.approx(weighted["loss"], rel=1e-6) != together["loss"]
    for ours, one in ((together, alone), (together["weighted"], weighted)):
        theirs = weights(ours["checkpoint"])
        for name, value in weights(one["checkpoint"]).items():
            torch.testing.assert_close(theirs[name], value, rtol=1e-4, atol=1e-5)


def test_a_gpu_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class OnGpu:
        is_cuda = True

        def to(self, device: str, non_blocking: bool) -> torch.Tensor:
            assert (device, non_blocking) == ("cpu", True)
            done.append("copy")
            return torch.ones(2)

    stream = type("Stream", (), {"synchronize": lambda self: done.append("wait")})()
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    arrays = to_host(OnGpu() for _ in range(3))
    assert done == ["copy", "copy", "copy", "wait"] and [array.tolist() for array in arrays] == [[1.0, 1.0]] * 3
    assert to_host([torch.arange(2)])[0].tolist() == [0, 1] and len(done) == 4
