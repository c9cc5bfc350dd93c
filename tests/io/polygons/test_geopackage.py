"""Segments come back from the GeoPackage as they went in, styled, and the same bytes every time."""

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pyogrio
import pytest
import shapely
from pyproj import CRS

from geoseg.core.legend import Legend
from geoseg.errors import SceneError, WriteError
from geoseg.io.checks.geopackage import check_geopackage
from geoseg.io.polygons import derived_layer, geopackage
from geoseg.io.polygons.derived_layer import DerivedLayer
from geoseg.io.polygons.geopackage import write_segments
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.testing.segments import LEGEND, UTM, segments_of


def read(path, layer="segments"):
    return pyogrio.read_dataframe(path, layer=layer)


def test_what_went_in_comes_out(tmp_path):
    batches = [segments_of(50, 1), segments_of(0), segments_of(70, 2)]
    assert write_segments(tmp_path / "s.gpkg", iter(batches), VectorSchema(crs_wkt=UTM, legend=LEGEND)) == 120
    frame = read(tmp_path / "s.gpkg")
    for column in ("class_code", "area_m2", "perimeter_m", "pixels"):
        assert (frame[column].to_numpy() == np.concatenate([getattr(b, column) for b in batches])).all()
    for column in ("confidence", "confidence_min"):
        expected = np.concatenate([getattr(b, column) for b in batches])
        np.testing.assert_allclose(frame[column].to_numpy(), expected, atol=1e-6)
        assert frame[column].isna().sum() == np.isnan(expected).sum() > 0
    assert (frame.class_name == [LEGEND.by_code(c).name for c in frame.class_code]).all()
    geometry = np.concatenate([b.geometry for b in batches])
    assert shapely.equals_exact(frame.geometry.to_numpy(), geometry, 0).all()
    assert frame.crs.to_epsg() == 32645


def test_an_empty_map_is_a_valid_empty_layer(tmp_path):
    assert write_segments(tmp_path / "s.gpkg", [], VectorSchema(crs_wkt=UTM, legend=LEGEND)) == 0
    frame = read(tmp_path / "s.gpkg")
    assert len(frame) == 0
    assert {"class_code", "class_name", "area_m2", "perimeter_m", "confidence", "pixels"} <= set(frame.columns)
    assert frame.crs.to_epsg() == 32645


@pytest.mark.parametrize("wkt", [None, 'LOCAL_CS["site",UNIT["metre",1]]', CRS.from_user_input("ESRI:54009").to_wkt()])
def test_any_crs_or_none_is_kept(tmp_path, wkt):
    write_segments(tmp_path / "s.gpkg", [segments_of(3)], VectorSchema(crs_wkt=wkt, legend=LEGEND))
    crs = read(tmp_path / "s.gpkg").crs
    assert (crs is None) == (wkt is None)
    if wkt is not None and not wkt.startswith("LOCAL"):
        assert crs.equals(CRS.from_wkt(wkt))


