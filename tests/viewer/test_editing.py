"""Corrections over HTTP: they reach the files, two operators lose nothing, and nothing is changed without --edit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas
import httpx
import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer
from served_run import Serve

from geoseg.errors import UsageError, WriteError
from geoseg.io.files.output_lock import locked

TO_LONLAT = Transformer.from_crs(32632, 4326, always_xy=True)
SQUARE = (500040.0, 5399940.0, 500060.0, 5399960.0)


def lonlat(box: tuple[float, float, float, float]) -> dict[str, Any]:
    """A rectangle of the scene's CRS as GeoJSON in degrees."""
    corners = [TO_LONLAT.transform(x, y) for x, y in shapely.get_coordinates(shapely.box(*box)).tolist()]
    return {"type": "Polygon", "coordinates": [corners]}


@pytest.fixture
def copy(run_output: Path, tmp_path: Path) -> Path:
    """A copy of the run that may be changed."""
    shutil.copyfile(run_output.parent / "scene.tif", tmp_path / "scene.tif")
    return shutil.copytree(run_output, tmp_path / "out") / "scene"


@pytest.fixture
def editing(serve: Serve, copy: Path) -> httpx.Client:
    return serve(copy, edit=True)[1]


def codes(folder: Path) -> np.ndarray:
    with rasterio.open(folder / "scene_classes.tif") as raster:
        values: np.ndarray = raster.read(1)
        return values


def paint(revision: int, box: tuple[float, float, float, float] = SQUARE, code: int = 5) -> dict[str, Any]:
    return {"revision": revision, "kind": "repaint", "geometry": lonlat(box), "class_code": code}


def test_a_painted_area_is_in_the_raster_and_the_polygons_once_it_is_saved(editing: httpx.Client, copy: Path):
    before = codes(copy)
    version = editing.get("/api/a/0").json()["version"]
    assert editing.get("/edits/0").json()["revision"] == 0
    applied = editing.post("/edits/0", json=paint(0)).json()
    assert (applied["revision"], applied["pending"]) == (1, 1)
    assert (codes(copy) == before).all()
    saved = editing.post("/edits/0/step", json={"revision": 1, "step": "save"}).json()
    assert saved["pending"] == 0
    expected = before.copy()
    expected[80:120, 80:120] = 5  # half-metre pixels from 500000, 5400000
    assert (codes(copy) == expected).all()
    frame = geopandas.read_file(copy / "scene_segments.gpkg", layer="segments")
    water = frame[frame["class_code"] == 5].union_all()
    assert water.intersection(shapely.box(*SQUARE)).area == pytest.approx(400, abs=0.01)
    assert editing.get("/api/a/0").json()["version"] != version


def test_undo_and_redo_change_what_is_saved(editing: httpx.Client):
    editing.post("/edits/0", json=paint(0))
    undone = editing.post("/edits/0/step", json={"revision": 1, "step": "undo"}).json()
    assert (undone["can_undo"], undone["can_redo"], undone["pending"]) == (False, True, 0)
    redone = editing.post("/edits/0/step", json={"revision": 2, "step": "redo"}).json()
    assert (redone["can_undo"], redone["can_redo"], redone["pending"]) == (True, False, 1)


def test_the_second_of_two_operators_is_told_and_nothing_is_lost(serve: Serve, editing: httpx.Client, copy: Path):
    other = serve(copy, edit=True)[1]
    assert editing.post("/edits/0", json=paint(0)).status_code == 200
    late = other.post("/edits/0", json=paint(0, (500000.0, 5399990.0, 500010.0, 5400000.0)))
    assert late.status_code == 409
    assert "changed elsewhere" in late.json()["detail"]
    assert other.post("/edits/0/step", json={"revision": 0, "step": "save"}).status_code == 409
    again = other.get("/edits/0").json()
    assert (again["revision"], again["pending"]) == (1, 1)
    assert other.post("/edits/0", json=paint(1, (500000.0, 5399990.0, 500010.0, 5400000.0))).json()["pending"] == 2


