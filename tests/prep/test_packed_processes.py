"""Building the packed store in several processes, killed, interrupted, on a full disk: whole or not there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packed_stores import SIZE, contents, pack, write_raw

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("native_prep.store.shards.SHARD_CLIPS", SIZE)


def run_python(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    head = (
        "import json, os, random, signal, sys, time, traceback\n"
        "from pathlib import Path\n"
        "from native_prep.store import shards\n"
        "from native_prep.pipeline.prepare import prepare\n"
        f"shards.SHARD_CLIPS = {SIZE}\n"
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
    now = {path.parent.name: path.stat().st_ino for path in out.glob('.packed.shards/shard-*/frames.npy')}
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


MANY = """
pids = []
for number in range(4):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if pack(out)['clips'] == 40 else 3
        except ValueError as error:
            status = 2 if 'another run writes there: wait' in str(error) else 3
        finally:
            sys.stderr.flush()
            os._exit(status)
    pids.append(pid)
print(sorted(os.waitpid(pid, 0)[1] >> 8 for pid in pids))
"""


def test_one_run_at_a_time(tmp_path):
    raw = write_raw(tmp_path / "raw", 40)
    hold = "from native_prep.io.locks import sole_run\nheld = sole_run(out / 'packed', out)\nheld.__enter__()\n"
    done = run_python("pack(out.with_name('whole'))\n" + hold + MANY, raw, tmp_path / "out")
    assert done.stdout.splitlines()[-1] == "[2, 2, 2, 2]", done.stderr
    assert not (tmp_path / "out").exists()
    done = run_python(MANY, raw, tmp_path / "out")  # who held the lock is no more
    answers = json.loads(done.stdout.splitlines()[-1])
    assert answers[0] == 0 and set(answers) <= {0, 2}, done.stderr
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


FULL = """
import atexit, resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
pack(out.with_name('whole'))  # kernels are compiled and kept
least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
atexit.register(resource.setrlimit, resource.RLIMIT_FSIZE, (least, most))  # a measurement of coverage writes then
resource.setrlimit(resource.RLIMIT_FSIZE, (25_000, most))
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
from native_prep.pipeline import packing
pack(out.with_name('whole'))
read, interrupted = packing.read_recordings, threading.Event()
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
packing.read_recordings = wait_and_read
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
