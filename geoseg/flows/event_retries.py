"""Events to Prefect's API: while it is lost they cost one line in all, not seconds and a page for each."""

from __future__ import annotations

import logging

from prefect.events.clients import PrefectEventsClient
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL

_log = logging.getLogger(__name__)
_LOGGERS = ("prefect._internal.concurrency", "prefect.events.clients")
_FAILURES = ("Service %r failed", "Unable to connect to %r")
_RECONNECTIONS = 1
"""Further attempts for each event. Prefect's own are ten, with seconds between them; what failed is sent again once the
API is back, in any case."""


class _OneLine(logging.Filter):
    """Says once that events cannot be sent, instead of printing each of them."""

    def __init__(self) -> None:
        super().__init__()
        self._warned = False

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith(_FAILURES):
            return True
        if not self._warned:
            self._warned = True
            _log.warning("Prefect's API takes no events; the work goes on.")
        return False


_one_line = _OneLine()


def send_events_patiently() -> None:
    """Have this process give up each event soon while the API is lost; call it before there are many."""
    logging.raiseExceptions = False  # else Prefect prints two lines for each handful of log lines that it cannot send
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_one_line)
    if PREFECT_API_URL.value() is not None:  # a server of the process's own has an address that only Prefect knows
        EventsWorker.set_client_override(PrefectEventsClient, reconnection_attempts=_RECONNECTIONS)
