"""Raw joints prepared by tensor operations are those that native_prep prepares."""

from pathlib import Path

import numpy as np
import pytest
import torch

from export.graph.preprocess import KineticsPreprocess, NtuPreprocess, preprocess_for
from native_prep.cpu.one_file import read_clip, read_raw_clip
from native_prep.reference import prepare_raw_clip
from native_prep.skeletons.layouts import KINETICS, NTU, NW_UCLA
from native_prep.synth.make import synth


def prepared(module: torch.nn.Module, raw: np.ndarray) -> np.ndarray:
    return module(torch.from_numpy(raw)).numpy()


@pytest.mark.parametrize(
    ("dataset", "suffix", "module"),
    [("ntu60", ".skeleton", NtuPreprocess(NTU)), ("kinetics", ".json", KineticsPreprocess())],
)
def test_clips_of_files(tmp_path: Path, dataset: str, suffix: str, module: torch.nn.Module) -> None:
    synth(dataset, tmp_path / "raw", clips=12, frames=40)
    files = sorted(path for path in (tmp_path / "raw").rglob(f"*{suffix}") if "label" not in path.name)
    raw = np.stack([read_raw_clip(path, dataset, 300) for path in files])
    expected = np.stack([read_clip(path, dataset, 300) for path in files])
    assert np.abs(raw - expected).max() > 0.1
    assert np.abs(prepared(module, raw) - expected).max() < 2e-6


def walker(frames: int, seed: int) -> np.ndarray:
    """One body in front of the camera, float32 (3, T, V)."""
    rng = np.random.default_rng(seed)
    middle = np.array((0.2, 0.1, 3.0))[:, None, None]
    return (rng.normal(0, 0.3, (3, frames, 25)) + middle).astype(np.float32)


def clip(*bodies: np.ndarray) -> np.ndarray:
    return np.stack([*bodies, *[np.zeros_like(bodies[0])] * (2 - len(bodies))], axis=-1)


def gone(body: np.ndarray, *frames: int) -> np.ndarray:
    body = body.copy()
    body[:, list(frames)] = 0
    return body


AWKWARD = {
    "whole": clip(walker(12, 0)),
    "ends early": clip(gone(walker(12, 1), 9, 10, 11)),
    "starts late": clip(gone(walker(12, 2), 0, 1)),
    "starts late with gaps": clip(gone(walker(12, 3), 0, 4, 5, 11)),
    "gaps": clip(gone(walker(12, 4), 3, 4)),
    "one frame": clip(gone(walker(12, 5), *range(1, 12))),
    "second ends first": clip(walker(12, 6), gone(walker(12, 7), *range(5, 12))),
    "second comes late": clip(walker(12, 8), gone(walker(12, 9), 0, 1, 2)),
    "first starts late": clip(gone(walker(12, 10), 0, 1, 2), walker(12, 11)),
    "nobody": clip(np.zeros((3, 12, 25), np.float32)),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_clips(name: str) -> None:
    raw = AWKWARD[name]
    expected = prepare_raw_clip(raw, NTU)
    assert np.abs(prepared(NtuPreprocess(NTU), raw[None])[0] - expected).max() < 2e-6


def test_joints_that_were_not_seen_stay_zero() -> None:
    raw = clip(walker(12, 0))
    raw[:, 3:, 7] = 0
    expected = prepare_raw_clip(raw, NTU)
    got = prepared(NtuPreprocess(NTU), raw[None])[0]
    assert not got[:, 3:, 7].any() and np.abs(got - expected).max() < 2e-6


def test_turned_already() -> None:
    """Nothing is turned where the spine and the shoulders stand as they should, nor where the spine points down."""
    raw = np.zeros((3, 4, 25, 2), np.float32)
    raw[2, :, :, 0] = 3.0
    for joint, place in (
        (NTU.spine[1], (0, 0, 3.5)),
        (NTU.shoulders[0], (0.2, 0, 3)),
        (NTU.shoulders[1], (-0.2, 0, 3)),
    ):
        raw[:, :, joint, 0] = np.array(place, np.float32)[:, None]
    assert np.array_equal(prepared(NtuPreprocess(NTU), raw[None])[0], prepare_raw_clip(raw, NTU))
    raw[:, :, NTU.spine[1], 0] = np.array((0, 0, 2.5), np.float32)[:, None]
    assert np.array_equal(prepared(NtuPreprocess(NTU), raw[None])[0], prepare_raw_clip(raw, NTU))


def test_clips_that_engines_do_not_prepare() -> None:
    with pytest.raises(ValueError, match=r"--with-prep: an engine prepares clips of ntu and kinetics, not of nw-ucla"):
        preprocess_for(NW_UCLA)
    assert isinstance(preprocess_for(KINETICS), KineticsPreprocess)


def test_frames_in_memory_are_those_of_files(tmp_path: Path) -> None:
    from native_prep.cpu.in_memory import raw_frames
    from native_prep.datasets.catalog import DATASETS
    from native_prep.reference import read_kinetics, read_ntu

    for dataset, read in (("ntu60", read_ntu), ("kinetics", lambda path: read_kinetics(path).transpose(3, 1, 2, 0))):
        synth(dataset, tmp_path / dataset, clips=4, frames=30)
        for path in (path for path in (tmp_path / dataset).rglob("*.*") if "label" not in path.name):
            people = read(path)
            assert np.array_equal(raw_frames(people, DATASETS[dataset], 300), read_raw_clip(path, dataset, 300))
    with pytest.raises(ValueError, match="300 frames are more than the 20 of a clip"):
        raw_frames(people, DATASETS["kinetics"], 20)
