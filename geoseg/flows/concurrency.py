"""Slots of a global concurrency limit: the networks of so many scenes of all flows together may run at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound

from geoseg.errors import UsageError

_log = logging.getLogger(__name__)


def check_limit(limit: str | None) -> None:
    """Look whether there is a limit of this name, before any scene is begun; a lost API says nothing against it.

    Raises:
        UsageError: there is no such limit.
    """
    if limit is None:
        return
    try:
        with get_client(sync_client=True) as client:
            client.read_global_concurrency_limit_by_name(limit)
    except ObjectNotFound as error:
        cure = f"Make it: prefect gcl create {limit} --limit 1"
        raise UsageError(f"gpu_limit {limit}: there is no such limit. {cure}") from error
    except (httpx.HTTPError, OSError):
        return


@contextmanager
def gpu_slot(limit: str | None) -> Iterator[None]:
    """Hold one slot of a limit while the ``with`` lasts; wait for it as long as it takes.

    Args:
        limit: its name, as given to ``prefect gcl create NAME --limit N``; None: no limit.
    """
    if limit is None:
        yield
        return
    slot = concurrency(limit, raise_on_lease_renewal_failure=False)
    try:
        slot.__enter__()
    except ConcurrencySlotAcquisitionError as error:
        _log.warning("Prefect's API does not answer (%s); going on without a slot.", error)
        yield
        return
    try:
        yield
    finally:
        with suppress(httpx.HTTPError):
            slot.__exit__(None, None, None)
