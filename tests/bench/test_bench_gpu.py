"""`bench gpu` rehearsed on a processor: the same code on tiny sizes, each part by itself."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from agcn.model import layers
from agcn.model.fused_graph_conv import fused_graph_conv
from bench.gpu import data, engines, inference, kernels, process
from bench.gpu import run as gpu
from bench.gpu.context import BF16, COMPILED, FUSED, Bench
from bench.gpu.run import Section, run_gpu
from bench.gpu.targets import targets
from bench.machine import describe
from bench.part import Check, Part, Rate
from bench.prep.on_gpu import TEXT
from bench.report import read_results
from bench.terminal import show


def options(folder: Path, **more: object) -> dict[str, object]:
    given = {"seconds": 600.0, "device": "cpu", "out": str(folder / "part.json"), "work": str(folder), "peaks": {}}
    return given | {"training_rates": {}, "nw_ucla": None} | more


def measure(name: str, folder: Path, **more: object) -> dict[str, Any]:
    """What a part finds that runs in this process."""
    process.main(name, options(folder, **more))
    found: dict[str, Any] = json.loads((folder / "part.json").read_text())
    return found


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
    assert not again["passed"] and again["failed"] == ["nothing was measured: in 0.01 minutes: give more --minutes"]
    assert again["left_out"] == {"gpu train": {"train": "too little time was left"}}
    parts = json.loads((tmp_path / "out" / "results.json").read_text())["parts"]
    assert set(parts) == {"gpu machine", "gpu feed", "gpu nw-ucla", "gpu train"}
    run_gpu(tmp_path / "out", 0.01, device="cpu", only=("machine",))
    assert read_results(tmp_path / "out")["gpu machine"] == parts["gpu machine"], "what was measured stays"
    report = (tmp_path / "out" / "report.md").read_text()
    assert "(`gpu train`): not run" in report and "(`gpu machine`): passed" in report and "- a rehearsal" in report
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ValueError, match=r"holds no \*\.json"):
        run_gpu(tmp_path / "out", device="cpu", nw_ucla=tmp_path / "nothing")
    with pytest.raises(ValueError, match="is a file: name a folder"):
        run_gpu(tmp_path / "out" / "report.md", device="cpu")


def test_nothing_measured_is_not_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    found = run_gpu(tmp_path, device="cpu", only=("prep",))
    assert found["failed"] == ["nothing was measured: without a GPU it is simulated: set NUMBA_ENABLE_CUDASIM=1"]
    assert not found["passed"] and read_results(tmp_path)["gpu prep"]["passed"]


def test_a_part_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    monkeypatch.setattr(gpu, "ROWS", ((Section("no such part", 60),), (Section("prep", 120),)))
    found = run_gpu(tmp_path, device="cpu")
    assert not found["passed"] and found["rates"]["gpu prep"]["CUDA reader, clips/s"] > 0
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
    monkeypatch.setattr(gpu, "ROWS", ((Section("machine", 10),),))
    found = run_gpu(tmp_path / "out", minutes=0.17, device="cpu")
    (failed,) = found["failed"]
    assert re.fullmatch(r"gpu machine: stopped after ([5-9]|10) s", failed)
    assert "begun" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize("interruption", (KeyboardInterrupt, SystemExit))
def test_an_interruption_keeps_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    class Interrupted(subprocess.Popen):  # type: ignore[type-arg]
        def wait(self, timeout: float | None = None) -> int:
            if timeout is not None:
                raise interruption
            return super().wait()

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(interruption):
        run_gpu(tmp_path, device="cpu", only=("machine", "feed"))
    parts = read_results(tmp_path)
    assert (parts["gpu machine"]["error"], parts["gpu machine"]["passed"]) == ("interrupted", False)
    assert parts["gpu feed"]["left_out"] == {"feed": "interrupted before"}


def test_the_machine_is_described_before_a_part_loads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    class Child(gpu._Child):
        def __init__(self, section: Section, *_: object) -> None:
            self.key, self.interruption, self.process = f"gpu {section.name}", None, None
            begun.append(section.name)

        def finish(self, waits: bool) -> dict[str, object]:
            return Part(self.key, {}).as_dict()

    monkeypatch.setattr(gpu, "ROWS", ((Section("a", 9), Section("b", 9)), (Section("prep", 9),)))
    monkeypatch.setattr(gpu, "_Child", Child)
    monkeypatch.setattr(gpu, "describe", lambda: describe() | {"load": len(begun)})
    monkeypatch.setattr(gpu, "pick_device", torch.device)  # a rehearsal runs one after the other
    run_gpu(tmp_path, device="cuda")
    loads = {name: part["machine"]["load"] for name, part in read_results(tmp_path).items()}
    assert loads == {"gpu a": 0, "gpu b": 0, "gpu prep": 2}
    line = "target: text from pinned memory to clips, GB/s, at least 10: not measured"
    assert line in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    "only, minutes, message",
    ((("trian",), 9, "no part 'trian'"), ((), 0, "--minutes 0"), ((), float("nan"), "--minutes nan")),
)
def test_wrong_wishes(tmp_path: Path, only: tuple[str, ...], minutes: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_gpu(tmp_path, minutes, device="cpu", only=only)


def unchanged(module: object, **_: object) -> object:
    return module


def test_a_training_step_that_is_timed_was_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", unchanged)
    for name in ("compile train", "compile fused train"):
        assert "s to compile" in measure(name, tmp_path)["notes"][0]
    part = measure("train", tmp_path, peaks={BF16: 1.0})
    assert part["passed"], part["checks"]
    timed = {rate["name"] for rate in part["rates"]}
    fused = {f"{kind}amp bf16, fused graph convolution, batch 2" for kind in ("", "compiled ")}
    assert {"original fp32, batch 2", "amp bf16, batch 2", "compiled amp bf16, batch 2", *fused} <= timed
    assert "of the bf16 product's" in part["rates"][0]["note"]
    (group,) = part["groups"]
    assert group["baseline"] == "original fp32, batch 2" and next(iter(group["best"])) == "eager fp32, batch 2"
    halves = [limit for name, limit in group["best"].items() if "bf16" in name]
    assert all(limit["name"] == "the bf16 matrix product" and limit["rate"] > 0 for limit in halves)

    def broken(*_: object) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", lambda module, **_: broken)
    part = measure("train", tmp_path)
    compiled = (f"{name}, batch 2" for name in (COMPILED, FUSED))
    assert part["passed"] and part["left_out"] == dict.fromkeys(compiled, "RuntimeError: no compiler")
    assert measure("train", tmp_path, seconds=0.0)["left_out"]["eager fp32, batch 2"] == "too little time was left"


def test_a_graph_convolution_that_is_timed_was_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = measure("graph convolution", tmp_path)
    timed = [rate["name"] for rate in part["rates"]]
    assert part["passed"] and timed == [
        "PyTorch's operations, 8 channels",
        "formulas in place of the kernels, 8 channels",
    ]
    assert timed == [check["name"] for check in part["checks"]] and 0 < part["checks"][1]["error"] < 0.05
    (group,) = part["groups"]
    assert group["baseline"] == timed[0] and list(group["best"]) == timed[1:]

    def broken(*_: object) -> None:
        raise Exception("of no common kind")

    monkeypatch.setattr(layers, "fused_graph_conv", broken)
    assert measure("graph convolution", tmp_path)["left_out"] == {timed[1]: "Exception: of no common kind"}
    monkeypatch.setattr(layers, "fused_graph_conv", lambda *given: 2 * fused_graph_conv(*given))
    part = measure("graph convolution", tmp_path)
    assert not part["passed"] and [rate["name"] for rate in part["rates"]] == timed[:1]
    left_out = measure("graph convolution", tmp_path, seconds=0.0)["left_out"]
    assert left_out == dict.fromkeys(timed, "too little time was left")


def test_inference_that_is_timed_was_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", unchanged)
    for name in ("compile one clip", "compile infer", "compile fused infer"):
        assert "s to compile" in measure(name, tmp_path)["notes"][0]

    def build(network: torch.nn.Module, shape: tuple[int, ...], path: Path, device: str, max_batch: int) -> None:
        assert (shape, device, max_batch) == ((3, 16, 25, 2), "cpu", 256)
        path.touch()
        packages.append(network)

    packages: list[torch.nn.Module] = []
    monkeypatch.setattr(inference, "build_package", build)
    measure("compile package", tmp_path)
    monkeypatch.setattr(torch._inductor, "aoti_load_package", lambda path, **_: packages[0])
    assert measure("engines", tmp_path)["notes"][0].startswith("onnxruntime: ")
    part = measure("infer", tmp_path)
    assert part["passed"], part["checks"]
    timed = {rate["name"] for rate in part["rates"]}
    variants = ("eager fp32", "compiled fp32", "AOTInductor", "onnxruntime fp32", "onnxruntime fp32, host to host")
    assert {f"{variant}, batch {batch}" for variant in variants for batch in (1, 2)} <= timed
    assert "compiled fp32, fused graph convolution, batch 2" in timed
    assert part["left_out"] == dict.fromkeys(("onnxruntime-tensorrt", "tensorrt", "tensorrt-rtx"), "needs a GPU")
    assert timed <= {check["name"] for check in part["checks"]}
    assert all(("p99" in rate["note"]) == rate["name"].endswith("batch 1") for rate in part["rates"])
    titles = {group["title"]: group["baseline"] for group in part["groups"]}
    assert titles["One clip of one body at a time"] == "eager fp32, batch 1" and len(titles) == 2


def test_what_was_not_built_or_cannot_run_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench("infer", options(tmp_path))
    assert inference._open_package(bench) is None and not engines.open_engines(bench)
    assert bench.part.left_out["AOTInductor"] == "its package was not built"
    assert bench.part.left_out["onnxruntime"] == "was not exported, see gpu engines"
    (tmp_path / "engines" / "onnxruntime").mkdir(parents=True)
    assert not engines.open_engines(bench) and "manifest.json" in bench.part.left_out["onnxruntime"]
    monkeypatch.setattr(engines, "open_engine", lambda folder, runtime: SimpleNamespace(device="cuda"))
    assert not engines.open_engines(bench) and "does not load" in bench.part.left_out["onnxruntime"]

    def wrong(*_: object) -> None:
        raise Exception("of no common kind")

    trial = inference.Trial(bench, inference._pair(bench), 2)
    trial.time("a runtime", wrong, "fp32")
    assert bench.part.left_out["a runtime, batch 2"] == "of no common kind" and not bench.part.rates
    trial.time("another", lambda joints: (torch.zeros(2, 60),) * 3, "fp32")
    assert not bench.part.checks[-1].passed and not bench.part.rates
    monkeypatch.setattr(inference, "CudaGraph", wrong)
    inference._time_graph(trial, inference.Network(inference._pair(bench), 16, torch.float32, bench.device), "fp16")
    assert bench.part.left_out["CUDA graph fp16"] == "of no common kind"
    bench.seconds = 0
    trial.time("a third", wrong, "fp32")
    assert bench.part.left_out["a third, batch 2"] == "too little time was left"


def test_runtimes_that_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = {runtime: engines.why_not(runtime, True) for runtime in engines.RUNTIMES[:2]}
    assert "has no CUDAExecutionProvider" in reasons["onnxruntime"]
    assert "has no TensorrtExecutionProvider" in reasons["onnxruntime-tensorrt"]
    monkeypatch.setattr(engines, "has_provider", lambda name: name == "CUDAExecutionProvider")
    monkeypatch.setattr(engines, "is_installed", lambda name: name == "tensorrt-rtx")
    monkeypatch.setattr(engines, "load_flavor", lambda name: SimpleNamespace(name=name))
    monkeypatch.setattr(engines, "present_target", lambda: "sm_90")
    assert engines.why_not("onnxruntime", True) == "" and engines.why_not("tensorrt", True) == "is not installed"
    assert engines.why_not("tensorrt-rtx", True) == "does not build for this GPU (sm_90)"
    monkeypatch.setattr(engines, "present_target", lambda: "sm_120")
    assert engines.why_not("tensorrt-rtx", True) == ""

    def broken(name: str) -> None:
        raise ValueError(f"{name} is not usable here")

    asked_for: list[tuple[str, dict[str, Any]]] = []

    def export(name: str, **given: Any) -> tuple[Path, dict[str, Any]]:
        asked_for.append((name, given))
        if name == "onnxruntime":
            raise ValueError("no room")
        return tmp_path / name, {"passed": False, "notes": ["parity failed: nothing was written"]}

    monkeypatch.setattr(engines, "why_not", lambda runtime, on_gpu: "not here" if runtime == "tensorrt" else "")
    monkeypatch.setattr(engines, "exporter", lambda *_: export)
    bench = Bench("engines", options(tmp_path))
    engines.build_engines(bench, (torch.nn.Identity(), torch.nn.Identity()), "fp16")  # type: ignore[arg-type]
    (first, first_given), (second, second_given), (third, third_given) = asked_for
    assert (first, second, third) == ("onnxruntime", "onnxruntime-tensorrt", "tensorrt-rtx")
    assert first_given == {"precision": "fp16", "max_batch": 256, "dense": False, "targets": ("none",)}
    assert second_given["dense"] and third_given["flavor"] == "tensorrt-rtx" and "targets" not in third_given
    assert bench.part.left_out == {"onnxruntime": "no room"} and "parity failed" in bench.part.notes[0]
    monkeypatch.undo()
    monkeypatch.setattr(engines, "is_installed", lambda name: True)
    monkeypatch.setattr(engines, "load_flavor", broken)
    assert engines.why_not("tensorrt", True) == "tensorrt is not usable here"


def test_kernels_under_the_checkers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], timeout: float, **_: object) -> SimpleNamespace:
        commands.append(command)
        if "racecheck" in command:
            raise subprocess.TimeoutExpired(command, timeout)
        return SimpleNamespace(returncode="memcheck" in command, stdout="\n".join(map(str, range(20))), stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("shutil.which", lambda name: name)
    bench = Bench("kernels", options(tmp_path))
    bench.on_gpu = True
    kernels.kernels(bench)
    assert [check.passed for check in bench.part.checks] == [True, True, False]
    assert commands[1][-3:] == [str(kernels._TRITON_TESTS), "-m", "gpu"]
    assert commands[0][:3] == [sys.executable, "-m", "pytest"]
    assert commands[2][:3] == ["compute-sanitizer", "--tool", "memcheck"]
    assert "did not end" in bench.part.left_out["compute-sanitizer, racecheck"]
    assert bench.part.notes[0].endswith("s: 19") and bench.part.notes[2].endswith(" / ".join(map(str, range(8, 20))))
    bench.seconds = 0
    kernels._run(bench, "late", ["true"])
    assert bench.part.left_out["late"] == "too little time was left"
    monkeypatch.setattr(kernels, "_KERNEL_TESTS", tmp_path / "missing.py")
    kernels.kernels(bench)
    assert "run it from the source tree" in bench.part.left_out["tests of the kernels"]
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    kernels.prep(bench)
    assert "no CUDA target" in bench.part.left_out["prep"]


# What `cli.py` does for the part nw-ucla: bones that are right for 35 clips of 40, joints that grow better.
CLI = """
import os, pickle, sys, time
from pathlib import Path

