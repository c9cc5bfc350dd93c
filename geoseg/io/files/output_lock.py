"""Lock files: one run at a time on one output."""

from __future__ import annotations

import errno
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from geoseg.errors import GeosegError, LockedError, OutputError, WriteError
from geoseg.io.files.file_lock import lock_file
from geoseg.io.files.targets import make_folder

_HOLDER = re.compile(rb"pid \d+ on .+")
_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
_TRIALS, _PAUSE_S = 3, 0.05


@contextmanager
def locked(path: Path, of: Path | None = None) -> Iterator[None]:
    """Hold a lock file during a run; the lock of a process that died counts as free.

    Args:
        path: the lock file; made here, removed at the end.
        of: name of the locked output, for messages; default: derived from the lock's name.

    Raises:
        LockedError: another run holds it.
        OutputError: a link stands in its place.
        UsageError: a file stands where the folder should.
        WriteError: the folder cannot be made or written.
    """
    with ExitStack() as stack:
        try:
            make_folder(path.parent)
            handle = _hold(path, of or path.parent / path.name.removeprefix(".").removesuffix(".lock"))
            stack.callback(os.close, handle)
            stack.callback(_remove, path)  # while it is held: who waits for this file finds another one in its place
        except OSError as error:
            if isinstance(error, GeosegError):
                raise
            raise WriteError(f"{path.parent}: cannot be written: {error.strerror}. Choose another --out.") from error
        yield


def remove_free_locks(folder: Path) -> None:
    """Remove the lock files in a folder that nobody holds: their runs could not, or died.

    A file that does not name a process as its holder is of another program, and stays.
    """
    for path in folder.glob(".*.lock"):
        with suppress(OSError):  # held, or gone
            handle = os.open(path, os.O_RDWR | _NO_LINK)
            try:
                if _HOLDER.fullmatch(_text(handle)):  # others are not locked, even for a moment
                    lock_file(handle)
                    if _HOLDER.fullmatch(_text(handle)) and _is_at(handle, path):
                        path.unlink()
            finally:
                os.close(handle)


def _remove(path: Path) -> None:
    with suppress(OSError):  # a file that nobody holds locks nothing; the next run removes it
        path.unlink()


def _hold(path: Path, target: Path) -> int:
    """Lock the file that exists at ``path``, not one that its last holder has just removed.

    The holder's name is written before the lock counts, so that a file without one is held by none. A lock whose holder
    has no name or is dead is held by ``remove_free_locks`` for a moment: it is tried again.
    """
    trials = 0
    while True:
        handle = _open(path)
        try:
            lock_file(handle)
        except BlockingIOError as error:
            text = _text(handle).decode(errors="replace").strip()
            os.close(handle)
            if trials < _TRIALS and _alive(text) is None:
                trials += 1
                time.sleep(_PAUSE_S)
                continue
            words = text or "another run"
            raise LockedError(f"{target}: locked by {words}. Wait for it or choose another --out.") from error
        try:
            os.ftruncate(handle, 0)
            os.write(handle, f"pid {os.getpid()} on {socket.gethostname()}".encode())
            counts = _is_at(handle, path)
        except BaseException:
            os.close(handle)
            raise
        if counts:
            return handle
        os.close(handle)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o644)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OutputError(f"{path}: a link stands where the lock of a run is made. Remove it.") from error


def _is_at(handle: int, path: Path) -> bool:
    """Return True if an open file is the one of that name now: not one that was removed, and perhaps made again."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _text(handle: int) -> bytes:
    os.lseek(handle, 0, os.SEEK_SET)
    return os.read(handle, 300)


def holder(path: Path) -> str | None:
    """Describe the holder of a lock; None if it is free. A holder on another machine counts as alive."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return None
    return _alive(text.strip())


def _alive(text: str) -> str | None:
    """Return a holder's text; None if it names no process, or a dead one of this machine."""
    found = re.fullmatch(r"pid (\d+) on (.+)", text)
    if found is None:
        return None
    if found[2] == socket.gethostname():
        try:
            os.kill(int(found[1]), 0)
        except (ProcessLookupError, OverflowError):
            return None
        except OSError:
            pass
    return text
