"""Run a command: signals, standard streams, errors as one line, and the exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress

import typer

from geoseg.core.text import printable, without_logins
from geoseg.errors import GeosegError, ResourceError
from geoseg.io.files.interrupts import forget_outputs
from geoseg.process.faults import open_files_fault, resource_fault
from geoseg.process.signals import Interrupted, handle_signals, print_interrupted, stopped
from geoseg.process.streams import flush_stdout, open_streams, redirect_to_null, stdout_is_closed

# typer has carried a click of its own since 0.20-odd and used the library before: either way this is the root
_ClickException: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def run_command(command: Callable[[], object], *, debug: bool) -> int:
    """Run a command and turn what it raises into one line and an exit code.

    Args:
        command: parses the arguments and does the work.
        debug: show tracebacks.

    Returns:
        The exit code.
    """
    if stopped() is None:
        handle_signals()
    forget_outputs()
    open_streams()
    try:
        code = _code_of(command, debug=debug)
    except Interrupted as stop:
        print_interrupted(stop)
        code = stop.code
    if flush_stdout() is not None:
        redirect_to_null(sys.stdout)
    return code


def _code_of(command: Callable[[], object], *, debug: bool) -> int:
    code = 0
    try:
        try:
            result = command()
            code = result if isinstance(result, int) else 0
        except typer.Exit as error:
            code = int(error.exit_code)
        _deliver()
    except _ClickException as error:
        with suppress(OSError):
            error.show(file=sys.stderr)  # type: ignore[attr-defined]
        return 2
    except SystemExit:  # typer's, where the reader of its output has gone
        if not stdout_is_closed():
            raise
        redirect_to_null(sys.stdout)
        return 0
    except Exception as error:
        stop = stopped()
        if stop is not None:  # a library made an error of its own of the interruption
            raise stop from error
        if isinstance(error, BrokenPipeError) and stdout_is_closed():
            redirect_to_null(sys.stdout)
            return 0
        if debug:
            traceback.print_exc()
        return int(failure(error)["exit_code"])
    stop = stopped()
    if stop is not None:  # a library swallowed the interruption
        raise stop
    return code


def _deliver() -> None:
    """Flush standard output.

    Raises:
        BrokenPipeError: its reader has closed the pipe.
        ResourceError: standard output cannot be written.
    """
    cause = flush_stdout()
    if cause is None:
        return
    if stdout_is_closed():
        raise BrokenPipeError
    redirect_to_null(sys.stdout)
    raise ResourceError(f"standard output cannot be written ({cause}). Send it elsewhere; files that were made stay.")


def failure(error: Exception) -> dict[str, str | int]:
    """Print an exception as one line; return the message and its exit code."""
    text, code = without_logins(str(error)), 1
    fault = open_files_fault(error) if isinstance(error, GeosegError) else resource_fault(error)
    if fault is None and isinstance(error, GeosegError):
        code = error.exit_code
    elif fault is not None:
        text, code = without_logins(fault), ResourceError.exit_code
    else:
        text = f"a bug in geoseg: {type(error).__name__}: {text}. Run again with --debug and report it."
    print_message(f"error: {text}")
    return {"error": text, "exit_code": code}


def print_message(text: str) -> None:
    """Print one line to stderr; where nobody can read it, nothing happens."""
    try:
        print(f"geoseg: {printable(text)}", file=sys.stderr)
    except (OSError, ValueError):
        redirect_to_null(sys.stderr)
