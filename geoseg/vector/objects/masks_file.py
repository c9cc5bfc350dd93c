"""MaskFile: masks of the parts of blocks on disk, read by window."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from pathlib import Path

import numpy as np

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
        packed = io.BytesIO()
        np.savez_compressed(packed, **table.columns())
        with self._lock:
            start = self._file.seek(0, os.SEEK_END)
            self._file.write(packed.getbuffer())
            self._places.append((window, start, packed.tell()))

    def blocks(self, window: Window) -> list[int]:
        """List the blocks that meet a window, in the order in which they were added."""
        return [n for n, (here, _, _) in enumerate(self._places) if here.intersection(window).pixels]

    def read(self, block: int) -> ObjectTable:
        """Read the table of a block."""
        _, start, size_bytes = self._places[block]
        with self._lock:
            self._file.seek(start)
            packed = io.BytesIO(self._file.read(size_bytes))
        with np.load(packed) as columns:
            return ObjectTable.from_columns(dict(columns))

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()
