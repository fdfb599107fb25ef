"""What every test of poses runs under."""

import pickle
from collections.abc import Iterable, Iterator
from typing import Any

import pytest


def _copy(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def _as_in_processes(work: Any, pieces: Iterable[Any], workers: int) -> Iterator[Any]:
    for piece in pieces:
        yield _copy(_copy(work)(_copy(piece)))


@pytest.fixture(autouse=True)
def sent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips are made here, as other processes would: of what was sent to them, and what they make is sent back."""
    if "processes" not in request.keywords:
        monkeypatch.setattr("native_prep.pipeline.pose_shards.in_processes", _as_in_processes)
