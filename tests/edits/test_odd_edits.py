"""Odd edit files are refused as inputs; far areas paint what they cover; damage of a map stays to be seen."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
import shapely
from corrected_maps import (  # noqa: F401 - fixtures
    SHAPE,
    box,
    fixture_of_finished_map,
    fixture_of_finished_maps,
    read,
    record_of,
    repaint,
)

import geoseg.edits
from geoseg.archive.check import check_output
from geoseg.cli.main import app
from geoseg.core.window import Window
from geoseg.edits.edit_file import read_edits
from geoseg.errors import OutputError, SceneError
from geoseg.io.edits.areas import burn
from geoseg.io.files.recorded_file import file_facts
from geoseg.process.command import run_command

SQUARE = '{"type": "Polygon", "coordinates": [[[9, 48.7], [9.1, 48.7], [9.1, 48.8], [9, 48.7]]]}'


def run(*arguments: object) -> int:
    return run_command(lambda: app(args=list(map(str, arguments)), standalone_mode=False), debug=True)


def feature(properties: str, geometry: str = "null") -> str:
    return f'{{"type": "FeatureCollection", "features": [{{"geometry": {geometry}, "properties": {properties}}}]}}'


def objects(ids: str) -> str:
    return feature(f'{{"kind": "delete_object", "ids": {ids}}}')


def painted(coordinates: str, kind: str = "Polygon", more: str = "") -> str:
    return feature(f'{{"kind": "repaint", "class": 1{more}}}', f'{{"type": "{kind}", "coordinates": {coordinates}}}')


@pytest.mark.slow_after(12)
@pytest.mark.parametrize(
    "text",
    [
        objects("0"),
        objects("1.9"),
        objects("1e999"),
        objects("100000000000000000000000"),
        objects("-1"),
        objects("true"),
        objects("[[1]]"),
        objects("{}"),
        objects('"1.9"'),
        objects('"-1"'),
        feature("5"),
        feature("[1]"),
        feature('"kind"'),
        feature('{"kind": ["repaint"]}', SQUARE),
        feature('{"kind": "repaint", "class": {}}', SQUARE),
        feature('{"kind": "repaint", "class": 1, "author": "\\u0000"}', SQUARE),
        feature('{"kind": "repaint", "class": 1}', "7"),
        feature('{"kind": "repaint", "class": 1}', '{"coordinates": []}'),
        feature('{"kind": "repaint", "class": 1}', '{"type": "Polygon"}'),
        painted("[[[1e999, 0], [1, 0], [1, 1], [1e999, 0]]]"),
        painted("[[[NaN, 0], [1, 0], [1, 1], [NaN, 0]]]"),
        painted("[[[1" + "0" * 400 + ", 0], [1, 0], [1, 1], [2, 0]]]"),
        painted("[[[1e300, 0], [1, 0], [1, 1], [1e300, 0]]]"),
        painted("[[[9]], [9.1], [9]]"),
        painted("[9]", "LineString", ', "width_px": 3'),
        painted("[[9, 48], [9]]", "LineString", ', "width_px": 3'),
        painted("[9, 48.75]", "Point", ', "width_px": 1' + "0" * 400),
        painted("[9, 48.75]", "Point", ', "width_px": [3]'),
        painted("[9, 48.75]", "Point", ', "width_px": 1e999'),
        '{"type": "FeatureCollection", "features": 5}',
        '{"type": "FeatureCollection", "features": [5]}',
        '{"type": "FeatureCollection", "features": [], "crs": 7}',
        '{"type": "FeatureCollection", "features": []}',
        "[" * 100_000,
    ],
)
def test_an_odd_edit_file_is_refused_as_an_input_and_leaves_no_trace(text: str, finished_map, tmp_path, capsys) -> None:
    folder = finished_map("objects")
    edits = tmp_path / "odd.geojson"
    edits.write_text(text)
    assert run("edit", "apply", folder, edits) == 3
    assert str(edits) in capsys.readouterr().err
    assert not (folder / "edits.gpkg").exists()


def test_a_refused_feature_is_named_by_its_number(finished_map, tmp_path) -> None:
    folder = finished_map()
    edits = tmp_path / "edits.geojson"
    good, bad = json.loads(painted("[9, 48.75]", "Point", ', "width_px": 3')), json.loads(objects("1.9"))
    edits.write_text(json.dumps(good | {"features": good["features"] + bad["features"]}))
    with pytest.raises(SceneError, match=r"feature 2: .*1\.9"):
        read_edits(edits, geoseg.edits.open(folder).finished)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("far", [2.0**22, 2.0**31, 1e12, 1e15])
def test_an_area_that_reaches_far_beyond_the_scene_is_painted_where_it_meets_it(far: float, finished_map) -> None:
    folder = finished_map()
    before = read(folder / "scene_classes.tif")
    session = geoseg.edits.open(folder)
    west, _, east, north = box(40, 90, 50, 120).bounds
    session.apply(repaint(shapely.box(west, -far, east, north), 1))
    session.save()
    expected = before.copy()
    inside = np.zeros(SHAPE, bool)
    inside[40:, 50:120] = True
    expected[inside & (before != 255)] = 1
    np.testing.assert_array_equal(read(folder / "scene_classes.tif"), expected)


@pytest.mark.parametrize("far", [2.0**31, 2.0**40, 1e18])
def test_pixels_far_from_their_outline_are_burnt(far: float) -> None:
    window = Window(10, 30, 40, 70)
    marked = burn(shapely.box(50, -far, far, 20), window)
    expected = np.zeros(window.shape, bool)
    expected[:10, 10:] = True
    np.testing.assert_array_equal(marked, expected)
    assert not burn(shapely.box(far / 2, far / 2, far, far), window).any()


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "edits.gpkg"}


GARBAGE = b"\x89PNG\r\n\x1a\n garbage "


@pytest.mark.slow_after(3)
@pytest.mark.parametrize(
    "name",
    [
        "scene_preview.png",
        "scene.qgz",
        "scene.stac.json",
        "scene_classes.tif",
        "scene_confidence.tif",
        "scene_segments.gpkg",
        "scene_objects.gpkg",
        "scene_classes.qml",
    ],
)
def test_a_save_over_a_damaged_file_is_refused_by_its_name_or_leaves_the_damage_to_be_seen(
    name: str, finished_map
) -> None:
    folder = finished_map("objects")
    size = (folder / name).stat().st_size
    (folder / name).write_bytes((GARBAGE * (size // len(GARBAGE) + 1))[:size])
    before, refusal = files_of(folder), ""
    try:
        session = geoseg.edits.open(folder)
        session.apply(repaint(box(30, 60, 40, 90), 1))
        session.save()
    except (OutputError, SceneError) as error:
        refusal = str(error)
    if refusal:
        assert name in refusal
        assert files_of(folder) == before
    else:
        (checked,) = check_output(folder)
        assert {state.path.name for state in checked.states if state.condition != "whole"} >= {name}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", ["scene_classes.tif", "scene_preview.png", "scene_segments.gpkg"])
def test_damage_of_a_kept_file_of_the_run_is_seen_after_the_next_save(name: str, finished_map) -> None:
    folder = finished_map()
    session = geoseg.edits.open(folder)
    session.apply(repaint(box(30, 60, 40, 90), 1))
    session.save()
    kept = folder / "original" / name
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 255
    kept.write_bytes(bytes(content))
    session.apply(repaint(box(60, 90, 40, 90), 1))
    with suppress(OutputError):
        session.save()
    (checked,) = check_output(folder)
    assert kept in {state.path for state in checked.states if state.condition == "damaged"}


@pytest.mark.parametrize("harm", ["damaged", "missing"])
def test_a_save_does_not_bless_a_file_that_it_leaves_as_it_is(harm: str, finished_map) -> None:
    folder = finished_map("rasters")
    untouched = folder / "notes.txt"
    record = record_of(folder)
    untouched.write_text("written by the run")
    record["files"]["notes.txt"] = file_facts(untouched)
    (folder / "run.json").write_text(json.dumps(record))
    if harm == "damaged":
        untouched.write_text("written by thE run")
    else:
        untouched.unlink()
    session = geoseg.edits.open(folder)
    session.apply(repaint(box(30, 60, 40, 90), 1))
    session.save()
    assert record_of(folder)["files"]["notes.txt"] == record["files"]["notes.txt"]


@pytest.mark.slow_after(5)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE edit_state SET value = '[]'",
        "UPDATE edit_state SET value = '{'",
        """UPDATE edit_state SET value = '{"version": 1, "revision": "x", "next_number": 1, "next_fid": {}}'""",
        """UPDATE edit_state SET value = '{"version": 1, "revision": 1e999, "next_number": 1, "next_fid": {}}'""",
        """UPDATE edit_state SET value = '{"version": 1, "revision": 1, "next_number": 1, "next_fid": []}'""",
        "DELETE FROM edit_state",
        "DROP TABLE paints",
        "UPDATE edits SET request = '[]'",
        "UPDATE edits SET request = '{}'",
        "UPDATE edits SET state = 'gone'",
        "UPDATE paints SET number = 'x'",
        "UPDATE paints SET class_code = 'x'",
        "UPDATE paints SET geom = NULL",
        "UPDATE paints SET geom = x'4750'",
        "UPDATE paints SET geom = x'47500001000000000103000000ffff'",
    ],
)
def test_a_damaged_log_is_refused_by_its_name(statement: str, finished_map) -> None:
    folder = finished_map()
    geoseg.edits.open(folder).apply(repaint(box(30, 60, 40, 90), 1))
    with closing(sqlite3.connect(folder / "edits.gpkg")) as db, db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f'DROP TRIGGER "{name}"')
        db.execute(statement)
    with pytest.raises(SceneError, match=r"edits\.gpkg"):
        geoseg.edits.open(folder)
