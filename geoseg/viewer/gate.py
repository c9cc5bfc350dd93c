"""Gate: bounds how many requests that decode pixels or polygons run and wait at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

T = TypeVar("T")

SLOTS: Final = max(2, min(8, os.cpu_count() or 2))
WAITING: Final = 256
_GONE = 499


class Gate:
    """Runs blocking work in threads, a few at a time.

    Args:
        slots: pieces of work that run at once.
        waiting: requests that may wait; more are refused with 503.
    """

    def __init__(self, slots: int = SLOTS, waiting: int = WAITING) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._most = waiting
        self._waiting = 0

    async def run(self, request: Request, work: Callable[[], T]) -> T:
        """Run work when a slot is free.

        Raises:
            HTTPException: 503, too many requests wait; 499, the browser has left meanwhile.
        """
        if self._waiting >= self._most:
            raise HTTPException(503, "too many requests at once", {"Retry-After": "1"})
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            if await request.is_disconnected():  # the map has moved on
                raise HTTPException(_GONE, "cancelled")
            return await run_in_threadpool(work)
        finally:
            self._slots.release()
