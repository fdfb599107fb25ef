"""The data sets: their skeletons, classes, benchmarks, usual folders and lists of unusable samples."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from native_prep.skeletons.layouts import KINETICS, NTU, NW_UCLA, Layout

# Names of classes, and of samples without a skeleton.
LISTS = Path(__file__).resolve().parent / "lists"


@dataclass(frozen=True)
class Dataset:
    """One public data set.

    Attributes:
        name: the name used on the command line.
        layout: its skeleton; `layout.num_joints` is V.
        num_class: how many actions it names.
        num_person: M, the bodies kept of a clip.
        benchmarks: its ways to divide clips into training and validation; empty where there is one only.
        data_path, out_folder: the usual places of its raw files and of what `prep` makes of them.
        suffix: what the names of its clips end with.
        max_frames: T of the prepared clips; None: as long as the longest clip.
        class_list, missing_list: files in `lists/`, the second "" where no samples are known to be unusable.
    """

    name: str
    layout: Layout
    num_class: int
    num_person: int
    benchmarks: tuple[str, ...]
    data_path: str
    out_folder: str
    suffix: str
    max_frames: int | None
    class_list: str
    missing_list: str = ""


_NTU_DATA = "data/nturgbd_raw/nturgb+d_skeletons"
DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "ntu60", NTU, 60, 2, ("xsub", "xview"), _NTU_DATA, "data/ntu", ".skeleton", 300,
            "ntu120_classes.txt", "ntu60_missing.txt",
        ),
        Dataset(
            "ntu120", NTU, 120, 2, ("xsub", "xset"), "data/nturgbd_raw", "data/ntu120", ".skeleton", 300,
            "ntu120_classes.txt", "ntu120_missing.txt",
        ),
        Dataset(
            "kinetics", KINETICS, 400, 2, (), "data/kinetics-skeleton", "data/kinetics", ".json", 300,
            "kinetics400_classes.txt",
        ),
        Dataset("nw-ucla", NW_UCLA, 10, 1, (), "data/nw-ucla", "data/nw-ucla", ".json", None, "nw_ucla_classes.txt"),
    )
}  # fmt: skip


def get_dataset(name: str) -> Dataset:
    """The data set called `name`.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in DATASETS:
        raise ValueError(f"no data set is called {name!r}: use one of {', '.join(DATASETS)}")
    return DATASETS[name]


@cache
def class_names(dataset: str) -> list[str]:
    """The names of a data set's actions; the place in the list is the label.

    Raises:
        ValueError: there is no such data set.
    """
    found = get_dataset(dataset)
    return (LISTS / found.class_list).read_text(encoding="utf-8").splitlines()[: found.num_class]


@cache
def missing_samples(dataset: str) -> frozenset[str]:
    """Names, without suffix, of the samples whose skeletons are known to be missing or unusable.

    Raises:
        ValueError: there is no such data set.
    """
    found = get_dataset(dataset)
    if not found.missing_list:
        return frozenset()
    return frozenset((LISTS / found.missing_list).read_text(encoding="utf-8").split())
