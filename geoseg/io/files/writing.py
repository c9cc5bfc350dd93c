"""Atomic writing of files: the output exists complete under its final name, or not at all."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from geoseg.errors import GeosegError, WriteError
from geoseg.io.files.interrupts import kept_interruption

_FAILURES = (OSError, RasterioError, CPLE_BaseError, sqlite3.Error)
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EPERM, errno.EBADF}
_LOG = logging.getLogger(__name__)
_GDAL_LOG = logging.getLogger("rasterio._env")
_GDAL_SIGNAL = "GDAL signalled an error"
_PART_SUFFIX = r"\.(?:tiles\.|old\.)?(?P<pid>\d+)\.part"
_PART = re.compile(r".+?" + _PART_SUFFIX, re.DOTALL)
_parts_in_use: set[Path] = set()


@contextmanager
def whole_file(
    path: Path, *, verify: Callable[[Path], None] | None = None, size_bytes: int | None = None
) -> Iterator[Path]:
    """Write a temporary file next to ``path`` and rename it, so that ``path`` is replaced as a whole or not at all.

    A file is written once it has its name: what fails afterwards is no failure of it (see ``sync_folder``).

    Args:
        path: the final name; its folder must exist.
        verify: called with the finished part after it is synced and before the rename; raises if the part differs
            from what was written.
        size_bytes: upper bound of the file's size, for the message when the disk is full.

    Yields:
        A path next to the target, ``NAME.PID.part``; the body creates the file. Other files that the body leaves under
        a name that starts so (journals, sidecars) are removed.

    Raises:
        WriteError: any failure of the body, the check or the disk, including those that rasterio only logs.

    Source:
        Write, fsync, rename, fsync the folder: "Atomic Commit In SQLite", https://www.sqlite.org/atomiccommit.html.
    """
    target = path.absolute()
    part = _part(target)
    with kept_interruption() as interruption, _in_use(part):
        try:
            reap_parts(target.parent, target.name)
            with _gdal_errors() as signalled:
                yield part
            if signalled:
                raise OSError("; ".join(signalled))
            _sync(part)
            if verify is not None:
                _drop_cached(part)
                verify(part)
            interruption.check()
            os.replace(part, target)  # noqa: PTH105 - the tests fail this very call
        except GeosegError:
            interruption.check()
            raise
        except _FAILURES as error:
            interruption.check()
            raise WriteError(_explain(target, part, error, size_bytes)) from error
        finally:
            _remove(target.parent, part.name)
        sync_folder(target)


@contextmanager
def all_or_none(paths: Iterable[Path]) -> Iterator[None]:
    """Write several files, each by ``whole_file``, so that a failure or interruption leaves what stood there before.

    An interruption that arrives once all of them are written, and none replaced another, leaves them. Otherwise new
    files are removed and replaced ones restored, from a hard link where the file system has them. A process that is
    killed in between leaves the files that it has finished.

    Args:
        paths: the files; whether they exist is looked up at the start.
    """
    targets = [path.absolute() for path in paths]
    new = [target for target in targets if not os.path.lexists(target)]
    old = {target: _part(target, "old.") for target in targets if target not in new}
    with ExitStack() as stack:
        for target, link in old.items():
            stack.enter_context(_in_use(link))
            stack.callback(_remove, target.parent, link.name)
            with suppress(OSError):
                os.link(target, link, follow_symlinks=False)
        try:
            yield
        except BaseException as error:
            if not isinstance(error, Exception) and not old and all(os.path.lexists(target) for target in new):
                raise
            for target in new:
                with suppress(OSError):
                    target.unlink()
            for target, link in old.items():
                with suppress(OSError):
                    os.replace(link, target)  # noqa: PTH105 - as every file is put in its place
            raise


@contextmanager
def scratch_file(path: Path) -> Iterator[Path]:
    """Yield the name of a temporary file next to ``path``; it is always removed at the end.

    Args:
        path: the file that the temporary file is for; both lie on the same file system.

    Yields:
        ``NAME.tiles.PID.part``; the body creates the file.
    """
    target = path.absolute()
    part = _part(target, "tiles.")
    with _in_use(part):
        try:
            yield part
        finally:
            _remove(target.parent, part.name)


@contextmanager
def library_writes() -> Iterator[None]:
    """Raise an ``OSError`` where a library's own writer reports a disk that is full or fails by a ``RuntimeError``.

    Torch and OpenVINO do. It is put around the call that writes. Kinds of ``RuntimeError`` that say what they are, such
    as a GPU without memory or recursion without end, pass as they are.

    Raises:
        OSError: the library's writer failed.
    """
    try:
        yield
    except RuntimeError as error:
        if type(error) is not RuntimeError:
            raise
        words = " ".join(str(error).split())
        raise OSError(errno.EIO, f"the disk is full or fails: {words[:200]}") from error


def make_durable_folder(path: Path) -> None:
    """Make a folder and the missing ones above it, so that a power cut does not take them from under their files.

    Raises:
        OSError: it cannot be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder)


