"""Score files, and the note beside each that says what its scores are of. NumPy alone, no PyTorch.

`epoch1_test_score.pkl` is {sample name: logits}, as the original writes it; `epoch1_test_score.pkl.json` holds the
hashes of the weights, the configuration and the data that the scores come from. It speaks for that very pickle only:
where another program has replaced it, the note counts for nothing.
"""

import json
import os
import pickle
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from native_prep.io.atomic import OutputSet
from native_prep.io.hashes import sha256

# What `train` and `test` write into the work folder.
SCORE_FILE = "epoch1_test_score.pkl"
BEST_FILE = "best.pt"
_VERSION = 1
# Clips that are pickled at a time.
_BATCH = 1024


def note_path(scores: str | os.PathLike[str]) -> Path:
    """Where the note of a score file lies."""
    return Path(f"{os.fspath(scores)}.json")


def write_scores(
    outputs: OutputSet, path: Path, scores: Iterable[tuple[str, np.ndarray]], metadata: Mapping[str, Any]
) -> None:
    """Writes a score file and its note, to appear with the other files of `outputs`.

    Args:
        path: of the score file.
        scores: sample names and (num_class,), which need not fit into memory together.
        metadata: weights {stream: {file, sha256}}, config_sha256, data {path, clips, sha256}.
    """
    part = outputs.temporary(path)
    with part.open("wb") as file:
        _stream_dict(file, scores)
    note = {"version": _VERSION, "scores_sha256": sha256(part), **metadata}
    outputs.temporary(note_path(path)).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def _stream_dict(file: BinaryIO, items: Iterable[tuple[str, np.ndarray]]) -> None:
    """Writes the pickle of a dictionary, a batch of its items at a time.

    A pickle is a program: these bytes push an empty dictionary, then those of each batch put items into it. Of the
    pickle of a batch, itself a dictionary, all stays but its beginning and its end. In protocol 3 what is remembered
    (BINPUT) has numbers, which may be given again, whereas those of protocol 4 only count up.
    """
    empty = pickle.dumps({}, protocol=3)
    begin, end = empty[:-1], empty[-1:]
    file.write(begin)
    rest = iter(items)
    while batch := dict(islice(rest, _BATCH)):
        file.write(pickle.dumps(batch, protocol=3)[len(begin) : -len(end)])
    file.write(end)


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
