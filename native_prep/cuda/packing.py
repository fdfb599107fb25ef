"""Raw recordings to the shards of a packed store by a GPU."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from native_prep.cuda.reader import Reader, files_at_once
from native_prep.datasets.catalog import get_dataset
from native_prep.pipeline.reading import read_recordings
from native_prep.pipeline.statistics import Statistics
from native_prep.pipeline.store_run import Made, finish_shard
from native_prep.pipeline.threads import runs
from native_prep.store.format import StoreHead, frames_to_keep
from native_prep.store.shards import Shard, begin_shard, bits_of


@dataclass(frozen=True)
class CudaPackJob:
    """How the shards of a data set are made by a GPU; the attributes are those of `packing.PackJob`."""

    head: StoreHead
    final: Path
    max_frames: int
    skip: bool
    models: ClassVar[bool] = True

    def open(self) -> Callable[[Shard], dict[str, Any]]:
        """What makes one shard, and returns what is said of it."""
        shape = 3, self.max_frames, self.head.layout.num_joints, self.head.bodies
        files = files_at_once(4 * int(np.prod(shape)))
        reader = Reader(get_dataset(self.head.dataset), ("joint",), self.max_frames, files)
        return partial(self._make, reader)

    def run_here(self, shards: Sequence[Shard], workers: int, update: Callable[[int], None]) -> Iterator[Made]:
        """Makes shards on this machine's GPU; `update` is told how many recordings were read."""
        make = self.open()
        for shard in shards:
            yield shard, make(shard)
            update(len(shard.recordings))

    def _make(self, reader: Reader, shard: Shard) -> dict[str, Any]:
        counts, longest = Statistics(), 0
        writer = begin_shard(self.final, shard.name, self.head)
        try:
            for chunk in runs(shard.recordings, len(reader.rows)):
                for row, label, frames in counts.note(chunk, read_recordings(reader, chunk)):
                    clip = reader.rows[row, 0].transpose(3, 1, 2, 0)  # (M, T, V, 3)
                    kept = [frames_to_keep(body, self.head.padding) for body in clip]
                    counts.empty += not any(map(len, kept))
                    longest = max(longest, frames)
                    entry = chunk[row].name, label, bits_of(chunk[row].parts), frames
                    place = writer.place([entry], np.array([[len(body) for body in kept]]))
                    writer.write(place, np.concatenate(kept))
        except BaseException:
            writer.drop()
            raise
        return finish_shard(writer, self.final, shard, self.skip, longest, counts)
