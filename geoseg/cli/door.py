"""The one door: every command goes through it, every error leaves through it."""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType

import typer

from geoseg.errors import GeosegError

_INTERRUPTED, _TERMINATED = 130, 143

# user and password of an address, and its query, where signatures stand
_LOGIN, _QUERY = re.compile(r"(?<=://)[^\s/@]+@"), re.compile(r"(://[^\s?]*)\?\S*?(?=[:,.)]*(?:\s|$))")

# typer has carried a click of its own since 0.20-odd and used the library before: either way this is the root
_ClickException: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


class Stopped(BaseException):
    """SIGINT or SIGTERM arrived; not an Exception, so that nothing on the way takes it for a failure."""

    def __init__(self, how: str, code: int) -> None:
        super().__init__(how)
        self.how, self.code = how, code


def enter(command: Callable[[], object], *, debug: bool) -> int:
    """Run a command and turn what it raises into one line and an exit code.

    Args:
        command: parses the arguments and does the work.
        debug: show tracebacks.

    Returns:
        The exit code.
    """
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    try:
        result = command()
    except typer.Exit as error:
        return int(error.exit_code)
    except _ClickException as error:
        error.show(file=sys.stderr)  # type: ignore[attr-defined]
        return 2
    except Stopped as stop:
        say(f"{stop.how}; what is finished is kept: run the same command again to resume.")
        return stop.code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the door: what gets here is a bug, and the user is told so
        if debug:
            traceback.print_exc()
        return int(failure(error)["exit_code"])
    return result if isinstance(result, int) else 0


def failure(error: Exception) -> dict[str, str | int]:
    """Say what went wrong, in one line, and return it with its exit code."""
    text, code = without_logins(str(error)), 1
    if isinstance(error, GeosegError):
        code = error.exit_code
    elif isinstance(error, MemoryError):
        text, code = "out of memory. Pass a smaller --block-px or --tile-px; run again to resume.", 5
    else:
        text = f"a bug in geoseg: {type(error).__name__}: {text}. Run again with --debug and report it."
    say(f"error: {text}")
    return {"error": text, "exit_code": code}


def without_logins(text: str) -> str:
    """Take out of addresses in a text what may open a store: it ends up in logs.

    Example:
        >>> without_logins("https://me:secret@example.org/a.tif?token=1: no such file")
        'https://example.org/a.tif: no such file'
    """
    return _QUERY.sub(r"\1", _LOGIN.sub("", text))


def printable(text: str) -> str:
    """Make control characters of file names visible, so that they do not reach the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def say(text: str) -> None:
    """Print one line to stderr."""
    print(f"geoseg: {printable(text)}", file=sys.stderr)


def _stop(number: int, frame: FrameType | None) -> None:
    """Leave in order at the first signal, at once at the second."""
    del frame
    how, code = ("interrupted", _INTERRUPTED) if number == signal.SIGINT else ("terminated", _TERMINATED)
    signal.signal(number, lambda *_: os._exit(code))
    raise Stopped(how, code)
