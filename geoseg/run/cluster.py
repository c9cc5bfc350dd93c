"""Dask clusters: processes of this machine, a running cluster, or one started from the name of its class."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import re
import signal
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import torch

from geoseg.core.types.json_value import JsonDict, UntypedDict, UntypedMapping
from geoseg.errors import ResourceError, UsageError
from geoseg.run.dask_executor import BLOCK, GPU, LAYERS, DaskExecutor
from geoseg.run.loopback import check_loopback
from geoseg.run.on_worker import BLOCKS_AT_ONCE
from geoseg.run.workers.processes import CPU, cpu_workers, quiet_processes

if TYPE_CHECKING:
    import subprocess

    from distributed import Client

    from geoseg.run.open_executor import ClusterSpec

__all__ = [
    "KNOWN_PACKAGES",
    "DaskExecutor",
    "joined_cluster",
    "local_cluster",
    "share_of_threads",
    "started_cluster",
    "tracing_executor",
]

KNOWN_PACKAGES = {
    "distributed": "geoseg",
    "dask_jobqueue": "geoseg[jobqueue]",
    "dask_kubernetes": "geoseg[kubernetes]",
    "dask_gateway": "geoseg[gateway]",
    "dask_cuda": "geoseg[cuda]",
}
"""Packages whose cluster classes a configuration may name, with their pip requirements."""

_SETTINGS = {
    "distributed.scheduler.allowed-failures": 1,  # a block that saw two workers die is tried alone, and as often again
    "distributed.nanny.pre-spawn-environ": {},  # its OMP_NUM_THREADS=1 would bind the network too
}
_PAUSE_S = 0.1
_PLACES = {BLOCK: BLOCKS_AT_ONCE, LAYERS: 1}
"""Dask resources of a worker that geoseg starts."""


@contextmanager
def local_cluster(workers: int, *, dashboard_port: int | None = None) -> Iterator[Client]:
    """Start a cluster of processes on this machine, reachable from this machine only; stopped at the end.

    Each process holds two blocks at a time and has one more thread for the layers of finished scenes. Where there are
    GPUs, each process declares one (``resources={"GPU": 1}``).

    Args:
        workers: number of processes; the CPU threads are divided among their networks.
        dashboard_port: port on loopback for Dask's dashboard; None: a free one.

    Raises:
        ResourceError: no processes can be started, or the port is taken.
        UsageError: no workers, or the packages of the dashboard are missing.
    """
    import distributed  # noqa: PLC0415 - a second, only for those who want a cluster

    if workers < 1:
        raise UsageError(f"--workers {workers}: at least 1 is expected.")
    if dashboard_port is not None:
        _check_dashboard(dashboard_port)
    check_loopback(f"--workers {workers}", "Leave out --workers.")
    with dask.config.set(_SETTINGS):
        try:
            with quiet_processes():
                cluster = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=BLOCKS_AT_ONCE + 1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address=f"127.0.0.1:{dashboard_port or 0}",
                    silence_logs=logging.CRITICAL,
                    resources=_PLACES | ({GPU: 1} if torch.cuda.device_count() else {}),
                )
        except (OSError, RuntimeError, TimeoutError) as error:
            raise ResourceError(
                f"--workers {workers}: no processes can be started on this machine ({_cause(error)}). "
                "They need memory and process numbers. Leave out --workers."
            ) from error
        with cluster:
            try:
                with distributed.Client(cluster) as client:
                    yield client
            except BaseException:
                _kill_workers(cluster)
                raise


def _check_dashboard(port: int) -> None:
    """Check that Dask's dashboard can be opened at a port of loopback.

    Raises:
        UsageError: its packages are missing.
        ResourceError: the port is taken.
    """
    missing = [name for name in ("bokeh", "jinja2") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"dashboard_port: Dask's dashboard needs {' and '.join(missing)}. Run pip install 'geoseg[dashboard]'."
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ResourceError(f"dashboard_port: {port} cannot be used ({error.strerror}). Choose another.") from error


def _kill_workers(cluster: Any) -> None:
    """Kill the workers at once: finished blocks are stored, and the others are not needed."""
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        if nanny.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


def _cause(error: BaseException) -> str:
    """Return the message of the first cause of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def joined_cluster(address: str, *, timeout_s: float = 30.0) -> Iterator[Client]:
    """Join a running cluster; it is not stopped at the end.

    Args:
        address: address of the scheduler, ``tcp://host:port``, or the path of its scheduler file.
        timeout_s: longest time to wait for it, seconds.

    Raises:
        UsageError: that is neither an address nor a file.
        ResourceError: nothing answers there, it has no workers, or a worker has no geoseg.
    """
    import distributed  # noqa: PLC0415

    where = {"scheduler_file": address} if _is_file(address) else {"address": _checked(address)}
    try:
        client = distributed.Client(**where, timeout=timeout_s)
    except (OSError, ValueError, AssertionError, TypeError, LookupError) as error:  # also of a file that is no JSON
        raise ResourceError(f"--scheduler {address}: no Dask scheduler answers ({error}). Start one.") from error
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise ResourceError(f"--scheduler {address}: it has no workers. Start some with: dask worker {address}")
        _check_workers(client, f"--scheduler {address}")
        yield client


