"""Slots of a global concurrency limit: so many scenes of all flows together may use the GPUs at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency

from geoseg.errors import UsageError

_log = logging.getLogger(__name__)


@contextmanager
def gpu_slot(limit: str | None) -> Iterator[None]:
    """Hold one slot of a limit while the ``with`` lasts; wait for it as long as it takes.

    Args:
        limit: its name, as ``prefect gcl create NAME --limit N`` was told; None: nothing is held.

    Raises:
        UsageError: there is no such limit.
    """
    if limit is None:
        yield
        return
    slot = concurrency(limit, strict=True, raise_on_lease_renewal_failure=False)
    try:
        slot.__enter__()
    except ConcurrencySlotAcquisitionError as error:
        if error.__cause__ is None:
            cure = f"Make it: prefect gcl create {limit} --limit 1"
            raise UsageError(f"gpu_limit {limit}: there is no such limit. {cure}") from error
        _log.warning("Prefect's API does not answer (%s); going on without a slot.", error)
        yield
        return
    try:
        yield
    finally:
        with suppress(httpx.HTTPError):
            slot.__exit__(None, None, None)