def test_a_map_that_another_process_has_saved_is_shown_anew(serve: Serve, editing: httpx.Client, copy: Path):
    reader = serve(copy)[1]
    before = reader.get("/api/a/0").json()["version"]
    editing.post("/edits/0", json=paint(0))
    editing.post("/edits/0/step", json={"revision": 1, "step": "save"})
    assert reader.get("/api/a/0").json()["version"] != before


@pytest.mark.parametrize(
    "body",
    [
        {"revision": 0, "kind": "repaint"},
        {"revision": 0, "kind": "burn", "class_code": 1},
        {"revision": -1, "kind": "repaint", "class_code": 1, "geometry": lonlat(SQUARE)},
        {"revision": 0, "kind": "repaint", "class_code": 300, "geometry": lonlat(SQUARE)},
        {"revision": 0, "kind": "repaint", "class_code": 77, "geometry": lonlat(SQUARE)},
        {"revision": 0, "kind": "repaint", "class_code": 1, "geometry": {"type": "Polygon"}},
        {
            "revision": 0,
            "kind": "repaint",
            "class_code": 1,
            "geometry": {"type": "Polygon", "coordinates": [[[1e9, 0]] * 4]},
        },
        {"revision": 0, "kind": "repaint", "class_code": 1, "geometry": {"type": "Point", "coordinates": ["x", 1]}},
        {"revision": 0, "kind": "delete_object", "ids": list(range(2000))},
        {"revision": 0, "kind": "repaint", "class_code": 1, "geometry": lonlat(SQUARE), "path": "/etc/passwd"},
        [],
    ],
)
def test_an_edit_that_makes_no_sense_is_refused_and_leaves_no_trace(editing: httpx.Client, copy: Path, body: Any):
    answer = editing.post("/edits/0", json=body)
    assert answer.status_code == 422
    assert str(copy) not in answer.text
    assert editing.get("/edits/0").json()["revision"] == 0


def test_without_edit_there_is_nothing_to_post_to(serve: Serve, copy: Path):
    _, client = serve(copy)
    for path in ("/edits/0", "/edits/0/step", "/clicks/0"):
        assert client.post(path, json=paint(0)).status_code == 404
    assert client.get("/edits/0").status_code == 404
    assert not (copy / "edits.gpkg").exists()


def test_clicks_are_answered_with_an_outline_where_they_are(editing: httpx.Client, monkeypatch: pytest.MonkeyPatch):
    seen: list[Any] = []

    class Around:
        """Answers the square of ten metres around the first click."""

        def __init__(self, scene: Any, _model: Any) -> None:
            assert scene.uri.endswith("scene.tif")

        def predict(self, clicks: Any) -> Any:
            seen.extend(clicks)
            x, y, _ = clicks[0]
            return SimpleNamespace(polygon=shapely.box(x - 5, y - 5, x + 5, y + 5))

    monkeypatch.setattr("geoseg.viewer.editing.load_click_model", lambda _: object())
    monkeypatch.setattr("geoseg.viewer.editing.ClickSession", Around)
    lon, lat = TO_LONLAT.transform(500050, 5399950)
    answer = editing.post("/clicks/0", json={"clicks": [[lon, lat, True], [lon, lat - 1e-5, False]]}).json()
    assert seen[0] == pytest.approx((500050, 5399950, True), abs=1e-3)
    found = shapely.transform(
        shapely.geometry.shape(answer["geometry"]),
        lambda points: np.column_stack(TO_LONLAT.transform(points[:, 0], points[:, 1], direction="INVERSE")),
    )
    assert found.symmetric_difference(shapely.box(500045, 5399945, 500055, 5399955)).area < 0.01
    assert editing.post("/clicks/0", json={"clicks": []}).status_code == 422
    assert editing.post("/clicks/0", json={"clicks": [[lon, lat, True]] * 65}).status_code == 422
    assert editing.post("/clicks/0", json={"clicks": [[1e9, lat, True]]}).status_code == 422


