"""The one door: every command goes through it, every error leaves through it."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType

import click

from geoseg.errors import GeosegError

_INTERRUPTED, _TERMINATED = 130, 143


class Terminated(BaseException):
    """SIGTERM arrived."""


def enter(command: Callable[[], object], *, debug: bool) -> int:
    """Run a command and turn what it raises into one line and an exit code.

    Args:
        command: parses the arguments and does the work.
        debug: show tracebacks.

    Returns:
        The exit code.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        result = command()
    except click.exceptions.Exit as error:
        return int(error.exit_code)
    except click.ClickException as error:
        error.show(file=sys.stderr)
        return 2
    except (KeyboardInterrupt, click.Abort):
        return _stopped("interrupted", _INTERRUPTED)
    except Terminated:
        return _stopped("terminated", _TERMINATED)
    except GeosegError as error:
        if debug:
            traceback.print_exc()
        say(f"error: {error}")
        return error.exit_code
    except MemoryError:
        if debug:
            traceback.print_exc()
        say("error: out of memory. Pass a smaller --block-px or --tile-px; run again to resume.")
        return 5
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the door: what gets here is a bug, and the user is told so
        if debug:
            traceback.print_exc()
        say(f"error: a bug in geoseg: {type(error).__name__}: {error}. Run again with --debug and report it.")
        return 1
    return result if isinstance(result, int) else 0


def say(text: str) -> None:
    """Print one line to stderr; control characters of file names are made visible."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    print(f"geoseg: {line}", file=sys.stderr)


def _stopped(how: str, code: int) -> int:
    say(f"{how}; finished blocks are kept: run the same command again to resume.")
    return code


def _terminate(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise Terminated
