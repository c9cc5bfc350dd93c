"""Polygons of any vector file land where they lie, or are refused with the cause."""

from __future__ import annotations

import json
import sqlite3
import struct
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer
from vector_samples import BOXES, FORMATS, GRID, burnt, frame_of, put_geometry, write

from geoseg.core.window import Window
from geoseg.errors import ElsewhereError, SceneError
from geoseg.io.labels.area_of_interest import area_digest, read_area
from geoseg.io.vectors.names import split_layer
from geoseg.io.vectors.read import VectorRequest, read_polygons


def drawn(path: Path | str, grid: GeoBox = GRID) -> np.ndarray[Any, Any]:
    """Draw an area on the whole of a grid."""
    return read_area(path, grid)(Window.whole((grid.shape[0], grid.shape[1])))


@contextmanager
def _no_word() -> Iterator[None]:
    """Turn what pyogrio and GDAL say of a file into errors."""
    with warnings.catch_warnings():
        for kind in (UserWarning, RuntimeWarning):
            warnings.simplefilter("error", kind)
        yield


def read(path: Path | str, **wanted: Any) -> Any:
    return read_polygons(VectorRequest(name=str(path), grid=GRID, **wanted))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_pixels_and_fields(tmp_path: Path, kind: str) -> None:
    path = write(frame_of(BOXES, name=["roof", "shed"]), tmp_path / f"a.{kind}")
    with _no_word():
        assert (drawn(path) == burnt(BOXES)).all()
        found = read(path, columns=("name",))  # a FlatGeobuf is ordered by place
        assert {name: shape.area > 500 for name, shape in zip(found["name"], found.geometry, strict=True)} == {
            "roof": True,
            "shed": False,
        }
    with pytest.raises(SceneError, match="no field 'colour'"):
        read(path, columns=("colour",))


@pytest.mark.parametrize("kind", ["gpkg", "geojson", "parquet", "fgb"])
def test_polygons_inside_collections_count_at_any_depth(tmp_path: Path, kind: str) -> None:
    line = shapely.LineString([(500_030, 5_399_955), (500_046, 5_399_990)])
    inner = shapely.GeometryCollection([BOXES[1], shapely.Point(500_001, 5_399_999)])
    path = write(frame_of([BOXES[0], shapely.GeometryCollection([inner, line])]), tmp_path / f"a.{kind}")
    assert (drawn(path) == burnt(BOXES)).all()


def test_heights_are_dropped_and_bow_ties_enclose_both_their_halves(tmp_path: Path) -> None:
    west, south, east, north = BOXES[0].bounds
    tie = shapely.Polygon([(west, south), (east, north), (east, south), (west, north)])
    path = write(frame_of([tie, shapely.force_3d(BOXES[1], 7)]), tmp_path / "a.gpkg")
    assert (drawn(path) == burnt([tie, BOXES[1]])).all()
    assert read(path).geometry.is_valid.all()
    assert not read(path).geometry.has_z.any()


def test_measures_are_dropped_without_a_word(tmp_path: Path) -> None:
    path = write(frame_of([BOXES[0]]), tmp_path / "a.gpkg")
    ring = np.column_stack([shapely.get_coordinates(BOXES[0]), np.full(5, 3.0)])
    put_geometry(path, struct.pack("<bIII", 1, 2003, 1, 5) + ring.astype("<f8").tobytes())
    with _no_word():
        assert (drawn(path) == burnt(BOXES[:1])).all()


def test_parts_that_overlap_are_one_area(tmp_path: Path) -> None:
    both = shapely.MultiPolygon([BOXES[0], shapely.affinity.translate(BOXES[0], 5, 5)])
    assert not both.is_valid
    path = write(frame_of([both]), tmp_path / "a.gpkg")
    assert (drawn(path) == burnt([shapely.union_all(both.geoms)])).all()


