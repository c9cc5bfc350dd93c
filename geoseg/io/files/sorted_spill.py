"""SortedSpill: external sorting of more rows than fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

I64 = npt.NDArray[np.int64]

_RUN_BYTES = 64 * 2**20
_PIECE_BYTES = 2**19


class SortedSpill:
    """External merge sort of rows by key; stable.

    Sorted runs go to disk when memory is full and are merged when read, so memory depends on the number of runs only:
    half a megabyte for each 64 MB of rows. The result does not depend on the division of the rows into batches.

    Args:
        path: prefix of the names of the run files; the caller removes them.
        schema: schema of the rows, with an int64 column ``key`` without nulls.
        run_bytes: bytes of rows to hold in memory at once.

    Source:
        D. Knuth, The Art of Computer Programming, vol. 3, 5.4: external sorting by merging runs.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, run_bytes: int = _RUN_BYTES) -> None:
        self._path, self._schema, self._run_bytes = path, schema, run_bytes
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0
        self._runs: list[Path] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows.

        Raises:
            OSError: the disk is full or fails.
        """
        self._held.append(batch)
        self._held_bytes += batch.nbytes
        if self._held_bytes >= self._run_bytes:
            self._spill()

    def read(self) -> Iterator[pa.RecordBatch]:
        """Yield all rows in order, in batches of any size.

        Raises:
            OSError: the disk fails.
        """
        if not self._runs:
            yield from _in_order(self._held, self._schema)
            return
        self._spill()
        with ExitStack() as stack:
            runs = [_Run(path, stack) for path in self._runs]
            while runs := [run for run in runs if run.fill()]:
                # the run whose piece ends first may hold equal keys in its next piece, which come before later runs'
                first = min(range(len(runs)), key=lambda i: (runs[i].last, i))
                limit = runs[first].last
                pieces = [run.take(limit, inclusive=i <= first) for i, run in enumerate(runs)]
                yield from _in_order([piece for piece in pieces if piece.num_rows], self._schema)

    def _spill(self) -> None:
        path = self._path.with_name(f"{self._path.name}.run{len(self._runs)}")
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with path.open("wb") as file, pa.ipc.new_stream(file, self._schema, options=options) as writer:
            for batch in _in_order(self._held, self._schema):
                writer.write_batch(batch)
        self._runs.append(path)
        self._held, self._held_bytes = [], 0


class _Run:
    """Reader of one sorted file, of which a part is in memory."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._reader = stack.enter_context(pa.ipc.open_stream(stack.enter_context(path.open("rb"))))
        self._piece: Any = None
        self._keys = np.empty(0, np.int64)

    def fill(self) -> bool:
        """Load rows if none are in memory; return False at the end of the run."""
        while not len(self._keys):
            self._piece = next(self._reader, None)
            if self._piece is None:
                return False
            self._keys = _keys(self._piece)
        return True

    @property
    def last(self) -> int:
        return int(self._keys[-1])

    def take(self, limit: int, *, inclusive: bool) -> pa.RecordBatch:
        """Remove and return the rows up to a key."""
        count = int(np.searchsorted(self._keys, limit, "right" if inclusive else "left"))
        taken, self._piece = self._piece.slice(0, count), self._piece.slice(count)
        self._keys = self._keys[count:]
        return taken


def _keys(rows: pa.RecordBatch | pa.Table) -> I64:
    return np.asarray(rows["key"].to_numpy(zero_copy_only=False), np.int64)


def _in_order(batches: list[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    table = pa.Table.from_batches(batches, schema).combine_chunks()
    order = np.argsort(_keys(table), kind="stable")
    rows = max(1, _PIECE_BYTES * max(1, len(order)) // max(1, table.nbytes))
    for start in range(0, len(order), rows):
        yield from table.take(pa.array(order[start : start + rows])).combine_chunks().to_batches()