def _check_workers(client: Client, where: str) -> None:
    """Check that the workers have geoseg: one that has not ends at its first task, and the run would wait for others.

    Raises:
        ResourceError: one has not.
    """
    found = client.run(importlib.util.find_spec, "geoseg", on_error="return")
    without = sorted(address for address, spec in found.items() if spec is None)
    if without:
        raise ResourceError(
            f"{where}: {len(without)} of {len(found)} workers cannot import geoseg, the first is {without[0]}. "
            "Install it in the environment of the workers."
        )


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # no name of a file, or one too long
        return False


def _checked(address: str) -> str:
    """Return the address of a scheduler, which Dask would read in more ways than it can use.

    Raises:
        UsageError: it is none.
    """
    from distributed.comm.registry import backends  # noqa: PLC0415

    protocol, _, place = address.rpartition("://")
    host, _, port = place.rpartition(":")
    usable = host and re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 2**16 and address.isprintable()
    if (protocol or "tcp") not in backends or not usable:
        raise UsageError(f"--scheduler {address}: give an address, tcp://host:port, or a scheduler file.")
    return address


@contextmanager
def started_cluster(spec: ClusterSpec) -> Iterator[Client]:
    """Start a cluster by the name of its class; stopped at the end.

    Args:
        spec: its class, which must be of ``KNOWN_PACKAGES``, so that a configuration runs no other code, and options.

    Raises:
        UsageError: there is no such class, or it refuses these options.
        ResourceError: the cluster or its first worker does not start, or a worker has no geoseg.
    """
    import distributed  # noqa: PLC0415

    kind = _class(spec.name)
    options = _with_defaults(kind, spec.options)
    with dask.config.set(_SETTINGS):
        try:
            cluster = kind(**options)
        except (TypeError, ValueError) as error:
            raise UsageError(f"cluster {spec.name}: its options do not fit ({error}).") from error
        except (OSError, RuntimeError) as error:
            raise ResourceError(f"cluster {spec.name}: it does not start ({error}).") from error
        with cluster, ExitStack() as opened:
            calls = [("scale", spec.scale), ("adapt", spec.adapt)]
            for method, arguments in [*calls, *(("add_worker_group", group) for group in spec.worker_groups)]:
                if arguments:
                    _call(cluster, method, arguments, spec.name)
            client = opened.enter_context(distributed.Client(cluster))
            try:
                client.wait_for_workers(1, timeout=spec.timeout_s)
            except TimeoutError as error:
                raise ResourceError(f"cluster {spec.name}: no worker within {spec.timeout_s:.0f} s.") from error
            _check_workers(client, f"cluster {spec.name}")
            needed = list(spec.wait_for)
            own: list[subprocess.Popen[bytes]] = []
            if spec.cpu_workers:
                own = opened.enter_context(cpu_workers(cluster.scheduler_address, spec.cpu_workers))
                needed += [GPU, CPU]
            _wait_for(client, needed, spec, own)
            yield client


