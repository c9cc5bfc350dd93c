"""In a real Chromium: polygons of PMTiles, imagery of a service, and a map in degrees beyond 180."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from conftest import blobs
from served_run import SPEC, Serve
from test_browser import Page, browser, pytestmark
from test_polygons_of_tiles import tiled

from geoseg import load_model, predict
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.tiles import polygon_archive

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))
from imagery_forms import mapped, service_of

__all__ = ["browser", "pytestmark", "tiled"]


def largest(output: Path) -> tuple[float, float, Any]:
    """A place in the largest polygon that is drawn, and its row."""
    frame = geopandas.read_file(output / "scene_segments.gpkg", layer="segments")
    row = frame.loc[frame[frame["class_name"] != "ground"].area.idxmax()]
    point = geopandas.GeoSeries([row.geometry.representative_point()], crs=frame.crs).to_crs(4326)[0]
    return point.x, point.y, row


def test_polygons_of_tiles_are_chosen_by_click_and_by_id(
    browser: Any, serve: Serve, tiled: Path, run_output: Path
) -> None:
    lon, lat, row = largest(run_output / "scene")
    server, client = serve(tiled)
    found = client.get("/api/a/0/segments/at", params={"lon": lon, "lat": lat}).json()
    page = Page(browser, server.address)
    page.drawn()
    page.click_until(lon, lat, f"Object {found['row']}")
    assert page.attributes()["class_name"] == row["class_name"]
    page.page.fill("#search-id", "0")
    page.page.press("#search-id", "Enter")
    page.titled("Object 0")
    assert page.page.locator("#places-list li").count() > 0
    assert page.errors == []


def test_tiles_that_are_not_searched_are_chosen_by_click_and_the_page_says_so(
    browser: Any, serve: Serve, tiled: Path, run_output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lon, lat, row = largest(run_output / "scene")
    monkeypatch.setattr(polygon_archive, "MOST_SEARCHED_BYTES", 10)
    server, client = serve(tiled)
    found = client.get("/api/a/0/segments/at", params={"lon": lon, "lat": lat}).json()
    page = Page(browser, server.address)
    page.drawn()
    page.page.mouse.click(*page.place(lon, lat))
    page.titled(f"Object {found['row']}")
    assert page.attributes()["class_name"] == row["class_name"]
    page.page.fill("#search-id", "0")
    page.page.press("#search-id", "Enter")
    page.page.get_by_text("Ids are not searched").first.wait_for()
    assert page.page.locator("#notes", has_text="its ids are not searched").count() == 1
    assert page.errors == []


def test_imagery_of_a_service_is_drawn_or_the_page_says_how_it_would_be(
    browser: Any, serve: Serve, tiny_model: Path, tmp_path: Path
) -> None:
    with service_of("xyz") as (form, service):
        bundle = mapped(form, tiny_model, tmp_path / "out")
        service.asked.clear()
        shut, _ = serve(bundle.directory)
        page = Page(browser, shut.address)
        page.drawn()
        assert page.page.locator("input[data-layer=imagery]").count() == 0
        assert page.page.locator("#notes", has_text="--allow-remote").count() == 1
        assert service.asked == []
        allowed, _ = serve(bundle.directory, options=OpenOptions(allow_remote=True))
        page = Page(browser, allowed.address)
        page.drawn()
        assert page.page.locator("input[data-layer=imagery]").is_checked()
        assert page.foreign == []
        assert page.errors == []
        assert len(service.asked) == len(set(service.asked)) > 0


@pytest.mark.parametrize("middle", [180.0, -180.0])
def test_polygons_on_both_sides_of_180_degrees_are_chosen(
    middle: float, browser: Any, serve: Serve, tiny_model: Path, tmp_path: Path
) -> None:
    place = Affine(5e-6, 0, middle - 130 * 5e-6, 0, -5e-6, -17.0)
    facts = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 200, "width": 260, "photometric": "RGB"}
    with rasterio.open(tmp_path / "scene.tif", "w", crs=4326, transform=place, **facts) as file:
        file.write(blobs((200, 260)))
    predict(tmp_path / "scene.tif", load_model(tiny_model, device="cpu", runtime="torch"), tmp_path / "out", spec=SPEC)
    (tmp_path / "out" / "scene" / "scene_objects.gpkg").unlink()
    frame = geopandas.read_file(tmp_path / "out" / "scene" / "scene_segments.gpkg", layer="segments", fid_as_index=True)
    shown = frame[(frame["class_name"] != "ground")]
    xs = np.array([geometry.representative_point().x for geometry in shown.geometry])
    sides = [shown[xs < middle - 1e-5], shown[xs > middle + 1e-5]]
    server, _ = serve(tmp_path / "out")
    page = Page(browser, server.address)
    page.drawn()
    for side in sides:
        row = side["area_m2"].idxmax()
        point = side.geometry[row].representative_point()
        # the map's middle may be on either side of the antimeridian
        world = [point.x + turn for turn in (0, 360, -360)]
        near = min(
            world, key=lambda lon: abs(lon - float(page.page.eval_on_selector("#map-a", "map => map.dataset.lon")))
        )
        page.click_until(near, point.y, f"Object {row}")
        assert page.attributes()["class_name"] == side["class_name"][row]
    assert page.errors == []
