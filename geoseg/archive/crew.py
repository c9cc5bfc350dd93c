"""Executors of an archive run, chosen by its configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from geoseg.archive.config import ArchiveConfig
from geoseg.run.cluster import DaskWorkers, joined_cluster, local_cluster, share_of_threads, started_cluster
from geoseg.run.workers import Slot, ThisProcess, Workers

MOST_SCENES = 256
"""Most scenes in flight: each has a thread of the client."""


@contextmanager
def crew(config: ArchiveConfig, *, slot: Slot = nullcontext) -> Iterator[Workers]:
    """Start or join the workers of an archive; workers started here are stopped at the end.

    Args:
        config: the archive.
        slot: context manager held for each scene while its blocks are predicted.

    Raises:
        ResourceError: the scheduler does not respond, or no worker starts.
        UsageError: the cluster class does not exist or refuses its options.
    """
    if config.scheduler is not None:
        with joined_cluster(config.scheduler) as client:
            yield DaskWorkers(client, slot=slot)
    elif config.cluster is not None:
        wanted = config.cluster
        options: dict[str, Any] = {"scale": wanted.scale, "adapt": wanted.adapt, "timeout_s": wanted.timeout_s}
        with started_cluster(wanted.name, wanted.options, **options) as client:
            yield DaskWorkers(client, slot=slot)
    elif config.workers == 0:
        yield ThisProcess(slot=slot)
    else:
        count = config.workers or max(1, torch.cuda.device_count())
        with local_cluster(count) as client:
            yield DaskWorkers(client, threads=share_of_threads(count), slot=slot)


def scenes_in_flight(config: ArchiveConfig, workers: Workers) -> int:
    """Return the largest number of scenes in flight: enough that no worker idles when a scene ends."""
    if not workers.concurrent:
        return 1
    return config.scenes_in_flight or min(MOST_SCENES, max(2, 2 * workers.slots()))