def test_curves_are_followed(tmp_path: Path) -> None:
    """A CURVEPOLYGON of two half circles; shapely cannot write one, so its bytes are put together here."""
    path = write(frame_of([BOXES[0]]), tmp_path / "a.gpkg")
    x, y, r = 500_040.1, 5_399_970.1, 20.0
    points = [(x - r, y), (x, y + r), (x + r, y), (x, y - r), (x - r, y)]
    ring = struct.pack("<bII", 1, 8, 5) + b"".join(struct.pack("<dd", *point) for point in points)
    put_geometry(path, struct.pack("<bII", 1, 10, 1) + ring)
    circle = shapely.Point(x, y).buffer(r, quad_segs=64)
    assert (drawn(path) != burnt([circle])).sum() <= 8
    assert drawn(path).sum() * 0.25 == pytest.approx(np.pi * r**2, rel=0.01)


def test_empty_and_missing_geometries_are_nothing_and_a_file_of_them_is_refused(tmp_path: Path) -> None:
    frame = frame_of([shapely.Polygon(), None, BOXES[0]])
    assert (drawn(write(frame, tmp_path / "a.gpkg")) == burnt(BOXES[:1])).all()
    for name, rows in (("none.gpkg", 0), ("empty.gpkg", 2)):
        path = write(frame.iloc[:rows], tmp_path / name)
        with pytest.raises(SceneError, match="holds no polygon"):
            read(path)
        assert len(read(path, may_be_empty=True)) == 0


def test_lines_and_points_are_refused_or_widened_in_metres(tmp_path: Path) -> None:
    line = shapely.LineString([(500_010, 5_399_950), (500_060, 5_399_985)])
    point = shapely.Point(500_030.2, 5_399_990.3)
    thin = write(frame_of([line, point]), tmp_path / "thin.gpkg")
    mixed = write(frame_of([line, point, BOXES[1]]).to_crs(4326), tmp_path / "mixed.geojson")
    with pytest.raises(SceneError, match="1 lines and 1 points and no polygon"):
        read(thin, others="leave out")
    with pytest.raises(SceneError, match="1 lines and 1 points beside 1 polygons"):
        read(mixed)
    assert (drawn(mixed) == burnt(BOXES[1:])).all()
    # UTM's scale here is 0.9996: two centimetres at 5 m... no pixel centre lies that near
    wide = [line.buffer(3, quad_segs=16), point.buffer(3, quad_segs=16)]
    for path, shapes in ((thin, wide), (mixed, [*wide, BOXES[1]])):
        found = burnt(read(path, buffer_m=3).geometry.tolist())
        assert (found != burnt(shapes)).sum() <= 4
        assert found.sum() > 600


def test_lines_beside_a_grid_are_seen_as_far_as_they_are_widened(tmp_path: Path) -> None:
    small = GRID[:10, :10]
    point = shapely.Point(500_000 - 20, 5_399_997.4)
    path = write(frame_of([point, shapely.Point(500_002, 5_399_998)]), tmp_path / "a.gpkg")
    request = VectorRequest(name=str(path), grid=small, buffer_m=22)
    assert (burnt(read_polygons(request).geometry.tolist(), small)).all()


def test_of_several_layers_one_must_be_named(tmp_path: Path) -> None:
    path = tmp_path / "two: parts.gpkg"
    frame_of(BOXES[:1]).to_file(path, layer="area")
    frame_of(BOXES[1:]).to_file(path, layer="more: roofs")
    with _no_word():
        with pytest.raises(SceneError, match=r"2 layers: area, more: roofs\. Name one: two: parts\.gpkg:area\."):
            drawn(path)
        with pytest.raises(SceneError, match="no layer 'round', but area, more: roofs"):
            drawn(f"{path}:round")
        assert (drawn(f"{path}:more: roofs") == burnt(BOXES[1:])).all()
        assert (burnt(read(path, layer="area").geometry.tolist()) == burnt(BOXES[:1])).all()
        assert (burnt(read(path, default_layer="area").geometry.tolist()) == burnt(BOXES[:1])).all()


def test_folders_of_a_kml_file_are_its_layers(tmp_path: Path) -> None:
    texts = [shapely.get_coordinates(shape) for shape in frame_of(BOXES).to_crs(4326).geometry]
    marks = [
        "<Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>"
        + " ".join(f"{lon:.9f},{lat:.9f},0" for lon, lat in text)
        + "</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark>"
        for text in texts
    ]
    folders = "".join(f"<Folder><name>f{n}</name>{mark}</Folder>" for n, mark in enumerate(marks))
    path = tmp_path / "a.kml"
    path.write_text(f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{folders}</Document></kml>')
    with pytest.raises(SceneError, match="2 layers: f0, f1"):
        drawn(path)
    assert (drawn(f"{path}:f1") == burnt(BOXES[1:])).all()


def test_a_layer_is_split_off_a_name_only_where_no_such_file_is(tmp_path: Path) -> None:
    odd = tmp_path / "a.gpkg:b.gpkg"
    odd.touch()
    assert split_layer(odd) == (str(odd), None)
    assert split_layer("a.gpkg:b") == ("a.gpkg", "b")
    assert split_layer("a.tif:1") == ("a.tif:1", None)
    assert split_layer("https://host/a.gpkg:b") == ("https://host/a.gpkg", "b")
    assert split_layer("https://host:8/a.gpkg") == ("https://host:8/a.gpkg", None)


@pytest.mark.parametrize("name", ["nowhere.shp", "degrees.shp", "zone.gpkg", "local.gpkg", "box.geojson"])
def test_what_does_not_lie_on_the_grid_is_refused(tmp_path: Path, name: str) -> None:
    frame = frame_of(BOXES)
    local = 'LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
    made, cause = {
        "nowhere.shp": (frame.set_crs(None, allow_override=True), "has no CRS"),
        "degrees.shp": (frame.to_crs(4326).set_crs(None, allow_override=True), "has no CRS"),
        "zone.gpkg": (frame.set_crs(32634, allow_override=True), "no polygon of it lies on the scene"),
        "local.gpkg": (frame.set_crs(CRS.from_wkt(local), allow_override=True), "does not lead to"),
        # coordinates in metres that call themselves degrees
        "box.geojson": (frame.set_crs(4326, allow_override=True), "no polygon of it lies on the scene"),
    }[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.to_file(tmp_path / name)
    with pytest.raises(SceneError, match=cause) as caught:
        drawn(tmp_path / name)
    assert name in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_grid_without_a_crs_takes_polygons_without_one_and_no_others(tmp_path: Path) -> None:
    pixels = GeoBox((120, 160), Affine.identity(), None)
    square = shapely.box(10, 20, 50, 60)
    path = tmp_path / "pixels.geojson"
    shape = json.loads(shapely.to_geojson(square))
    path.write_text(
        json.dumps(
            {
                "type": "FeatureCollection",
                "crs": None,
                "features": [{"type": "Feature", "properties": {}, "geometry": shape}],
            }
        )
    )
    expected = np.zeros((120, 160), bool)
    expected[20:60, 10:50] = True
    assert (drawn(path, pixels) == expected).all()
    with pytest.raises(SceneError, match="has no CRS"):
        drawn(path)
    with pytest.raises(SceneError, match="the scene nowhere"):
        drawn(write(frame_of(BOXES), tmp_path / "a.gpkg"), pixels)


def test_a_file_for_many_grids_has_to_surround_this_one(tmp_path: Path) -> None:
    ring = [shapely.affinity.translate(BOXES[0], x, y) for x, y in ((-500, 0), (500, 500), (0, -500))]
    path = write(frame_of(ring), tmp_path / "a.gpkg")
    with pytest.raises(ElsewhereError):
        read(path)
    assert len(read(path, must_meet="bounds")) in range(4)
    with pytest.raises(ElsewhereError):
        read(write(frame_of(ring[:1]), tmp_path / "b.gpkg"), must_meet="bounds")
    assert len(read(tmp_path / "b.gpkg", must_meet="nothing")) in range(2)


def _inside(grid: GeoBox, source: Any, test: Any) -> np.ndarray[Any, Any]:
    """Ask of every pixel's centre, taken to the polygons' CRS, whether it lies inside: the definition."""
    row, col = np.mgrid[: grid.shape[0], : grid.shape[1]] + 0.5
    x, y = (grid.transform.a * col + grid.transform.c, grid.transform.e * row + grid.transform.f)
    return test(*Transformer.from_crs(grid.crs.to_wkt(), source, always_xy=True).transform(x, y))


LAEA = GeoBox((500, 500), Affine(1000, 0, 4_200_000, 0, -1000, 4_700_000), "EPSG:3035")


@pytest.mark.parametrize("kind", ["geojson", "gpkg", "fgb", "parquet"])
def test_straight_edges_in_degrees_are_followed_on_a_grid_in_metres(tmp_path: Path, kind: str) -> None:
    """RFC 7946, 3.1.1: a line between two positions is straight in longitude and latitude."""
    path = write(frame_of([shapely.box(10, 62, 16, 64)], 4326), tmp_path / f"a.{kind}")
    expected = _inside(LAEA, 4326, lambda lon, lat: (lon > 10) & (lon < 16) & (lat > 62) & (lat < 64))
    assert expected.sum() > 60_000
    wrong = drawn(path, LAEA) != expected
    assert wrong.sum() <= 3  # of 1,500 pixels on the outline


def test_straight_edges_in_metres_are_followed_on_a_grid_in_degrees(tmp_path: Path) -> None:
    grid = GeoBox((500, 900), Affine(0.02, 0, 0, 0, -0.01, 66), "EPSG:4326")
    path = write(frame_of([shapely.box(4_200_000, 4_300_000, 4_700_000, 4_600_000)], 3035), tmp_path / "a.gpkg")
    expected = _inside(grid, 3035, lambda x, y: (x > 4_200_000) & (x < 4_700_000) & (y > 4_300_000) & (y < 4_600_000))
    assert expected.sum() > 100_000
    assert (drawn(path, grid) != expected).sum() <= 4


@pytest.mark.parametrize("world", [(-180, -90, 180, 90), (-100, 10, 120, 80)])
def test_an_area_far_larger_than_the_grid_covers_it(tmp_path: Path, world: tuple[float, ...]) -> None:
    hole = frame_of(BOXES[:1]).to_crs(4326).geometry[0]
    path = write(frame_of([shapely.box(*world).difference(hole)], 4326), tmp_path / "a.geojson")
    assert (drawn(path) == ~burnt(BOXES[:1])).all()


def test_an_area_cut_at_the_antimeridian_covers_both_sides_of_it(tmp_path: Path) -> None:
    grid = GeoBox((300, 600), Affine(500, 0, 700_000, 0, -500, 8_150_000), "EPSG:32760")
    halves = shapely.MultiPolygon([shapely.box(179.2, -17.5, 180, -17), shapely.box(-180, -17.5, -179.5, -17)])
    path = write(frame_of([halves], 4326), tmp_path / "a.geojson")
    expected = _inside(grid, 4326, lambda lon, lat: ((lon > 179.2) | (lon < -179.5)) & (lat > -17.5) & (lat < -17))
    found = drawn(path, grid)
    assert expected.sum() > 20_000
    assert (found != expected).sum() <= 4


def test_coordinates_of_the_grids_own_crs_stay_as_they_are(tmp_path: Path) -> None:
    """Also where the file words the CRS otherwise: no pixel centre on an edge may change sides."""
    edges = shapely.box(500_010.25, 5_399_950.25, 500_020.25, 5_399_960.25)
    for name in ("a.gpkg", "a.shp", "a.fgb"):
        found = read(write(frame_of([edges]), tmp_path / name)).geometry
        assert found[0].bounds == edges.bounds


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("a.geojson", b"{", "not JSON"),
        ("a.geojson", b'{"type": "Topology", "arcs": []}', "type 'Topology', not GeoJSON"),
        ("a.geojson", b'{"type": "FeatureCollection", "features": 3}', "features are no list"),
        ("a.geojson", b'{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": 3}}', "feature 1 cannot"),
        ("a.geojson", b'{"type": "Polygon", "coordinates": [[[0,0],[1e999,0],[1,1],[0,0]]]}', "no numbers"),
        ("a.geojson", b'{"a":' * 100_000, "nested too deeply|not JSON"),
        ("a.geojson", b"", "an empty file"),
        ("a.gpkg", b"no", "cannot be read"),
        ("a.gpkg", b"SQLite format 3\x00" + bytes(200), "cannot be read"),
        ("a.shp", b"\x00\x00\x27\x0a" + bytes(96), "cannot be read"),
        ("a.fgb", b"fgb\x03fgb\x00" + bytes(40), "no layer"),
        ("a.parquet", b"PAR1" + bytes(40) + b"PAR1", "cannot be read"),
        ("a.zip", b"PK\x03\x04" + bytes(40), "damaged"),
        ("a.kml", b"<kml><Document>", "not XML"),
        ("a.kml", b'<!DOCTYPE a [<!ENTITY b "c">]><kml>&b;</kml>', "entities"),
        ("a.kml", b"<kml><Placemark><Point><coordinates>x,y</coordinates></Point></Placemark></kml>", "cannot be read"),
        ("a.gml", b'<?xml version="1.0"?><gml:FeatureCollection xmlns:gml="u"/>', "found: GML.*ogr2ogr"),
        ("a.geojson", b"<!doctype html><html>", "an HTML page"),
        ("a.dbf", b"\x03abc", r"part of a Shapefile.*\.shp"),
    ],
)
def test_broken_files_are_refused_with_the_cause(tmp_path: Path, name: str, content: bytes, cause: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SceneError, match=cause) as caught:
        drawn(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["gpkg", "fgb", "shp", "parquet", "geojson", "geojsonl", "kml", "kmz", "shp.zip"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_that_is_cut_short_is_refused_and_never_read_in_part(tmp_path: Path, kind: str, share: float) -> None:
    many = [shapely.box(500_001 + n, 5_399_950, 500_001.6 + n, 5_399_960) for n in range(60)]
    path = write(frame_of(many), tmp_path / f"a.{kind}")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(SceneError, match=path.name) as caught:
        drawn(path)
    assert "layer." not in str(caught.value)


def test_a_shapefile_without_its_index_is_refused_by_name(tmp_path: Path) -> None:
    path = write(frame_of(BOXES), tmp_path / "a.shp")
    path.with_suffix(".shx").unlink()
    with pytest.raises(SceneError, match=r"a\.shx, which belongs to it, is missing"):
        drawn(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    for name, cause in (("gone.gpkg", "no such file"), ("gone.gpkg:roofs", "no such file"), (".", "not a plain file")):
        with pytest.raises(SceneError, match=cause):
            drawn(f"{tmp_path}/{name}")


@pytest.mark.parametrize("kind", [15, 16, 17])
def test_surfaces_in_space_are_refused(tmp_path: Path, kind: int) -> None:
    """A polyhedral surface, a TIN and a triangle: of no use as areas, and no reason to fall over."""
    path = write(frame_of([BOXES[0]]), tmp_path / "a.gpkg")
    ring = struct.pack("<I", 4) + np.asarray([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 0]], "<f8").tobytes()
    if kind == 17:
        put_geometry(path, struct.pack("<bII", 1, 1017, 1) + ring)
    else:
        part = struct.pack("<bII", 1, 1003 if kind == 15 else 1017, 1) + ring
        put_geometry(path, struct.pack("<bII", 1, 1000 + kind, 1) + part)
    with pytest.raises(SceneError, match=r"a\.gpkg"):
        drawn(path)


def test_a_geopackage_that_a_program_is_writing_is_read_as_committed(tmp_path: Path) -> None:
    path = write(frame_of(BOXES[:1]), tmp_path / "a.gpkg")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')
        database.execute("UPDATE a SET kind = 7")
        database.commit()
        assert read(path, columns=("kind",))["kind"].tolist() == [7]
        assert (drawn(path) == burnt(BOXES[:1])).all()


def test_the_digest_of_an_area_follows_its_content(tmp_path: Path) -> None:
    made = [write(frame_of(BOXES[:n]), tmp_path / f"{n}.{kind}") for n in (1, 2) for kind in ("gpkg", "shp")]
    digests = {area_digest(str(path)) for path in made}
    assert len(digests) == len(made)
    assert area_digest(f"{made[0]}:1") not in digests
    made[1].with_suffix(".prj").write_text('LOCAL_CS["site",UNIT["metre",1]]')
    assert area_digest(str(made[1])) not in digests
    assert area_digest("https://host/a.gpkg") == "https://host/a.gpkg"
