"""MaskFile: masks of the parts of blocks on disk, read by window."""

from __future__ import annotations

import os
import pickle
import tempfile
import threading
import zlib
from pathlib import Path

from geoseg.core.closing import Closing
from geoseg.core.objects import ObjectTable
from geoseg.core.window import Window


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

    def add(self, window: Window, table: ObjectTable) -> None:
        """Keep the table of a block.

        Raises:
            OSError: the disk is full.
        """
        packed = zlib.compress(pickle.dumps(table.columns(), protocol=5), level=1)
        with self._lock:
            start = self._file.seek(0, os.SEEK_END)
            self._file.write(packed)
            self._places.append((window, start, len(packed)))

    def blocks(self, window: Window) -> list[tuple[int, Window]]:
        """List the blocks that meet a window, in the order in which they were added, and where they meet it."""
        parts = [(n, here.intersection(window)) for n, (here, _, _) in enumerate(self._places)]
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