def sync_folder(path: Path) -> None:
    """Ask the disk to keep a file's new name through a power cut; a failure is logged and never raised.

    The file is complete under its name already, and renaming cannot be undone safely. SQLite ignores the failure too.
    Some file systems cannot sync a folder, and a folder that may be written but not listed cannot be opened for it:
    these are not mentioned.

    Args:
        path: the file or folder that was renamed.
    """
    try:
        _sync(path.absolute().parent)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            cause = error.strerror or str(error)
            _LOG.warning("%s: is written, but after a power cut it may be missing: its folder: %s", path, cause)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a small file atomically.

    Raises:
        WriteError: the disk is full or fails.
    """

    def same(part: Path) -> None:
        if part.read_bytes() != data:
            raise OSError("the file reads back differently")

    with whole_file(path, verify=same, size_bytes=len(data)) as part:
        part.write_bytes(data)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file under another name and rename it, without fsync; for files that carry a checksum.

    Raises:
        OSError: the disk is full or fails; ``path`` is unchanged.
    """
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")  # another machine may have a process of this number
    try:
        part.write_bytes(data)
        os.replace(part, path)  # noqa: PTH105 - as every file is put in its place
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, UTF-8, indented, in the order given; NaN is refused, undecodable names are escaped.

    Raises:
        WriteError: the disk is full or fails.
        ValueError: the value holds NaN or infinity, which JSON cannot represent.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode(errors="backslashreplace"))


def reap_parts(directory: Path, name: str = "") -> None:
    """Remove partial files from a folder: those of dead processes, and those that this process no longer writes.

    Args:
        directory: the folder; it may be missing.
        name: only parts of this file; default: of any file.
    """
    if not directory.is_dir():
        return
    own_in_use = any(part.parent == directory.absolute() for part in list(_parts_in_use))
    pattern = _PART if not name else re.compile(re.escape(name) + _PART_SUFFIX)
    for entry in os.scandir(directory):
        found = pattern.match(entry.name)
        if found is None:
            continue
        pid = int(found["pid"])
        if not (own_in_use if pid == os.getpid() else _alive(pid)):
            with suppress(OSError):
                Path(entry).unlink()


def is_part(name: str) -> bool:
    """Return True if a file's name is that of a partial file or of a driver's sidecar of one."""
    return _PART.match(name) is not None


def _part(target: Path, role: str = "") -> Path:
    return target.with_name(f"{target.name}.{role}{os.getpid()}.part")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _remove(directory: Path, prefix: str) -> None:
    with suppress(OSError):
        for entry in os.scandir(directory):
            if entry.name.startswith(prefix):
                with suppress(OSError):  # what cannot be removed now is reaped later
                    Path(entry).unlink()


@contextmanager
def _in_use(part: Path) -> Iterator[None]:
    """Protect a part from ``reap_parts`` in this process."""
    _parts_in_use.add(part)
    try:
        yield
    finally:
        _parts_in_use.discard(part)


def _drop_cached(path: Path) -> None:
    """Drop a synced file from the page cache, so that it is read back from the disk."""
    if not hasattr(os, "posix_fadvise"):
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_SQL = re.compile(r"sqlite3_exec\(.*\) failed: ")
"""GDAL repeats the whole statement that failed, which may be pages."""


def _explain(target: Path, part: Path, error: BaseException, size_bytes: int | None) -> str:
    cause = getattr(error, "strerror", None) or str(error.__cause__ or error) or type(error).__name__
    cause = " ".join(str(cause).replace(str(part), target.name).split())
    cause = _SQL.sub("SQLite: ", cause)
    try:
        free = f"{_size(shutil.disk_usage(target.parent).free)} are free in {target.parent}"
    except OSError:
        return f"{target}: cannot be written: {cause}. The folder {target.parent} cannot be reached; check it."
    need = "" if size_bytes is None else f"up to {_size(size_bytes)} are needed, "
    return f"{target}: cannot be written: {cause} ({need}{free}). Make room or choose another output folder."


def _size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


class _Trap(logging.Filter):
    """Log handler that collects GDAL errors and passes other records on."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.listeners: dict[int, tuple[int, list[str]]] = {}
        self.handling: set[int] = set()
        self.shown = logging.NOTSET
        self.restored = logging.NOTSET

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if _GDAL_SIGNAL in message and "PROJ:" not in message:
            # GDAL's own worker threads have no Python name; another Python thread's error is not this writer's.
            own = None if record.threadName is None or record.threadName.startswith("Dummy") else record.thread
            for thread, errors in list(self.listeners.values()):
                if own is None or (own == thread and own not in self.handling):
                    errors.append(message.partition("msg=")[2].strip("'\""))
        return record.levelno >= self.shown


_trap = _Trap()


@contextmanager
def read_errors_handled() -> Iterator[None]:
    """Let the body read by GDAL what may be damaged, while this thread writes a file by ``whole_file``.

    The body handles the errors itself; otherwise they would count as failures of the file that is written.
    """
    thread = threading.get_ident()
    outermost = thread not in _trap.handling
    _trap.handling.add(thread)
    try:
        yield
    finally:
        if outermost:
            _trap.handling.discard(thread)


@contextmanager
def _gdal_errors() -> Iterator[list[str]]:
    errors: list[str] = []
    with _trap.lock:
        if not _trap.listeners:
            _trap.shown, _trap.restored = _GDAL_LOG.getEffectiveLevel(), _GDAL_LOG.level
            _GDAL_LOG.addFilter(_trap)
            _GDAL_LOG.setLevel(min(logging.INFO, _trap.shown))
        _trap.listeners[id(errors)] = threading.get_ident(), errors
    try:
        yield errors
    finally:
        with _trap.lock:
            del _trap.listeners[id(errors)]
            if not _trap.listeners:
                _GDAL_LOG.removeFilter(_trap)
                _GDAL_LOG.setLevel(_trap.restored)
