"""Edits of detected objects and of panoptic maps from the command line and over HTTP."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from labelled_maps import area, fixture_of_labelled_map, fixture_of_predicted_maps, frame  # noqa: F401 - fixtures
from pyproj import Transformer
from served_run import starter
from shapely.geometry import mapping
from test_label_edits import read

from geoseg.archive.check import check_output
from geoseg.cli.main import app
from geoseg.process.command import run_command

TO_LONLAT = Transformer.from_crs(32633, 4326, always_xy=True)


def run(*arguments: object) -> int:
    return run_command(lambda: app(args=list(map(str, arguments)), standalone_mode=False), debug=True)


def lonlat(shape) -> dict:
    corners = [TO_LONLAT.transform(x, y) for x, y in shape.exterior.coords]
    return {"type": "Polygon", "coordinates": [corners]}


def thing(folder: Path) -> int:
    table = frame(folder)
    return int(table[table.kind == "thing"].set_index("segment_id").pixels.idxmax())


def test_a_file_of_edits_corrects_a_panoptic_map(labelled_map, tmp_path, capsys) -> None:
    folder, edits = labelled_map("panoptic"), tmp_path / "edits.geojson"
    ident, before = thing(folder), read(folder, "panoptic")
    features = [
        {"geometry": None, "properties": {"kind": "delete_object", "ids": [ident], "class": "water"}},
        {"geometry": mapping(area(10, 30, 10, 30)), "properties": {"kind": "add_object", "class": "car"}},
    ]
    crs = {"type": "name", "properties": {"name": "EPSG:32633"}}
    edits.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    assert run("edit", "apply", folder, edits, "--save", "--json") == 0
    assert json.loads(capsys.readouterr().out)["pending"] == 0
    after = read(folder, "panoptic")
    inside = np.zeros(before.shape, bool)
    inside[10:30, 10:30] = True
    assert (after[(before == ident) & ~inside] == 9).all()
    assert set(np.unique(after[inside]) % 256) == {5}
    assert [checked.faults for checked in check_output(folder)] == [()]
    edits.write_text(edits.read_text().replace(f"[{ident}]", "[230658]"))
    assert run("edit", "apply", folder, edits) == 3
    assert "no object 230658" in capsys.readouterr().err
    assert run("edit", "undo", folder, "--all", "--save") == 0
    np.testing.assert_array_equal(read(folder, "panoptic"), before)


def test_the_page_corrects_things_by_their_segment_id(labelled_map) -> None:
    folder = labelled_map("panoptic")
    ident, before = thing(folder), read(folder, "panoptic")
    with ExitStack() as closing:
        _, client = starter(closing)(folder, edit=True)
        state = client.get("/edits/0").json()
        assert (state["objects"], state["refused"]) == (True, "")
        asked = {"revision": 0, "kind": "set_class", "ids": [ident], "layer": "objects", "class_code": 1}
        assert client.post("/edits/0", json=asked).json()["pending"] == 1
        painted = {"revision": 1, "kind": "repaint", "geometry": lonlat(area(60, 70, 80, 100)), "class_code": 2}
        assert client.post("/edits/0", json=painted).json()["pending"] == 2
        assert client.post("/edits/0", json=painted).status_code == 409
        assert client.post("/edits/0/step", json={"revision": 2, "step": "save"}).json()["pending"] == 0
    after = read(folder, "panoptic")
    assert (after[before == ident] % 256)[after[before == ident] < 256].tolist().count(1) > 0
    assert (after[60:70, 80:100] % 256 == 2).all()
    assert (after[60:70, 80:100] >= 256).all()


@pytest.mark.parametrize(("kind", "reason"), [("instances, overlaps", "overlap"), ("instances, no ids", "simplified")])
def test_the_page_says_why_a_map_cannot_be_corrected(kind, reason, labelled_map) -> None:
    with ExitStack() as closing:
        _, client = starter(closing)(labelled_map(kind), edit=True)
        assert reason in client.get("/edits/0").json()["refused"]
        asked = {"revision": 0, "kind": "repaint", "geometry": lonlat(area(5, 9, 5, 9)), "class_code": 0}
        refused = client.post("/edits/0", json=asked)
    assert refused.status_code == 422
    assert reason in refused.json()["detail"]
    assert "/" not in refused.json()["detail"]
