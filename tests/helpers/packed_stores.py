"""Raw files and packed stores of a few clips in small shards."""

from pathlib import Path

from prep_files import write_ntu

from native_prep.pipeline.prepare import prepare

SIZE = 2


def write_raw(folder: Path, clips: int = 9) -> Path:
    folder.mkdir(parents=True)
    for number in range(1, clips + 1):
        frames, bodies = 20 + number, 1 + number % 2
        write_ntu(folder / f"S001C00{1 + number % 3}P001R001A0{number:02d}.skeleton", number, frames, bodies)
    return folder


def pack(raw: Path, out: Path, **options) -> dict:
    return prepare("ntu60", raw, out, formats=["packed"], max_frames=64, workers=2, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
