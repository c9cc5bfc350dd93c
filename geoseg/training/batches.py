"""Prefetched batches for the trainer: cut by threads, in a fixed order that survives interruptions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from geoseg.data.chips import Batch, ChipMaker
from geoseg.io.prefetch import prefetch_calls


class PrefetchedBatches:
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
        calls = (partial(self._chips.batch, number * ranks + rank) for number in range(self._begin, self._total))
        return prefetch_calls(calls, self._workers + 1, threads=self._workers)
