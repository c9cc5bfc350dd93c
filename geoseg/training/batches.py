"""Prefetched batches for the trainer: cut by threads, in a fixed order that survives interruptions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from geoseg.data.chips import Batch, ChipMaker


class BatchesAhead:
    """Iterable over the remaining batches of a run.

    Args:
        chips: cuts batch number n.
        total: batches in the whole run.
        workers: number of threads; this many batches and one more are prefetched.
        share: rank of this process and number of processes; each takes its own batches.
        begin: number of the first batch.
    """

    def __init__(
        self, chips: ChipMaker, total: int, *, workers: int = 1, share: tuple[int, int] = (0, 1), begin: int = 0
    ) -> None:
        self._chips = chips
        self._total = total
        self._workers = workers
        self._share = share
        self._begin = begin

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the batches."""
        rank, ranks = self._share
        numbers = iter(range(self._begin, self._total))
        pool = ThreadPoolExecutor(self._workers, "chips")
        waiting: deque[Future[Batch]] = deque()
        try:
            while True:
                while len(waiting) <= self._workers and (number := next(numbers, None)) is not None:
                    waiting.append(pool.submit(self._chips.batch, number * ranks + rank))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
