"""What the server gives: tiles, areas, polygons and the least certain places, compared with rasterio and geopandas."""

from __future__ import annotations

import io
import json
import os
import shutil
from math import asinh, pi, radians, tan
from pathlib import Path

import geopandas
import httpx
import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import Geod, Transformer
from served_run import Serve, Served

from geoseg.errors import SceneError
from geoseg.io.raster.open_options import OpenOptions
from geoseg.viewer.opened import open_run


def tile_at(lon: float, lat: float, zoom: int) -> tuple[int, int, float, float]:
    """Column, row, and the place inside the tile in [0, 1), by the formulas of the pyramid."""
    x = (lon + 180) / 360 * 2**zoom
    y = (1 - asinh(tan(radians(lat))) / pi) / 2 * 2**zoom
    return int(x), int(y), x % 1, y % 1


def shown(client: httpx.Client, layer: str, lon: float, lat: float, zoom: int = 20) -> tuple[int, ...]:
    """Colour of a layer at a place, from its tile."""
    x, y, right, down = tile_at(lon, lat, zoom)
    answer = client.get(f"/tiles/a/0/{layer}/{zoom}/{x}/{y}")
    assert answer.status_code == 200
    image = Image.open(io.BytesIO(answer.content)).convert("RGBA")
    assert image.size == (512, 512)
    return tuple(image.getpixel((int(right * 512), int(down * 512))))


def middles(path: Path, some: int = 5) -> list[tuple[float, float, int]]:
    """Longitude, latitude and value of pixels whose neighbours all have the same value."""
    with rasterio.open(path) as raster:
        values = raster.read(1)
        to_lonlat = Transformer.from_crs(raster.crs, 4326, always_xy=True)
        alike = np.ones_like(values, bool)
        for axis in (0, 1):
            for step in (-1, 1):
                alike &= np.roll(values, step, axis) == values
        alike[[0, -1]] = alike[:, [0, -1]] = False
        found = []
        for code in np.unique(values[alike]).tolist():
            rows, cols = np.nonzero(alike & (values == code))
            for place in np.random.default_rng(3).permutation(len(rows))[:some].tolist():
                lon, lat = to_lonlat.transform(*raster.xy(rows[place], cols[place]))
                found.append((lon, lat, int(code)))
        return found


def test_the_class_map_has_the_colours_of_the_legend_and_a_clear_background(served: Served, run_output: Path):
    _, client = served
    colours = {entry["code"]: entry for entry in client.get("/api/a/0").json()["legend"]}
    seen = set()
    for lon, lat, code in middles(run_output / "scene" / "scene_classes.tif"):
        red, green, blue, alpha = shown(client, "classes", lon, lat)
        assert alpha == (0 if colours[code]["background"] else 255)
        if alpha:
            assert f"#{red:02x}{green:02x}{blue:02x}" == colours[code]["colour"]
        seen.add(code)
    assert len(seen) > 1


def test_imagery_is_shown_as_it_is(served: Served, run_output: Path):
    _, client = served
    with rasterio.open(run_output.parent / "scene.tif") as scene:
        to_lonlat = Transformer.from_crs(scene.crs, 4326, always_xy=True)
        values = scene.read()
        for row, col in ((50, 60), (120, 200), (180, 20)):
            lon, lat = to_lonlat.transform(*scene.xy(row, col))
            found = shown(client, "imagery", lon, lat)
            assert found[3] == 255
            # JPEG and resampling: a few grey values aside
            near = values[:, row - 1 : row + 2, col - 1 : col + 2].mean(axis=(1, 2))
            assert np.abs(np.array(found[:3]) - near).max() < 16


def test_beyond_the_scene_tiles_are_transparent(served: Served):
    _, client = served
    answer = client.get("/tiles/a/0/imagery/18/0/0")
    assert answer.status_code == 200
    assert np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))[..., 3].max() == 0


