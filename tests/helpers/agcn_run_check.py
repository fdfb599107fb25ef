"""Compares the C++ program with the answer in Python: `agcn_run_check.py AGCN_RUN [FOLDER]`, as ctest calls it.

FOLDER, a new one by default, gets a small package and made clips; a package that is there already is taken.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from exported import three_blocks, trained_looking

from agcn.settings import FeederArgs
from export.engines.aotinductor import build_package, package_notes
from export.graph.network import TwoStream
from export.graph.preprocess import preprocess_for
from export.manifest import EngineFile, Manifest
from native_prep.cpu.one_file import read_clip
from native_prep.skeletons.layouts import NTU
from native_prep.synth.make import write_ntu

FRAMES, CLIPS, MAX_BATCH = 16, 8, 5
CLASSES = ["drink", 'say "a\\b"', "tab\there", "Füße heben", "sit", "stand", "wave"]
PACKAGE, ENGINE = "two_stream.cpu.pt2", "engine.json"


def small_network(prepare: nn.Module | None, skip_absent: bool = True) -> TwoStream:
    with three_blocks():
        joint, bone = (trained_looking("agcn", NTU, seed) for seed in (1, 2))
        return TwoStream(joint, bone, NTU.bone_parents, 0.5, frames=FRAMES, prepare=prepare, skip_absent=skip_absent)


def small_manifest(engines: list[EngineFile]) -> Manifest:
    return Manifest(
        frames=FRAMES, joints=25, bodies=2, channels=3, layout="ntu", dataset="ntu60", num_class=len(CLASSES),
        class_names=CLASSES, precision="fp32", alpha=0.5, max_batch=MAX_BATCH, feeder_args=asdict(FeederArgs()),
        onnx="", onnx_sha256="", sources={}, engines=engines, parity={}, versions={}, with_prep=True,
    )  # fmt: skip


def make_package(folder: Path) -> EngineFile:
    """The small network as a package in `folder`; what describes it lies beside it."""
    if not (folder / ENGINE).is_file():
        manifest = small_manifest([])
        network, notes = small_network(preprocess_for(NTU)), package_notes(manifest)
        engine = build_package(network, manifest.shape, folder / PACKAGE, "cpu", MAX_BATCH, notes)
        (folder / ENGINE).write_text(json.dumps(asdict(engine)))
    return EngineFile(**json.loads((folder / ENGINE).read_text()))


def make_clips(folder: Path) -> list[str]:
    write_ntu(folder, CLIPS, classes=CLIPS, frames=8)
    return [str(path) for path in sorted(folder.glob("*.skeleton"))]


def expected_scores(clips: list[str]) -> np.ndarray:
    """The probabilities (N, classes) that eager PyTorch gives for what `prep` makes of the clips."""
    joints = torch.from_numpy(np.stack([read_clip(clip, "ntu60", FRAMES) for clip in clips]))
    with torch.no_grad():
        return torch.softmax(small_network(None)(joints)[-1], dim=1).numpy()


def run(program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *words], capture_output=True, text=True, encoding="utf-8")


def check_answers(program: Path, folder: Path) -> None:
    """Raises AssertionError where the program's answers are not those of Python."""
    clips = make_clips(folder / "clips")
    expected = expected_scores(clips)
    words = ("--engine", str(folder / PACKAGE), *clips)
    told = run(program, "--json", "--top", "99", *words)
    assert told.returncode == 0, told.stderr
    answer = json.loads(told.stdout)
    assert answer["runtime"] == "aotinductor on cpu"
    assert [one["clip"] for one in answer["clips"]] == clips
    for one, scores in zip(answer["clips"], expected, strict=True):
        labels = [best["label"] for best in one["top"]]
        assert labels == np.argsort(-scores, kind="stable").tolist()
        assert [best["class"] for best in one["top"]] == [CLASSES[label] for label in labels]
        np.testing.assert_allclose([best["score"] for best in one["top"]], scores[labels], rtol=1e-4, atol=1e-7)
    lines = run(program, *words).stdout.splitlines()
    assert lines[0] == clips[0] and len(lines) == CLIPS * 6
    best = int(expected[0].argmax())
    assert lines[1] == f"{100 * expected[0, best]:7.1f} %  {CLASSES[best]}"


def main() -> None:
    program = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(made)
        make_package(folder)
        check_answers(program, folder)


if __name__ == "__main__":
    main()
