"""A map in degrees that go on beyond 180 is shown, counted, picked and corrected where its ground is."""

from __future__ import annotations

import shutil
from pathlib import Path

import geopandas
import httpx
import numpy as np
import pytest
import rasterio
from affine import Affine
from conftest import blobs
from served_run import SPEC, Serve
from test_server import shown

from geoseg import load_model, predict

STEP = 5e-6
SHAPE = (200, 260)
LATITUDE = -17.0
FLOAT32 = 1e-4
"""Degrees by which a GeoPackage's index, which knows 24 bits, widens boxes near 360 degrees."""


@pytest.fixture(scope="module", params=[180.0, -180.0, 360.0])
def middle(request: pytest.FixtureRequest) -> float:
    """Longitude of the middle of the scene, as stored."""
    return float(request.param)


@pytest.fixture(scope="module")
def output(middle: float, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("degrees")
    place = Affine(STEP, 0, middle - SHAPE[1] / 2 * STEP, 0, -STEP, LATITUDE)
    facts = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": SHAPE[0], "width": SHAPE[1]}
    with rasterio.open(folder / "scene.tif", "w", crs=4326, transform=place, photometric="RGB", **facts) as file:
        file.write(blobs(SHAPE))
    network = load_model(tiny_model, device="cpu", runtime="torch", precision="fp32")
    predict(folder / "scene.tif", network, folder / "out", spec=SPEC)
    return folder / "out"


@pytest.fixture
def client(serve: Serve, output: Path) -> httpx.Client:
    return serve(output)[1]


def on_earth(longitude: float) -> float:
    return (longitude + 180) % 360 - 180


def test_the_class_map_and_the_imagery_lie_on_both_sides(client: httpx.Client, output: Path, middle: float) -> None:
    facts = client.get("/api/a/0").json()
    half = SHAPE[1] / 2 * STEP
    assert facts["bounds"][:3:2] == pytest.approx((on_earth(middle - half), on_earth(middle + half)), abs=1e-7)
    colours = {entry["code"]: entry for entry in facts["legend"]}
    with rasterio.open(output / "scene" / "scene_classes.tif") as file:
        codes = file.read(1)
    with rasterio.open(output.parent / "scene.tif") as file:
        values = file.read()
    seen = 0
    for row, col in ((50, 30), (50, 230), (120, 60), (150, 200), (20, 100), (20, 160)):
        lon, lat = on_earth(middle + (col + 0.5 - SHAPE[1] / 2) * STEP), LATITUDE - (row + 0.5) * STEP
        near = values[:, row - 1 : row + 2, col - 1 : col + 2].mean(axis=(1, 2))
        assert np.abs(np.array(shown(client, "imagery", lon, lat, 21)[:3]) - near).max() < 16
        block = codes[row - 1 : row + 2, col - 1 : col + 2]
        entry = colours[int(codes[row, col])]
        if (block == block[0, 0]).all() and not entry["background"]:
            red, green, blue, _ = shown(client, "classes", lon, lat, 21)
            assert f"#{red:02x}{green:02x}{blue:02x}" == entry["colour"]
            seen += 1
    assert seen


def test_areas_in_view_are_those_of_the_run(client: httpx.Client, output: Path) -> None:
    west, south, east, north = client.get("/api/a/0").json()["bounds"]
    frame = geopandas.read_file(output / "scene" / "scene_segments.gpkg", layer="segments")
    expected = frame.groupby("class_code")["area_m2"].sum()
    for view in ((west, south, east, north), (-180, -80, 180, 80)):
        asked = dict(zip(("west", "south", "east", "north"), view, strict=True))
        found = client.get("/api/a/0/areas", params=asked).json()["areas"]
        for code, area_m2 in expected.items():
            assert found[str(code)] == pytest.approx(area_m2, rel=0.03, abs=3)


def test_the_least_certain_places_and_picks_lie_on_the_ground(client: httpx.Client, output: Path) -> None:
    frame = geopandas.read_file(output / "scene" / "scene_segments.gpkg", layer="segments", fid_as_index=True)
    west, _, east, _ = client.get("/api/a/0").json()["bounds"]
    wide = (east - west) % 360
    places = client.get("/api/a/0/least", params={"most": 50}).json()["places"]
    assert places
    for place in places:
        left, _, right, _ = place["bounds"]
        assert -FLOAT32 < on_earth(left - west) < wide + FLOAT32
        assert 0 < (right - left) % 360 < wide + 2 * FLOAT32
    picked = 0
    for row, found in frame.sort_values("area_m2").tail(8).iterrows():
        point = found.geometry.representative_point()
        answer = client.get("/api/a/0/segments/at", params={"lon": on_earth(point.x), "lat": point.y}).json()
        assert answer["row"] == row
        picked += 1
    assert picked == 8


def test_cells_are_listed_where_there_are_no_polygons(serve: Serve, output: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(output / "scene", tmp_path / "scene")
    for file in copy.glob("*.gpkg"):
        file.unlink()
    answer = serve(copy)[1].get("/api/a/0/least", params={"most": 5}).json()
    client = serve(copy)[1]
    west, _, east, _ = client.get("/api/a/0").json()["bounds"]
    for place in answer["places"]:
        left, _, right, _ = place["bounds"]
        assert 0 < (right - left) % 360 <= (east - west) % 360 + 1e-6
    assert len(answer["places"]) == 5


def test_corrections_reach_the_pixels_under_them(serve: Serve, output: Path, middle: float, tmp_path: Path) -> None:
    shutil.copyfile(output.parent / "scene.tif", tmp_path / "scene.tif")
    copy = shutil.copytree(output, tmp_path / "out") / "scene"
    editing = serve(copy, edit=True)[1]
    with rasterio.open(copy / "scene_classes.tif") as file:
        before = file.read(1)
    expected = before.copy()
    for revision, cols in enumerate(((20, 50), (200, 230))):
        left, right = (on_earth(middle + (col - SHAPE[1] / 2) * STEP) for col in cols)
        low, high = LATITUDE - 120 * STEP, LATITUDE - 80 * STEP
        ring = [[left, low], [right, low], [right, high], [left, high], [left, low]]
        asked = {"revision": revision, "kind": "repaint", "class_code": 5}
        asked["geometry"] = {"type": "Polygon", "coordinates": [ring]}
        applied = editing.post("/edits/0", json=asked)
        assert applied.status_code == 200, applied.text
        drawn = np.array(applied.json()["areas"]["features"][-1]["geometry"]["coordinates"][0])
        assert np.abs(drawn[:, 0]).max() <= 180
        expected[80:120, slice(*cols)] = 5
    assert editing.post("/edits/0/step", json={"revision": 2, "step": "save"}).status_code == 200
    with rasterio.open(copy / "scene_classes.tif") as file:
        found = file.read(1)
    known = before != 255
    assert (found[known] == expected[known]).all()
