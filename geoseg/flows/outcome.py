"""How a flow ends: what it computed, whether Prefect knows, and the exit code of both."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import httpx
import typer
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException

from geoseg.errors import GeosegError, ResourceError
from geoseg.flows.own_server import start_own_server
from geoseg.process.command import print_message, run_command

NOT_REPORTED = 8
"""Exit code: the outputs are final, Prefect has no record of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of a flow: a summary and the exit code.

    Attributes:
        summary: one line.
        exit_code: 0, or 7 with failed scenes.
        reported: True if Prefect's API accepted the flow's last report.
    """

    summary: str
    exit_code: int = 0
    reported: bool = True


_UNHEARD = (httpx.HTTPError, PrefectException, OSError, RuntimeError)
"""Errors of Prefect's client when the API is absent, refuses or answers nonsense."""

_computed: ContextVar[Outcome | None] = ContextVar("computed", default=None)


def mark_complete(outcome: Outcome) -> None:
    """State that all outputs are final; a flow does so before Prefect decides on its state."""
    _computed.set(outcome)
    if not outcome.reported:
        logging.getLogger(__name__).warning("computed, not reported: %s", outcome.summary)


def command(function: Callable[..., int]) -> NoReturn:
    """Run a flow's file as a command: options from the function's signature, exit codes and errors as of ``geoseg``.

    Args:
        function: returns the exit code; see ``run``.
    """
    debug = "--debug" in sys.argv[1:]
    if not debug:
        for name in ("prefect", *(name for name in logging.root.manager.loggerDict if name.startswith("prefect."))):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        for handler in logging.root.handlers:  # Prefect's; what comes to it is what Dask's parts say of themselves
            handler.setLevel(logging.CRITICAL)
        os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"  # of workers, which import the file again
    notes = logging.StreamHandler()
    notes.setFormatter(logging.Formatter("geoseg: %(message)s"))
    logging.getLogger("geoseg").addHandler(notes)
    logging.getLogger("geoseg").setLevel(logging.INFO)
    logging.getLogger("geoseg").propagate = False  # Prefect prints what comes to the root
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(context_settings={"help_option_names": ["-h", "--help"]})(function)
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    code = run_command(lambda: app(args=arguments, standalone_mode=False), debug=debug)
    outcome = _computed.get()
    if outcome is not None and not outcome.reported:
        sys.stderr.flush()
        os._exit(code)  # in order, Prefect would try for seconds with each of thousands of queued events
    sys.exit(code)


@contextmanager
def api_errors() -> Iterator[None]:
    """Talk to Prefect's API, where nothing can be done without it.

    Raises:
        ResourceError: it does not answer, or takes no one without a password.
    """
    try:
        yield
    except GeosegError:
        raise
    except _UNHEARD as error:
        raise _unheard(error, "Start one (prefect server start) and check PREFECT_API_URL.") from error


def _unheard(error: Exception, cure: str) -> ResourceError:
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code in {401, 403}:
        refusal = f"Prefect's API does not take this password, or wants one (HTTP {error.response.status_code})."
        return ResourceError(f"{refusal} Set PREFECT_API_AUTH_STRING=user:secret as the server's administrator says.")
    cause = (str(error).splitlines() or [""])[0]
    return ResourceError(f"Prefect's API does not answer ({type(error).__name__}: {cause}). {cure}")


def run(flow: Callable[[], State[Any]]) -> int:
    """Run a flow here and now, on the API that is set or on one of its own, and say how it ended.

    Args:
        flow: calls the flow with ``return_state=True``.

    Returns:
        The exit code: 0; 7 with failed scenes; 8 where everything was computed and Prefect's API could not be reached.

    Raises:
        GeosegError: what the flow raised.
        ResourceError: Prefect's API did not let the flow begin, or was lost before the outputs were final.
    """
    _computed.set(None)
    reported = True
    try:
        start_own_server()
        state = flow()
    except GeosegError:
        raise
    except _UNHEARD as error:
        if _computed.get() is None:
            raise _unheard(error, "Start it or unset PREFECT_API_URL; run again to resume.") from error
        reported = False
    outcome = _computed.get()
    if outcome is None:
        state.result()  # raises what the flow raised
        return 0
    print_message(outcome.summary)
    if reported and outcome.reported:
        return outcome.exit_code
    _computed.set(replace(outcome, reported=False))
    print_message("computed, not reported: the outputs are final, the connection to Prefect was lost before its end.")
    return outcome.exit_code or NOT_REPORTED
