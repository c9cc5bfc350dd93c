"""Sessions: several at once lose nothing, a kill leaves the old map or the new one; the command does all of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import shapely
from corrected_maps import (  # noqa: F401 - fixtures
    NORTH,
    PIXEL,
    WEST,
    box,
    fixture_of_finished_map,
    fixture_of_finished_maps,
    read,
    record_of,
    repaint,
    table,
)
from pyproj import Transformer

import geoseg
import geoseg.edits
from geoseg.archive.check import check_output
from geoseg.cli.main import app
from geoseg.core.spec import PredictSpec
from geoseg.edits import Edit, save, topology
from geoseg.errors import StaleRevisionError, UsageError, WriteError
from geoseg.process.command import run_command

SAVE = "import sys, geoseg.edits as e; s = e.open(sys.argv[1]); print('ready', flush=True); s.save()"
APPLY = """
import sys, shapely, geoseg.edits as e
from geoseg.errors import StaleRevisionError
s = e.open(sys.argv[1], author=sys.argv[2])
done = 0
while done < 4:
    try:
        s.apply(e.Edit(kind="repaint", geometry=shapely.box(500020, 5399950, 500030, 5399960), class_code=1))
        done += 1
    except StaleRevisionError:
        s.refresh()
"""


def run(*arguments: object) -> int:
    return run_command(lambda: app(args=list(map(str, arguments)), standalone_mode=False), debug=True)


def test_a_stale_revision_is_refused_and_nothing_is_done(finished_map) -> None:
    folder = finished_map()
    one, other = geoseg.edits.open(folder, author="Ann"), geoseg.edits.open(folder, author="Bea")
    one.apply(repaint(box(30, 60, 40, 90), 1))
    for change in (lambda: other.apply(repaint(box(1, 9, 40, 90), 0)), other.save, other.undo):
        with pytest.raises(StaleRevisionError, match="revision 1") as caught:
            change()
        assert (caught.value.expected, caught.value.latest) == (0, 1)
    assert other.refresh() == 1
    assert other.apply(repaint(box(1, 9, 40, 90), 0), revision=1) == 2
    with pytest.raises(StaleRevisionError):
        one.apply(repaint(box(1, 9, 40, 90), 0))
    one.refresh()
    assert [entry.edit.author for entry in one.log.entries] == ["Ann", "Bea"]


def test_a_session_of_a_map_that_was_predicted_anew_is_stale(finished_map, finished_maps) -> None:
    folder = finished_map()
    session = geoseg.edits.open(folder)
    scene, model = folder.parent.parent / "scene.tif", finished_maps("exact").parent / "tiny.safetensors"
    geoseg.predict(scene, model, folder.parent, spec=PredictSpec(min_area_m2=3.0), overwrite=True)
    with pytest.raises(StaleRevisionError, match="predicted anew"):
        session.apply(repaint(box(30, 60, 40, 90), 1))
    assert not (folder / "edits.gpkg").exists()
    assert session.refresh() == 0
    assert session.finished.answer == geoseg.edits.open(folder).finished.answer
    session.apply(repaint(box(30, 60, 40, 90), 1))
    session.save()
    assert [checked.faults for checked in check_output(folder)] == [()]


def test_a_map_is_corrected_in_the_present_folder(finished_map, monkeypatch) -> None:
    folder = finished_map()
    monkeypatch.chdir(folder)
    session = geoseg.edits.open(".")
    session.apply(repaint(box(30, 60, 40, 90), 1))
    session.save()
    assert (read(folder / "scene_classes.tif")[30:60, 40:90] == 1).all()
    monkeypatch.chdir(folder)
    assert run("edit", "list", ".") == 0


@pytest.mark.parametrize("given", ["scene", "."])
def test_a_linked_folder_stays_a_link_and_is_saved_again_and_again(given, finished_map, tmp_path) -> None:
    folder = finished_map()
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "scene"
    link.symlink_to(folder)
    for number in range(2):
        session = geoseg.edits.open(tmp_path / "links" / given)
        session.apply(repaint(box(20 * number, 20 * number + 20, 40, 90), 1))
        session.save()
    assert link.is_symlink()
    assert (read(link / "scene_classes.tif")[0:40, 40:90] == 1).all()
    assert [checked.faults for checked in check_output(folder)] == [()]


def test_a_linked_folder_that_a_killed_save_has_moved_is_found(finished_map, tmp_path) -> None:
    folder = finished_map()
    link = tmp_path / "link"
    link.symlink_to(folder)
    folder.rename(folder.with_name(".scene.replaced"))
    assert geoseg.edits.open(link).revision == 0
    assert (folder / "run.json").exists()


def test_all_edits_are_undone_in_one_change(finished_map) -> None:
    folder = finished_map()
    before = (folder / "scene_classes.tif").read_bytes()
    session = geoseg.edits.open(folder)
    session.apply(*(repaint(box(20 * number, 20 * number + 10, 40, 90), 1) for number in range(5)))
    session.save()
    assert run("edit", "undo", folder, "--all", "--save", "--revision", session.revision) == 0
    assert geoseg.edits.open(folder).revision == session.revision + 2  # the undoing and the save
    assert (folder / "scene_classes.tif").read_bytes() == before
    session.refresh()
    session.redo()
    assert [entry.state for entry in session.log.entries] == ["active"] + ["undone"] * 4


def test_two_processes_at_once_lose_nothing(finished_map) -> None:
    folder = finished_map()
    both = [subprocess.Popen([sys.executable, "-c", APPLY, str(folder), name]) for name in ("Ann", "Bea")]
    assert [process.wait(120) for process in both] == [0, 0]
    session = geoseg.edits.open(folder)
    assert sorted(entry.edit.author for entry in session.log.entries) == ["Ann"] * 4 + ["Bea"] * 4
    assert session.revision == 8


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("after_s", [0.2, 0.7, 1.2])
def test_a_save_that_is_killed_leaves_the_old_map_or_the_new_one(after_s, finished_map) -> None:
    folder = finished_map()
    old = (folder / "scene_classes.tif").read_bytes()
    session = geoseg.edits.open(folder)
    session.apply(repaint(box(30, 60, 40, 90), 1))
    with subprocess.Popen([sys.executable, "-c", SAVE, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(after_s)
        os.kill(process.pid, signal.SIGKILL)
    assert [checked.faults for checked in check_output(folder)] == [()]
    is_new = "edits" in record_of(folder)
    assert ((folder / "scene_classes.tif").read_bytes() == old) == (not is_new)
    again = geoseg.edits.open(folder)
    assert bool(again.pending) == (not is_new)
    again.save()
    assert record_of(folder)["edits"]["count"] == 1
    assert sorted(path.name for path in folder.parent.iterdir()) == [".scene.traces", "scene"]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("step", ["write_rasters", "_write_vectors", "write_documents", "write_record", "commit"])
def test_a_save_that_fails_leaves_the_old_map(step, finished_map, monkeypatch) -> None:
    folder = finished_map()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    session = geoseg.edits.open(folder)
    session.apply(repaint(box(30, 60, 40, 90), 1))

    def full(*_arguments: object) -> None:
        raise WriteError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(save, step, full)
        with pytest.raises(WriteError):
            session.save()
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "edits.gpkg"} == before
    assert len(session.pending) == 1
    session.save()
    assert record_of(folder)["edits"]["count"] == 1


def test_the_command_applies_lists_undoes_redoes_and_saves(finished_map, tmp_path, capsys) -> None:
    folder = finished_map()
    to_degrees = Transformer.from_crs("EPSG:32632", "OGC:CRS84", always_xy=True)
    area = shapely.transform(box(30, 60, 40, 90), lambda p: np.column_stack(to_degrees.transform(p[:, 0], p[:, 1])))
    properties = {"kind": "repaint", "class": "roof"}
    features = [{"type": "Feature", "geometry": json.loads(shapely.to_geojson(area)), "properties": properties}]
    edits = tmp_path / "edits.geojson"
    edits.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    before = read(folder / "scene_classes.tif")
    assert run("edit", "apply", folder, edits, "--author", "Ann", "--save") == 0
    after = read(folder / "scene_classes.tif")
    assert (after[30:60, 40:90] == 1).all()
    after[30:60, 40:90] = before[30:60, 40:90]
    np.testing.assert_array_equal(after, before)
    capsys.readouterr()
    assert run("edit", "list", folder.parent, "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)["edits"]
    assert (listed["author"], listed["class"], listed["state"], listed["saved"]) == ("Ann", 1, "active", True)
    assert run("edit", "undo", folder, "--save") == 0
    np.testing.assert_array_equal(read(folder / "scene_classes.tif"), before)
    assert run("edit", "redo", folder) == 0
    assert run("edit", "save", folder) == 0
    (folder / "scene_segments.gpkg").unlink()
    assert run("check", folder) == 6
    assert run("edit", "save", folder, "--again") == 0
    assert run("check", folder) == 0
    assert run("edit", "undo", folder, "--revision", "1") == 6
    assert run("edit", "list", tmp_path / "nothing") == 2
    edits.write_text("no json")
    assert run("edit", "apply", folder, edits) == 3
    features[0]["properties"]["class"] = "barn"
    edits.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert run("edit", "apply", folder, edits) == 3


def test_a_vertex_moves_in_all_polygons_that_share_it() -> None:
    polygons = [shapely.box(0, 0, 4, 4), shapely.box(4, 0, 8, 4), shapely.box(0, 4, 4, 8), shapely.box(4, 4, 8, 8)]
    moved = topology.moved_vertex(polygons, (4.0, 4.0), (5.0, 4.5))
    assert sorted(moved) == [0, 1, 2, 3]
    assert shapely.coverage_is_valid(np.array(list(moved.values())))
    assert sum(one.area for one in moved.values()) == pytest.approx(64)
    edge = topology.moved_vertex(polygons, (4.0, 0.0), (3.0, 0.0))
    assert sorted(edge) == [0, 1]
    with pytest.raises(UsageError, match="cross"):
        topology.moved_vertex(polygons, (4.0, 4.0), (9.0, 9.0))
    with pytest.raises(UsageError, match="no vertex"):
        topology.nearest_vertex(polygons, (2.0, 2.0), 1.0)


def test_an_outline_is_moved_and_its_neighbours_with_it(finished_map, tmp_path) -> None:
    folder = finished_map()
    session = geoseg.edits.open(folder)
    areas = {0: box(40, 120, 40, 160), 1: box(50, 100, 60, 100), 5: box(50, 100, 100, 140)}
    session.apply(*(repaint(area, code) for code, area in areas.items()))
    session.save()
    before = read(folder / "scene_classes.tif")
    corner = (WEST + 100 * PIXEL, NORTH - 50 * PIXEL)  # of all three areas
    target = (WEST + 112 * PIXEL, NORTH - 60 * PIXEL)
    session.apply(Edit(kind="move_vertex", layer="segments", geometry=shapely.LineString([corner, target])))
    session.save()
    after = read(folder / "scene_classes.tif")
    changed = np.argwhere(before != after)
    assert len(changed)
    for code in (1, 5):
        points = shapely.get_coordinates(areas[code])
        points[(points == corner).all(axis=1)] = target
        new = shapely.Polygon(points)
        inside = [new.contains(shapely.Point(WEST + (c + 0.5) * PIXEL, NORTH - (r + 0.5) * PIXEL)) for r, c in changed]
        assert [bool(one) for one in inside] == [after[r, c] == code for r, c in changed]
    assert shapely.coverage_is_valid(table(folder / "scene_segments.gpkg").geometry.to_numpy())
    with pytest.raises(UsageError, match="no vertex"):
        session.apply(Edit(kind="move_vertex", layer="segments", geometry=shapely.LineString([(0, 0), (1, 1)])))
