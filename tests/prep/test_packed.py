"""Building the packed store: what a run left is gone on from, again where something changed, from bad files."""

import csv
import os
import shutil
from pathlib import Path

import pytest
from packed_stores import SIZE, contents, pack, write_raw
from prep_files import write_ntu, write_ntu_folder

from native_prep.pipeline import prepare as prepare_module
from native_prep.pipeline.prepare import prepare
from native_prep.store import shards as shards_module
from native_prep.store.reader import Store


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("native_prep.store.shards.SHARD_CLIPS", SIZE)


class Stopped(Exception):
    pass


def stop_after(monkeypatch: pytest.MonkeyPatch, shards: int) -> None:
    """Ends the next run, as a kill would, when it has finished so many shards."""
    keep, kept = shards_module.keep_shard, []

    def keep_and_stop(*args):
        if len(kept) == shards:
            raise Stopped
        kept.append(args)
        return keep(*args)

    monkeypatch.setattr("native_prep.pipeline.store_run.keep_shard", keep_and_stop)


def pack_some(monkeypatch: pytest.MonkeyPatch, raw: Path, out: Path, shards: int = 3, **options) -> None:
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_after(patch, shards)
        prepare("ntu60", raw, out, **{"formats": ["packed"], "max_frames": 64, "workers": 1, **options})
    assert [path.name for path in out.iterdir()] == [".packed.shards"]
    assert len(list((out / ".packed.shards").iterdir())) == shards


