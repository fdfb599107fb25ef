"""Score files, and the note beside each that says what its scores are of. NumPy alone, no PyTorch.

`epoch1_test_score.pkl` is {sample name: logits}, as the original writes it; `epoch1_test_score.pkl.json` holds the
hashes of the weights, the configuration and the data that the scores come from. It speaks for that very pickle only:
where another program has replaced it, the note counts for nothing.
"""

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from native_prep.io.atomic import OutputSet
from native_prep.io.hashes import sha256

# What `train` and `test` write into the work folder.
SCORE_FILE = "epoch1_test_score.pkl"
BEST_FILE = "best.pt"
_VERSION = 1


def note_path(scores: str | os.PathLike[str]) -> Path:
    """Where the note of a score file lies."""
    return Path(f"{os.fspath(scores)}.json")


def write_scores(outputs: OutputSet, path: Path, scores: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Writes a score file and its note, to appear with the other files of `outputs`.

    Args:
        path: of the score file.
        scores: {sample name: (num_class,)}.
        metadata: weights {stream: {file, sha256}}, config_sha256, data {path, clips, sha256}.
    """
    part = outputs.temporary(path)
    part.write_bytes(pickle.dumps(dict(scores), protocol=4))
    note = {"version": _VERSION, "scores_sha256": sha256(part), **metadata}
    outputs.temporary(note_path(path)).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def read_note(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The note of a score file; {} where there is none, or none that speaks for this very file."""
    place = note_path(path)
    if not (place.is_file() and Path(path).is_file()):
        return {}
    try:
        note = json.loads(place.read_bytes())
        known = note["version"] == _VERSION and note["scores_sha256"] == sha256(Path(path))
        return note if known and isinstance(note["weights"], dict) and isinstance(note["data"], dict) else {}
    except (ValueError, TypeError, KeyError):
        return {}


def best_checkpoint(path: str | os.PathLike[str]) -> Path | None:
    """The best checkpoint of the run that a score file is of: beside it, or in `agcn_bone` for `agcn_test_bone`."""
    folder = Path(path).parent
    run = folder.absolute().name.replace("_test_", "_")
    for place in (folder, folder / ".." / run if folder == Path() else folder.with_name(run)):
        if (place / BEST_FILE).is_file():
            return place / BEST_FILE
    return None


def stale_reason(path: str | os.PathLike[str]) -> str:
    """Why scores are not those of their run's best checkpoint; "" where they are, or where there is no such run."""
    best = best_checkpoint(path)
    if best is None:
        return ""
    note = read_note(path)
    if not note:
        newer = best.stat().st_mtime > Path(path).stat().st_mtime
        return f"is older than {best}" if newer else ""
    if sha256(best) in (one.get("sha256") for one in note["weights"].values()):
        return ""
    files = ", ".join(str(one.get("file")) for one in note["weights"].values())
    return f"holds the scores of other weights ({files}) than {best} has now"