def write(path, value):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path + ".part").write_bytes(pickle.dumps(value))
    os.replace(path + ".part", path)

given, how = dict(zip(sys.argv, sys.argv[1:])), os.environ["HOW"]
names, labels = [f"clip{place}" for place in range(40)], [place % 2 for place in range(40)]
if sys.argv[1] == "prep":
    write("data/nw-ucla/val_label.pkl", (names, labels))
    sys.exit()
assert "num_epoch=2" in sys.argv and given["--config"] == "nw-ucla-strong", sys.argv
if how == "fails" and given["--stream"] == "bone":
    sys.exit("Error: no room")
for right in (20, 30, 39) if given["--stream"] == "joint" else (35,):
    answers = [label if place < right else 1 - label for place, label in enumerate(labels)]
    weight = 2.0 if given["--stream"] == "joint" else 1.0
    rows = {name: [weight * (answer == 0), weight * (answer == 1)] for name, answer in zip(names, answers)}
    write(given["--work-dir"] + "/epoch1_test_score.pkl", rows)
    time.sleep(600 if how == "hangs" else 0.5)
"""


def train_nw_ucla(folder: Path, monkeypatch: pytest.MonkeyPatch, how: str, **more: object) -> dict[str, Any]:
    (folder / "cli.py").write_text(CLI)
    monkeypatch.setenv("HOW", how)
    monkeypatch.setattr(data, "_CLI", (sys.executable, str(folder / "cli.py")))
    return measure("nw-ucla", folder, nw_ucla="raw", **more)


def test_accuracy_of_a_seed_and_when_it_was_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, told, mean = train_nw_ucla(tmp_path, monkeypatch, "")["notes"]
    assert first.startswith("prep: ")
    assert told.startswith("seed 1: joint 97.50%, bone 87.50%, joint + bone 97.50%; 95% of joint + bone after ")
    assert told.endswith(" s, from the raw files on") and "all epochs" in told
    assert mean == "1 seed, joint + bone: mean 97.50%, 97.50% to 97.50%"


def test_a_seed_without_time_says_how_far_it_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def left(bench: Bench) -> float:
        looks.extend([1] * (len([*tmp_path.glob("nw/seed1/*/*.pkl")]) == 2))
        return 0.0 if len(looks) > 3 else 30.0

    monkeypatch.setattr(Bench, "left", property(left))
    part = train_nw_ucla(tmp_path, monkeypatch, "hangs")
    told = part["left_out"]["seed 1"]
    assert "joint 50.00%, bone 87.50%, joint + bone 50.00%; 95% of joint + bone was not reached" in told
    assert part["passed"] and len(part["notes"]) == 1


def test_a_training_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="seed 1, bone: Error: no room"):
        train_nw_ucla(tmp_path, monkeypatch, "fails")
    assert json.loads((tmp_path / "part.json").read_text())["error"].startswith("RuntimeError: seed 1, bone")


def test_feeding_beside_what_training_eats(tmp_path: Path) -> None:
    eaten = {"amp bf16, batch 64": 500.0, "eager fp32, batch 64": 100.0}
    part = measure("feed", tmp_path, training_rates=eaten)
    told = [note for note in part["notes"] if "amp bf16, batch 64: 500 clips/s" in note]
    assert len(told) == len(part["rates"]) == 4
    ratio = part["rates"][0]["rate"] / 500
    assert told[0].startswith(f"feeder from the host, as they are: {ratio:.3g} times")


def test_numbers_that_are_targets() -> None:
    def lines(name: str, *rates: Rate, failed: str = "") -> list[str]:
        checks = [Check(failed, 1.0, 0.0, "")] if failed else []
        return targets(name, Part(name, {}, checks, list(rates)).as_dict())

    def rate(name: str, found: float, seconds: float = 1.0, ratio: float | None = None, group: str = "") -> Rate:
        return Rate(name, found, "clips/s", seconds, 1, 0.0, ratio, "p99 2 ms", group)

    text = Rate(TEXT, 11.2, "GB/s", 1.0, 1, 0.0)
    assert lines("gpu prep", text) == [
        f"target: text from pinned memory to clips, GB/s, at least 10: 11.2, met ({TEXT})"
    ]
    steps = rate("original fp32", 1.0), rate("original, TF32", 9.0, ratio=9.0), rate("ours", 7.0, ratio=7.0)
    (told,) = lines("gpu train", *steps)
    assert told.endswith("at least 8: 7, missed (ours; p99 2 ms)")
    (told,) = lines("gpu train", *steps, rate("wrong", 20.0, ratio=20.0), failed="wrong")
    assert "(ours" in told
    batch = "Two-stream inference, a batch of 64 clips"
    found = lines(
        "gpu infer", rate("eager", 500.0, group=batch), rate("graph", 900.0, 0.0011, 4.0, "One clip"),
        rate("compiled", 6100.0, ratio=12.2, group=batch),
    )  # fmt: skip
    assert found == [
        "target: inference, times eager float32, at least 10: 12.2, met (compiled; p99 2 ms)",
        "target: two-stream clips a second, at least 6000: 6100, met (compiled; p99 2 ms)",
        "target: one clip, median seconds, at most 0.0015: 0.0011, met (graph; p99 2 ms)",
    ]
    assert [told.rpartition(": ")[2] for told in lines("gpu infer")] == ["not measured"] * 3
    assert not lines("gpu machine")


def test_time_is_kept_for_what_was_never_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = gpu._rows((), True, True)
    names = [[section.name for section in row] for row in rows]
    assert len(names[1]) > 1 and [name for row in names for name in row] == list(gpu.SECTIONS)
    assert gpu._rows((), True, False)[-1][0].kept == 0 < rows[-1][0].kept
    assert [(section.name, section.kept) for (section,) in gpu._rows((), False, True)] == [
        (name, 0) for name in gpu.SECTIONS
    ]
    assert [row[0].name for row in gpu._rows(("infer", "machine"), True, True)] == ["machine", "infer"]
    # If all before it take what they may, each of the last has its share of nine minutes still.
    clock = 0.0
    for place, row in enumerate(rows):
        kept = sum(section.kept for later in rows[place + 1 :] for section in later)
        limit = min(max(section.seconds for section in row), 540 - kept - clock)
        assert limit >= max(20, *(section.kept for section in row)), row
        clock += limit
    assert clock == 540
