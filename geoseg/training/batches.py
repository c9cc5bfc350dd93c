"""Batches for the trainer: cut by threads ahead of the network, the same ones in the same order after any pause."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from geoseg.data.chips import Batch, ChipMaker


class BatchesAhead:
    """All batches of a run that are still to come.

    Args:
        chips: cuts batch number n.
        total: batches in the whole run.
        workers: threads; as many batches and one more are held ready.
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
        """Go through the batches from the first on."""
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