def test_tiles_of_256_px_show_the_same_ground(served: Served):
    _, client = served
    lon, lat, zoom = 9.00003, 48.7525, 19
    x, y, _, _ = tile_at(lon, lat, zoom)
    large, small = (client.get(f"/tiles/a/0/classes/{zoom}/{x}/{y}?size={size}").content for size in (512, 256))
    one = np.asarray(Image.open(io.BytesIO(large)).convert("RGBA"))[1::2, 1::2]
    two = np.asarray(Image.open(io.BytesIO(small)).convert("RGBA"))
    assert two.shape == one.shape
    assert (one == two).all(axis=-1).mean() > 0.95


def test_the_areas_of_the_whole_extent_are_those_of_the_run(served: Served, run_output: Path):
    _, client = served
    record = json.loads((run_output / "scene" / "run.json").read_text())
    west, south, east, north = client.get("/api/a/0").json()["bounds"]
    found = client.get("/api/a/0/areas", params={"west": west, "south": south, "east": east, "north": north}).json()
    assert found["full"]
    for entry in record["classes"]:
        assert found["areas"][str(entry["code"])] == pytest.approx(entry["area_m2"], rel=0.02, abs=2)
    assert sum(found["areas"].values()) == pytest.approx(200 * 260 * 0.25, rel=0.01)


def test_the_areas_of_an_extent_add_up_to_its_ground(served: Served):
    _, client = served
    west, south, east, north = client.get("/api/a/0").json()["bounds"]
    middle = {"west": west + (east - west) / 4, "south": south + (north - south) / 4}
    middle |= {"east": east - (east - west) / 4, "north": north - (north - south) / 4}
    found = client.get("/api/a/0/areas", params=middle).json()
    lons = [middle["west"], middle["east"], middle["east"], middle["west"]]
    lats = [middle["south"], middle["south"], middle["north"], middle["north"]]
    ground = abs(Geod(ellps="WGS84").polygon_area_perimeter(lons, lats)[0])
    assert sum(found["areas"].values()) == pytest.approx(ground, rel=0.005)


def test_the_map_elsewhere_has_no_area(served: Served):
    _, client = served
    found = client.get("/api/a/0/areas", params={"west": 20, "south": 10, "east": 21, "north": 11}).json()
    assert set(found["areas"].values()) == {0.0}


def test_a_polygon_is_found_by_row_by_object_id_and_by_place(served: Served, run_output: Path):
    _, client = served
    frame = geopandas.read_file(run_output / "scene" / "scene_objects.gpkg", layer="objects", fid_as_index=True)
    row = frame.area.idxmax()
    inside = frame.loc[[row]].representative_point().to_crs(4326).iloc[0]
    expected = frame.loc[row]
    answers = [
        client.get("/api/a/0/objects/polygon", params={"row": int(row)}),
        client.get("/api/a/0/objects/polygon", params={"object_id": int(expected["object_id"])}),
        client.get("/api/a/0/objects/at", params={"lon": inside.x, "lat": inside.y}),
    ]
    for answer in answers:
        found = answer.json()
        assert found["row"] == row
        assert found["attributes"]["area_m2"] == pytest.approx(expected["area_m2"])
        assert found["attributes"]["class_name"] == expected["class_name"]
        assert found["bounds"] == pytest.approx(tuple(frame.loc[[row]].to_crs(4326).total_bounds), abs=2e-6)


def test_the_least_certain_objects_come_first(served: Served, run_output: Path):
    _, client = served
    frame = geopandas.read_file(run_output / "scene" / "scene_objects.gpkg", layer="objects", fid_as_index=True)
    found = client.get("/api/a/0/least", params={"most": 20, "least_m2": 2.0}).json()
    assert found["layer"] == "objects"
    large = frame[frame["area_m2"] >= 2.0].sort_values(["confidence", "area_m2"], ascending=[True, False])
    assert [place["row"] for place in found["places"]] == large.index[:20].tolist()


