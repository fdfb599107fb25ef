"""Building the packed store: resumed after kills, in shares, by several processes, from bad files, on a full disk."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prep_files import write_ntu, write_ntu_folder

from native_prep.pipeline import prepare as prepare_module
from native_prep.pipeline.prepare import prepare
from native_prep.store.reader import Store

ROOT = Path(__file__).resolve().parents[2]
SIZE = 2


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("native_prep.pipeline.packing.SHARD_CLIPS", SIZE)


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


def run_python(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    head = (
        "import json, os, random, signal, sys, time, traceback\n"
        "from pathlib import Path\n"
        "from native_prep.pipeline import packing\n"
        "from native_prep.pipeline.prepare import prepare\n"
        f"packing.SHARD_CLIPS = {SIZE}\n"
        "raw, out = map(Path, sys.argv[1:3])\n"
        "def pack(out, **options):\n"
        "    return prepare('ntu60', raw, out, formats=['packed'], max_frames=64, workers=2, **options)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", head + code, *map(str, args)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


KILLS = """
for _ in range(2):  # the first time loads the kernels
    start = time.monotonic()
    pack(out.with_name('whole'))
    took = time.monotonic() - start
draw = random.Random(int(sys.argv[3]))
left, seen = [], {}
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        pack(out)
        os._exit(0)
    time.sleep(draw.uniform(0, took))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    if (out / 'packed').exists():
        break
    now = {path.parent.name: path.stat().st_ino for path in out.glob('.packed.shards/*/frames.npy')}
    assert all(now[name] == inode for name, inode in seen.items()), 'a finished shard was made again'
    seen = now
    left.append(len(now))
published = (out / 'packed').exists()
result = {} if published else pack(out)
inodes = {path.parent.name: path.stat().st_ino for path in out.glob('packed/*/frames.npy')}
kept = all(inodes[name] == inode for name, inode in seen.items())
if published:
    pack(out)  # sweeps what the kill left beside the store
