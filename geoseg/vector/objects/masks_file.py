"""MaskFile: masks of the parts of blocks on disk, read by window."""

from __future__ import annotations

import os
import pickle
import tempfile
import threading
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from geoseg.core.closing import Closing
from geoseg.core.objects import ObjectTable
from geoseg.core.window import Window

_CELL_PX = 512
"""Side of the cells that index the blocks: windows are compared with the blocks of their own cells only."""


class MaskFile(Closing):
    """Tables of objects, one for each block. Reading is thread-safe.

    The file has no name: nobody else can open it, and it goes with the process.

    Args:
        folder: on the disk that holds it; None: where the system keeps such files.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by this class's own exit
        self._lock = threading.Lock()
        self._places: list[tuple[Window, int, int]] = []
        self._cells: defaultdict[tuple[int, int], list[int]] = defaultdict(list)

    def add(self, window: Window, table: ObjectTable) -> None:
        """Keep the table of a block.

        Raises:
            OSError: the disk is full.
        """
        packed = zlib.compress(pickle.dumps(table.columns(), protocol=5), level=1)
        with self._lock:
            start = self._file.seek(0, os.SEEK_END)
            self._file.write(packed)
            for cell in _cells(window):
                self._cells[cell].append(len(self._places))
            self._places.append((window, start, len(packed)))

    def blocks(self, window: Window) -> list[tuple[int, Window]]:
        """List the blocks that meet a window, in the order in which they were added, and where they meet it."""
        near = sorted({n for cell in _cells(window) for n in self._cells.get(cell, ())})
        parts = [(n, self._places[n][0].intersection(window)) for n in near]
        return [(n, part) for n, part in parts if part.pixels]

    def read(self, block: int) -> ObjectTable:
        """Read the table of a block."""
        _, start, size_bytes = self._places[block]
        with self._lock:
            self._file.seek(start)
            packed = self._file.read(size_bytes)
        columns = pickle.loads(zlib.decompress(packed))  # noqa: S301 - written above, into a file only this object has
        return ObjectTable.from_columns(columns)

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()


def _cells(window: Window) -> Iterator[tuple[int, int]]:
    """Yield the cells that a window meets."""
    for row in range(window.row_start // _CELL_PX, -(-window.row_stop // _CELL_PX)):
        for col in range(window.col_start // _CELL_PX, -(-window.col_stop // _CELL_PX)):
            yield row, col
