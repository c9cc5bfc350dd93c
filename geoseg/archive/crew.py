"""Who works on an archive, as its configuration says."""

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
    """Start or join the workers of an archive; those that were started are stopped at the end.

    Args:
        config: the archive.
        slot: held for each scene while its blocks are predicted.

    Raises:
        ResourceError: no scheduler answers, or no worker comes.
        UsageError: the cluster's class is not there or does not take its options.
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
    """How many scenes are begun and not finished at a time: enough that no worker waits when one of them ends."""
    if not isinstance(workers, DaskWorkers):
        return 1
    return config.scenes_in_flight or min(MOST_SCENES, max(2, 2 * workers.slots()))
