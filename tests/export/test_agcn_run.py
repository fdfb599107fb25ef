"""AOTInductor packages, in Python and in the C++ program, give what eager PyTorch gives and say what is wrong.

`AGCN_FUZZ=100000 python -m pytest tests/export/test_agcn_run.py -k mutations` tries that many mutated files.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import agcn_run_check as small
import numpy as np
import pytest
import torch
from exported import three_blocks, trained_looking
from mutations import mutated, seeds

from export.engines.aotinductor import build_package, package_notes
from export.graph.parity import compare
from export.graph.preprocess import preprocess_for
from export.manifest import EngineFile
from export.runtime.aotinductor import AotEngine
from native_prep.cpu.reader import CODE, LINE, Reader, reason
from native_prep.datasets.catalog import get_dataset
from native_prep.datasets.recordings import NOBODY, BadFile
from native_prep.reference import prepare_raw_clip
from native_prep.skeletons.layouts import NTU
from native_prep.synth.make import joint_batch, write_ntu

pytestmark = pytest.mark.long(50)
ROOT = Path(__file__).resolve().parents[2]
CASES = int(os.environ.get("AGCN_FUZZ", "3000"))
# Programs that pip installed lie beside Python, which need not be in PATH.
PLACES = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))


def tool(name: str) -> str:
    found = shutil.which(name, path=PLACES)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def call(*words: object) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def build(folder: Path, target: str, *options: str) -> Path:
    """The program `target`, built in `folder`."""
    tool(os.environ.get("CXX", "g++"))
    maker = [f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", f"-DPython3_EXECUTABLE={sys.executable}"]
    call(tool("cmake"), "-S", ROOT, "-B", folder, "-G", "Ninja", *maker, *options)
    # One at a time: libtorch's headers take much memory.
    call(tool("cmake"), "--build", folder, "--target", target, "-j", "1")
    return folder / target


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EngineFile]:
    """The folder of a small package, and the package."""
    tool(os.environ.get("CXX", "g++"))
    folder = tmp_path_factory.mktemp("package")
    return folder, small.make_package(folder)


@pytest.fixture(scope="module")
def program(package: tuple[Path, EngineFile], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """agcn_run, for whose ctest the package is at hand."""
    return build(tmp_path_factory.mktemp("build"), "agcn_run", f"-DAGCN_TEST_FOLDER={package[0]}")


def raw_joints() -> np.ndarray:
    made = joint_batch(NTU, 7, small.FRAMES, 2, seed=4)
    made[2:, ..., 1] = 0  # one body
    made[4] = 0  # nobody
    return made


def test_package_keeps_to_the_parity_rule(package: tuple[Path, EngineFile]) -> None:
    folder, engine = package
    clips = raw_joints()
    with three_blocks(), torch.no_grad():
        models = [trained_looking("agcn", NTU, seed).double() for seed in (1, 2)]
        clip = preprocess_for(NTU)(torch.from_numpy(clips))
        logits = [
            model(x.double()) for model, x in zip(models, (clip, clip - clip[:, :, :, NTU.bone_parents]), strict=True)
        ]
    exact = tuple(answer.numpy() for answer in (*logits, logits[0] + 0.5 * logits[1]))
    opened = AotEngine(folder, small.small_manifest([engine]), engine)
    measured = compare(opened.run(clips), exact, "fp32")
    assert measured["passed"], measured
    alone = opened.run(clips[3:4])[-1]
    np.testing.assert_allclose(alone, exact[-1][3:4], rtol=1e-4, atol=1e-4)
    assert (opened.runtime, opened.device, engine.target) == ("aotinductor", "cpu", "cpu")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sha256": "0" * 64}, "is not the file that was exported"),
        ({"version": "1.0.0"}, "compiled by PyTorch 1.0.0"),
        ({"target": "sm_42"}, "is for sm_42, which is not at hand"),
    ],
)
def test_another_package_is_refused(package: tuple[Path, EngineFile], change: dict[str, str], told: str) -> None:
    folder, engine = package
    changed = replace(engine, **change)
    with pytest.raises(ValueError, match=told):
        AotEngine(folder, small.small_manifest([changed]), changed)


def test_missing_compiler_and_gpu_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match="no C\\+\\+ compiler 'no-such-compiler' is found"):
        build_package(torch.nn.Identity(), (3, 16, 25, 2), tmp_path / "a.pt2")
    monkeypatch.setattr("export.engines.aotinductor.present_target", lambda: None)
    with pytest.raises(ValueError, match="on a machine with the GPU"):
        build_package(torch.nn.Identity(), (3, 16, 25, 2), tmp_path / "a.pt2", "cuda")


def test_notes_tell_prepared_input_from_raw() -> None:
    manifest = small.small_manifest([])
    assert package_notes(manifest)["input"] == "raw"
    assert package_notes(manifest)["classes"].split("\n") == small.CLASSES
    assert package_notes(replace(manifest, with_prep=False))["input"] == "prepared"


@pytest.mark.gpu
def test_one_clip_runs_as_a_cuda_graph(tmp_path: Path) -> None:
    manifest = small.small_manifest([])
    network = small.small_network(preprocess_for(NTU), skip_absent=False)
    engine = build_package(network, manifest.shape, tmp_path / "a.pt2", "cuda", 5, package_notes(manifest))
    opened = AotEngine(tmp_path, manifest, engine)
    assert engine.layers["cuda_graph"] and opened._one_clip is not None
    clips = raw_joints()
    together = opened.run(clips)
    for place in (0, 3):
        for answer, alone in zip(together, opened.run(clips[place : place + 1]), strict=True):
            np.testing.assert_allclose(alone, answer[place : place + 1], rtol=1e-4, atol=1e-4)


def test_program_agrees_with_python(program: Path) -> None:
    """By ctest, as a user runs it."""
    told = call(tool("ctest"), "--test-dir", program.parent, "--output-on-failure")
    assert "100% tests passed" in told and " 1" in told


def test_program_says_what_is_wrong(program: Path, package: tuple[Path, EngineFile], tmp_path: Path) -> None:
    engine = ("--engine", str(package[0] / small.PACKAGE))
    write_ntu(tmp_path / "clips", 1, classes=1, frames=6)
    (good,) = map(str, (tmp_path / "clips").iterdir())
    cut = tmp_path / "cut.skeleton"
    cut.write_bytes(Path(good).read_bytes()[:700])
    os.mkfifo(tmp_path / "pipe.skeleton")
    for words, told in (
        ((good,), "--engine is missing: "),
        (engine, "no clip to look at: "),
        ((*engine, "--top", "0", good), "--top 0: give a whole number above 0"),
        ((*engine, good, "--top"), "--top: needs a value"),
        ((*engine, "--fast", good), "--fast: no such option"),
        (("--engine", str(tmp_path / "none.pt2"), good), f"{tmp_path}/none.pt2: cannot be read: "),
        (("--engine", good, good), f"{good}: is no package, or one of another PyTorch "),
        ((*engine, good, str(cut)), f"{cut}:11: ends after 0 of its 6 frames: the file was cut off, fetch it again"),
        ((*engine, str(tmp_path)), f"{tmp_path}: Is a directory: give a file that can be read"),
        ((*engine, str(tmp_path / "no")), f"{tmp_path}/no: No such file or directory: give a file that can be read"),
        ((*engine, str(tmp_path / "pipe.skeleton")), f"{tmp_path}/pipe.skeleton: is not a file: move it away"),
    ):
        done = small.run(program, *words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert done.stderr.startswith(f"Error: {told}") and done.stderr.count("\n") == 1, done.stderr
    empty = tmp_path / "empty.skeleton"
    empty.write_text("2\n0\n0\n")
    done = small.run(program, *engine, "--json", str(empty))
    assert (done.returncode, json.loads(done.stdout)["clips"]) == (0, [{"clip": str(empty), "top": [], "nobody": True}])
    assert done.stderr == f"{empty}: {NOBODY}\n"
    done = small.run(program, *engine, str(empty))
    assert (done.returncode, done.stdout) == (0, f"{empty}\n           nobody is in it\n")
    done = small.run(program, "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: agcn_run")


def test_mutations_are_read_as_prep_reads_them(tmp_path: Path) -> None:
    """Under sanitizers, which end the program where it reads a byte too far."""
    program = build(tmp_path / "build", "agcn_clips", "-DAGCN_SANITIZE=ON", "-DCMAKE_BUILD_TYPE=RelWithDebInfo")
    rng = random.Random(8)
    write_ntu(tmp_path / "made", 4, classes=4, frames=6)
    whole = [path.read_bytes() for path in (tmp_path / "made").iterdir()]
    texts = [*whole, b""] + [mutated(rng.choice([*seeds()["ntu60"], *whole]), rng) for _ in range(CASES)]
    paths = [str(tmp_path / f"{number}.skeleton") for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        Path(path).write_bytes(text)
    clips, told = read_by(program, paths, tmp_path)
    reader = Reader(get_dataset("ntu60"), ("joint",), small.FRAMES, 1)
    good = 0
    for path, line, clip in zip(paths, told, clips, strict=True):
        report = reader.run([path])[0]
        if report[CODE] == 0:
            good += 1
            assert line == ""
            assert np.array_equal(prepare_raw_clip(clip, NTU), reader.rows[0, 0]), path
        else:
            assert line == str(BadFile(path, int(report[LINE]), reason(path, report)))
    assert 4 < good < CASES


def read_by(program: Path, paths: list[str], folder: Path) -> tuple[np.ndarray, list[str]]:
    """Clips (N, C, T, V, M) as the C++ program makes them, and what it says of each."""
    words = [program, str(small.FRAMES), folder / "clips.f32"]
    done = subprocess.run(words, input="\n".join(paths) + "\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    clips = np.fromfile(folder / "clips.f32", np.float32).reshape(len(paths), 3, small.FRAMES, 25, 2)
    return clips, done.stdout.splitlines()
