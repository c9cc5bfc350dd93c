"""SQLite databases as files: read-only opening, and a header that depends on the content only."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

_HEADER_BYTES = 100
_CHANGE_COUNTER, _VALID_FOR = 24, 92
_WRITTEN_ONCE = 1


class Header(NamedTuple):
    """Fields of the first 100 bytes of a database.

    Source:
        https://www.sqlite.org/fileformat2.html#the_database_header.
    """

    page_bytes: int
    pages: int
    change_counter: int
    valid_for: int
    user_version: int
    application_id: int

    @property
    def as_written(self) -> bool:
        """True if no program has committed a change since ``settle_change_counter``."""
        return self.change_counter == self.valid_for == _WRITTEN_ONCE


@contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database read-only; a generator that reads it may be closed by another thread's garbage collection."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, check_same_thread=False)) as db:
        yield db


def read_header(path: Path) -> Header:
    """Read the header of a database.

    Raises:
        OSError: the file cannot be read or is no SQLite database.
    """
    with path.open("rb") as file:
        raw = file.read(_HEADER_BYTES)
    if len(raw) < _HEADER_BYTES or not raw.startswith(b"SQLite format 3\x00"):
        raise OSError("the file is no SQLite database")
    (page_bytes,) = struct.unpack_from(">H", raw, 16)
    return Header(
        65536 if page_bytes == 1 else page_bytes,
        *(struct.unpack_from(">I", raw, start)[0] for start in (28, _CHANGE_COUNTER, _VALID_FOR, 60, 68)),
    )


def settle_change_counter(path: Path) -> None:
    """Set the change counter of a finished database to one, as if it were written by a single transaction.

    SQLite does not count a commit that changes no byte, so an UPDATE of a time stamp counts only if a millisecond has
    passed since the last one: the counter differs between runs that write the same rows.

    Args:
        path: a closed database that no other process has open.

    Raises:
        OSError: the disk fails.

    Source:
        https://www.sqlite.org/fileformat2.html#file_change_counter; the "version-valid-for number" must equal it.
    """
    with path.open("r+b") as file:
        for start in (_CHANGE_COUNTER, _VALID_FOR):
            file.seek(start)
            file.write(struct.pack(">I", _WRITTEN_ONCE))