print(json.dumps({'left': left, 'kept': kept, 'published': published, **result}))
"""


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments(tmp_path, seed):
    raw = write_raw(tmp_path / "raw", 40)
    done = run_python(KILLS, raw, tmp_path / "out", seed)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["kept"] and result["left"] == sorted(result["left"])
    if not result["published"]:
        assert result["resumed"] == (result["left"] or [0])[-1] and result["clips"] == 40
    assert contents(tmp_path / "out" / "packed") == contents(tmp_path / "whole" / "packed")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["packed"]


def test_only_the_rest_is_done(tmp_path):
    raw, out = write_raw(tmp_path / "raw"), tmp_path / "out"
    with pytest.raises(ValueError, match="leave npy to the run that merges"):
        prepare("ntu60", raw, out, formats=("npy", "packed"), shard="1/2")
    first = pack(raw, out, shard="1/2")
    assert (first["shards"], first["resumed"], first["missing"], first["outputs"]) == (3, 0, 2, [])
    assert [path.name for path in out.iterdir()] == [".packed.shards"]
    names = sorted(path.name for path in raw.iterdir())
    result = pack(raw, out)
    assert (result["shards"], result["resumed"], result["missing"], result["clips"]) == (5, 3, 0, 9)
    assert result["bytes_read"] == sum((raw / names[place]).stat().st_size for place in (2, 3, 6, 7))
    assert result["frames"] == sum(20 + number for number in range(1, 10))
    pack(raw, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


def test_what_changed_is_done_again(tmp_path, capsys):
    raw, out = write_raw(tmp_path / "raw"), tmp_path / "out"
    pack(raw, out, shard="1/1")
    names = sorted(path.name for path in raw.iterdir())
    write_ntu(raw / names[4], 99, 30)
    assert pack(raw, out, shard="1/1")["resumed"] == 4
    os.utime(raw / names[0])
    assert pack(raw, out, shard="1/1")["resumed"] == 4
    assert prepare("ntu60", raw, out, formats=["packed"], max_frames=65, shard="1/1")["resumed"] == 0
    assert pack(raw, out, packed_dtype="float16")["resumed"] == 0
    assert "finished shards are of other files, settings or version: removed" in capsys.readouterr().err
    assert len(list((out / "packed").iterdir())) == 5 + 1  # those of other settings are gone
    assert not (out / ".packed.shards").exists()


def test_shares_and_merge(tmp_path):
    raw, out = write_raw(tmp_path / "raw"), tmp_path / "out"
    missing = [pack(raw, out, shard=f"{share}/3")["missing"] for share in (3, 1, 2)]
    assert missing == [4, 2, 0] and not (out / "packed").exists()
    streams = ("joint", "bone_motion")
    result = prepare("ntu60", raw, out, formats=["packed", "npy"], streams=streams, max_frames=64)
    assert (result["resumed"], result["bytes_read"]) == (5, 0)
    prepare("ntu60", raw, tmp_path / "npy", streams=streams, max_frames=64)
    pack(raw, tmp_path / "whole")
    assert contents(out / "packed") == contents(tmp_path / "whole" / "packed")
    for path, content in contents(tmp_path / "npy").items():
        assert (out / path).read_bytes() == content
    for wrong in ("0/2", "3/2", "1", "/2", "1/", "a/2", "1/0", "-1/2", "1/2/3", ""):
        with pytest.raises(ValueError, match=r"--shard .*: no share: give 1/4"):
            pack(raw, out, shard=wrong)
    for options in ({"shard": "1/2"}, {"packed_dtype": "float16"}):
        with pytest.raises(ValueError, match="add --format packed"):
            prepare("ntu60", raw, out, **options)


MANY = """
pids = []
for number in range(4):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            result = pack(out) if number else pack(out, shard='1/2')
            status = 0 if number == 0 or result['clips'] == 40 else 3
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    pids.append(pid)
print([os.waitpid(pid, 0)[1] for pid in pids])
"""


def test_several_processes_at_once(tmp_path):
    raw = write_raw(tmp_path / "raw", 40)
    done = run_python("pack(out.with_name('whole'))" + MANY, raw, tmp_path / "out")
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0]", done.stderr
    Store(tmp_path / "out" / "packed").verify()
    pack(raw, tmp_path / "out")  # whatever a slow share left is taken up
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_the_folder_is_published_while_a_shard_is_kept(tmp_path, monkeypatch):
    raw, out = write_raw(tmp_path / "raw"), tmp_path / "out"
    make, gone = Path.mkdir, [Path(out / ".packed.shards")]

    def mkdir(path: Path, *args, **options) -> None:
        if path in gone:  # it was there when it was to be made, and is not any more
            gone.remove(path)
            raise FileExistsError(path)
        make(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    assert pack(raw, out)["clips"] == 9 and not gone
    Store(out / "packed").verify()


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


def test_shares_keep_their_bad_files_for_the_merge(tmp_path):
    raw, out = write_raw(tmp_path / "raw"), tmp_path / "out"
    names = spoil(raw)
    for share in ("1/2", "2/2"):
        pack(raw, out, shard=share, on_bad_file="skip")
    with pytest.raises(ValueError, match="5 bad files"):
        pack(raw, out)
    assert not (out / "packed").exists()
    result = pack(raw, out, on_bad_file="skip")
    assert (result["resumed"], result["clips"], result["bad_files"], result["bytes_read"]) == (5, 5, 5, 0)
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


def test_a_damaged_shard_of_another_machine(tmp_path):
    raw, out = write_raw(tmp_path / "raw"), tmp_path / "out"
    pack(raw, out, shard="1/1")
    frames = sorted(out.glob(".packed.shards/*/frames.npy"))
    content = bytearray(frames[2].read_bytes())
    content[-1] ^= 1
    frames[2].write_bytes(content)
    with pytest.raises(ValueError, match=r"frames\.npy: its checksum is wrong"):
        pack(raw, out)
    frames[0].write_bytes(frames[0].read_bytes()[:-1])  # cut off: seen at once
    assert pack(raw, out)["resumed"] == 3
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


FULL = """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
pack(out.with_name('whole'))  # kernels are compiled and kept
resource.setrlimit(resource.RLIMIT_FSIZE, (25_000, 25_000))
pack(out)
"""


def test_disk_full(tmp_path):
    raw, out = write_raw(tmp_path / "raw"), tmp_path / "out"
    done = run_python(FULL, raw, out)
    assert done.stderr.splitlines()[-1].startswith("OSError: [Errno 27] File too large: "), done.stderr
    assert not (out / "packed").exists() and not list(out.rglob("*.part"))
    kept = len(list(out.glob(".packed.shards/*")))  # those that were small enough
    assert pack(raw, out)["resumed"] == kept > 0
    assert contents(out) == contents(tmp_path / "whole")


INTERRUPT = """
import threading
import cli
pack(out.with_name('whole'))
read, interrupted = packing._read, threading.Event()
def shards():
    return len(list(out.glob('.packed.shards/shard-*/frames.npy')))
def wait_and_read(*args):  # so that no process gets further than to its interruption
    if shards() >= finished:
        out.with_name(f'waits-{finished}').touch()
        interrupted.wait(60)
    return read(*args)
def interrupt(*args):
    interrupted.set()
    signal.default_int_handler(*args)
packing._read = wait_and_read
answers = []
for finished in (1, 4, 8):
    pid = os.fork()
    if pid == 0:
        sys.stderr = open(out.with_name('told'), 'w')
        signal.signal(signal.SIGINT, interrupt)
        try:
            cli.main(['prep', 'ntu60', '--data-path', str(raw), '--out-folder', str(out), '--format', 'packed',
                      '--max-frames', '64', '--workers', '2'])
        except SystemExit as stop:
            sys.stderr.flush()
            os._exit(stop.code)
    while not out.with_name(f'waits-{finished}').exists():
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), out.with_name('told').read_text()
        time.sleep(0.005)
    os.kill(pid, signal.SIGINT)
    answers.append((os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out.with_name('told').read_text()))
    left = [path.name for path in out.iterdir()]
    assert left == ['.packed.shards'], left
print(json.dumps(answers))
"""


def test_interrupted(tmp_path):
    raw = write_raw(tmp_path / "raw", 40)
    done = run_python(INTERRUPT, raw, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    for status, told in answers:
        # An empty line ends what the terminal shows of the key; a slow machine shows progress before.
        said = [line for line in told.splitlines() if line and not line.startswith("prep ntu60: ")]
        assert (status, said) == (130, ["Error: interrupted: nothing half-written was left"])
    pack(raw, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
