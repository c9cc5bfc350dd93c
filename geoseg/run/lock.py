"""One run at a time on one output."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geoseg.errors import OutputError, WriteError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file for the length of a run; the lock of a process that died is free.

    Args:
        path: the lock file; made here, removed at the end.

    Raises:
        OutputError: another run holds it.
        WriteError: the folder cannot be made or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise WriteError(f"{path.parent}: cannot be written: {error.strerror}. Choose another --out.") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 200).decode(errors="replace").strip() or "another run"
            target = path.parent / path.name.removeprefix(".").removesuffix(".lock")
            raise OutputError(f"{target}: locked by {holder}. Wait for it or choose another --out.") from error
        os.ftruncate(handle, 0)
        os.write(handle, f"pid {os.getpid()} on {socket.gethostname()}".encode())
        yield
        path.unlink(missing_ok=True)
    finally:
        os.close(handle)