def test_the_file_is_geopackage_1_3_with_an_index_and_one_default_style(tmp_path):
    write_segments(tmp_path / "s.gpkg", [segments_of(30)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    with closing(sqlite3.connect(tmp_path / "s.gpkg")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (10300,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM rtree_segments_geom").fetchone() == (30,)
        assert db.execute("SELECT data_type FROM gpkg_contents ORDER BY 1").fetchall() == [
            ("attributes",),
            ("features",),
        ]
        styles = db.execute(
            "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
        ).fetchall()
    assert [row[:3] for row in styles] == [("segments", "geom", 1)]
    root = ET.fromstring(styles[0][3])  # noqa: S314 - written above
    found = {node.get("value"): node.get("label") for node in root.iter("category")}
    assert found == {"0": "other", "200": 'it\'s <"green"> & é'}


def test_the_same_input_gives_the_same_bytes_at_any_time(tmp_path):
    for name in ("a", "b"):
        write_segments(
            tmp_path / f"{name}.gpkg", (segments_of(400, s) for s in range(3)), VectorSchema(crs_wkt=UTM, legend=LEGEND)
        )
        time.sleep(1.1)  # seconds are what a GeoPackage's own time stamps show
    assert (tmp_path / "a.gpkg").read_bytes() == (tmp_path / "b.gpkg").read_bytes()


def test_the_bytes_do_not_depend_on_how_long_the_writing_takes(tmp_path):
    """GDAL stamps a layer twice; SQLite counts the second commit only if the stamp's millisecond differs."""

    def slow():
        yield segments_of(3)
        time.sleep(0.05)

    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2026-01-01T00:00:00.000Z"})
    try:
        write_segments(tmp_path / "at once.gpkg", [segments_of(3)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
    write_segments(tmp_path / "slow.gpkg", slow(), VectorSchema(crs_wkt=UTM, legend=LEGEND))
    assert (tmp_path / "at once.gpkg").read_bytes() == (tmp_path / "slow.gpkg").read_bytes()


def test_other_programs_read_and_change_the_settled_file(tmp_path):
    path = tmp_path / "s.gpkg"
    write_segments(path, [segments_of(30)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    before = path.read_bytes()[24:28], path.read_bytes()[92:96]
    assert before[0] == before[1]
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE layer_styles SET description = 'mine'")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT description FROM layer_styles").fetchone() == ("mine",)
    assert path.read_bytes()[24:28] > before[0]


def test_a_plain_name_in_a_folder_of_an_odd_one_works(tmp_path):
    folder = tmp_path / "my maps! <1>"
    folder.mkdir()
    assert write_segments(folder / "s.gpkg", [segments_of(50)], VectorSchema(crs_wkt=UTM, legend=LEGEND)) == 50
    assert [path.name for path in folder.iterdir()] == ["s.gpkg"]


@pytest.mark.parametrize("name", ["a b%20é漢'\"&#?:|.gpkg", "a!b\nc.gpkg"])
def test_odd_file_names_work(tmp_path, name):
    folder = tmp_path / name.removesuffix(".gpkg")
    folder.mkdir()
    write_segments(folder / name, [segments_of(3)], VectorSchema(crs_wkt=UTM, legend=LEGEND, layer='la"yer'))
    with closing(sqlite3.connect(folder / name)) as db:
        assert db.execute('SELECT count(*) FROM "la""yer"').fetchone() == (3,)
    assert [p.name for p in folder.iterdir()] == [name]


def test_an_error_while_polygons_are_made_comes_through_as_it_is(tmp_path):
    def batches():
        yield segments_of(10)
        raise SceneError("scene.tif", "it is torn")

    with pytest.raises(SceneError, match="it is torn"):
        write_segments(tmp_path / "s.gpkg", batches(), VectorSchema(crs_wkt=UTM, legend=LEGEND))
    assert not list(tmp_path.iterdir())


def test_a_code_without_a_meaning_is_refused(tmp_path):
    other = Legend(classes=[LEGEND.classes[0]])
    with pytest.raises(KeyError, match="200"):
        write_segments(tmp_path / "s.gpkg", [segments_of(50)], VectorSchema(crs_wkt=UTM, legend=other))
    assert not list(tmp_path.iterdir())


WITHOUT_TRIGGERS = """
PRAGMA writable_schema = ON;
CREATE TEMP TABLE kept AS SELECT * FROM sqlite_master WHERE type = 'trigger';
DELETE FROM sqlite_master WHERE type = 'trigger';
PRAGMA writable_schema = RESET;
{}
PRAGMA writable_schema = ON;
INSERT INTO sqlite_master SELECT * FROM kept;
PRAGMA writable_schema = RESET;
"""
DAMAGES = {
    "a row is gone": (
        WITHOUT_TRIGGERS.format(
            "DELETE FROM segments WHERE fid = 7; DELETE FROM rtree_segments_geom WHERE id = 7;"
            "UPDATE gpkg_ogr_contents SET feature_count = 49;"
        ),
        "49 rows instead of 50",
    ),
    "a row is gone, and counted": ("DELETE FROM segments WHERE fid = 7", "49 rows instead of 50"),
    "a row is gone, not from the index": (WITHOUT_TRIGGERS.format("DELETE FROM segments WHERE fid = 7;"), "50 entries"),
    "a wrong count": ("UPDATE gpkg_ogr_contents SET feature_count = 49", "does not count"),
    "a value": (
        WITHOUT_TRIGGERS.format("UPDATE segments SET pixels = pixels + 1 WHERE fid = 7;"),
        "other values in pixels",
    ),
    "a bit of a value": (
        WITHOUT_TRIGGERS.format("UPDATE segments SET area_m2 = area_m2 * (1 + 3e-16) WHERE fid = 7;"),
        "values in area_m2",
    ),
    "a name": (
        WITHOUT_TRIGGERS.format("UPDATE segments SET class_name = 'othes' WHERE fid = 7;"),
        "other values in class_name",
    ),
    "a known value": (
        WITHOUT_TRIGGERS.format("UPDATE segments SET confidence = NULL WHERE fid = 2;"),
        "other values in confidence",
    ),
    "the index is gone": ("DROP TABLE rtree_segments_geom", "no spatial index"),
    "an entry of the index is gone": ("DELETE FROM rtree_segments_geom WHERE id = 7", "the spatial index"),
    "an entry of the index has moved": (
        "UPDATE rtree_segments_geom SET maxx = maxx + 99 WHERE id = 7",
        "does not lie where the rows are",
    ),
    "an entry of the index is too small": (
        "UPDATE rtree_segments_geom SET maxx = maxx - 1 WHERE id = 7",
        "does not lie where the rows are",
    ),
    "the index is not named": ("DELETE FROM gpkg_extensions", "gpkg_extensions"),
    "no extensions": ("DROP TABLE gpkg_extensions", "no table gpkg_extensions"),
    "a trigger is gone": ("DROP TRIGGER rtree_segments_geom_insert", "triggers"),
    "a trigger of the count is gone": ("DROP TRIGGER trigger_delete_feature_count_segments", "feature_count"),
    "no extent": ("UPDATE gpkg_contents SET min_x = NULL WHERE table_name = 'segments'", "a wrong extent"),
    "a small extent": ("UPDATE gpkg_contents SET max_y = max_y - 1 WHERE table_name = 'segments'", "a wrong extent"),
    "the CRS is gone": ("DELETE FROM gpkg_spatial_ref_sys WHERE srs_id = 32645", "gpkg_spatial_ref_sys|refers to"),
    "no geometry column": ("DELETE FROM gpkg_geometry_columns", "gpkg_geometry_columns"),
    "the layer is not listed": ("DELETE FROM gpkg_contents", "lists no layer|refers to"),
    "the table is gone": ("DROP TABLE segments", "segments"),
    "no style": ("DELETE FROM layer_styles", "no default style"),
    "a torn style": ("UPDATE layer_styles SET styleQML = substr(styleQML, 1, 99)", "no XML|unclosed"),
    "no version": ("PRAGMA user_version = 0", "header says version 0"),
    "no GeoPackage": ("PRAGMA application_id = 7", "0x00000007"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_lost_or_changed_in_writing_is_found(tmp_path, monkeypatch, damage):
    script, told = DAMAGES[damage]
    settle = geopackage.settle

    def lose(part):
        with closing(sqlite3.connect(part)) as db:
            db.executescript(script)
        settle(part)

    monkeypatch.setattr(geopackage, "settle", lose)
    with pytest.raises(WriteError, match=told):
        write_segments(tmp_path / "s.gpkg", [segments_of(50)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_a_sound_file_passes_the_check_also_when_another_program_has_changed_it(tmp_path, count):
    path = tmp_path / "s.gpkg"
    write_segments(path, [segments_of(count)], VectorSchema(crs_wkt=UTM, legend=LEGEND, layer='la"yer'))
    check_geopackage(path)
    pyogrio.write_dataframe(read(path, 'la"yer')[:100], path, layer='la"yer', append=True)
    check_geopackage(path)


def test_coordinates_of_17_digits_pass_the_check(tmp_path):
    """GDAL writes the extent with fewer."""
    some = segments_of(40)
    rng = np.random.default_rng(0)
    wkt = CRS.from_epsg(4326).to_wkt()
    for number in range(10):
        x, y = rng.uniform(-180, 179, 40), rng.uniform(-90, 89, 40)
        path = tmp_path / f"s{number}.gpkg"
        degrees = replace(some, geometry=shapely.box(x, y, x + rng.random(40), y + rng.random(40)))
        write_segments(path, [degrees], VectorSchema(crs_wkt=wkt, legend=LEGEND))
        check_geopackage(path)


def test_a_page_that_was_cut_off_is_found(tmp_path):
    path = tmp_path / "s.gpkg"
    write_segments(path, [segments_of(500)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    whole = path.read_bytes()
    for kept in (0, 50, 4096, len(whole) // 2, len(whole) - 4096, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises((OSError, sqlite3.Error)):
            check_geopackage(path)


def test_a_failed_rewrite_leaves_the_old_polygons(tmp_path, monkeypatch):
    write_segments(tmp_path / "s.gpkg", [segments_of(5)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    before = (tmp_path / "s.gpkg").read_bytes()

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(geopackage, "add_style", full)
    with pytest.raises(WriteError, match="disk is full"):
        write_segments(tmp_path / "s.gpkg", [segments_of(50)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [before]


def shrunk(batches):
    """A second layer whose polygons are smaller, and which needs to see all batches twice."""
    count = sum(len(batch) for batch in batches)
    for batch in batches:
        assert count >= len(batch)
        yield replace(batch, geometry=shapely.buffer(batch.geometry, -0.5), area_m2=batch.area_m2 / 2)


SECOND = DerivedLayer(codes=(200,), make=shrunk)


def test_a_second_layer_is_made_from_some_of_the_first(tmp_path):
    batches = [segments_of(50, 1), segments_of(0), segments_of(70, 2)]
    count = write_segments(tmp_path / "s.gpkg", iter(batches), VectorSchema(crs_wkt=UTM, legend=LEGEND), second=SECOND)
    first, second = read(tmp_path / "s.gpkg"), read(tmp_path / "s.gpkg", "segments_regular")
    assert count == len(first) == 120
    chosen = first[first.class_code == 200].reset_index(drop=True)
    assert shapely.equals_exact(second.geometry.to_numpy(), shapely.buffer(chosen.geometry.to_numpy(), -0.5), 0).all()
    assert (second.area_m2 == chosen.area_m2 / 2).all()
    same = ["class_code", "class_name", "perimeter_m", "confidence", "confidence_min", "pixels"]
    assert second[same].equals(chosen[same])
    assert second.crs == first.crs
    with closing(sqlite3.connect(tmp_path / "s.gpkg")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM rtree_segments_regular_geom").fetchone() == (len(second),)
        styles = dict(db.execute("SELECT f_table_name, styleQML FROM layer_styles WHERE useAsDefault").fetchall())
        assert db.execute("SELECT count(DISTINCT last_change) FROM gpkg_contents").fetchone() == (1,)
    assert set(styles) == {"segments", "segments_regular"}
    root = ET.fromstring(styles["segments_regular"])  # noqa: S314 - written above
    assert [node.get("value") for node in root.iter("category")] == ["200"]
    assert [p.name for p in tmp_path.iterdir()] == ["s.gpkg"]


def test_a_second_layer_may_be_empty_and_has_the_same_bytes_at_any_time(tmp_path):
    for name in ("a", "b"):
        path = tmp_path / f"{name}! odd.gpkg"
        write_segments(path, [segments_of(90, 3)], VectorSchema(crs_wkt=None, legend=LEGEND), second=SECOND)
        time.sleep(1.1)
    assert (tmp_path / "a! odd.gpkg").read_bytes() == (tmp_path / "b! odd.gpkg").read_bytes()
    none = replace(SECOND, codes=(0,))
    some = segments_of(30)
    only = [replace(some, class_code=np.full(30, 200, np.uint8))]
    write_segments(tmp_path / "s.gpkg", only, VectorSchema(crs_wkt=UTM, legend=LEGEND), second=none)
    assert len(read(tmp_path / "s.gpkg", "segments_regular")) == 0


def test_what_breaks_a_second_layer_breaks_the_file(tmp_path, monkeypatch):
    def torn(batches):
        yield next(iter(batches))
        raise SceneError("scene.tif", "it is torn")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    schema = VectorSchema(crs_wkt=UTM, legend=LEGEND)
    with pytest.raises(SceneError, match="it is torn"):
        write_segments(tmp_path / "s.gpkg", [segments_of(9, 3)] * 2, schema, second=replace(SECOND, make=torn))
    with monkeypatch.context() as patch:
        patch.setattr(derived_layer.pickle, "dump", full)
        with pytest.raises(WriteError, match="No space"):
            write_segments(tmp_path / "s.gpkg", [segments_of(9, 3)], schema, second=SECOND)
    assert not list(tmp_path.iterdir())


def test_more_columns_are_kept_in_both_layers(tmp_path):
    some = segments_of(60)
    extra = np.zeros(60, [("b1_mean", "f8"), ("b1_count", "i8")])
    extra["b1_mean"] = np.where(np.arange(60) % 5, np.arange(60) / 7, np.nan)
    extra["b1_count"] = np.arange(60) * 2**40
    path = tmp_path / "s.gpkg"
    batches = [replace(some, extra=extra)]
    write_segments(path, batches, VectorSchema(crs_wkt=UTM, legend=LEGEND, extra=extra.dtype), second=SECOND)
    for frame, which in ((read(path), slice(None)), (read(path, "segments_regular"), some.class_code == 200)):
        np.testing.assert_array_equal(frame.b1_mean.to_numpy(), extra["b1_mean"][which])
        assert (frame.b1_count.to_numpy() == extra["b1_count"][which]).all()
