"""`bench gpu` rehearsed on a processor: the same code on tiny sizes, each part by itself."""

import json
from pathlib import Path

import pytest
import torch

from bench.gpu import process
from bench.gpu import run as gpu
from bench.gpu.context import BF16
from bench.gpu.run import Section, run_gpu
from bench.machine import describe
from bench.part import Part
from bench.report import read_results
from bench.terminal import show


def options(folder: Path, **more: object) -> dict[str, object]:
    given = {"seconds": 600.0, "device": "cpu", "out": str(folder / "part.json"), "work": str(folder), "peaks": {}}
    return given | {"nw_ucla": None} | more


def test_parts_in_processes_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_gpu(tmp_path / "out", device="cpu", only=("feed", "machine", "nw-ucla"))
    assert found["passed"] and found["device"] == "cpu"
    assert found["rates"]["gpu machine"]["copy within memory, GB/s"] > 0
    assert found["rates"]["gpu feed"]["feeder resident, as they are, clips/s"] > 0
    show("bench", found)  # on a terminal
    told = capsys.readouterr().out
    assert "gpu machine: copy within memory, GB/s" in told and "feeder resident" in told and "Feeding clips" in told
    assert "--nw-ucla" in found["left_out"]["gpu nw-ucla"]["NW-UCLA"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.md", "results.json"]
    again = run_gpu(tmp_path / "out", 0.01, device="cpu", only=("train",))
    assert again["left_out"] == {"gpu train": {"train": "too little time was left"}}
    parts = json.loads((tmp_path / "out" / "results.json").read_text())["parts"]
    assert set(parts) == {"gpu machine", "gpu feed", "gpu nw-ucla", "gpu train"}


def test_a_part_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "ROWS", ((Section("no such part", 60),), (Section("machine", 60),)))
    found = run_gpu(tmp_path, device="cpu")
    assert not found["passed"] and found["rates"]["gpu machine"]
    (failed,) = found["failed"]
    assert "ended with exit status 1" in failed and "no such part" in failed


def test_a_part_that_hangs_is_stopped_and_keeps_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "sitecustomize.py"  # Python imports it when it starts
    module.write_text(
        "import sys\n"
        "def hang(*_):\n"
        "    import json, time\n"
        "    from bench.part import Part\n"
        "    options = json.loads(sys.argv[2])\n"
        "    part = Part('gpu machine', {}, notes=['begun']).as_dict()\n"
        "    open(options['out'], 'w').write(json.dumps(part))\n"
        "    time.sleep(600)\n"
        "if 'bench.gpu.process' in ' '.join(sys.orig_argv):\n"
        "    sys.argv = sys.orig_argv[2:]\n"
        "    hang()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(gpu, "ROWS", ((Section("machine", 15),),))
    found = run_gpu(tmp_path / "out", device="cpu")
    assert found["failed"] == ["gpu machine: stopped after 15 s"]
    assert "begun" in (tmp_path / "out" / "report.md").read_text()


def test_the_machine_is_described_before_a_part_loads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    class Child(gpu._Child):
        def __init__(self, section: Section, *_: object) -> None:
            self.key, self.interrupted = section.name, False
            begun.append(section.name)

        def finish(self) -> dict[str, object]:
            return Part(self.key, {}).as_dict()

    monkeypatch.setattr(gpu, "ROWS", ((Section("a", 9), Section("b", 9)), (Section("c", 9),)))
    monkeypatch.setattr(gpu, "_Child", Child)
    monkeypatch.setattr(gpu, "describe", lambda: describe() | {"load": len(begun)})
    run_gpu(tmp_path, device="cpu")
    loads = {name: part["machine"]["load"] for name, part in read_results(tmp_path).items()}
    assert loads == {"a": 0, "b": 0, "c": 2}


@pytest.mark.parametrize("only, minutes, message", ((("trian",), 9, "no part 'trian'"), ((), 0, "--minutes 0")))
def test_wrong_wishes(tmp_path: Path, only: tuple[str, ...], minutes: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_gpu(tmp_path, minutes, device="cpu", only=only)


@pytest.mark.parametrize("name", ("train", "infer"))
def test_what_is_timed_was_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    process.main(name, options(tmp_path, peaks={BF16: 1.0}))
    part = json.loads((tmp_path / "part.json").read_text())
    assert part["passed"], part["checks"]
    timed = {rate["name"] for rate in part["rates"]}
    if name == "train":
        assert {"original fp32, batch 2", "amp bf16, batch 2", "compiled amp bf16, batch 2"} <= timed
        assert "of the bf16 product's" in part["rates"][0]["note"]
        (group,) = part["groups"]
        assert group["baseline"] == "original fp32, batch 2" and next(iter(group["best"])) == "eager fp32, batch 2"
        halves = [limit for name, limit in group["best"].items() if "bf16" in name]
        assert all(limit["name"] == "the bf16 matrix product" and limit["rate"] > 0 for limit in halves)
    else:
        assert {f"{variant}, batch {batch}" for variant in ("eager fp32", "compiled fp32") for batch in (1, 2)} <= timed
        assert part["left_out"] == {"AOTInductor": "its package was not built"}
        assert timed <= {check["name"] for check in part["checks"]}
        titles = {group["title"]: group["baseline"] for group in part["groups"]}
        assert titles["One clip of one body at a time"] == "eager fp32, batch 1" and len(titles) == 2
