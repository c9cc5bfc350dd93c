"""Lock files: one run at a time on one output."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from geoseg.errors import GeosegError, OutputError, WriteError
from geoseg.io.files.file_lock import lock_file
from geoseg.io.files.targets import make_folder


@contextmanager
def locked(path: Path, of: Path | None = None) -> Iterator[None]:
    """Hold a lock file during a run; the lock of a process that died counts as free.

    Args:
        path: the lock file; made here, removed at the end.
        of: name of the locked output, for messages; default: derived from the lock's name.

    Raises:
        OutputError: another run holds it.
        UsageError: a file stands where the folder should.
        WriteError: the folder cannot be made or written.
    """
    with ExitStack() as stack:
        try:
            make_folder(path.parent)
            handle = _hold(path, of or path.parent / path.name.removeprefix(".").removesuffix(".lock"))
            stack.callback(os.close, handle)
            stack.callback(_remove, path)  # while it is held: who waits for this file finds another one in its place
            os.ftruncate(handle, 0)
            os.write(handle, f"pid {os.getpid()} on {socket.gethostname()}".encode())
        except OSError as error:
            if isinstance(error, GeosegError):
                raise
            raise WriteError(f"{path.parent}: cannot be written: {error.strerror}. Choose another --out.") from error
        yield


def remove_free_locks(folder: Path) -> None:
    """Remove the lock files in a folder that nobody holds: their runs could not, or died."""
    for path in folder.glob(".*.lock"):
        with suppress(OSError):  # held, or gone
            handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            try:
                lock_file(handle)
                if re.fullmatch(rb"(pid \d+ on .+)?", os.read(handle, 300)):
                    path.unlink()
            finally:
                os.close(handle)


def _remove(path: Path) -> None:
    with suppress(OSError):  # a file that nobody holds locks nothing; the next run removes it
        path.unlink()


def _hold(path: Path, target: Path) -> int:
    """Lock the file that exists at ``path``, not one that its last holder has just removed."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            lock_file(handle)
        except BlockingIOError as error:
            holder = os.read(handle, 200).decode(errors="replace").strip() or "another run"
            os.close(handle)
            raise OutputError(f"{target}: locked by {holder}. Wait for it or choose another --out.") from error
        if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
            return handle
        os.close(handle)


def holder(path: Path) -> str | None:
    """Describe the holder of a lock; None if it is free. A holder on another machine counts as alive."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return None
    found = re.fullmatch(r"pid (\d+) on (.+)", text.strip())
    if found is None:
        return None
    if found[2] == socket.gethostname():
        try:
            os.kill(int(found[1]), 0)
        except (ProcessLookupError, OverflowError):
            return None
        except OSError:
            pass
    return text.strip()
