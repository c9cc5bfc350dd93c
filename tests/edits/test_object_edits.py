"""Edits of objects in a class map: the objects that are named change, all others keep ids and outlines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from corrected_maps import (  # noqa: F401 - fixtures
    NORTH,
    PIXEL,
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

import geoseg.edits
from geoseg.archive.check import check_output
from geoseg.edits import Edit
from geoseg.errors import UsageError


def objects(folder: Path):
    return table(folder / "scene_objects.gpkg", "objects").set_index("object_id")


def outlines(frame) -> dict:
    return {ident: shapely.normalize(shape).wkb for ident, shape in zip(frame.index, frame.geometry, strict=True)}


def pixels(folder: Path, shape: shapely.Geometry) -> np.ndarray:
    with rasterio.open(folder / "scene_classes.tif") as file:
        return rasterio.features.rasterize([shape], file.shape, transform=file.transform).astype(bool)


def largest(frame) -> int:
    return int(frame.area_m2.idxmax())


def across(shape: shapely.Geometry) -> shapely.LineString:
    _, south, _, north = shape.bounds
    middle = shape.representative_point().x
    return shapely.LineString([(middle, south - 1), (middle, north + 1)])


def test_an_object_is_deleted_and_its_pixels_get_the_class_around_it(finished_map) -> None:
    folder = finished_map("objects")
    before, codes = objects(folder), read(folder / "scene_classes.tif")
    gone = largest(before)
    inside = pixels(folder, before.geometry[gone])
    session = geoseg.edits.open(folder)
    session.apply(Edit(kind="delete_object", ids=(gone,)))
    session.save()
    after = read(folder / "scene_classes.tif")
    assert (after[~inside] == codes[~inside]).all()
    (fill,) = np.unique(after[inside])
    assert fill in {0, 5}
    rest = outlines(before)
    del rest[gone]
    assert outlines(objects(folder)) == rest


def test_an_object_is_split_by_a_line_and_merged_again(finished_map) -> None:
    folder = finished_map("objects")
    before = objects(folder)
    whole = largest(before)
    session = geoseg.edits.open(folder)
    session.apply(Edit(kind="split_object", ids=(whole,), geometry=across(before.geometry[whole])))
    session.save()
    parted = objects(folder)
    old, new = outlines(before), outlines(parted)
    parts = [ident for ident, wkb in new.items() if old.get(ident) != wkb]
    assert len(parts) >= 2
    assert whole in parts  # the part with the last pixel keeps the id
    assert parted.pixels[parts].sum() == before.pixels[whole]
    assert shapely.union_all(parted.geometry[parts]).symmetric_difference(before.geometry[whole]).area < 1e-9
    assert {ident: wkb for ident, wkb in new.items() if ident not in parts} == {
        ident: wkb for ident, wkb in old.items() if ident != whole
    }
    assert (read(folder / "scene_classes.tif") == read(folder / "original" / "scene_classes.tif")).all()
    session.apply(Edit(kind="merge_objects", ids=tuple(parts)))
    session.save()
    assert outlines(objects(folder)) == old
    assert [checked.faults for checked in check_output(folder)] == [()]


def test_a_drawn_object_is_an_object_of_its_own_also_where_it_touches_others(finished_map) -> None:
    folder = finished_map("objects")
    before, codes = objects(folder), read(folder / "scene_classes.tif")
    neighbour = largest(before)
    _, south, east, _ = before.geometry[neighbour].bounds
    drawn = shapely.box(east - 5, south, east + 10, south + 12)
    session = geoseg.edits.open(folder)
    session.apply(Edit(kind="add_object", geometry=drawn, class_code=1))
    session.save()
    inside = pixels(folder, drawn) & (codes != 255)
    assert (read(folder / "scene_classes.tif")[inside] == 1).all()
    after = objects(folder)
    burnt = [pixels(folder, shape) for shape in after.geometry]
    assert sum((one == inside).all() for one in burnt) == 1
    assert np.sum(burnt, axis=0).max() == 1
    untouched = [i for i, shape in before.geometry.items() if not shape.intersects(drawn)]
    assert {i: outlines(after)[i] for i in untouched} == {i: outlines(before)[i] for i in untouched}


def test_what_a_drawn_object_leaves_of_others_is_an_object_from_the_smallest_area_on(finished_map) -> None:
    """The run's is 1 m2, 4 pixels."""
    folder = finished_map("objects")
    corner, rest = box(40, 41, 40, 41), box(50, 60, 50, 60)
    first = box(40, 60, 40, 60)
    second = first.difference(corner).difference(rest)
    session = geoseg.edits.open(folder)
    for drawn in (first, second):
        session.apply(Edit(kind="add_object", geometry=drawn, class_code=1))
    session.save()
    after = objects(folder)
    found = {int(pixels(folder, shape).sum()) for shape in after.geometry if shape.intersects(first.buffer(-0.1))}
    assert found == {299, 100}
    assert (read(folder / "scene_classes.tif")[pixels(folder, corner)] == 1).all(), "it is still of the class"


def test_a_drawn_object_stays_however_small_it_is(finished_map) -> None:
    folder = finished_map("objects")
    drawn = box(40, 42, 40, 41)
    session = geoseg.edits.open(folder)
    session.apply(Edit(kind="add_object", geometry=drawn, class_code=1))
    session.save()
    assert [int(pixels(folder, one).sum()) for one in objects(folder).geometry if one.intersects(drawn.centroid)] == [2]


