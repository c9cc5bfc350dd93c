"""A new run gets a crashed one's parameters, and Prefect does not keep the crashed one as Running; no server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import geoseg.flows  # noqa: F401 - before prefect

# isort: split
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.server.events.actions import RunDeployment
from prefect.states import Completed, Running
from prefect.utilities.schema_tools.hydration import HydrationContext, hydrate

from geoseg.flows import crashed
from geoseg.flows.crashed import noted_run
from geoseg.flows.resubmit import parameters_of_crashed_run

TEMPLATES = st.sampled_from(["{{ 1 }}", "{% raw %}", "{%- endraw %}"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text() | TEMPLATES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["config", "out", "options", "retry_failed", "gpu_limit"])


@given(run=st.dictionaries(NAMES, VALUES), defaults=st.dictionaries(NAMES, VALUES))
def test_the_server_fills_in_the_parameters_of_the_crashed_run(run: dict[str, Any], defaults: dict[str, Any]) -> None:
    schema = {"properties": {name: {"default": defaults.get(name)} for name in run.keys() | defaults.keys()}}
    made = parameters_of_crashed_run(
        SimpleNamespace(parameter_openapi_schema=schema, parameters={"model": "of the deployment"})
    )
    action = RunDeployment(source="selected", deployment_id=uuid4(), parameters=made)
    context = HydrationContext(
        raise_on_error=True, render_jinja=True, jinja_context={"flow_run": SimpleNamespace(parameters=run)}
    )
    assert hydrate(action.parameters or {}, context) == {"model": "of the deployment"} | defaults | run


class Api:
    """What ``noted_run`` asks of Prefect's API: one flow run and its tasks."""

    def __init__(self, run: UUID, state: Any, tasks: int) -> None:
        self.run, self.state = run, state
        self.tasks = dict.fromkeys((uuid4() for _ in range(tasks)), StateType.RUNNING)

    def read_flow_run(self, run: UUID) -> Any:
        if run != self.run:
            raise ObjectNotFound(Exception("of another server"))
        return SimpleNamespace(state=self.state)

    def read_task_runs(self, flow_run_filter: Any, limit: int, **_: Any) -> list[Any]:
        assert flow_run_filter.id.any_ == [self.run]
        left = [task for task, state in self.tasks.items() if state == StateType.RUNNING]
        return [SimpleNamespace(id=task) for task in left[:limit]]

    def set_task_run_state(self, task: UUID, state: Any, *, force: bool) -> None:
        assert force
        self.tasks[task] = state.type

    def set_flow_run_state(self, run: UUID, state: Any, *, force: bool) -> None:
        assert (run, force) == (self.run, True)
        self.state = state


@pytest.fixture
def api_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put an API in the place of Prefect's, seen by a flow run of its own."""

    def put(api: Api) -> Api:
        @contextmanager
        def client(**_: Any) -> Iterator[Api]:
            yield api

        monkeypatch.setattr(crashed, "get_client", client)
        monkeypatch.setattr(crashed, "flow_run", SimpleNamespace(id=str(uuid4())))
        return api

    return put


def note(out: Path, run: Any, *, ended: Any) -> Path:
    path = out / ".geoseg" / "flow_run.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"flow_run": str(run), "ended": ended}))
    return path


@pytest.mark.parametrize(("state", "ended", "run_then", "tasks_then"), [
    (Running(), False, StateType.CRASHED, StateType.CRASHED),       # killed
    (Completed(), True, StateType.COMPLETED, StateType.RUNNING),    # in order; what is said of tasks may be on its way
    (Running(), True, StateType.COMPLETED, StateType.CRASHED),      # in order, but the API was lost
])  # fmt: skip
def test_the_next_run_closes_what_the_last_one_left_open(
    tmp_path: Path, api_of: Any, state: Any, ended: bool, run_then: StateType, tasks_then: StateType
) -> None:
    api = api_of(Api(uuid4(), state, tasks=450))
    path = note(tmp_path, api.run, ended=ended)
    with noted_run(tmp_path):
        during = json.loads(path.read_text())
    assert api.state.type == run_then
    assert set(api.tasks.values()) == {tasks_then}
    assert (during["flow_run"] != str(api.run), during["ended"]) == (True, False)
    assert json.loads(path.read_text()) == during | {"ended": True}


def test_a_run_that_fails_is_not_said_to_have_ended(tmp_path: Path, api_of: Any) -> None:
    api_of(Api(uuid4(), Running(), tasks=0))
    note(tmp_path, uuid4(), ended=True)
    with pytest.raises(KeyError), noted_run(tmp_path):
        raise KeyError
    assert json.loads((tmp_path / ".geoseg" / "flow_run.json").read_text())["ended"] is False


@pytest.mark.parametrize("run", ["no id", uuid4(), None])
def test_a_note_of_another_server_or_a_damaged_one_stops_nothing(tmp_path: Path, api_of: Any, run: Any) -> None:
    api = api_of(Api(uuid4(), Running(), tasks=1))
    note(tmp_path, run, ended=False)
    with noted_run(tmp_path):
        pass
    assert set(api.tasks.values()) == {StateType.RUNNING}
