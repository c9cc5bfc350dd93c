"""Edits of detected objects and of things by lines, vertices and polygons of the saved layer."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from corrected_maps import (  # noqa: F401 - fixtures
    box,
    fixture_of_finished_map,
    fixture_of_finished_maps,
    repaint,
)
from labelled_maps import (  # noqa: F401 - fixtures
    BLOCK_PX,
    NORTH,
    PIXEL,
    SHAPE,
    WEST,
    area,
    burnt,
    fixture_of_labelled_map,
    fixture_of_predicted_maps,
    fixture_of_tiny_blocks,
    frame,
)
from test_label_edits import check_layers, model_of, read

import geoseg
import geoseg.edits
from geoseg.archive.check import check_output
from geoseg.edits import Edit
from geoseg.errors import StaleRevisionError, UsageError
from geoseg.vector import vectorise as tracer

BOX = np.s_[40:60, 40:60]


def numbers(folder: Path) -> np.ndarray:
    """Panoptic labels, or ids of objects."""
    return read(folder, "panoptic" if (folder / "scene_panoptic.tif").exists() else "object_ids")


def with_square(folder: Path, code: int) -> tuple[geoseg.edits.EditSession, int]:
    """Draw an object of 20 x 20 pixels and save; returns its id."""
    session = geoseg.edits.open(folder)
    session.apply(Edit(kind="add_object", geometry=area(40, 60, 40, 60), class_code=code))
    session.save()
    ids = np.unique(numbers(folder)[BOX])
    assert len(ids) == 1
    return session, int(ids[0])


def upright(col: float, top: float = -1, bottom: float = SHAPE[0] + 1) -> shapely.LineString:
    x = WEST + col * PIXEL
    return shapely.LineString([(x, NORTH - top * PIXEL), (x, NORTH - bottom * PIXEL)])


def checked(folder: Path) -> None:
    """The layers agree with each other."""
    classes, found = read(folder, "classes"), numbers(folder)
    table = frame(folder)
    column = table.segment_id if "kind" in table else table.object_id
    none = -1 if "kind" in table else 2**32 - 1
    burnt_again = burnt(folder, table.geometry.to_list(), column.to_list())
    np.testing.assert_array_equal(np.where(burnt_again < 0, none, burnt_again), found)
    for row, number in zip(table.itertuples(), column, strict=True):
        assert (classes[found == number] == row.class_code).all()
    if "kind" in table:
        np.testing.assert_array_equal(found % 256, classes)
        last = {n: np.flatnonzero(found.ravel() == n)[-1] for n in np.unique(found) if n >= 256}
        assert [n // 256 for n in sorted(last, key=lambda n: last[n])] == list(range(1, len(last) + 1))


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("kind", "code", "stuff"), [("panoptic", 2, 9), ("instances, ids", 4, 0)])
def test_a_line_parts_an_object_and_pieces_that_it_does_not_cross_stay_with_the_nearest(
    kind, code, stuff, labelled_map, tiny_blocks
) -> None:
    folder = labelled_map(kind)
    session, ident = with_square(folder, code)
    with pytest.raises(UsageError, match="right across"):
        session.apply(Edit(kind="split_object", ids=(ident,), geometry=upright(70)))
    session.apply(Edit(kind="repaint", geometry=area(50, 52, 40, 60), class_code=stuff))
    session.save()
    assert numbers(folder)[45, 45] == numbers(folder)[55, 45]  # cut in two it is still one object
    ident = int(numbers(folder)[45, 45])
    rows = frame(folder).geometry.apply(lambda shape: len(shape.geoms))
    assert rows.max() >= 2
    gap = shapely.LineString([(WEST + 19, NORTH - 25.5), (WEST + 31, NORTH - 25.5)])  # row 51, between the parts
    session.apply(Edit(kind="split_object", ids=(ident,), geometry=gap))
    session.save()
    checked(folder)
    assert numbers(folder)[45, 45] != numbers(folder)[55, 45]
    session.undo()
    session.save()
    session.apply(Edit(kind="split_object", ids=(ident,), geometry=upright(50, 30, 51)))
    session.save()
    checked(folder)
    found = numbers(folder)
    pieces = {found[45, 45], found[45, 55]}
    assert len(pieces) == 2
    assert found[55, 45] in pieces
    assert len(np.unique(found[52:60, 40:60])) == 1
    session.apply(Edit(kind="merge_objects", ids=tuple(int(piece) for piece in pieces)))
    session.save()
    checked(folder)
    assert len({numbers(folder)[place] for place in ((45, 45), (45, 55), (55, 45))}) == 1


@pytest.mark.parametrize(("kind", "code", "layer"), [("panoptic", 5, "segments"), ("instances, ids", 7, "objects")])
def test_a_vertex_is_moved_in_all_polygons_that_share_it(kind, code, layer, labelled_map, tiny_blocks) -> None:
    folder = labelled_map(kind)
    session, ident = with_square(folder, code)
    before, found = read(folder, "classes"), numbers(folder)
    corner, place = (WEST + 60 * PIXEL, NORTH - 60 * PIXEL), (WEST + 26, NORTH - 26)
    table = frame(folder)
    old = table.geometry[(table.segment_id if layer == "segments" else table.object_id) == ident].iloc[0]
    points = shapely.get_coordinates(old)
    outline = shapely.set_coordinates(old, np.where((points == corner).all(axis=1)[:, None], place, points))
    session.apply(Edit(kind="move_vertex", layer=layer, geometry=shapely.LineString([corner, place])))
    session.save()
    checked(folder)
    inside = burnt(folder, [outline], [1]) == 1
    after = numbers(folder)
    assert len(np.unique(after[inside])) == 1
    assert not np.isin(after[~inside], np.unique(after[inside])).any()
    assert (read(folder, "classes")[inside] == code).all()
    left = (found == ident) & ~inside
    assert left.any()
    assert (read(folder, "classes")[left] != code).all()
    assert (read(folder, "classes")[~left] == before[~left]).all()


def test_polygons_of_a_panoptic_map_get_another_class(labelled_map, tiny_blocks) -> None:
    folder = labelled_map("panoptic")
    model, table = model_of(folder), frame(folder)
    stuff = table[(table.kind == "stuff") & (table.class_code == 7)].pixels.idxmax()
    thing = table[(table.kind == "thing") & (table.class_code == 2)].pixels.idxmax()
    session = geoseg.edits.open(folder)
    for fid, code in ((stuff, 2), (thing, 9)):
        mask = burnt(folder, [table.geometry[fid]], [1]) == 1
        session.apply(Edit(kind="set_class", layer="segments", ids=(int(fid),), class_code=code))
        model.draw(mask, code)
    session.save()
    check_layers(folder, model)
    checked(folder)
    with pytest.raises(UsageError, match="no polygon"):
        session.apply(Edit(kind="set_class", layer="segments", ids=(int(stuff),), class_code=1))


def test_things_of_a_class_map_are_corrected_and_have_no_scores(finished_map, tiny_blocks) -> None:
    folder = finished_map("panoptic")
    before, bytes_before = frame(folder), {path.name: path.read_bytes() for path in folder.iterdir()}
    largest = before[before.kind == "thing"].set_index("segment_id").pixels.idxmax()
    mask = numbers(folder) == largest
    session = geoseg.edits.open(folder)
    session.apply(Edit(kind="delete_object", ids=(int(largest),), class_code=5), repaint(box(5, 35, 20, 60), 1))
    session.save()
    checked(folder)
    after = frame(folder)
    assert after.score.isna().all()
    assert (read(folder, "classes")[mask] == 5).mean() > 0.5
    same = [fid for fid in before.index if fid in after.index]
    assert len(same) > len(before) // 3
    assert before.loc[same].drop(columns="segment_id").equals(after.loc[same].drop(columns="segment_id"))
    assert [one.faults for one in check_output(folder)] == [()]
    session.undo(every=True)
    session.save()
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "edits.gpkg"} == bytes_before


def test_without_a_background_pixels_without_an_object_have_no_class_and_can_be_painted(
    labelled_map, tiny_blocks
) -> None:
    folder = labelled_map("instances, all objects")
    before = frame(folder).set_index("object_id", append=True)
    largest = int(frame(folder).set_index("object_id").pixels.idxmax())
    mask = numbers(folder) == largest
    session, ident = with_square(folder, 4)
    session.apply(Edit(kind="delete_object", ids=(largest,)))
    session.save()
    checked(folder)
    assert (numbers(folder)[BOX] == ident).all()
    mask[BOX] = False
    assert (read(folder, "classes")[mask] == 255).all()
    assert (read(folder, "confidence")[mask] == 255).all()
    after = frame(folder).set_index("object_id", append=True)
    same = [key for key in before.index if key in after.index]
    assert len(same) > len(before) // 2
    assert before.loc[same].equals(after.loc[same])


def test_all_layers_are_written_anew_where_one_is_lost(labelled_map, tiny_blocks) -> None:
    folder = labelled_map("panoptic")
    session, _ = with_square(folder, 5)
    before = numbers(folder)
    for name in ("scene_panoptic.tif", "scene_segments.gpkg"):
        (folder / name).unlink()
    session.save(again=True)
    np.testing.assert_array_equal(numbers(folder), before)
    checked(folder)
    assert [one.faults for one in check_output(folder)] == [()]


def test_right_angles_follow_the_objects(labelled_map, tiny_blocks) -> None:
    folder = labelled_map("instances, ids")
    path = folder / "scene_objects.gpkg"
    before = geopandas.read_file(path, layer="objects_regular", fid_as_index=True).set_index("object_id", append=True)
    _, ident = with_square(folder, 4)
    after = geopandas.read_file(path, layer="objects_regular", fid_as_index=True)
    square = after[after.object_id == ident]
    assert square.geometry.iloc[0].symmetric_difference(area(40, 60, 40, 60)).area < 1e-3
    assert set(after.object_id) == set(frame(folder).query("class_code == 4").object_id)
    after = after.set_index("object_id", append=True)
    same = [key for key in before.index if key in after.index]
    assert len(same) > len(before) // 2
    assert before.loc[same].equals(after.loc[same])


def test_only_touched_blocks_are_traced_again_although_things_are_numbered_anew(
    labelled_map, tiny_blocks, monkeypatch
) -> None:
    traced, draw = [], tracer._draw_block
    monkeypatch.setattr(
        tracer, "_draw_block", lambda task, window, *rest: (traced.append(window), draw(task, window, *rest))[1]
    )
    folder = labelled_map("panoptic")
    session = geoseg.edits.open(folder)
    session.apply(Edit(kind="repaint", geometry=area(80, 82, 100, 102), class_code=1))
    session.save()
    assert len(traced) == 3 * 4
    traced.clear()
    labels = numbers(folder)
    session.apply(Edit(kind="add_object", geometry=area(1, 3, 1, 3), class_code=5))
    session.save()
    assert [(w.row_start // BLOCK_PX, w.col_start // BLOCK_PX) for w in traced] == [(0, 0)]
    assert (numbers(folder)[labels >= 256] == labels[labels >= 256] + 256).mean() > 0.9  # they come after the new one


def test_pixels_that_an_object_leaves_are_of_no_other_object(labelled_map, tiny_blocks) -> None:
    folder = labelled_map("panoptic")
    session, ident = with_square(folder, 2)
    with pytest.raises(UsageError, match="belong to an object"):
        session.apply(Edit(kind="delete_object", ids=(ident,), class_code=5))
    session.apply(Edit(kind="reshape_object", ids=(ident,), geometry=area(40, 50, 40, 60), class_code=9))
    with pytest.raises(UsageError, match="Save, and look it up again"):
        session.apply(Edit(kind="delete_object", ids=(ident,)))
    session.save()
    checked(folder)
    assert (read(folder, "classes")[50:60, 40:60] == 9).all()
    ring = shapely.difference(area(36, 54, 36, 64), area(40, 50, 40, 60))
    session.apply(Edit(kind="add_object", geometry=ring, class_code=5))
    session.save()
    with pytest.raises(UsageError, match="Give the class of its pixels"):  # nothing but a thing is around it
        session.apply(Edit(kind="delete_object", ids=(int(numbers(folder)[45, 45]),)))


def test_a_thing_is_named_by_the_layers_that_were_saved_last(labelled_map, tiny_blocks) -> None:
    folder = labelled_map("panoptic")
    session, _ = with_square(folder, 5)
    session.apply(Edit(kind="add_object", geometry=area(70, 80, 40, 60), class_code=2))
    session.save()
    last = int(numbers(folder)[75, 50])
    session.undo()
    session.undo()
    session.redo()  # the second one is still in the layers, and is no more
    with pytest.raises(UsageError, match="changed by an edit"):
        session.apply(Edit(kind="delete_object", ids=(last,)))
    first = int(numbers(folder)[45, 45])
    session.apply(Edit(kind="set_class", ids=(first,), class_code=2))
    session.save()
    checked(folder)
    assert (read(folder, "classes")[BOX] == 2).all()


@pytest.mark.parametrize(("kind", "code"), [("panoptic", 2), ("instances, ids", 4)])
def test_a_session_goes_on_after_another_one_has_saved(kind, code, labelled_map, tiny_blocks) -> None:
    folder = labelled_map(kind)
    model, first = model_of(folder), geoseg.edits.open(folder)
    first.apply(Edit(kind="add_object", geometry=area(10, 30, 10, 30), class_code=code))
    other = geoseg.edits.open(folder)
    other.apply(Edit(kind="add_object", geometry=area(40, 60, 40, 60), class_code=code))
    other.save()
    with pytest.raises(StaleRevisionError):
        first.apply(Edit(kind="add_object", geometry=area(60, 80, 80, 100), class_code=code))
    first.refresh()
    first.apply(Edit(kind="repaint", geometry=area(50, 70, 50, 70), class_code=code))
    first.save()
    for top, left in ((10, 10), (40, 40)):
        inside = np.zeros(SHAPE, bool)
        inside[top : top + 20, left : left + 20] = True
        model.draw(inside, code)
    inside = np.zeros(SHAPE, bool)
    inside[50:70, 50:70] = True
    assert model.repaint(inside, code)
    check_layers(folder, model)
