"""How a flow begins."""

from __future__ import annotations

from geoseg.flows.crashed import close_tasks_of_ended_runs
from geoseg.flows.event_retries import send_events_patiently


def prepare_flow() -> None:
    """Prepare for a lost API, and close what earlier runs of this flow left open when they crashed."""
    send_events_patiently()
    close_tasks_of_ended_runs()
