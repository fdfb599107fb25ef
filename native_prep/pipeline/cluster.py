"""Work that other machines do: pieces that know nothing of each other, on a Ray cluster. The one module with Ray.

A job is what all pieces share. It travels once, is opened in every process that works, and what opening gives is called
with one piece after the other. A piece whose process or machine is lost is given to another.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Protocol, TypeVar

Piece = TypeVar("Piece")
# How often a piece whose process was lost is tried again: memory that runs out does so every time.
_RETRIES = 4
# Seconds that an address has to answer, and Ray there.
_PATIENCE, _LONG = 10.0, 40.0
_MOST_PORTS = 65_535
_NOT_JOINED = (
    "no Ray that can be joined: is it started, of this version, and its token here (RAY_AUTH_MODE=token)? "
    "From outside a cluster give ray://HOST:10001"
)
# Seconds between looks at which machines are there, while no piece is done.
_LOOK = 5.0


class Job(Protocol):
    """What all pieces share; can be pickled."""

    def open(self) -> Callable[[Any], Any]:
        """Makes what is dear, as a model, and returns what does a piece."""


class Cluster:
    """A Ray cluster that was joined; see `cluster`.

    Attributes:
        threads: how many each process may use, so that all together are as many as the processors.
    """

    def __init__(self, ray: Any, threads: int = 1) -> None:
        self._ray, self.threads = ray, threads

    def run(self, job: Job, pieces: Sequence[Piece], gpu: bool = False) -> Iterator[tuple[Piece, Any]]:
        """Does all pieces, and gives each with its result as it comes.

        Args:
            job, pieces: can be pickled. The job is opened in as many processes as there are processors.
            gpu: in as many as there are GPUs, each with one; where there is none, as without.

        Raises:
            ValueError: the process of a piece was lost again and again.
            Exception: what a piece raised.
        """
        ray, errors = self._ray, self._ray.exceptions
        left, idle, begun = deque(pieces), [], 0
        one: Any = None
        needs = "GPU" if gpu and ray.cluster_resources().get("GPU") else "CPU"
        actor = ray.remote(max_restarts=-1, max_task_retries=_RETRIES, **{f"num_{needs.lower()}s": 1})(_Actor)
        shared = ray.put((job, Path.cwd()))
        busy: dict[Any, tuple[Any, Piece]] = {}
        try:
            while left or busy:
                # Asked each time: machines come and go.
                while begun < min(len(pieces), max(1, int(ray.cluster_resources().get(needs, 0)))):
                    idle.append(actor.remote())
                    begun += 1
                while left and idle:
                    one, piece = idle.pop(), left.popleft()
                    busy[one.work.remote(shared, piece)] = one, piece
                for done in ray.wait(list(busy), timeout=_LOOK)[0]:
                    one, piece = busy.pop(done)
                    yield piece, ray.get(done)
                    if left:  # else it makes room for one whose machine was lost, and that waits for another
                        idle.append(one)
                one = None
        except errors.RayTaskError as error:
            if isinstance(error.cause, errors.RaySystemError):  # what was sent could not be opened there
                text = f"--cluster: a machine has not this version of two-stream-agcn: {error.cause}"
                raise ValueError(text) from None
            raise error.cause from None
        except errors.RayActorError as error:
            text = f"--cluster: a piece of work lost its process {_RETRIES + 1} times: is there too little memory?"
            raise ValueError(text) from error
        finally:
            # An error that is kept keeps these, too, and with them processors and GPUs.
            one = None
            busy.clear()
            idle.clear()


class _Actor:
    """A process that keeps an opened job."""

    def __init__(self) -> None:
        self._opened: Callable[[Any], Any] | None = None

    def work(self, shared: tuple[Job, Path], piece: Any) -> Any:
        # Opened here: what goes wrong is told as what it is, and not as a lost process.
        self._opened = self._opened or _opened(*shared)
        return self._opened(piece)


def _opened(job: Job, folder: Path) -> Callable[[Any], Any]:
    """A job that is opened where the command was typed, so that relative paths mean the same everywhere."""
    try:
        os.chdir(folder)
    except OSError as error:
        text = f"{socket.gethostname()} has no such folder: work in one that all machines share"
        raise ValueError(f"{folder}: {text}") from error
    return job.open()


@contextmanager
def cluster(address: str) -> Iterator[Cluster]:
    """Joins a cluster, or starts one on this machine for as long as the block lasts.

    Args:
        address: local, local:N (N processes), auto (the cluster that this machine is part of), HOST:PORT, or
            ray://HOST:PORT.

    Raises:
        ValueError: Ray is not installed, or nothing answers at the address.
    """
    ray = _import_ray()
    local = re.fullmatch(r"local(?::([1-9]\d{0,3}))?", address)
    if not (local or address == "auto"):
        _check(address)
    if ray.is_initialized():  # by the program that calls us
        yield Cluster(ray)
        return
    quiet = {"logging_level": "error", "log_to_driver": False}
    processors, threads = os.cpu_count() or 1, 1
    on_end = signal.getsignal(signal.SIGTERM)
    try:
        if local:
            count = int(local[1] or processors)
            ray.init(address="local", num_cpus=count, include_dashboard=False, **quiet)
            threads = max(1, processors // count)
        else:
            ray.init(address=address, **quiet)
            print(_joined(ray, address), file=sys.stderr)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_end)  # Ray's own prints where every thread is
    except (ConnectionError, RuntimeError) as error:
        raise ValueError(f"--cluster {address}: {_NOT_JOINED}") from error
    with redirect_stdout(sys.stderr):  # Ray prints there what becomes of processes
        try:
            yield Cluster(ray, threads)
        finally:
            ray.shutdown()


def _joined(ray: Any, address: str) -> str:
    """Which cluster was joined: of several that run on a machine, `auto` takes any."""
    place = ray.get_runtime_context().gcs_address if address == "auto" else address
    has = {name: round(ray.cluster_resources().get(name, 0)) for name in ("CPU", "GPU")}
    return f"--cluster {address}: joined Ray at {place}, with {has['CPU']} CPUs and {has['GPU']} GPUs"


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ValueError("--cluster: needs Ray: pip install 'two-stream-agcn[cluster]'") from error
    return ray


def _check(address: str) -> None:
    """Raises ValueError where Ray cannot join what is at an address, or it is none.

    Another process tries it: where something else than Ray listens, or a token is wrong, Ray tries for minutes and then
    ends the process that asked.
    """
    found = re.fullmatch(r"(?:ray://)?([\w.-]+|\[[\da-fA-F:]+\]):(\d{1,5})", address)
    if found is None or found[1] == "local" or int(found[2]) > _MOST_PORTS:
        raise ValueError(f"--cluster {address}: is no address: give local, local:N, auto, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((found[1].strip("[]"), int(found[2])), _PATIENCE).close()
    except OSError as error:
        text = f"nothing answers there ({error}): is Ray started on that machine?"
        raise ValueError(f"--cluster {address}: {text}") from error
    probe = "import sys, ray; ray.init(address=sys.argv[1], logging_level='critical', log_to_driver=False)"
    try:
        subprocess.run((sys.executable, "-c", probe, address), capture_output=True, timeout=_LONG, check=True)
    except subprocess.SubprocessError as error:
        raise ValueError(f"--cluster {address}: {_NOT_JOINED}") from error