def _call(cluster: Any, method: str, arguments: UntypedMapping, name: str) -> None:
    """Call a method of a cluster.

    Raises:
        UsageError: it has no such method, or that refuses the arguments.
    """
    called = getattr(cluster, method, None)
    if called is None:
        raise UsageError(f"cluster {name}: it has no {method}. Leave that out.")
    try:
        called(**arguments)
    except TypeError as error:
        raise UsageError(f"cluster {name}: the arguments of {method} do not fit ({error}).") from error


def _wait_for(
    client: Client, resources: Iterable[str], spec: ClusterSpec, own: Sequence[subprocess.Popen[bytes]]
) -> None:
    """Wait until workers declare some resources.

    Args:
        client: client of the cluster.
        resources: names.
        spec: the cluster, and how long to wait.
        own: processes of this machine that shall declare some of them.

    Raises:
        ResourceError: they do not in time, or a process has ended.
    """
    end = time.monotonic() + spec.timeout_s
    while missing := set(resources) - _resources(client):
        ended = [process.returncode for process in own if process.poll() is not None]
        if ended:
            raise ResourceError(
                f"cluster {spec.name}: a process of cpu_workers ended with code {ended[0]} before it joined. Check "
                "that the scheduler can be reached from this machine and has the same version of Dask."
            )
        if time.monotonic() > end:
            names = ", ".join(sorted(missing))
            raise ResourceError(
                f"cluster {spec.name}: no worker declares {names} within {spec.timeout_s:.0f} s. Start workers with "
                "--resources, such as --resources GPU=1."
            )
        time.sleep(_PAUSE_S)


def _resources(client: Client) -> set[str]:
    """Names of the resources that workers declare."""
    workers: UntypedDict = client.scheduler_info(n_workers=-1)["workers"]
    return {name for worker in workers.values() for name in worker.get("resources", {})}


def tracing_executor(client: Client) -> Any:
    """Return an executor on the workers that trace polygons: those that declare ``CPU``, or all.

    Args:
        client: client of the cluster.
    """
    return client.get_executor(pure=False, resources={CPU: 1} if CPU in _resources(client) else None)


def share_of_threads(workers: int) -> int:
    """CPU threads for each of several networks on this machine."""
    return max(1, torch.get_num_threads() // workers)


def _with_defaults(kind: type, options: UntypedMapping) -> JsonDict:
    """Add default resources: workers with a GPU declare it and hold two blocks at once, unless the options differ."""
    if kind.__name__ == "LocalCUDACluster":
        defaults: UntypedDict = {"threads_per_worker": BLOCKS_AT_ONCE + 1, "resources": _PLACES | {GPU: 1}}
    elif kind.__name__ == "LocalCluster" and torch.cuda.device_count():
        defaults = {"resources": {GPU: 1}}
    else:
        defaults = {}
    return defaults | dict(options)


def _class(name: str) -> Any:
    module, _, kind = name.rpartition(".")
    package = module.partition(".")[0]
    if package not in KNOWN_PACKAGES:
        raise UsageError(f"cluster {name}: unknown. Its package must be one of: {', '.join(KNOWN_PACKAGES)}.")
    try:
        found = getattr(importlib.import_module(module), kind, None)
    except ImportError as error:
        raise UsageError(
            f"cluster {name}: not installed ({error}). Run pip install '{KNOWN_PACKAGES[package]}'."
        ) from error
    if not (isinstance(found, type) and found.__name__.endswith("Cluster")):
        raise UsageError(f"cluster {name}: {module} has no such cluster class.")
    return found
