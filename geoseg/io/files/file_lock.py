"""Exclusive locks of open files, on POSIX and on Windows."""

from __future__ import annotations

import os
import sys

_FAR: int = 1 << 20  # beyond the text, which others read: locks of Windows are mandatory


def lock_file(handle: int) -> None:
    """Lock an open file until it is closed, without waiting.

    Args:
        handle: file descriptor, open for writing.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: the file system has no locks.
    """
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - of Windows only

        os.lseek(handle, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(str(error)) from error
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
    else:
        import fcntl  # noqa: PLC0415 - of POSIX only

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