def test_an_outline_is_drawn_anew_and_a_class_is_changed(finished_map) -> None:
    folder = finished_map("objects")
    before = objects(folder)
    ident = largest(before)
    west, south, east, north = before.geometry[ident].bounds
    shape = before.geometry[ident].intersection(shapely.box(west, south, (west + east) / 2, north))
    shape = max(shapely.get_parts(shape), key=lambda part: part.area)
    session = geoseg.edits.open(folder)
    session.apply(Edit(kind="reshape_object", ids=(ident,), geometry=shape, class_code=5))
    session.save()
    inside = pixels(folder, shape)
    after = objects(folder)
    assert any((pixels(folder, one) == inside).all() for one in after.geometry)
    lost = pixels(folder, before.geometry[ident]) & ~inside
    assert (read(folder / "scene_classes.tif")[lost] == 5).all()
    other = next(i for i in after.index if i in before.index and outlines(after)[i] == outlines(before)[i])
    mask = pixels(folder, after.geometry[other])
    session.apply(Edit(kind="set_class", ids=(other,), class_code=0))
    session.save()
    assert (read(folder / "scene_classes.tif")[mask] == 0).all()
    assert other not in objects(folder).index


def test_undoing_object_edits_one_by_one_gives_the_states_before(finished_map) -> None:
    folder = finished_map("objects")
    session = geoseg.edits.open(folder)
    states = [outlines(objects(folder))]
    first = largest(objects(folder))
    for edit in (
        Edit(kind="split_object", ids=(first,), geometry=across(objects(folder).geometry[first])),
        repaint(box(60, 90, 60, 120), 1),
        Edit(kind="add_object", geometry=box(5, 25, 120, 150), class_code=1),
    ):
        session.apply(edit)
        session.save()
        states.append(outlines(objects(folder)))
    for expected in reversed(states[:-1]):
        session.undo()
        session.save()
        assert outlines(objects(folder)) == expected


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Edit(kind="delete_object", ids=(7_777_777,)), "no object 7777777"),
        (Edit(kind="delete_object", ids=(0,)), "no object 0"),
        (Edit(kind="split_object", ids=(-1,), geometry=shapely.LineString([(0, 0), (1, 1)])), "no object -1"),
        (Edit(kind="add_object", geometry=box(50, 60, 50, 60), class_code=5), "classes 1 "),
        (Edit(kind="add_object", geometry=shapely.box(0, 0, 1, 1), class_code=1), "outside of the map"),
        (repaint(box(50, 60, 50, 60), 9), "no class 9"),
        (Edit(kind="set_class", ids=(99_999,), layer="segments", class_code=1), "no polygon 99999"),
    ],
)
def test_edits_that_make_no_sense_are_refused_and_leave_no_trace(edit, message, finished_map) -> None:
    folder = finished_map("objects")
    session = geoseg.edits.open(folder)
    with pytest.raises(UsageError, match=message):
        session.apply(repaint(box(50, 60, 50, 60), 0), edit)
    assert (session.refresh(), session.log.entries) == (0, ())


def test_a_line_beside_an_object_does_not_split_it(finished_map) -> None:
    folder = finished_map("objects")
    frame = objects(folder)
    line = shapely.LineString([(WEST, NORTH), (WEST + 1, NORTH - 1)])
    with pytest.raises(UsageError, match="right across"):
        geoseg.edits.open(folder).apply(Edit(kind="split_object", ids=(largest(frame),), geometry=line))
    ends = frame.index[:2].tolist()
    if frame.geometry[ends[0]].distance(frame.geometry[ends[1]]) > PIXEL:
        with pytest.raises(UsageError, match="do not touch"):
            geoseg.edits.open(folder).apply(Edit(kind="merge_objects", ids=tuple(ends)))


def test_a_map_with_layers_that_would_not_follow_is_refused(finished_map) -> None:
    folder = finished_map("objects")
    record = record_of(folder)
    (folder / "run.json").write_text(json.dumps(record | {"layers": [*record["layers"], "things"]}))
    with pytest.raises(UsageError, match="the layer things"):
        geoseg.edits.open(folder).apply(repaint(box(50, 60, 50, 60), 0))
    assert not (folder / "edits.gpkg").exists()


@pytest.mark.parametrize("kind", ["exact", "simplified"])
def test_a_polygon_of_a_class_gets_another_one(kind, finished_map, tmp_path) -> None:
    folder = finished_map(kind)
    codes, frame = read(folder / "scene_classes.tif"), table(folder / "scene_segments.gpkg")
    fid = int(frame[frame.class_code == 1].area_m2.idxmax())
    session = geoseg.edits.open(folder)
    session.apply(Edit(kind="set_class", layer="segments", ids=(fid,), class_code=5))
    session.save()
    after = read(folder / "scene_classes.tif")
    changed = after != codes
    assert (codes[changed & (after == 5)] != 5).all()
    assert set(np.unique(after[changed])) == {5}
    inside = pixels(folder, frame.geometry[fid].buffer(-0.3))
    assert (after[inside] == 5).all()
    if kind == "exact":
        np.testing.assert_array_equal(changed, pixels(folder, frame.geometry[fid]))
    assert rows(table(folder / "scene_segments.gpkg")) == rows(vectorised(folder, tmp_path / "whole.gpkg"))
