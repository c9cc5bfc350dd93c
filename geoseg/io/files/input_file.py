"""Opening of input files given by users: regular files only, so that a pipe or a device cannot block."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


def open_input(path: Path) -> BufferedReader:
    """Open a regular file to read its bytes.

    Raises:
        OSError: it cannot be opened, or is a folder, pipe, socket or device (named in ``strerror``).
        ValueError: the name holds a NUL character.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    raise OSError(errno.EINVAL, "Is a directory" if stat.S_ISDIR(mode) else "not a regular file", str(path))


def read_input(path: Path, most_bytes: int = -1) -> bytes:
    """Read a regular file, or at most a number of its first bytes.

    Args:
        path: the file.
        most_bytes: number of bytes; -1: all.

    Raises:
        OSError: see ``open_input``.
    """
    with open_input(path) as file:
        return file.read(most_bytes)
