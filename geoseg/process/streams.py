"""The standard streams and the text encoding of the command."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from typing import TextIO


def use_utf8() -> None:
    """Start the command again in Python's UTF-8 mode where file names have another encoding.

    In a C locale with ``PYTHONUTF8=0`` Python cannot name a file ``ü.tif``. Standard streams keep their encoding.
    """
    if sys.getfilesystemencoding().lower() == "utf-8" or sys.flags.utf8_mode:
        return
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    os.environ.setdefault("PYTHONIOENCODING", f"{encoding}:backslashreplace")
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the same command


def open_streams() -> None:
    """Make standard streams that can be written to whatever they are.

    A closed one becomes the null device: else the next file that is opened would take its number, and receive what
    libraries print. A character that the encoding does not know is escaped.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)  # takes the lowest free number
    sys.stdout, sys.stderr = _writable(sys.stdout), _writable(sys.stderr)


def _writable(stream: TextIO | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - open as long as the process
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    return stream


def stdout_is_closed() -> bool:
    """Return True if standard output is a pipe whose reader has gone."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


def flush_stdout() -> str | None:
    """Flush standard output; return the cause of a failure, or None."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:  # closed meanwhile
        return str(error)
    return None


def redirect_to_null(stream: TextIO) -> None:
    """Send a stream that cannot be written to the null device, so that Python does not try again at its exit."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
