"""Saved edits: the layers are what the edited class raster gives, whole, and undoing brings the run's bytes back."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from corrected_maps import (  # noqa: F401 - fixtures
    NORTH,
    PIXEL,
    SHAPE,
    SIMPLIFY_M,
    WEST,
    box,
    fixture_of_finished_map,
    fixture_of_finished_maps,
    fixture_of_small_blocks,
    read,
    record_of,
    repaint,
    rows,
    table,
    vectorised,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize

import geoseg.edits
from geoseg.archive.check import check_output
from geoseg.vector import vectorise as tracer


def test_a_polygon_is_repainted_and_everything_else_stays(finished_map) -> None:
    folder = finished_map()
    before, percent = read(folder / "scene_classes.tif"), read(folder / "scene_confidence.tif")
    session = geoseg.edits.open(folder, author="Ann")
    area = shapely.Polygon([(WEST + 10, NORTH - 10), (WEST + 60, NORTH - 20), (WEST + 30, NORTH - 70)])
    session.apply(repaint(area, 5))
    assert (read(folder / "scene_classes.tif") == before).all()
    session.save()
    with rasterio.open(folder / "scene_classes.tif") as file:
        inside = rasterize([area], SHAPE, transform=file.transform).astype(bool) & (before != 255)
    assert inside.any()
    np.testing.assert_array_equal(read(folder / "scene_classes.tif"), np.where(inside, 5, before))
    np.testing.assert_array_equal(read(folder / "scene_confidence.tif"), np.where(inside, 100, percent))
    facts = record_of(folder)["edits"]
    assert (facts["count"], facts["pixels"], facts["authors"]) == (1, int(inside.sum()), ["Ann"])
    assert facts["area_m2"] == pytest.approx(inside.sum() * 0.25, rel=1e-3)
    counts = {entry["code"]: entry["pixels"] for entry in record_of(folder)["classes"]}
    assert counts == {code: int((np.where(inside, 5, before) == code).sum()) for code in (0, 1, 5)}


def test_a_brush_stroke_is_as_wide_as_it_says_and_nodata_is_never_painted(finished_map) -> None:
    folder = finished_map()
    before = read(folder / "scene_classes.tif")
    session = geoseg.edits.open(folder)
    line = shapely.LineString([(WEST, NORTH - 5.25), (WEST + 50, NORTH - 5.25)])  # through row 10
    session.apply(repaint(line, 1, width_px=5))
    session.save()
    after = read(folder / "scene_classes.tif")
    assert (before[8:13, :30] == 255).all()
    np.testing.assert_array_equal(after[8:13, :30], before[8:13, :30])
    assert (after[8:13, 30:98] == 1).all()
    changed = np.argwhere(after != before)
    assert changed[:, 0].min() >= 8
    assert changed[:, 0].max() <= 12


CODES = st.sampled_from([0, 1, 5, 255])
BOXES = st.tuples(st.floats(0, 140), st.floats(2, 60), st.floats(0, 190), st.floats(2, 60), CODES)


def ids_by_shape(frame: geopandas.GeoDataFrame) -> dict:
    return {(one.wkb, code): fid for fid, one, code in zip(frame.index, frame.geometry, frame.class_code, strict=True)}


def outline(class_map: Path) -> shapely.Geometry:
    """Outline of the pixels that have a class."""
    with rasterio.open(class_map) as file:
        data = file.read(1) != 255
        found = rasterio.features.shapes(data.astype(np.uint8), mask=data, transform=file.transform)
        return shapely.union_all([shapely.geometry.shape(shape) for shape, _ in found])


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("kind", ["exact", "simplified"])
@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example(boxes=[(0.0, 21.0, 0.0, 2.0, 255)], undone=0)  # a notch without data, whose outline is simplified too
@given(boxes=st.lists(BOXES, min_size=1, max_size=3), undone=st.integers(0, 2))
def test_polygons_are_those_of_vectorising_the_edited_raster(
    kind, boxes, undone, finished_map, small_blocks, tmp_path_factory
) -> None:
    folder = finished_map(kind, tmp_path_factory.mktemp("copy").name)
    session = geoseg.edits.open(folder)
    earlier = table(folder / "scene_segments.gpkg")
    for top, height, left, width, code in boxes:
        session.apply(repaint(box(top, top + height, left, left + width), code))
        session.save()
    for _ in range(min(undone, len(boxes) - 1)):
        session.undo()
    session.save()
    found = table(folder / "scene_segments.gpkg")
    assert rows(found) == rows(vectorised(folder, folder.parent / "whole.gpkg"))
    assert shapely.coverage_is_valid(found.geometry.to_numpy())
    data, mapped = outline(folder / "scene_classes.tif"), shapely.union_all(found.geometry.to_numpy())
    if kind == "exact":
        assert mapped.symmetric_difference(data).is_empty
    else:  # edges beside nodata are simplified too, by no more than the tolerance
        assert mapped.symmetric_difference(data).buffer(-SIMPLIFY_M).is_empty
    old, new = ids_by_shape(earlier), ids_by_shape(found)
    assert {key: new[key] for key in new if key in old} == {key: old[key] for key in new if key in old}
    assert all(fid > max(earlier.index) for key, fid in new.items() if key not in old)


def test_objects_are_those_of_vectorising_the_edited_raster(finished_map, small_blocks, tmp_path) -> None:
    folder = finished_map("objects")
    session = geoseg.edits.open(folder)
    for area, code in ((box(30, 60, 40, 90), 1), (box(45, 50, 10, 150), 0), (box(100, 140, 100, 180), 5)):
        session.apply(repaint(area, code))
        session.save()
        found = table(folder / "scene_objects.gpkg", "objects")
        assert rows(found) == rows(vectorised(folder, tmp_path / "whole.gpkg", "--objects", "1"))
        assert record_of(folder)["objects"] == len(found)


def test_only_blocks_that_were_touched_are_traced_again(finished_map, small_blocks, monkeypatch) -> None:
    traced, draw = [], tracer._draw_block

    def spy(task, window, *rest):
        traced.append(window)
        return draw(task, window, *rest)

    monkeypatch.setattr(tracer, "_draw_block", spy)
    session = geoseg.edits.open(finished_map())
    session.apply(repaint(box(100, 103, 100, 103), 255))
    session.save()  # the first time nothing is kept yet
    assert len(traced) == 5 * 7
    traced.clear()
    session.apply(repaint(box(70, 75, 70, 75), 255))
    session.save()
    assert [(w.row_start, w.col_start) for w in traced] == [(64, 64)]
    traced.clear()
    session.apply(repaint(box(90, 100, 10, 20), 255))  # over the edge of two blocks
    session.save()
    assert sorted((w.row_start, w.col_start) for w in traced) == [(64, 0), (96, 0)]
    traced.clear()
    session.undo()
    session.save()
    assert sorted((w.row_start, w.col_start) for w in traced) == [(64, 0), (96, 0)]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("kind", ["exact", "objects", "rasters"])
def test_undoing_all_edits_brings_back_the_bytes_of_the_run(kind, finished_map) -> None:
    folder = finished_map(kind)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    session = geoseg.edits.open(folder)
    for number in range(3):
        session.apply(repaint(box(20 * number, 20 * number + 30, 50, 120), number % 2))
        session.save()
    assert read(folder / "original" / "scene_classes.tif").tobytes() != read(folder / "scene_classes.tif").tobytes()
    for _ in range(3):
        session.undo()
    session.save()
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "edits.gpkg"}
    assert after == before
    for _ in range(3):
        session.redo()
    session.save()
    assert record_of(folder)["edits"]["count"] == 3
    assert [checked.faults for checked in check_output(folder)] == [()]


@pytest.mark.parametrize("kind", ["exact", "objects", "rasters"])
def test_a_corrected_bundle_is_whole_and_says_what_was_edited(kind, finished_map) -> None:
    folder = finished_map(kind)
    session = geoseg.edits.open(folder, author="Ann")
    session.apply(repaint(box(30, 60, 40, 90), 1), repaint(box(50, 70, 60, 99), 0, author="Bea"))
    session.save()
    (checked,) = check_output(folder)
    assert {state.condition for state in checked.states} == {"whole"}
    names = {str(state.path.relative_to(folder)) for state in checked.states}
    assert {"edits.gpkg", "run.json", "original/run.json", "original/scene_classes.tif"} <= names
    item = json.loads((folder / "scene.stac.json").read_text())
    facts = record_of(folder)["edits"]
    assert item["properties"]["geoseg:edits"] == facts
    assert (facts["count"], facts["kinds"], facts["authors"]) == (2, {"repaint": 2}, ["Ann", "Bea"])
    assert item["assets"]["edits"]["href"] == "./edits.gpkg"
    with zipfile.ZipFile(folder / "scene.qgz") as project:
        document = ET.fromstring(project.read(project.namelist()[0]))  # noqa: S314 - made above
    first = document.find("layer-tree-group")[0]
    assert first.get("source") == "./edits.gpkg|layername=edits"
    assert first.get("checked") == "Qt::Unchecked"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        listed = geopandas.read_file(folder / "edits.gpkg", layer="edits")
    assert listed["author"].tolist() == ["Ann", "Bea"]
    assert listed["answer"].unique().tolist() == [session.finished.answer]
