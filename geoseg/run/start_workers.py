"""Loading of a model on its executor: this process, processes of this machine, or a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from geoseg.errors import UsageError
from geoseg.models.model import Model, ModelSource, load
from geoseg.run.workers import Slot, ThisProcess, Workers


@contextmanager
def loaded_on_workers(
    source: ModelSource, workers: int | None = None, scheduler: str | None = None, *, slot: Slot = nullcontext
) -> Iterator[tuple[Model, Workers]]:
    """Open an executor and load a model on it; processes started here are stopped at the end.

    Args:
        source: the model.
        workers: processes to start on this machine; None: predict in this process.
        scheduler: address of a Dask scheduler whose workers predict.
        slot: context manager held while blocks of a scene are predicted.

    Raises:
        UsageError: both are given.
        ModelError: the model cannot be loaded.
        ResourceError: the scheduler does not respond, or no worker starts.
    """
    if workers is not None and scheduler is not None:
        raise UsageError("--workers starts processes here, --scheduler joins a cluster. Pass one of them.")
    if workers is None and scheduler is None:
        yield load(source), ThisProcess(slot=slot)
        return

    from geoseg.run.cluster import (  # noqa: PLC0415 - distributed takes a second to import
        DaskWorkers,
        joined_cluster,
        local_cluster,
        share_of_threads,
    )

    if scheduler is not None:
        with joined_cluster(scheduler) as client:
            cluster = DaskWorkers(client, slot=slot)
            yield cluster.load(source), cluster
    elif workers is not None:
        with local_cluster(workers) as client:
            cluster = DaskWorkers(client, threads=share_of_threads(workers), slot=slot)
            yield cluster.load(source), cluster
