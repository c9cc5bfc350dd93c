"""Runs whose process died: Prefect keeps their tasks as Running for ever, so the next run closes them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, State, StateType
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.runtime import flow_run
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Completed, Crashed

from geoseg.core.types.json_value import UntypedDict
from geoseg.io.files.writing import write_json

_log = logging.getLogger(__name__)
_OPEN = [kind for kind in StateType if kind not in TERMINAL_STATES]
_AT_ONCE = 200
_GONE = "its process was gone when the next run began"
_UNHEARD = "it ended in order, but could not say so"


@contextmanager
def noted_run(out: Path) -> Iterator[None]:
    """Note which flow run works on an archive, and close the one before if Prefect does not know that it ended.

    The caller holds the archive's lock, so that the earlier run cannot be alive.

    Args:
        out: the archive's folder.
    """
    path = out / ".geoseg" / "flow_run.json"
    before, own = _read(path), str(flow_run.id)
    if before is not None:
        with _patient():
            _close_run(UUID(before["flow_run"]), own, ended=bool(before["ended"]))
    write_json(path, {"flow_run": own, "ended": False})
    yield
    write_json(path, {"flow_run": own, "ended": True})


def close_tasks_of_ended_runs() -> None:
    """Close tasks that are Running in runs of this flow that crashed or were cancelled.

    Those of runs that ended in order are left alone: Prefect may not have heard yet how each of them ended.
    """
    killed = [StateType.CRASHED, StateType.CANCELLED]
    over = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=killed)))
    this = FlowFilter(name=FlowFilterName(any_=[str(flow_run.flow_name)]))
    with _patient(), get_client(sync_client=True) as client:
        _close_tasks(client, flow_filter=this, flow_run_filter=over)


def _close_run(run: UUID, own: str, *, ended: bool) -> None:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run).state
        final = state is not None and state.is_final()
        if ended and final:
            return
        _close_tasks(client, flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))
        if not final and str(run) != own:
            last: State[Any] = Completed(message=_UNHEARD) if ended else Crashed(message=_GONE)
            client.set_flow_run_state(run, last, force=True)


def _close_tasks(client: SyncPrefectClient, **filters: Any) -> None:
    still = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=_OPEN)))
    closed = set[UUID]()
    while True:
        found = client.read_task_runs(task_run_filter=still, limit=_AT_ONCE, **filters)
        left = [task.id for task in found if task.id not in closed]
        for task in left:
            client.set_task_run_state(task, Crashed(message=_GONE), force=True)
        closed.update(left)
        if not left:
            return


@contextmanager
def _patient() -> Iterator[None]:
    """Go on where the API is lost, or knows nothing of a run, being another server's."""
    try:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}):
            yield
    except ObjectNotFound:
        return
    except (httpx.HTTPError, PrefectException, OSError, RuntimeError) as error:
        _log.warning("Prefect's API does not answer (%s); runs that crashed stay open.", type(error).__name__)


def _read(path: Path) -> UntypedDict | None:
    try:
        value = json.loads(path.read_bytes())
        return {"flow_run": str(UUID(value["flow_run"])), "ended": value["ended"] is True}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
