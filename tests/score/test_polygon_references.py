"""Polygons as references: the truth where they lie on the map, and never a background made of nothing."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from maps import HALF_METRE, write_map
from rasterio.features import rasterize
from shapely.affinity import translate

import geoseg
from geoseg.cli.main import app
from geoseg.errors import ElsewhereError, SceneError
from geoseg.flows.evaluation_pairs import count_located_pair, plan_of
from geoseg.process.command import run_command
from geoseg.score.object_files import evaluate_objects
from geoseg.score.pairs import Pair

BOXES = [shapely.box(500005 + 20 * k, 5399950.2, 500015 + 20 * k, 5399960.2) for k in range(5)]
SHAPE = (120, 240)


def map_of(path: Path, shapes: list[Any], east_m: float = 0) -> Path:
    """Write a map with code 1 where shapes are."""
    grid = HALF_METRE * Affine.translation(east_m * 2, 0)
    codes = rasterize(shapes, SHAPE, transform=grid, dtype="uint8") if shapes else np.zeros(SHAPE, np.uint8)
    return write_map(path, codes, transform=grid, nodata=255)


@pytest.fixture
def prediction(tmp_path: Path) -> Path:
    return map_of(tmp_path / "map.tif", BOXES)


def frame_of(shapes: list[Any], crs: Any = "EPSG:32632") -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame({"kind": ["roof"] * len(shapes)}, geometry=shapes, crs=crs)


def iou(prediction: Path, reference: Path | str, **how: Any) -> float:
    return float(geoseg.evaluate(prediction, reference, **how).as_json()["results"]["all"]["classes"][1]["iou"])


def _wrong_files() -> dict[str, tuple[geopandas.GeoDataFrame, str]]:
    frame = frame_of(BOXES)
    lines = frame_of([shapely.LineString(box.exterior) for box in BOXES])
    return {
        "degrees.shp": (frame.to_crs(4326).set_crs(None, allow_override=True), "has no CRS"),
        "metres.shp": (frame.set_crs(None, allow_override=True), "has no CRS"),
        "zone.gpkg": (frame.set_crs(32633, allow_override=True), "no polygon of it lies on the prediction"),
        "empty.gpkg": (frame.iloc[:0], "holds no polygon"),
        "lines.gpkg": (lines, "5 lines and no polygon"),
        "points.gpkg": (frame_of([box.centroid for box in BOXES]), "5 points and no polygon"),
        "mixed.geojson": (frame_of([*BOXES[:3], *lines.geometry[3:]]).to_crs(4326), "2 lines beside 3 polygons"),
    }


@pytest.mark.parametrize("name", list(_wrong_files()))
def test_a_reference_that_says_nothing_of_the_map_is_refused(prediction: Path, tmp_path: Path, name: str) -> None:
    frame, cause = _wrong_files()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GDAL says that a file without a CRS has none
        frame.to_file(tmp_path / name)
    for compare in (geoseg.evaluate, evaluate_objects):
        if compare is evaluate_objects and name == "metres.shp":
            cause = "it has no CRS, .*map.tif has one"
        if compare is evaluate_objects and name == "degrees.shp":
            cause = "it has no CRS"
        with pytest.raises(SceneError, match=cause) as caught:
            compare(prediction, tmp_path / name)
        assert name in str(caught.value)
        assert caught.value.exit_code == 3


@pytest.mark.parametrize("name", ["truth.geojson", "truth.geojsonl", "truth.kml", "truth.fgb"])
def test_the_same_polygons_with_their_crs_score_one(prediction: Path, tmp_path: Path, name: str) -> None:
    driver = {"truth.geojsonl": "GeoJSONSeq", "truth.kml": "KML"}.get(name)
    frame_of(BOXES).to_crs(4326).to_file(tmp_path / name, driver=driver)
    assert iou(prediction, tmp_path / name) == 1
    assert evaluate_objects(prediction, tmp_path / name)["matched"] == len(BOXES)


def test_polygons_in_collections_are_reference_too(prediction: Path, tmp_path: Path) -> None:
    line = shapely.LineString([(500000, 5399950), (500090, 5399999)])
    shapes = [shapely.GeometryCollection([box, line]) if k % 2 else box for k, box in enumerate(BOXES)]
    frame_of(shapes).to_file(tmp_path / "truth.geojson")
    assert iou(prediction, tmp_path / "truth.geojson") == 1
    assert evaluate_objects(prediction, tmp_path / "truth.geojson")["matched"] == len(BOXES)


def test_the_layer_of_a_reference_is_named(
    prediction: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "truth.gpkg"
    frame_of([shapely.box(500000, 5399940, 500120, 5400000)]).to_file(path, layer="area")
    frame_of(BOXES).to_file(path, layer="roofs")

    def command(*more: str) -> tuple[int, str]:
        asked = ["evaluate", *more[:1], "--prediction", str(prediction), "--reference", *more[1:]]
        code = run_command(lambda: app(args=[part for part in asked if part], standalone_mode=False), debug=False)
        return code, capsys.readouterr().err

    assert iou(prediction, f"{path}:roofs") == iou(prediction, path, reference_layer="roofs") == 1
    for what in ("", "objects"):
        code, said = command(what, str(path))
        assert code == 3
        assert "2 layers: area, roofs" in said
        assert said.count("\n") == 1
        assert command(what, str(path), "--reference-layer", "roofs")[0] == 0
        assert command(what, f"{path}:roofs")[0] == 0
        assert command(what, f"{path}:walls")[0] == 3
    assert evaluate_objects(prediction, Path(f"{path}:roofs"))["matched"] == len(BOXES)


def test_one_reference_for_many_maps_counts_where_it_lies(tmp_path: Path) -> None:
    """A map between the polygons is background; one beyond them is not known, and left out."""
    folder = tmp_path / "maps"
    folder.mkdir()
    map_of(folder / "a_classes.tif", BOXES)
    map_of(folder / "b_classes.tif", [], east_m=120)
    map_of(folder / "c_classes.tif", [], east_m=5000)
    path = tmp_path / "truth.gpkg"
    frame_of([*BOXES, translate(BOXES[0], 300, 0)]).to_file(path)
    report = geoseg.evaluate(folder, path).as_json()
    assert [row["scene"] for row in report["scenes"]] == ["a", "b"]
    assert report["results"]["all"]["classes"][1]["iou"] == 1
    assert sum(row["labelled_px"] for row in report["scenes"]) == 2 * SHAPE[0] * SHAPE[1]
    assert any("1 predictions lie outside the reference and are left out: c" in note for note in report["notes"])
    frame_of(BOXES, "EPSG:32633").to_file(path)
    with pytest.raises(ElsewhereError):
        geoseg.evaluate(folder, path)


def test_an_empty_reference_is_taken_where_it_is_allowed(prediction: Path, tmp_path: Path) -> None:
    frame_of(BOXES).iloc[:0].to_file(tmp_path / "none.gpkg")
    report = geoseg.evaluate(prediction, tmp_path / "none.gpkg", allow_empty_reference=True).as_json()
    assert report["results"]["all"]["classes"][1]["precision"] == 0


def test_parts_of_a_dissolved_reference_are_objects(prediction: Path, tmp_path: Path) -> None:
    path = tmp_path / "truth.gpkg"
    frame_of([shapely.MultiPolygon(BOXES)]).to_file(path)
    values = evaluate_objects(prediction, path)
    assert (values["reference"], values["matched"], values["recall"], values["f1"]) == (5, 5, 1, 1)
    values = evaluate_objects(prediction, path, keep_multiparts=True)
    assert (values["reference"], values["matched"]) == (1, 0)
    answer = tmp_path / "answer.gpkg"
    frame_of([shapely.MultiPolygon(BOXES)]).to_file(answer)
    assert evaluate_objects(answer, path, keep_multiparts=True)["matched"] == 1
    assert evaluate_objects(answer, path)["matched"] == 5


def test_a_bow_tie_is_one_object(tmp_path: Path) -> None:
    west, south, east, north = BOXES[0].bounds
    tie = shapely.Polygon([(west, south), (east, north), (east, south), (west, north)])
    for name in ("truth.gpkg", "answer.gpkg"):
        frame_of([tie, BOXES[1]]).to_file(tmp_path / name)
    values = evaluate_objects(tmp_path / "answer.gpkg", tmp_path / "truth.gpkg")
    assert (values["predicted"], values["reference"], values["matched"]) == (2, 2, 2)


def test_a_class_that_no_polygon_has_is_refused(prediction: Path, tmp_path: Path) -> None:
    frame_of(BOXES).to_file(tmp_path / "truth.gpkg")
    with pytest.raises(SceneError, match="no polygon has kind 'Roof'. Its values are: roof"):
        evaluate_objects(prediction, tmp_path / "truth.gpkg", reference_column="kind", reference_class="Roof")


def test_a_local_crs_is_refused_or_compared_with_itself(prediction: Path, tmp_path: Path) -> None:
    local = 'LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
    path = tmp_path / "local.gpkg"
    frame_of(BOXES).set_crs(local, allow_override=True).to_file(path)
    for compare in (geoseg.evaluate, evaluate_objects):
        with pytest.raises(SceneError, match=r"local\.gpkg.*does not lead to"):
            compare(prediction, path)
    values = evaluate_objects(path, path)
    assert (values["matched"], values["unit"]) == (5, "units")


def test_objects_of_degrees_are_compared_along_their_curved_edges(tmp_path: Path) -> None:
    """A rectangle of 6 x 2 degrees with four corners is the one with hundreds, and not the one straight in metres."""
    corners = geopandas.GeoDataFrame(geometry=[shapely.box(10, 62, 16, 64)], crs=4326)
    corners.to_file(tmp_path / "truth.gpkg")
    dense = geopandas.GeoDataFrame(geometry=[shapely.segmentize(shapely.box(10, 62, 16, 64), 0.01)], crs=4326)
    dense.to_crs(3035).to_file(tmp_path / "answer.gpkg")
    found = evaluate_objects(tmp_path / "answer.gpkg", tmp_path / "truth.gpkg")["mean_iou_of_matched"]
    assert found == pytest.approx(1, abs=1e-6)
    corners.to_crs(3035).to_file(tmp_path / "straight.gpkg")
    straight = evaluate_objects(tmp_path / "straight.gpkg", tmp_path / "truth.gpkg")["mean_iou_of_matched"]
    assert straight < 0.99


def test_a_scene_of_an_archive_that_the_one_reference_does_not_reach_has_none(tmp_path: Path) -> None:
    frame_of(BOXES).to_file(tmp_path / "truth.gpkg")
    near, far = map_of(tmp_path / "near.tif", BOXES), map_of(tmp_path / "far.tif", [], east_m=5000)
    plan = plan_of("classes", None, "ignore", resample=False, shared=True)
    counts = [
        count_located_pair(Pair(name="s", prediction=path, reference=tmp_path / "truth.gpkg"), plan)
        for path in (near, far)
    ]
    assert counts[0] is not None
    assert counts[1] is None
    alone = plan_of("classes", None, "ignore", resample=False)
    with pytest.raises(ElsewhereError):
        count_located_pair(Pair(name="s", prediction=far, reference=tmp_path / "truth.gpkg"), alone)