def test_without_polygons_the_least_certain_cells_are_listed(serve: Serve, tmp_path: Path, run_output: Path):
    copy = shutil.copytree(run_output / "scene", tmp_path / "scene")
    for name in ("segments", "objects"):
        (copy / f"scene_{name}.gpkg").unlink()
    _, client = serve(copy)
    found = client.get("/api/a/0/least", params={"most": 5}).json()
    confidences = [place["attributes"]["confidence"] for place in found["places"]]
    assert found["layer"] is None
    assert len(confidences) == 5
    assert confidences == sorted(confidences)
    with rasterio.open(copy / "scene_confidence.tif") as raster:
        values = raster.read(1)
    assert confidences[0] < values[values != 255].mean() / 100


def test_two_runs_are_compared_by_the_names_of_classes(serve: Serve, tmp_path: Path, run_output: Path):
    copy = shutil.copytree(run_output / "scene", tmp_path / "scene")
    with rasterio.open(copy / "scene_classes.tif") as raster:
        values, profile = raster.read(1), raster.profile
        tags, table = raster.tags(), raster.colormap(1)
    names = (copy / "scene_classes.tif.aux.xml").read_bytes()
    changed = values.copy()
    changed[40:80, 40:80] = 5
    expected = int((changed != values).sum())
    assert expected > 100
    profile = {key: profile[key] for key in ("dtype", "count", "height", "width", "crs", "transform", "nodata")}
    with rasterio.open(copy / "scene_classes.tif", "w", driver="GTiff", **profile) as target:
        target.write(changed, 1)
        target.update_tags(**tags)
        target.write_colormap(1, table)
    (copy / "scene_classes.tif.aux.xml").write_bytes(names)
    _, client = serve(run_output, copy)
    assert client.get("/api/view").json()["compare"] == "scene"
    west, south, east, north = client.get("/api/a/0").json()["bounds"]
    found = client.get("/api/a/0/areas", params={"west": west, "south": south, "east": east, "north": north}).json()
    assert found["changed_m2"] == pytest.approx(expected * 0.25, rel=0.05)
    with rasterio.open(run_output / "scene" / "scene_classes.tif") as raster:
        to_lonlat = Transformer.from_crs(raster.crs, 4326, always_xy=True)
        rows, cols = np.nonzero(changed != values)
        place = np.flatnonzero((rows > 45) & (rows < 75) & (cols > 45) & (cols < 75))[0]
        lon, lat = to_lonlat.transform(*raster.xy(rows[place], cols[place]))
    assert shown(client, "changes", lon, lat)[3] == 255
    assert shown(client, "changes", *to_lonlat.transform(500010, 5399990))[3] == 0


def test_a_scene_alone_is_shown_with_its_stretch(serve: Serve, write_scene):
    ramp = np.linspace(1000, 3000, 200 * 260).reshape(1, 200, 260).astype(np.uint16)
    _, client = serve(write_scene(ramp, name="deep.tif"))
    facts = client.get("/api/a/0").json()
    assert [entry["id"] for entry in facts["rasters"]] == ["imagery"]
    assert facts["polygons"] == []
    assert facts["legend"] == []
    to_lonlat = Transformer.from_crs(32632, 4326, always_xy=True)
    dark, bright = (shown(client, "imagery", *to_lonlat.transform(500065, 5400000 - y)) for y in (3, 97))
    assert dark[0] < 20
    assert bright[0] > 235


def test_an_archive_shows_the_footprints_of_all_scenes_and_opens_each(serve: Serve, make_archive):
    from geoseg.archive.run import run_archive

    config = make_archive(2)
    run_archive(config)
    _, client = serve(config.out)
    view = client.get("/api/view").json()
    assert view["archive"]
    assert [(scene["name"], scene["state"]) for scene in view["scenes"]] == [("area0", "done"), ("area1", "done")]
    features = client.get("/api/footprints").json()["features"]
    assert [feature["properties"]["name"] for feature in features] == ["area0", "area1"]
    for number in (0, 1):
        facts = client.get(f"/api/a/{number}").json()
        assert facts["name"] == f"area{number}"
        assert {"imagery", "classes"} <= {entry["id"] for entry in facts["rasters"]}


