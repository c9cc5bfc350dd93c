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
        OSError: it cannot be opened, is a folder, pipe, socket or device, or the name can be none of a file (said in
            ``strerror``).
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:  # a NUL character, or half of a surrogate pair
        raise OSError(errno.EINVAL, "no file can have such a name", repr(str(path))) from error
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
