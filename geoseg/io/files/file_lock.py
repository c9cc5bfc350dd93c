"""Exclusive locks of open files, on POSIX and on Windows."""

from __future__ import annotations

import os

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def lock_file(handle: int) -> None:
    """Lock an open file until it is closed, without waiting.

    Args:
        handle: file descriptor, open for writing.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: the file system has no locks.
    """
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    import msvcrt  # noqa: PLC0415 - of Windows only

    os.lseek(handle, 1 << 20, os.SEEK_SET)  # beyond the text, which others read: locks of Windows are mandatory
    try:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError as error:
        raise BlockingIOError(str(error)) from error
    finally:
        os.lseek(handle, 0, os.SEEK_SET)