def test_only_the_rest_is_done(tmp_path, monkeypatch):
    raw, out = write_raw(tmp_path / "raw"), tmp_path / "out"
    pack_some(monkeypatch, raw, out)
    names = sorted(path.name for path in raw.iterdir())
    result = pack(raw, out)
    assert (result["shards"], result["resumed"], result["clips"]) == (5, 3, 9)
    assert result["bytes_read"] == sum((raw / name).stat().st_size for name in names[6:])
    assert result["frames"] == sum(20 + number for number in range(1, 10))
    pack(raw, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


def test_arrays_from_finished_shards(tmp_path, monkeypatch):
    raw, out = write_raw(tmp_path / "raw"), tmp_path / "out"
    pack_some(monkeypatch, raw, out)
    streams = ("joint", "bone_motion")
    result = prepare("ntu60", raw, out, formats=["packed", "npy"], streams=streams, max_frames=64)
    assert result["resumed"] == 3
    prepare("ntu60", raw, tmp_path / "npy", streams=streams, max_frames=64)
    pack(raw, tmp_path / "whole")
    assert contents(out / "packed") == contents(tmp_path / "whole" / "packed")
    for path, content in contents(tmp_path / "npy").items():
        assert (out / path).read_bytes() == content
    with pytest.raises(ValueError, match="add --format packed"):
        prepare("ntu60", raw, out, packed_dtype="float16")


def test_what_changed_is_done_again(tmp_path, capsys, monkeypatch):
    raw, out = write_raw(tmp_path / "raw"), tmp_path / "out"
    pack_some(monkeypatch, raw, out, 4)
    names = sorted(path.name for path in raw.iterdir())
    write_ntu(raw / names[4], 99, 30)
    os.utime(raw / names[0])
    assert pack(raw, out)["resumed"] == 2
    shutil.rmtree(out)
    for other in ({"max_frames": 65}, {"packed_dtype": "float16"}):
        pack_some(monkeypatch, raw, out)
        capsys.readouterr()
        assert prepare("ntu60", raw, out, **{"formats": ["packed"], "max_frames": 64, **other})["resumed"] == 0
        assert "3 finished shards are of other files, settings or version: removed" in capsys.readouterr().err
        assert len(list((out / "packed").iterdir())) == 5 + 1  # those of other settings are gone
        assert not (out / ".packed.shards").exists()
        shutil.rmtree(out)


def spoil(raw: Path) -> list[str]:
    """Files that cannot be used, each in its way; their names, sorted."""
    names = sorted(path.name for path in raw.iterdir())
    spoilt = names[1], names[4], names[5], names[7]
    for name in spoilt:
        (raw / name).unlink()
    (raw / spoilt[0]).mkdir()
    (raw / spoilt[1]).symlink_to(raw / "nowhere")
    (raw / spoilt[2]).symlink_to(raw / spoilt[2])
    with (raw / spoilt[3]).open("wb") as file:
        file.truncate(4 << 30)  # zeros, in one line
    (raw / "clip.skeleton").write_text("")
    return [*spoilt, "clip.skeleton"]


def test_bad_files_are_all_listed_and_nothing_is_written(tmp_path, capsys):
    raw, out = write_raw(tmp_path / "raw"), tmp_path / "out"
    names = spoil(raw)
    with pytest.raises(ValueError, match=r"Is a directory.* \(5 bad files, nothing is written") as caught:
        pack(raw, out)
    told = [str(caught.value), *capsys.readouterr().err.splitlines()]  # the error names the first
    assert [line.split(":")[0] for line in told] == [str(raw / name) for name in names]
    for line, reason in zip(
        told, ("directory", "No such file", "symbolic links", "larger than 32 MiB", "not the name of"), strict=True
    ):
        assert reason in line
    assert not out.exists()


def test_shards_keep_their_bad_files(tmp_path, monkeypatch):
    raw, out = write_raw(tmp_path / "raw"), tmp_path / "out"
    names = spoil(raw)
    pack_some(monkeypatch, raw, out, 4, on_bad_file="skip")
    with pytest.raises(ValueError, match="5 bad files"):
        pack(raw, out)
    assert not (out / "packed").exists()
    result = pack(raw, out, on_bad_file="skip")
    assert (result["resumed"], result["clips"], result["bad_files"]) == (4, 5, 5)
    with (out / "bad_files.csv").open(newline="") as file:
        assert [Path(row["file"]).name for row in csv.DictReader(file)] == names
    assert len(Store(out / "packed").names) == 5


def test_a_file_that_vanishes(tmp_path, monkeypatch):
    raw = write_raw(tmp_path / "raw")
    find = prepare_module.find_recordings

    def find_and_lose(*args):
        found = find(*args)
        Path(found.found[3].path).unlink()
        return found

    monkeypatch.setattr(prepare_module, "find_recordings", find_and_lose)
    for formats in (["npy"], ["packed"], ["npy", "packed"]):
        with pytest.raises(ValueError, match=r"A0\d\d\.skeleton: No such file or directory: give .* \(1 bad file"):
            prepare("ntu60", raw, tmp_path / "out", formats=formats, max_frames=64)
        write_ntu(raw / "S001C002P001R001A004.skeleton", 4, 24, 1)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_damaged_shard(tmp_path, monkeypatch):
    raw, out = write_raw(tmp_path / "raw"), tmp_path / "out"
    pack_some(monkeypatch, raw, out, 4)
    frames = sorted(out.glob(".packed.shards/*/frames.npy"))
    content = bytearray(frames[2].read_bytes())
    content[-1] ^= 1
    frames[2].write_bytes(content)  # its checksum is wrong
    frames[0].write_bytes(frames[0].read_bytes()[:-1])  # cut off
    assert pack(raw, out)["resumed"] == 2
    Store(out / "packed").verify()


def test_an_old_store_stays_until_the_new_one_is_whole(tmp_path):
    raw, out = write_ntu_folder(tmp_path / "raw"), tmp_path / "out"
    pack(raw, out)
    before = contents(out)
    bad = raw / "S009C001P001R001A001.skeleton"
    bad.write_text("")
    with pytest.raises(ValueError, match="is empty"):
        pack(raw, out)
    assert contents(out) == before
    write_ntu(bad, 3, 9)
    pack(raw, out)
    assert len(Store(out / "packed").names) == 5 and [path.name for path in out.iterdir()] == ["packed"]
    (tmp_path / "taken" / "packed").mkdir(parents=True)
    (tmp_path / "taken" / "packed" / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="packed: is something else than a packed store"):
        pack(raw, tmp_path / "taken")


def test_arrays_of_other_clips_are_told(tmp_path, capsys):
    raw, out = write_raw(tmp_path / "raw"), tmp_path / "out"
    prepare("ntu60", raw, out, max_frames=64, streams=["joint"])
    pack(raw, out)
    assert capsys.readouterr().err == ""
    write_ntu(raw / "S001C002P001R001A060.skeleton", 3, 9)
    pack(raw, out)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and all("train_label.pkl: names other clips than the packed store" in line for line in told)
