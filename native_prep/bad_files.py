"""What a run does about bad files: told on stderr, then the run fails, or goes on without them."""

import sys
from pathlib import Path

from native_prep.recordings import BadFile


def settle_bad(bad: list[BadFile], good: int, on_bad_file: str, source: Path) -> None:
    """Lists bad files on stderr.

    Args:
        bad: is sorted by path.
        good: how many clips there are beside them.
        on_bad_file: "error" or "skip".
        source: where the clips are from.

    Raises:
        ValueError: bad files are not to be left out, or nothing else is left.
    """
    bad.sort(key=lambda one: one.path)
    for one in bad:
        print(one, file=sys.stderr)
    if not bad:
        return
    count = f"{len(bad)} bad file{'s' if len(bad) > 1 else ''}"
    if on_bad_file == "error":
        raise ValueError(f"{bad[0]} ({count}, nothing is written; --on-bad-file skip leaves them out)")
    if good == 0:
        raise ValueError(f"{bad[0]} ({count}, no good one in {source}, nothing is written)")
    print(f"left out {count}, listed in bad_files.csv", file=sys.stderr)
