"""`prep pku-mmd` and `prep uav-human`: published data sets as `prep custom` prepares one's own."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from native_prep.datasets.catalog import LISTS
from native_prep.io.folders import local_copy
from native_prep.pipeline.outputs import check_room, output_folder
from native_prep.pipeline.reading import raw_place
from native_prep.poses.custom import OUT_FOLDER, PoseOutput, copied, parse_size, write_source
from native_prep.poses.labels import read_classes
from native_prep.poses.published import pku_mmd, uav_human
from native_prep.poses.sources import PoseSource
from native_prep.poses.to_clip import PoseSettings
from native_prep.skeletons.layouts import COCO17, NTU, Layout


class Published(NamedTuple):
    """A data set: its skeleton, its ways to divide clips, the usual folder of its files, and what finds its clips."""

    layout: Layout
    benchmarks: tuple[str, ...]
    data_path: str
    class_list: str
    open: Callable[[Path, str, list[str]], PoseSource]


PUBLISHED = {
    "pku-mmd": Published(NTU, tuple(pku_mmd.BENCHMARKS), "data/pku-mmd", "pku_mmd_classes.txt", pku_mmd.open_pku_mmd),
    "uav-human": Published(
        COCO17, tuple(uav_human.BENCHMARKS), "data/uav-human", "uav_human_classes.txt", uav_human.open_uav_human
    ),
}


def prepare_published(
    dataset: str,
    data_path: str | os.PathLike[str] | None = None,
    out_folder: str | os.PathLike[str] | None = None,
    *,
    benchmarks: Sequence[str] = (),
    streams: Sequence[str] = ("joint", "bone"),
    formats: Sequence[str] = ("npy",),
    max_frames: int | None = None,
    max_bodies: int | None = None,
    image_size: str | None = None,
    align: str = "none",
    track: bool = False,
    keep_empty: bool = False,
    min_quality: float = 0.0,
    on_bad_file: str = "error",
    workers: int | None = None,
    cluster: str | None = None,
) -> dict[str, Any]:
    """Prepares a published data set for one of its benchmarks, to be trained as one's own data are.

    Args:
        dataset: one of `PUBLISHED`.
        data_path, out_folder: the folder of its files, an archive or URL of it; where the arrays go, None for
            `data/custom`.
        benchmarks: one of the data set's; () for its first.
        streams, formats, max_frames, max_bodies, image_size, align, track, keep_empty, min_quality, on_bad_file,
            workers, cluster: as `custom.prepare_custom`'s.

    Returns:
        What `custom.prepare_custom` returns.

    Raises:
        ValueError: another benchmark, files that are missing, a clip that is bad.
        OSError: a file or folder cannot be read or written.
    """
    found = PUBLISHED[dataset]
    (benchmark, *others) = tuple(benchmarks) or found.benchmarks[:1]
    if others or benchmark not in found.benchmarks:
        known = " or ".join(found.benchmarks)
        raise ValueError(f"--benchmark {' '.join(benchmarks)}: prep {dataset} is for one at a time, {known}: give it")
    given = str(raw_place(data_path, found.data_path))
    folder = output_folder(out_folder, OUT_FOLDER)
    output = PoseOutput(folder, streams, formats, max_frames, on_bad_file, workers, cluster)
    settings = PoseSettings(
        max_bodies or 2, parse_size(image_size), align, track, keep_empty=keep_empty, min_quality=min_quality
    )
    settings.check(found.layout)
    check_room(max_frames, found.layout, settings.max_bodies, output.streams)
    with local_copy(given, folder) as local:
        path = local.path
        if not path.is_dir():
            raise ValueError(f"{path}: no such folder: give --data-path the data set's")
        source = found.open(path, benchmark, read_classes(LISTS / found.class_list))
        if not source.clips and not source.bad:
            raise ValueError(f"{path}: no clip is left to prepare: check --data-path")
        return write_source(copied(source, local), local.source, found.layout, settings, output)
