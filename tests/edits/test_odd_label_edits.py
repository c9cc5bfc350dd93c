"""Odd edits of detected objects and of panoptic maps, and damage of their layers, are refused by name."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest
from corrected_maps import record_of
from labelled_maps import (  # noqa: F401 - fixtures
    area,
    detector,
    fixture_of_labelled_map,
    fixture_of_predicted_maps,
    fixture_of_tiny_blocks,
)
from test_label_edit_kinds import BOX, checked, numbers, upright, with_square

import geoseg
import geoseg.edits
from geoseg.core.spec import InstanceChoice, PredictSpec
from geoseg.edits import Edit
from geoseg.errors import GeosegError, OutputError, UsageError


@pytest.mark.parametrize(
    ("kind", "message"),
    [("instances, overlaps", "--overlaps resolve"), ("instances, no ids", "--object-ids")],
)
def test_maps_whose_objects_are_not_known_by_the_pixel_are_refused(kind, message, labelled_map) -> None:
    folder = labelled_map(kind)
    with pytest.raises(UsageError, match=message):
        geoseg.edits.open(folder).apply(Edit(kind="repaint", geometry=area(5, 9, 5, 9), class_code=0))
    assert not (folder / "edits.gpkg").exists()


@pytest.mark.parametrize(
    ("kind", "edit", "message"),
    [
        ("panoptic", Edit(kind="delete_object", ids=(258 + 256 * 900,)), "no object 230658"),
        ("panoptic", Edit(kind="delete_object", ids=(7,)), "no object 7"),
        ("panoptic", Edit(kind="delete_object", ids=(2**40,)), "no object"),
        ("instances", Edit(kind="delete_object", ids=(0,)), "no object 0"),
        ("instances", Edit(kind="delete_object", ids=(10**9,)), "no object"),
        ("instances", Edit(kind="split_object", ids=(-5,), geometry=upright(5)), "no object -5"),
        ("panoptic", Edit(kind="add_object", geometry=area(5, 9, 5, 9), class_code=7), "classes 2 .house., 5 .car."),
        ("instances", Edit(kind="add_object", geometry=area(5, 9, 5, 9), class_code=0), "classes 4"),
        ("panoptic", Edit(kind="repaint", geometry=area(-9, -5, 5, 9), class_code=2), "outside"),
        ("instances", Edit(kind="set_class", layer="segments", ids=(1,), class_code=4), "no polygons of classes"),
    ],
)
def test_edits_that_make_no_sense_are_refused_and_leave_no_trace(kind, edit, message, labelled_map) -> None:
    folder = labelled_map(kind)
    session = geoseg.edits.open(folder)
    with pytest.raises(UsageError, match=message):
        session.apply(Edit(kind="repaint", geometry=area(50, 60, 50, 60), class_code=7), edit)
    assert (session.refresh(), session.log.entries) == (0, ())


def test_edits_are_made_again_on_a_map_of_the_same_kind_alone(labelled_map, predicted_maps, tmp_path) -> None:
    folder = labelled_map("instances")
    scene = predicted_maps("instances").parent / "scene.tif"
    session = geoseg.edits.open(folder)
    session.apply(Edit(kind="add_object", geometry=area(40, 60, 40, 60), class_code=4))
    session.save()
    model = detector()
    keeps = PredictSpec(instances=InstanceChoice(min_score=0.0, nms_iou=1.0, overlaps="keep"))
    with pytest.raises(OutputError, match="objects may overlap"):
        geoseg.predict(scene, model, folder.parent, spec=keeps, overwrite=True, edits="replay")
    rasters = PredictSpec(vector=False)
    with pytest.raises(OutputError, match="detected objects, and the new map is a class map"):
        geoseg.predict(scene, model, folder.parent, spec=rasters, overwrite=True, edits="replay")
    ids = PredictSpec(instances=InstanceChoice(min_score=0.0, nms_iou=1.0, object_ids=True))
    geoseg.predict(scene, model, folder.parent, spec=ids, overwrite=True, edits="replay")
    checked(folder)
    assert len(np.unique(numbers(folder)[BOX])) == 1
    assert record_of(folder)["edits"]["count"] == 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("panoptic", "scene_panoptic.tif"),
        ("panoptic", "scene_segments.gpkg"),
        ("instances, ids", "scene_object_ids.tif"),
        ("instances", "scene_objects.gpkg"),
    ],
)
def test_damaged_layers_that_objects_are_read_from_are_named(kind, name, labelled_map) -> None:
    folder = labelled_map(kind)
    session = geoseg.edits.open(folder)
    (folder / name).write_bytes(b"no layer at all" * 1000)
    edit = Edit(kind="add_object", geometry=area(40, 60, 40, 60), class_code=5 if kind == "panoptic" else 4)
    with pytest.raises(GeosegError, match=name):
        session.apply(edit)


@pytest.mark.parametrize(
    ("kind", "statement"),
    [
        ("panoptic", "UPDATE segments SET segment_id = NULL"),
        ("panoptic", "UPDATE segments SET score = 'x'"),
        ("instances", "UPDATE objects SET geom = x'4750' WHERE fid = 3"),
        ("instances", "UPDATE objects SET geom = NULL WHERE fid = 3"),
        ("instances", "UPDATE objects SET score = NULL"),
        ("instances", "UPDATE objects SET pixels = pixels + 1"),
        ("instances, ids", "UPDATE objects SET object_id = 'x'"),
    ],
)
def test_odd_rows_are_damage_of_their_file(kind, statement, labelled_map) -> None:
    folder = labelled_map(kind)
    path = folder / ("scene_segments.gpkg" if kind == "panoptic" else "scene_objects.gpkg")
    with closing(sqlite3.connect(path)) as db, db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f'DROP TRIGGER "{name}"')
        db.execute(statement)
    edit = Edit(kind="add_object", geometry=area(40, 60, 40, 60), class_code=5 if kind == "panoptic" else 4)
    with pytest.raises(OutputError, match=path.name):
        geoseg.edits.open(folder).apply(edit)


def test_a_log_of_odd_numbers_is_no_burden(labelled_map, tiny_blocks) -> None:
    folder = labelled_map("panoptic")
    session, ident = with_square(folder, 5)
    session.apply(Edit(kind="split_object", ids=(ident,), geometry=upright(50)))
    with closing(sqlite3.connect(folder / "edits.gpkg")) as db, db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f'DROP TRIGGER "{name}"')
        db.execute("UPDATE paints SET number = 2147483647 WHERE number = 2")
        db.execute("UPDATE paints SET number = -7 WHERE number = 3")
    session = geoseg.edits.open(folder)
    session.save()
    checked(folder)
    assert len(np.unique(numbers(folder)[BOX])) == 2
