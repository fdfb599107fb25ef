"""Small raw files for the tests of `native_prep`, written as the recordings are."""

import json
import tarfile
from pathlib import Path

import numpy as np

NAMES = (
    "S001C001P001R001A001.skeleton",
    "S001C002P003R001A002.skeleton",
    "S002C003P002R002A060.skeleton",
    "S017C001P103R002A010.skeleton",
)


def ntu_lines(frames: list[list[np.ndarray]]) -> list[str]:
    """The lines of a `.skeleton` file; a frame is a list of bodies, a body is (25, 3)."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body in bodies:
            lines += ["72057594037931101 0 1 1 1 1 0 0.02764709 0.05745083 2", "25"]
            lines += [f"{x:.7g} {y:.7g} {z:.7g} 277.4 191.8 1036.2 519.1 -0.2 0.05 0.97 -1.2E-05 2" for x, y, z in body]
    return lines


def person(rng: np.random.Generator, frames: int) -> list[np.ndarray]:
    """A body that moves a little, about upright."""
    rest = rng.normal(0, 0.3, (25, 3))
    rest += np.array((0.2, 0.1, 3.5))
    return [rest + rng.normal(0, 0.02, (25, 3)) for _ in range(frames)]


def write_ntu(path: Path, seed: int = 0, frames: int = 12, bodies: int = 1, end: str = "\n") -> Path:
    """A file of `bodies` bodies in all frames."""
    rng = np.random.default_rng(seed)
    people = [person(rng, frames) for _ in range(bodies)]
    lines = ntu_lines([[one[frame] for one in people] for frame in range(frames)])
    path.write_bytes((end.join(lines) + end).encode())
    return path


def write_ntu_folder(folder: Path) -> Path:
    """Four good files of one or two bodies."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(NAMES):
        write_ntu(folder / name, seed, 8 + seed, 1 + seed % 2)
    return folder


def kinetics_clip(seed: int, frames: int = 6, label: int = 3) -> dict:
    """A clip as the JSON has it, of up to seven people a frame."""
    rng = np.random.default_rng(seed)
    data = []
    for frame in range(1, frames + 1):
        people = []
        for _ in range(rng.integers(0, 8)):
            score = rng.uniform(0, 1, 18) * (rng.uniform(size=18) > 0.2)
            pose = rng.uniform(0, 1, 36) * np.repeat(score > 0, 2)
            people.append(
                {"pose": [round(x, 3) for x in pose.tolist()], "score": [round(x, 3) for x in score.tolist()]}
            )
        data.append({"frame_index": frame, "skeleton": people})
    return {"data": data, "label": 'a \\ "quoted" \u00e9 label', "label_index": label}


def write_kinetics_folder(folder: Path, clips: int = 3) -> Path:
    """Folders and label files of both splits; the second clip has no skeleton by its label file."""
    for offset, split in enumerate(("train", "val")):
        inside = folder / f"kinetics_{split}"
        inside.mkdir(parents=True)
        labels = {}
        for clip in range(clips):
            name = f"clip-{split}{clip}_x"
            (inside / f"{name}.json").write_text(json.dumps(kinetics_clip(10 * offset + clip, label=clip)))
            labels[name] = {"has_skeleton": clip != 1, "label": str(clip), "label_index": clip}
        (folder / f"kinetics_{split}_label.json").write_text(json.dumps(labels))
    return folder


def nw_ucla_clip(seed: int, frames: int, label: int) -> dict:
    """A clip as the JSON has it."""
    points = np.random.default_rng(seed).normal(0, 1, (frames, 20, 3)).round(6)
    return {"file_name": "x", "skeletons": points.tolist(), "label": label}


def write_nw_ucla_folder(folder: Path) -> Path:
    """Three clips, one of each view, in the folder that the data set comes in."""
    inside = folder / "all_sqe"
    inside.mkdir(parents=True)
    for view in (1, 2, 3):
        clip = nw_ucla_clip(view, 3 + 2 * view, view)
        (inside / f"a0{view}_s01_e00_v0{view}.json").write_text(json.dumps(clip))
    return folder


def awkward_ntu(folder: Path) -> Path:
    """Two bodies that repeat differently, one that comes late, one without a sum, nobody, a full clip, a still one."""
    rng = np.random.default_rng(5)
    write_ntu_folder(folder)
    one, two = person(rng, 24), person(rng, 24)
    zero = np.zeros((25, 3))
    balanced = np.concatenate([np.eye(1, 3), -np.eye(1, 3), np.zeros((23, 3))])
    clips = {
        7: [[a, b] if t < 8 else [a] for t, (a, b) in enumerate(zip(one[:12], two[:12], strict=True))],
        11: [[] if t < 3 else [a] for t, a in enumerate(one)],
        12: [[a, balanced] for a in one],
        13: [[] for _ in one],
        14: [[zero] for _ in one],
        15: [[a, b] for a, b in zip(person(rng, 40), person(rng, 40), strict=True)],
        16: [[one[0]] for _ in range(5)],
        17: [[a, b] if t % 5 else [b] for t, (a, b) in enumerate(zip(one, two, strict=True))],
    }
    for action, frames in clips.items():
        (folder / f"S001C00{1 + action % 3}P00{1 + action % 4}R001A0{action:02d}.skeleton").write_text(
            "\n".join(ntu_lines(frames)) + "\n"
        )
    return folder


def awkward_kinetics(folder: Path) -> Path:
    """A y of exactly the middle becomes minus zero, at the end of a body too."""
    write_kinetics_folder(folder)
    pose = {"pose": [0.5] * 36, "score": [0.25] * 18}
    frames = [{"frame_index": frame, "skeleton": [pose] * (1 + frame % 3)} for frame in range(1, 9)]
    frames.append({"frame_index": 9, "skeleton": [{"pose": [0.5] * 36, "score": [0] * 17 + [-0.0]}]})
    clip = {"data": frames, "label": "x", "label_index": 2}
    (folder / "kinetics_val" / "clip-val2_x.json").write_text(json.dumps(clip))
    return folder


def awkward_nw_ucla(folder: Path) -> Path:
    write_nw_ucla_folder(folder)
    points = np.zeros((6, 20, 3))
    points[1, 3, 2], points[4, 3, 2] = 0.5, -0.0
    clip = {"file_name": "x", "skeletons": points.tolist(), "label": 4}
    (folder / "all_sqe" / "a04_s01_e00_v03.json").write_text(json.dumps(clip))
    return folder


AWKWARD = {"ntu60": awkward_ntu, "ntu120": awkward_ntu, "kinetics": awkward_kinetics, "nw-ucla": awkward_nw_ucla}


def unpack(archive, folder):
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder
