"""The polygons of PMTiles are found, listed and drawn as those of the GeoPackage of the same map are."""

from __future__ import annotations

import gzip
from pathlib import Path

import mapbox_vector_tile
import numpy as np
import pytest
import shapely
from pmtiles.reader import all_tiles
from pyproj import CRS, Transformer

from geoseg.errors import SceneError
from geoseg.io.polygons.geopackage import write_segments
from geoseg.io.polygons.pmtiles import write_pmtiles
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.io.publish.about import About
from geoseg.io.tiles import polygon_archive
from geoseg.io.tiles.address import TileAddress
from geoseg.io.tiles.polygon_archive import PolygonArchive
from geoseg.io.tiles.polygons import PolygonTable
from geoseg.testing.segments import MAP_LEGEND, plain

UTM = CRS.from_epsg(32632).to_wkt()
TO_LONLAT = Transformer.from_crs(32632, 4326, always_xy=True)
SCHEMA = VectorSchema(crs_wkt=UTM, legend=MAP_LEGEND)


def outlines() -> np.ndarray:
    """Squares of 6 m, a ring with a hole, a square inside of the hole, and a strip across many tiles."""
    x, y = np.meshgrid(np.arange(12) * 10 + 500_000, np.arange(9) * 10 + 5_400_000)
    squares = shapely.box(x.ravel(), y.ravel(), x.ravel() + 6, y.ravel() + 6)
    ring = shapely.difference(
        shapely.box(500_200, 5_400_000, 500_260, 5_400_060), shapely.box(500_210, 5_400_010, 500_250, 5_400_050)
    )
    inner = shapely.box(500_220, 5_400_020, 500_240, 5_400_040)
    strip = shapely.box(500_000, 5_400_200, 501_500, 5_400_205)
    return np.array([*squares, ring, inner, strip], object)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PolygonTable]:
    folder = tmp_path_factory.mktemp("tiles")
    segments = plain(outlines())
    segments.pixels[:] = np.maximum(1, segments.area_m2 / 0.25)
    segments.class_code[:] = np.arange(len(segments.class_code)) % 2
    segments.confidence[:] = 0.5 + 0.4 * np.sin(np.arange(len(segments.confidence)))
    write_pmtiles(folder / "a.pmtiles", [segments], SCHEMA)
    write_segments(folder / "a.gpkg", [segments], SCHEMA, about=About(title="a", abstract="a"))
    return folder / "a.pmtiles", PolygonTable(folder / "a.gpkg", "segments")


@pytest.fixture
def archive(pair: tuple[Path, PolygonTable]) -> PolygonArchive:
    return PolygonArchive(pair[0])


def alike(one, other, *, metres: float = 0.2) -> None:
    """An archive numbers from 0, a GeoPackage from 1."""
    assert one.id == other.id - 1
    for name, value in one.attributes.items():
        expected = other.attributes[name]
        assert value == (expected if isinstance(value, str) else pytest.approx(expected, rel=1e-3)), name
    assert one.bounds == pytest.approx(other.bounds, abs=metres / 70_000)


def test_places_and_ids_find_what_the_geopackage_finds(archive: PolygonArchive, pair) -> None:
    _, table = pair
    places = [TO_LONLAT.transform(*shapely.get_coordinates(one.representative_point())[0]) for one in outlines()]
    for number, (lon, lat) in enumerate(places):
        found = archive.at(lon, lat)
        assert found is not None
        alike(found, table.at(lon, lat))
        assert found.id == number
        by_id = archive.polygon(number)
        assert by_id == found
    for x, y in ((500_008, 5_400_003), (500_215, 5_400_030), (600_000, 5_400_000)):
        assert archive.at(*TO_LONLAT.transform(x, y)) is None
        assert table.at(*TO_LONLAT.transform(x, y)) is None
    assert archive.at(0.0, 89.99) is None
    assert archive.polygon(len(places)) is None
    assert archive.with_object(1) is None


@pytest.mark.parametrize("least_m2", [0.0, 40.0])
@pytest.mark.parametrize("hidden", [(), (0,)])
def test_the_least_certain_are_those_of_the_geopackage(archive: PolygonArchive, pair, hidden, least_m2: float) -> None:
    found = archive.least_certain(most=20, hidden=hidden, least_m2=least_m2)
    expected = pair[1].least_certain(most=20, hidden=hidden, least_m2=least_m2)
    assert [one.id for one in found] == [one.id - 1 for one in expected]
    for one, other in zip(found, expected, strict=True):
        alike(one, other)


def test_tiles_are_those_of_the_archive_under_the_name_of_the_layer(archive: PolygonArchive) -> None:
    def read(offset: int, length: int) -> bytes:
        return archive.path.read_bytes()[offset : offset + length]

    seen = 0
    for (zoom, column, row), content in all_tiles(read):
        expected = mapbox_vector_tile.decode(gzip.decompress(content))["segments"]
        found = mapbox_vector_tile.decode(archive.tile(TileAddress(zoom, column, row)))
        assert list(found) == ["polygons"]
        assert found["polygons"]["features"] == expected["features"]
        seen += 1
    assert seen > 10
    assert archive.tile(TileAddress(archive.zooms[1], 0, 0)) == b""
    assert archive.tile(TileAddress(archive.zooms[1] + 1, 0, 0)) == b""


def test_a_large_archive_is_asked_by_place_only(archive: PolygonArchive, pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polygon_archive, "MOST_SEARCHED_BYTES", 10)
    large = PolygonArchive(pair[0])
    assert not large.searched
    assert large.polygon(1) is None
    assert large.least_certain(most=5, hidden=(), least_m2=0) == []
    lon, lat = TO_LONLAT.transform(500_003, 5_400_003)
    whole, piece = archive.at(lon, lat), large.at(lon, lat)
    assert piece is not None
    assert (piece.id, piece.attributes) == (whole.id, whole.attributes)


@pytest.mark.parametrize("fault", ["empty", "text", "cut in the tiles", "cut in the head", "other bytes", "raster"])
def test_damaged_archives_are_refused_in_words(fault: str, pair, tmp_path: Path) -> None:
    content = bytearray(pair[0].read_bytes())
    if fault == "other bytes":
        content[200:] = bytes(byte ^ 0x5A for byte in content[200:])
    if fault == "raster":
        content[99] = 2
    shorter = {
        "empty": b"",
        "text": b"no archive",
        "cut in the head": content[:100],
        "cut in the tiles": content[:-400],
    }
    path = tmp_path / "b.pmtiles"
    path.write_bytes(bytes(shorter.get(fault, content)))
    with pytest.raises(SceneError, match="Write it again"):  # noqa: PT012 - some faults show when tiles are read
        broken = PolygonArchive(path)
        broken.polygon(0)
