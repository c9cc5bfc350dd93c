"""Executor of an archive run, chosen by its configuration."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from geoseg.archive.config import ArchiveConfig
from geoseg.run.executor import Executor, Slot
from geoseg.run.open_executor import ExecutorChoice, open_executor

MOST_SCENES = 256
"""Most scenes in flight: each has a thread of the client."""


def archive_executor(config: ArchiveConfig, *, slot: Slot = nullcontext) -> AbstractContextManager[Executor]:
    """Start or join the workers of an archive; without a choice, one process for each CUDA device, and at least one.

    Args:
        config: the archive.
        slot: context manager held for each scene while its blocks are predicted.

    Raises:
        ResourceError: the scheduler does not respond, no worker starts, or the dashboard's port is taken.
        UsageError: the cluster class does not exist or refuses its options, or the dashboard's packages are missing.
    """
    if config.scheduler is not None or config.cluster is not None:
        return open_executor(ExecutorChoice(scheduler=config.scheduler, cluster=config.cluster), slot=slot)
    if config.workers == 0:
        return open_executor(ExecutorChoice(), slot=slot)
    processes = config.workers or max(1, torch.cuda.device_count())
    return open_executor(ExecutorChoice(processes=processes, dashboard_port=config.dashboard_port), slot=slot)


def scenes_in_flight(config: ArchiveConfig, workers: Executor) -> int:
    """Return the largest number of scenes in flight: enough that no worker idles when a scene ends."""
    if not workers.concurrent:
        return 1
    return config.scenes_in_flight or min(MOST_SCENES, max(2, 2 * workers.slots()))
