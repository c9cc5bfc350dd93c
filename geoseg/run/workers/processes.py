"""Worker processes of this machine that join a running scheduler, for everything but networks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker

from geoseg.errors import ResourceError, UsageError

CPU = "CPU"
"""Dask resource of workers that open scenes, trace polygons and write layers: as many at once as they declare."""
_PATIENCE_S = 10.0


@contextmanager
def quiet_processes() -> Iterator[None]:
    """Start processes with SIGINT blocked, so that they print nothing when this one is interrupted.

    A terminal sends SIGINT to all processes of a command: the children inherit the blocked signal, while other threads
    of this process still receive it. Python's resource tracker would warn of semaphores left by an immediate end.
    """
    variable = "PYTHONWARNINGS"
    before = os.environ.get(variable)
    os.environ[variable] = ",".join(filter(None, (before, "ignore:resource_tracker:UserWarning")))
    resource_tracker.ensure_running()  # which unblocks SIGINT, so it comes first
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def cpu_workers(address: str, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start processes on this machine that join a scheduler and declare ``CPU=2``; stopped at the end.

    Each has two threads: one opens a scene or traces polygons while the other writes layers. They see no GPU.

    Args:
        address: address of the scheduler.
        count: number of processes.

    Yields:
        The processes.

    Raises:
        UsageError: the scheduler asks for certificates.
        ResourceError: they cannot be started.
    """
    if not address.startswith("tcp://"):
        raise UsageError(f"cpu_workers: {address}: only schedulers at tcp:// can be joined. Leave cpu_workers out.")
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-dashboard", "--nthreads", "2"]
    command += ["--resources", f"{CPU}=2", "--death-timeout", "60"]
    started: list[subprocess.Popen[bytes]] = []
    with ExitStack() as opened:
        opened.callback(_stop, started)
        with quiet_processes():
            started.extend(_start([*command, "--name", f"cpu-{number}"]) for number in range(count))
        yield started


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    none = subprocess.DEVNULL
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    try:
        return subprocess.Popen(command, env=environment, stdin=none, stdout=none, stderr=none)  # noqa: S603 - own Dask
    except OSError as error:
        raise ResourceError(f"cpu_workers: no process can be started here ({error}). Set fewer.") from error


def _stop(started: Iterable[subprocess.Popen[bytes]]) -> None:
    """Stop processes; those that do not end in time are killed."""
    for process in started:
        process.terminate()
    for process in started:
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
