"""The flow of an archive whose output is on a real S3-compatible server, against a real Prefect server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from object_server import BUCKET
from prefect_server import Api, wait_for, written

FLOW = "flows/segment_archive.py"
STORE = f"s3://{BUCKET}/maps"


def test_a_flow_publishes_on_a_store_and_shows_where(
    api: Api, make_archive: Any, object_server: Any, tmp_path: Path
) -> None:
    config = make_archive(2, title="On a store", out=tmp_path / "work", store=STORE)
    env = api.env | object_server.environment()
    ended = api.run(FLOW, str(written(config, tmp_path / "a.yaml")), env=env)
    assert ended.returncode == 0, ended.stderr
    run = api.runs()[-1]
    assert (run["state_type"], STORE in run["state"]["message"]) == ("COMPLETED", True)
    query = {"flow_run_id": {"any_": [run["id"]]}}
    rows = wait_for(lambda: [row for row in api.ask("artifacts/filter", artifacts=query) if row["key"]])
    shown = {row["key"]: row["data"] for row in rows}
    assert f"{STORE}/catalog.json" in shown["on-a-store-catalogue"]
    assert shown["on-a-store-report"] == object_server.get("maps/report.md").decode()
    events = {"event": {"name": ["prefect.asset.materialization.succeeded"]}}
    made = wait_for(lambda: api.ask("events/filter", filter=events)["events"])
    assert any(row["resource"]["prefect.resource.id"] == f"{STORE}/area0/area0_classes.tif" for row in made)
    assert object_server.secret not in ended.stderr + str(rows) + str(made)

    again = api.run(FLOW, str(tmp_path / "a.yaml"), env=env)
    assert again.returncode == 0
    assert "0 scenes done, 2 done before" in again.stderr
    query = {"flow_run_id": {"any_": [api.runs()[-1]["id"]]}}
    assert not [row for row in api.ask("artifacts/filter", artifacts=query) if row["key"]], "nothing changed"
