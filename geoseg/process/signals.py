"""SIGINT and SIGTERM: an orderly end at the first one, an immediate end at the second. Imports nothing heavy.

The process ends by ``os._exit`` once its exit functions have run. Python would go on to free every module one by one:
with torch, GDAL and Dask loaded that takes seconds, in which no thread runs and no signal is handled.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Final, NoReturn

from geoseg.core.text import printable
from geoseg.io.files.interrupts import finished_outputs, is_server

GRACE_S: Final = 8.0
"""Longest time between the first signal and the end of the process."""

_CODES: Final = {signal.SIGINT: ("interrupted", 130), signal.SIGTERM: ("terminated", 143)}
_REMIND_S: Final = 0.5
_REMINDER: Final = getattr(
    signal, "SIGURG", None
)  # Windows has none; the system ignores it by default, so a handler of it takes nothing away


def advice() -> str:
    """Say what an interrupted command leaves, and whether the same command may be given again."""
    if is_server():
        return "the server is stopped."
    finished = finished_outputs()
    if not finished:
        return "what is finished is kept: run the same command again to resume."
    names = ", ".join(printable(str(path)) for path in finished)
    return f"finished and kept: {names}. Remove what is to be made again before you run the same command."


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived; not an Exception, so that no handler on the way takes it for a failure.

    Attributes:
        how: in a word.
        code: exit code.
    """

    def __init__(self, how: str, code: int) -> None:
        super().__init__(how)
        self.how, self.code = how, code

    def __str__(self) -> str:
        return f"{self.how}; {advice()}"


_arrived: signal.Signals | None = None
_ending: tuple[int, int] | None = None
"""Process that ends, and its exit code."""
_reported = False
_watched = False
_forks_prepared = False


def handle_signals() -> None:
    """Raise ``Interrupted`` in the main thread at the first SIGINT or SIGTERM, and exit at once at the second."""
    global _arrived  # noqa: PLW0603 - a process has one state of its signals
    _arrived = None
    for number in _CODES:
        signal.signal(number, _stop)
    _leave_forks_alone()


def watch_signals() -> None:
    """Handle signals for the rest of the process's life, also while the main thread is inside compiled code.

    Python runs a handler only between two of its instructions: not while a library compiles a network or decodes an
    image. So each signal is passed to a separate thread, which ends the process at the second one. Another one ends it
    ``GRACE_S`` after the first, and until then raises ``Interrupted`` again if a library swallowed it. Both are started
    here, since Python starts no thread while it shuts down, when a signal may come too.
    """
    global _watched  # noqa: PLW0603 - same
    handle_signals()
    if _watched:
        return
    _watched = True
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    if _REMINDER is not None:
        signal.signal(_REMINDER, _remind)
    sys.unraisablehook = _unraisable
    atexit.register(_end)  # the first to be registered is the last to run
    first: SimpleQueue[int] = SimpleQueue()
    threading.Thread(target=_watch, args=(read_end, first), name="geoseg-signals", daemon=True).start()
    threading.Thread(target=_remind_until_end, args=(first,), name="geoseg-reminder", daemon=True).start()


def _leave_forks_alone() -> None:
    """Give forks of this process the handlers of Python.

    A fork, as a loader of data is, would report its signals to the process that it was made by, which would end.
    """
    global _forks_prepared  # noqa: PLW0603 - same
    if not _forks_prepared and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_restore_handlers)
        _forks_prepared = True


def _restore_handlers() -> None:
    """Put Python's own handlers back in place of those of this module."""
    global _watched, _arrived  # noqa: PLW0603 - same
    _arrived = None
    if _watched:
        signal.set_wakeup_fd(-1)
        _watched = False
    for number in _CODES:
        if signal.getsignal(number) is _stop:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def stopped() -> Interrupted | None:
    """The signal that arrived since the signals are handled, or None."""
    return None if _arrived is None else _error(_arrived)


def leave(code: int) -> NoReturn:
    """End the process with an exit code: its threads are waited for and its exit functions run, then it is gone.

    Raises:
        SystemExit: always; whoever catches it keeps the process alive.
    """
    global _ending  # noqa: PLW0603 - same
    _ending = os.getpid(), code
    sys.exit(code)


def print_interrupted(stop: Interrupted) -> None:
    """Print one line to stderr; where nobody can read it, nothing happens."""
    global _reported  # noqa: PLW0603 - same
    _reported = True
    with suppress(OSError, ValueError):
        print(f"geoseg: {stop}", file=sys.stderr, flush=True)


def _stop(number: int, frame: FrameType | None) -> None:
    global _arrived  # noqa: PLW0603 - same
    del frame
    if _arrived is not None:
        _exit(_CODES[_arrived][1])
    _arrived = signal.Signals(number)
    raise _error(_arrived)


def _error(number: signal.Signals) -> Interrupted:
    """Make a new error each time: one that is kept would keep the frames that it passed through alive."""
    return Interrupted(*_CODES[number])


def _remind(number: int, frame: FrameType | None) -> None:
    """Raise ``Interrupted`` again, unless it is on its way up: the blocks it passes clean up."""
    del number, frame
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, Interrupted):
            return
        error = error.__context__
    if _arrived is not None:
        raise _error(_arrived)


def _watch(read_end: int, first: SimpleQueue[int]) -> None:
    first.put(_next(read_end))
    _stop_now(_next(read_end))


def _next(read_end: int) -> int:
    while True:
        number = os.read(read_end, 1)[0]
        if number in _CODES:
            return number


def _remind_until_end(first: SimpleQueue[int]) -> None:
    number = first.get()
    end, main = time.monotonic() + GRACE_S, threading.main_thread().ident
    while (left_s := end - time.monotonic()) > _REMIND_S:
        time.sleep(_REMIND_S)
        if main is not None and _REMINDER is not None:
            with suppress(ProcessLookupError):
                signal.pthread_kill(main, _REMINDER)
    time.sleep(max(0.0, left_s))
    _stop_now(number)


def _stop_now(number: int) -> None:
    stop = _error(signal.Signals(number) if _arrived is None else _arrived)
    if not _reported:
        with suppress(OSError):
            os.write(2, f"geoseg: {stop}\n".encode())
    _exit(stop.code)


def _exit(code: int) -> None:
    """End this process and all that it has started at once."""
    for process in _descendants(os.getpid()):
        with suppress(OSError):
            os.kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    os._exit(code)


def _descendants(process: int) -> list[int]:
    """Processes that a process has started, and theirs; but for Python's tracker, which removes what they leave.

    They are those the system knows of, or else those Python does.
    """
    listing = list(Path(f"/proc/{process}/task").glob("*/children"))
    if listing:
        children = [int(child) for file in listing for child in _text(file).split()]
    elif process == os.getpid() and (multiprocessing := sys.modules.get("multiprocessing")) is not None:
        children = [child.pid for child in multiprocessing.active_children()]
    else:
        return []
    tracker = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
    children = [child for child in children if child != getattr(tracker, "_pid", None)]
    return children + [other for child in children for other in _descendants(child)]


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # its thread has ended
        return ""


def _end() -> None:
    """Leave with the exit code that stands, whatever arrives meanwhile."""
    for number in _CODES:
        signal.signal(number, signal.SIG_IGN)
    if _ending is None or _ending[0] != os.getpid():
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if _arrived is None:
        os._exit(_ending[1])
    _exit(_ending[1])


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    if not isinstance(unraisable.exc_value, Interrupted):
        sys.__unraisablehook__(unraisable)
