"""``geoseg vectorise --objects``: one polygon for each thing, in every format, and a raster of ids."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from test_vectorise_command import geoseg, write_codes

from geoseg.core.legend import Legend

HOUSES, YARD = 1, 2


def street() -> np.ndarray:
    """Draw three houses in a row, two of which touch by a narrow passage, a speck and a yard; pixels are 2 m."""
    codes = np.zeros((40, 70), np.uint8)
    codes[10:30, 5:25] = codes[10:30, 30:50] = codes[10:30, 52:66] = HOUSES
    codes[18:22, 25:30] = HOUSES
    codes[3, 3] = HOUSES
    codes[32:40, :] = YARD
    return codes


@pytest.fixture
def town(tmp_path: Path) -> Path:
    return write_codes(tmp_path / "town.tif", street())


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "parquet", "geojson", "geojsonl"])
def test_each_house_is_a_feature_of_the_layer_objects(
    town: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"houses.{suffix}"
    assert geoseg("vectorise", town, "--objects", "1", "--min-area-m2", "20", "--out", out, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["objects"], answer["layers"]) == (3, ["objects"])
    named = {"layer": "objects"} if suffix in {"gpkg", "fgb"} else {}
    frame = geopandas.read_parquet(out) if suffix == "parquet" else geopandas.read_file(out, **named)
    frame = frame.sort_values("object_id")
    assert frame["object_id"].tolist() == [29 * 70 + 24, 29 * 70 + 49, 29 * 70 + 65]
    assert frame["touches_edge"].tolist() == [0, 0, 0]
    assert frame["class_code"].tolist() == [HOUSES] * 3
    assert frame["area_m2"].sum() == pytest.approx((3 * 20 * 20 - 6 * 20 + 20) * 4, rel=2e-3)
    style = tmp_path / "houses.qml"
    assert style.exists() == (suffix != "gpkg")


def test_tiles_carry_the_ids(town: Path, tmp_path: Path) -> None:
    tiles = pytest.importorskip("mapbox_vector_tile")
    reader = pytest.importorskip("pmtiles.reader")
    import gzip

    out = tmp_path / "houses.pmtiles"
    assert geoseg("vectorise", town, "--objects", "1", "--min-area-m2", "20", "--out", out) == 0
    with out.open("rb") as file:
        source = reader.MmapSource(file)
        found = [tiles.decode(gzip.decompress(tile)) for _, tile in reader.all_tiles(source)]
        metadata = reader.Reader(source).metadata()
    ids = {feature["properties"]["object_id"] for tile in found for feature in tile["objects"]["features"]}
    assert ids == {29 * 70 + 24, 29 * 70 + 49, 29 * 70 + 65}
    assert metadata["vector_layers"][0]["id"] == "objects"
    style = json.loads((tmp_path / "houses.style.json").read_text())
    assert {layer["source-layer"] for layer in style["layers"]} == {"objects"}


def test_ids_of_the_raster_are_those_of_the_polygons(town: Path, tmp_path: Path) -> None:
    ids = tmp_path / "ids.tif"
    assert geoseg("vectorise", town, "--objects", "1,2", "--object-ids", ids, "--block-px", "11") == 0
    frame = geopandas.read_file(tmp_path / "town_objects.gpkg", layer="objects")
    with rasterio.open(ids) as file:
        found = file.read(1).astype(np.int64)
        found[found == file.nodata] = -1
        shapes = zip(frame.geometry, frame["object_id"], strict=True)
        burnt = rasterio.features.rasterize(shapes, file.shape, fill=-1, transform=file.transform, dtype="int64")
    np.testing.assert_array_equal(found, burnt)
    assert len(frame) == 5
    assert frame.loc[frame["class_code"] == YARD, "touches_edge"].tolist() == [1]
    assert shapely.coverage_is_valid(frame.geometry.to_numpy())
    with sqlite3.connect(tmp_path / "town_objects.gpkg") as db:
        ((style,),) = db.execute("SELECT styleQML FROM layer_styles").fetchall()
    assert 'field="object_id"' in style


def test_houses_that_touch_are_parted_as_asked(town: Path, tmp_path: Path) -> None:
    confidence = np.full(street().shape, 95, np.uint8)
    confidence[:, 25:30] = 55
    confidence[:, 40:42] = 50
    percent = write_codes(tmp_path / "percent.tif", confidence.astype(np.int16))
    counts = {}
    for name, options in {
        "none": ["--split", "none"],
        "distance": [],
        "wide": ["--neck", "0.1"],
        "confidence": ["--confidence", percent],
    }.items():
        out = tmp_path / f"{name}.gpkg"
        assert geoseg("vectorise", town, "--objects", "1", "--min-area-m2", "20", "--out", out, *options) == 0
        counts[name] = len(geopandas.read_file(out, layer="objects"))
    assert counts == {"none": 2, "distance": 3, "wide": 2, "confidence": 4}


def test_the_legend_says_what_can_be_counted(town: Path, tmp_path: Path) -> None:
    legend = tmp_path / "legend.yaml"
    text = (
        "classes:\n- {code: 0, name: other, colour: '#000000'}\n"
        "- {code: 1, name: house, colour: '#ff0000', countable: true}\n"
        "- {code: 2, name: yard, colour: '#00ff00'}\n"
    )
    legend.write_text(text)
    assert geoseg("vectorise", town, "--objects", "countable", "--legend", legend) == 0
    frame = geopandas.read_file(tmp_path / "town_objects.gpkg", layer="objects")
    assert set(frame["class_name"]) == {"house"}
    legend.write_text(text.replace(", countable: true", ""))
    assert geoseg("vectorise", town, "--objects", "countable", "--legend", legend, "--overwrite") == 2


def test_a_legend_is_written_without_what_it_does_not_say() -> None:
    plain = {"classes": [{"code": 1, "name": "forest", "colour": "#00aa00"}], "nodata": 255, "background": None}
    assert json.loads(Legend.model_validate(plain).model_dump_json()) == plain
    counted = {**plain, "classes": [{**plain["classes"][0], "countable": True}]}
    legend = Legend.model_validate(counted)
    assert json.loads(legend.model_dump_json()) == counted
    assert legend.countable == (1,)


@pytest.mark.parametrize(
    "options",
    [
        ["--objects", "roof"],
        ["--objects", ""],
        ["--split", "distance"],
        ["--object-ids", "ids.tif"],
        ["--objects", "1", "--split", "confidence"],
        ["--objects", "1", "--neck", "2"],
        ["--objects", "1", "--object-ids", "ids.png"],
        ["--objects", "1", "--scheduler", "tcp://127.0.0.1:1"],
        ["--objects", "1", "--min-area-m2", "-1"],
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(town: Path, options: list[str]) -> None:
    assert geoseg("vectorise", town, *options) == 2
    assert sorted(path.name for path in town.parent.iterdir()) == ["town.tif"]


def test_a_file_of_ids_is_not_replaced_unasked(town: Path, tmp_path: Path) -> None:
    ids = tmp_path / "ids.tif"
    ids.write_bytes(b"mine")
    assert geoseg("vectorise", town, "--objects", "1", "--object-ids", ids) == 6
    assert ids.read_bytes() == b"mine"
