"""Bounded submission: a flow holds a few futures, however long the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import TypeVar

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture

Item = TypeVar("Item")


def submit_bounded(
    items: Iterable[Item], submit: Callable[[Item], PrefectFuture[object]], in_flight: Callable[[], int]
) -> Iterator[tuple[Item, State[object]]]:
    """Submit items, at most so many at a time, and yield each with its final state as it ends.

    Args:
        items: taken one by one, no sooner than there is room.
        submit: submits one to a task runner.
        in_flight: says how many may be submitted and not ended; asked each time, since clusters grow and shrink.
    """
    ended: SimpleQueue[PrefectFuture[object]] = SimpleQueue()
    running: dict[object, Item] = {}
    for item in items:
        future = submit(item)
        running[future.task_run_id] = item
        future.add_done_callback(ended.put)
        while len(running) >= in_flight():
            yield _next(ended, running)
    while running:
        yield _next(ended, running)


def _next(ended: SimpleQueue[PrefectFuture[object]], running: dict[object, Item]) -> tuple[Item, State[object]]:
    future = ended.get()
    future.wait()
    return running.pop(future.task_run_id), future.state
