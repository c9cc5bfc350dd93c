"""Start of the workers of a run: this process, processes of this machine, a Dask scheduler or a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from geoseg.errors import UsageError
from geoseg.run.executor import Executor, LocalExecutor, Slot


class ClusterSpec(Protocol):
    """Description of a Dask cluster that is started for a run and stopped after it.

    Attributes:
        name: its class with its module, ``dask_jobqueue.SLURMCluster``.
        options: keyword arguments of the class.
        scale: keyword arguments of its ``scale``; empty: as it starts.
        adapt: keyword arguments of its ``adapt``.
        worker_groups: keyword arguments of its ``add_worker_group``, for each further kind of workers.
        cpu_workers: further processes on this machine that open scenes and write layers.
        wait_for: Dask resources that workers must declare before the run begins.
        timeout_s: longest time to wait for the first worker, seconds.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def options(self) -> Mapping[str, object]: ...  # noqa: D102
    @property
    def scale(self) -> Mapping[str, object]: ...  # noqa: D102
    @property
    def adapt(self) -> Mapping[str, object]: ...  # noqa: D102
    @property
    def worker_groups(self) -> Sequence[Mapping[str, object]]: ...  # noqa: D102
    @property
    def cpu_workers(self) -> int: ...  # noqa: D102
    @property
    def wait_for(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def timeout_s(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorChoice:
    """Choice of the workers of a run; by default this process predicts.

    Attributes:
        processes: processes to start on this machine.
        scheduler: address of a Dask scheduler whose workers predict.
        cluster: a cluster to start.
        dashboard_port: port for Dask's dashboard of processes on this machine; None: a free one.

    Raises:
        UsageError: more than one is given.
    """

    processes: int | None = None
    scheduler: str | None = None
    cluster: ClusterSpec | None = None
    dashboard_port: int | None = None

    def __post_init__(self) -> None:
        if sum(choice is not None for choice in (self.processes, self.scheduler, self.cluster)) > 1:
            raise UsageError("--workers starts processes here, --scheduler joins a cluster. Pass one of them.")


@contextmanager
def open_executor(choice: ExecutorChoice, *, slot: Slot = nullcontext) -> Iterator[Executor]:
    """Start or join workers; those started here are stopped at the end.

    Args:
        choice: where they run.
        slot: context manager held while blocks of a scene are predicted.

    Raises:
        ResourceError: the scheduler does not respond, or no worker starts.
        UsageError: the class of the cluster does not exist or refuses its options.
    """
    if choice == ExecutorChoice():
        yield LocalExecutor(slot=slot)
        return

    from geoseg.run import cluster  # noqa: PLC0415 - distributed takes a second to import

    if choice.scheduler is not None:
        with cluster.joined_cluster(choice.scheduler) as client:
            yield cluster.DaskExecutor(client, slot=slot)
    elif choice.cluster is not None:
        with cluster.started_cluster(choice.cluster) as client:
            yield cluster.DaskExecutor(client, slot=slot)
    elif choice.processes is not None:
        with cluster.local_cluster(choice.processes, dashboard_port=choice.dashboard_port) as client:
            yield cluster.DaskExecutor(client, threads=cluster.share_of_threads(choice.processes), slot=slot)