@pytest.mark.parametrize(
    "name", ["scene_classes.tif", "scene_confidence.tif", "scene_segments.gpkg", "../../scene.tif"]
)
def test_a_file_that_is_replaced_gets_new_addresses(serve: Serve, run_output: Path, tmp_path: Path, name: str):
    shutil.copyfile(run_output.parent / "scene.tif", tmp_path / "scene.tif")
    copy = shutil.copytree(run_output, tmp_path / "out") / "scene"
    _, client = serve(copy)
    before = client.get("/api/a/0").json()["version"]
    assert client.get("/api/a/0").json()["version"] == before
    path, part = copy / name, tmp_path / "part"
    part.write_bytes(path.read_bytes() + b"\0")
    os.utime(part, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    part.replace(path)
    assert client.get("/api/a/0").json()["version"] != before


def test_a_scene_that_is_replaced_gets_new_addresses_and_is_drawn_anew(serve: Serve, write_scene):
    path = write_scene(np.full((3, 200, 260), 40, np.uint8), name="plain.tif")
    _, client = serve(path)
    before = client.get("/api/a/0").json()["version"]
    lon, lat = Transformer.from_crs(32632, 4326, always_xy=True).transform(500065, 5399950)
    assert shown(client, "imagery", lon, lat)[0] == pytest.approx(40, abs=2)
    write_scene(np.full((3, 200, 260), 200, np.uint8), name="plain.tif")
    assert shown(client, "imagery", lon, lat)[0] == pytest.approx(200, abs=2)
    assert client.get("/api/a/0").json()["version"] != before


def test_two_servers_never_share_addresses_of_tiles(serve: Serve, run_output: Path):
    versions = {serve(run_output)[1].get("/api/a/0").json()["version"] for _ in range(2)}
    assert len(versions) == 2


def test_folders_of_a_killed_run_are_no_scenes(serve: Serve, run_output: Path, tmp_path: Path):
    copy = shutil.copytree(run_output, tmp_path / "out")
    for left in (".scene.building", ".scene.replaced"):
        shutil.copytree(copy / "scene", copy / left)
    view = serve(copy)[1].get("/api/view").json()
    assert [scene["name"] for scene in view["scenes"]] == ["scene"]
    assert not view["archive"]


ODD_RECORDS = ["[]", "7", "{", "[" * 100_000, '{"classes": 5}', '{"classes": [{"code": "x"}, {"code": 999}, {}, 3]}']
ODD_RECORDS += [
    '{"files": 3, "identity": 3}',
    '{"files": {"_classes.tif": 1}, "identity": {}, "imagery": {"source": 1}}',
]


@pytest.mark.parametrize("text", ODD_RECORDS)
@pytest.mark.parametrize("name", ["run.json", "scene.stac.json"])
def test_a_malformed_document_hides_nothing_of_the_map(
    serve: Serve, run_output: Path, tmp_path: Path, name: str, text: str
):
    copy = shutil.copytree(run_output, tmp_path / "out")
    (copy / "scene" / name).write_text(text)
    _, client = serve(copy)
    facts = client.get("/api/a/0").json()
    assert facts["name"] == "scene"
    assert "classes" in {entry["id"] for entry in facts["rasters"]}
    assert client.get("/api/footprints").status_code == 200


def test_a_folder_that_was_renamed_is_shown_by_the_names_of_its_files(serve: Serve, run_output: Path, tmp_path: Path):
    copy = shutil.copytree(run_output / "scene", tmp_path / "renamed")
    (copy / "scene.stac.json").unlink()
    (copy / "another.stac.json").write_text("{}")
    facts = serve(copy)[1].get("/api/a/0").json()
    assert facts["name"] == "scene"


def test_a_run_without_its_class_map_is_refused(run_output: Path, tmp_path: Path):
    copy = shutil.copytree(run_output, tmp_path / "out")
    (copy / "scene" / "scene_classes.tif").unlink()
    with pytest.raises(SceneError, match="without class map"):
        open_run(str(copy), OpenOptions())
