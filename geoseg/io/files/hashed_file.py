"""DigestedFile: a file that hashes what is written, to verify it by reading it back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class DigestedFile:
    """A file written sequentially, with a digest of the written bytes.

    Examples:
        >>> out = DigestedFile()
        >>> with whole_file(path, verify=out.compare) as part, out.open(part):  # doctest: +SKIP
        ...     out.write(b"...")
    """

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()

    @contextmanager
    def open(self, path: Path) -> Iterator[None]:
        """Open a new file for the duration of the ``with``."""
        with path.open("wb") as self._file:
            yield

    def write(self, data: bytes) -> int:
        """Append bytes.

        Raises:
            OSError: the disk is full or fails, or no file is open.
        """
        if self._file is None:
            raise OSError("no file is open")
        self._digest.update(data)
        return self._file.write(data)

    def compare(self, path: Path) -> None:
        """Read a file back and compare its digest.

        Raises:
            OSError: its content differs from the written bytes.
        """
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").digest() != self._digest.digest():
                raise OSError("the file reads back differently")
