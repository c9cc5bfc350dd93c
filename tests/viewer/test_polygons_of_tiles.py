"""A run whose polygons are in PMTiles only shows them: list, clicks, search, and what cannot be done in words."""

from __future__ import annotations

import shutil
from pathlib import Path

import geopandas
import mapbox_vector_tile
import pytest
from served_run import Serve
from test_server import tile_at

from geoseg.cli.main import app
from geoseg.io.tiles import polygon_archive


@pytest.fixture(scope="module")
def tiled(run_output: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run without its GeoPackages, and with PMTiles that geoseg vectorise makes of its class map."""
    folder = tmp_path_factory.mktemp("tiled")
    shutil.copyfile(run_output.parent / "scene.tif", folder / "scene.tif")
    copy = shutil.copytree(run_output, folder / "out") / "scene"
    command = ["vectorise", str(copy / "scene_classes.tif"), "--out", str(copy / "scene_segments.pmtiles")]
    app(args=[*command, "--confidence", str(copy / "scene_confidence.tif")], standalone_mode=False)
    for path in copy.glob("*.gpkg"):
        path.unlink()
    return copy


def test_polygons_come_from_the_archive(tiled: Path, run_output: Path, serve: Serve) -> None:
    frame = geopandas.read_file(run_output / "scene" / "scene_segments.gpkg", layer="segments")
    _, client = serve(tiled)
    facts = client.get("/api/a/0").json()
    (polygons,) = facts["polygons"]
    assert (polygons["id"], polygons["searched"]) == ("segments", True)
    assert any("scene_segments.pmtiles" in note for note in facts["notes"])
    largest = frame.loc[frame.area.idxmax()]
    point = geopandas.GeoSeries([largest.geometry.representative_point()], crs=frame.crs).to_crs(4326)[0]
    found = client.get("/api/a/0/segments/at", params={"lon": point.x, "lat": point.y}).json()
    assert found["attributes"]["class_name"] == largest["class_name"]
    assert found["attributes"]["area_m2"] == pytest.approx(largest["area_m2"], rel=1e-3)
    assert client.get("/api/a/0/segments/polygon", params={"row": found["row"]}).json() == found
    assert client.get("/api/a/0/segments/polygon", params={"row": len(frame)}).status_code == 404
    least = client.get("/api/a/0/least", params={"most": 500}).json()
    assert least["layer"] == "segments"
    listed = frame[frame["class_name"] != "ground"].sort_values(["confidence", "area_m2"], ascending=[True, False])
    doubts = [place["attributes"]["confidence"] for place in least["places"]]
    assert doubts == pytest.approx(listed["confidence"].head(500).tolist(), abs=1e-3)
    column, row, _, _ = tile_at(point.x, point.y, polygons["max_zoom"])
    tile = client.get(f"/polygons/a/0/segments/{polygons['max_zoom']}/{column}/{row}")
    assert found["row"] in {one["id"] for one in mapbox_vector_tile.decode(tile.content)["polygons"]["features"]}


def test_a_geopackage_is_preferred(tiled: Path, run_output: Path, serve: Serve, tmp_path: Path) -> None:
    copy = shutil.copytree(tiled, tmp_path / "scene")
    shutil.copyfile(run_output / "scene" / "scene_segments.gpkg", copy / "scene_segments.gpkg")
    facts = serve(copy)[1].get("/api/a/0").json()
    assert [one["id"] for one in facts["polygons"]] == ["segments"]
    assert "area_m2" in facts["polygons"][0]["fields"]
    assert "perimeter_m" in facts["polygons"][0]["fields"]
    assert not any("pmtiles" in note for note in facts["notes"])


def test_an_archive_that_is_too_large_or_damaged_is_named(
    tiled: Path, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(tiled, tmp_path / "scene")
    with monkeypatch.context() as patched:
        patched.setattr(polygon_archive, "MOST_SEARCHED_BYTES", 10)
        facts = serve(copy)[1].get("/api/a/0").json()
        assert not facts["polygons"][0]["searched"]
        assert any("its ids are not searched" in note for note in facts["notes"])
    (copy / "scene_segments.pmtiles").write_bytes(b"PMTiles\x03" + bytes(40))
    facts = serve(copy)[1].get("/api/a/0").json()
    assert facts["polygons"] == []
    assert any("scene_segments.pmtiles" in note for note in facts["notes"])
