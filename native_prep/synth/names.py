"""Names of made clips, spread over cameras, performers and set-ups so that no split is empty."""

from collections.abc import Iterator

import numpy as np

from native_prep.datasets.catalog import missing_samples
from native_prep.datasets.names import NTU60_TRAINING_SUBJECTS

# The twenty performers of each side of NTU's cross-subject split.
_TRAINING = tuple(sorted(NTU60_TRAINING_SUBJECTS))
_OTHERS = tuple(sorted(set(range(1, 41)) - NTU60_TRAINING_SUBJECTS))
_SETUPS = {"ntu60": 17, "ntu120": 31}  # both prime to 60, so that no name comes twice
_UCLA_ACTIONS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)
_ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def ntu_names(dataset: str, clips: int, classes: int) -> Iterator[str]:
    """`clips` different names, the classes in turn, without those on the official list of missing skeletons.

    Raises:
        ValueError: there are not so many names.
    """
    missing = missing_samples(dataset)
    setups = _SETUPS[dataset]
    taken = [0] * classes  # how many names of each class are used up, the missing ones too
    for index in range(clips):
        action = index % classes + 1
        name = ""
        while not name or name in missing:
            turn = taken[action - 1]
            if turn >= 2 * 60 * setups:
                raise ValueError(f"synth: {clips} clips: {dataset} has names for about {120 * setups * classes}")
            taken[action - 1] += 1
            third = turn // 3
            performer = (_TRAINING[third % 20], _OTHERS[third % 20], _TRAINING[(third + 10) % 20])[turn % 3]
            again = turn // (60 * setups) + 1
            name = f"S{turn % setups + 1:03}C{turn % 3 + 1:03}P{performer:03}R{again:03}A{action:03}"
        yield name


def nw_ucla_names(clips: int, classes: int) -> Iterator[str]:
    """`aXX_sXX_eXX_vXX`, the classes and then the three views in turn."""
    for index in range(clips):
        turn = index // classes
        action = _UCLA_ACTIONS[index % classes]
        yield f"a{action:02}_s{turn // 3 % 10 + 1:02}_e{turn // 30:02}_v{turn % 3 + 1:02}"


def body_size(performer: int) -> float:
    """How tall a performer is, 1 for about 1.65 m: the same person in every clip."""
    return float(np.random.default_rng([17, performer]).uniform(0.85, 1.1))


def video_id(seed: int, index: int) -> str:
    """Eleven letters like a video's; the last five count, so no two of a seed are equal."""
    rng = np.random.default_rng([29, seed, index])
    letters = [_ID_LETTERS[number] for number in rng.integers(0, 64, 6)]
    counted = [_ID_LETTERS[index >> shift & 63] for shift in (24, 18, 12, 6, 0)]
    return "".join(letters + counted)
