"""Workers of an archive run, chosen by its configuration."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from geoseg.archive.config import ArchiveConfig
from geoseg.run.start_workers import WorkerChoice, start_workers
from geoseg.run.workers import Slot, Workers

MOST_SCENES = 256
"""Most scenes in flight: each has a thread of the client."""


def archive_workers(config: ArchiveConfig, *, slot: Slot = nullcontext) -> AbstractContextManager[Workers]:
    """Start or join the workers of an archive; without a choice, one process for each CUDA device, and at least one.

    Args:
        config: the archive.
        slot: context manager held for each scene while its blocks are predicted.

    Raises:
        ResourceError: the scheduler does not respond, or no worker starts.
        UsageError: the cluster class does not exist or refuses its options.
    """
    if config.scheduler is not None or config.cluster is not None:
        return start_workers(WorkerChoice(scheduler=config.scheduler, cluster=config.cluster), slot=slot)
    if config.workers == 0:
        return start_workers(WorkerChoice(), slot=slot)
    return start_workers(WorkerChoice(processes=config.workers or max(1, torch.cuda.device_count())), slot=slot)


def scenes_in_flight(config: ArchiveConfig, workers: Workers) -> int:
    """Return the largest number of scenes in flight: enough that no worker idles when a scene ends."""
    if not workers.concurrent:
        return 1
    return config.scenes_in_flight or min(MOST_SCENES, max(2, 2 * workers.slots()))