def test_an_unknown_click_model_is_named(serve: Serve, editing: httpx.Client, monkeypatch: pytest.MonkeyPatch):
    def unknown(name: str) -> Any:
        from geoseg.errors import ModelError

        raise ModelError(f"model {name!r} is unknown")

    monkeypatch.setattr("geoseg.viewer.editing.load_click_model", unknown)
    lon, lat = TO_LONLAT.transform(500050, 5399950)
    answer = editing.post("/clicks/0", json={"clicks": [[lon, lat, True]]})
    assert answer.status_code == 422
    assert "unknown" in answer.json()["detail"]


def test_a_map_that_another_process_is_writing_is_to_be_tried_again(
    editing: httpx.Client, copy: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("geoseg.edits.session._WAIT_S", 0.1)
    assert editing.get("/edits/0").status_code == 200
    with locked(copy.with_name(f".{copy.name}.lock")):
        answer = editing.post("/edits/0", json=paint(0))
    assert answer.status_code == 409
    assert "Try again" in answer.json()["detail"]
    assert editing.post("/edits/0", json=paint(0)).status_code == 200


@pytest.mark.parametrize("name", ["edits.gpkg", "run.json"])
def test_a_damaged_map_is_no_conflict_and_its_place_is_not_told(editing: httpx.Client, copy: Path, name: str):
    (copy / name).write_text("no such format")
    answer = editing.get("/edits/0")
    assert answer.status_code == 500
    assert "terminal" in answer.json()["detail"]
    assert "/" not in answer.json()["detail"]


def test_a_disk_that_fails_is_no_conflict(editing: httpx.Client, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: Any, **__: Any) -> None:
        raise WriteError("/somewhere/edits.gpkg", "No space left on device")

    monkeypatch.setattr("geoseg.edits.session.write_log", fail)
    answer = editing.post("/edits/0", json=paint(0))
    assert answer.status_code == 500
    assert "/" not in answer.json()["detail"]


@pytest.mark.parametrize("place", ["/home/me/out/scene", "/home/me/my maps/scene", "/home/me/other"])
def test_a_refusal_names_no_folder_of_the_disk(
    editing: httpx.Client, copy: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    texts = [f"{copy}: has no polygons, {copy}/scene_segments.gpkg is missing", f"model '{place}' is unknown"]
    for text in texts:

        def refuse(*_: Any, text: str = text, **__: Any) -> None:
            raise UsageError(text)

        monkeypatch.setattr("geoseg.edits.session.resolved", refuse)
        answer = editing.post("/edits/0", json=paint(0))
        assert answer.status_code == 422
        assert str(copy.parent) not in answer.text
        assert "/home" not in answer.text
        assert "scene" in answer.text or "other" in answer.text


def test_a_map_that_was_predicted_anew_is_refused_then_shown(editing: httpx.Client, copy: Path):
    assert editing.get("/edits/0").json()["revision"] == 0
    record = json.loads((copy / "run.json").read_text())
    record["identity"]["options"] = "others"
    (copy / "run.json").write_text(json.dumps(record))
    assert editing.post("/edits/0", json=paint(0)).status_code == 409
    assert editing.get("/edits/0").json()["revision"] == 0
    assert editing.post("/edits/0", json=paint(0)).status_code == 200


@pytest.mark.parametrize("click", [[10.0, 95.0, True], [0.0, 90.0, True], [-171.0, -89.9, True]])
def test_a_click_beyond_the_projection_is_refused(editing: httpx.Client, monkeypatch: pytest.MonkeyPatch, click: Any):
    monkeypatch.setattr("geoseg.viewer.editing.load_click_model", lambda _: object())
    monkeypatch.setattr("geoseg.viewer.editing.ClickSession", lambda *_: SimpleNamespace(predict=_refuse))
    assert editing.post("/clicks/0", json={"clicks": [click]}).status_code == 422


def _refuse(clicks: Any) -> Any:
    assert np.isfinite(np.array(clicks, float)).all()
    raise UsageError("outside of the scene")
