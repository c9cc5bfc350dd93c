"""Prefetch: compute the next values in threads while the caller works on the current one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import repeat
from typing import TypeVar

T = TypeVar("T")
_END = object()


def prefetch_calls(calls: Iterable[Callable[[], T]], depth: int, *, threads: int = 1) -> Iterator[T]:
    """Yield the results of calls in their order.

    An error of a call is raised in its place. Closing the generator drops the calls that have not begun and waits for
    those that have.

    Args:
        calls: iterated over in the caller's thread.
        depth: largest number of calls that run or are done before they are asked for, at least 1.
        threads: threads that run them.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="geoseg-prefetch")
    waiting: deque[Future[T]] = deque()
    remaining = iter(calls)
    try:
        while True:
            while len(waiting) < depth and (call := next(remaining, None)) is not None:
                waiting.append(pool.submit(call))
            if not waiting:
                return
            result = waiting.popleft().result()
            if (call := next(remaining, None)) is not None:
                waiting.append(pool.submit(call))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def prefetch(items: Iterable[T], depth: int) -> Iterator[T]:
    """Yield ``items`` in order, iterated over in one thread; see ``prefetch_calls``.

    Examples:
        >>> list(prefetch(range(3), depth=2))
        [0, 1, 2]
    """
    iterator = iter(items)
    for item in prefetch_calls(repeat(partial(next, iterator, _END)), depth):
        if item is _END:
            return
        yield item
