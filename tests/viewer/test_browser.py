"""The page in a real Chromium: layers, polygons, the walk and comparison. ``make browser`` installs what this needs."""

from __future__ import annotations

import math
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely
from pyproj import Transformer
from served_run import Serve

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make browser does it")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: make browser installs it")

FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--use-gl=angle"]
FLAGS += ["--disable-component-update", "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Page:
    """A page with the map, its errors, and the requests that left this machine."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.page = browser.new_context(
            viewport={"width": 1200, "height": 800}, reduced_motion="reduce", **context
        ).new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("pageerror", lambda error: self.errors.append(f"{error}\n{error.stack}"))
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        origin = address.partition("/?")[0]
        self.page.on("request", lambda asked: self._request(asked.url, origin))
        self.page.goto(address)
        self.ready()

    def _request(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "blob:", "data:")):
            self.foreign.append(url)

    def ready(self) -> None:
        self.page.wait_for_selector("body[data-state=ready]")

    def place(self, lon: float, lat: float) -> tuple[float, float]:
        """Pixel of the page on which a place lies, by the map's own middle and zoom."""
        facts = self.page.eval_on_selector("#map-a", "map => ({...map.dataset})")
        box = self.page.locator("#map-a").bounding_box()
        world = 512 * 2 ** float(facts["zoom"])

        def mercator(x: float, y: float) -> tuple[float, float]:
            return (x + 180) / 360, (1 - math.asinh(math.tan(math.radians(y))) / math.pi) / 2

        here, middle = mercator(lon, lat), mercator(float(facts["lon"]), float(facts["lat"]))
        x, y = ((a - b) * world for a, b in zip(here, middle, strict=True))
        return box["x"] + box["width"] / 2 + x, box["y"] + box["height"] / 2 + y

    def drawn(self) -> None:
        """Wait until the map has drawn all that it asked for."""
        read = "map => Number(map.dataset.idle ?? 0)"
        before = int(self.page.eval_on_selector("#map-a", read))
        for _ in range(PATIENCE_MS // 100):
            self.page.wait_for_timeout(100)
            now = int(self.page.eval_on_selector("#map-a", read))
            if now and now == before:
                return
            before = now
        raise AssertionError("the map does not come to rest")

    def titled(self, text: str) -> None:
        """Wait until an object is chosen."""
        self.page.locator("#object-title", has_text=re.compile(f"^{text}$")).wait_for()

    def click_until(self, lon: float, lat: float, title: str) -> None:
        """Click on a place until an object is chosen: the second map does not say when its polygons are drawn."""
        shown = self.page.locator("#object-title")
        for _ in range(PATIENCE_MS // 500):
            self.page.mouse.click(*self.place(lon, lat))
            self.page.wait_for_timeout(500)
            if shown.text_content() == title:
                return
        raise AssertionError(f"{title} is not chosen, but {shown.text_content()}")

    def attributes(self) -> dict[str, str]:
        rows = self.page.locator("#attributes tr").all()
        return {row.locator("th").inner_text(): row.locator("td").inner_text() for row in rows}


@pytest.fixture(scope="module")
def page(browser: Any, serve: Serve, run_output: Path) -> Page:
    server, _ = serve(run_output)
    return Page(browser, server.address)


def objects_of(run_output: Path) -> geopandas.GeoDataFrame:
    return geopandas.read_file(run_output / "scene" / "scene_objects.gpkg", layer="objects", fid_as_index=True)


def test_the_page_opens_hides_the_token_and_asks_nobody_else(page: Page):
    assert "token" not in page.page.url
    assert page.page.title().startswith("scene")
    assert page.foreign == []
    assert page.errors == []


def test_layers_are_switched_off_and_on(page: Page):
    page.drawn()
    with_classes = page.page.locator("#map-a").screenshot()
    for name in ("classes", "objects"):
        page.page.locator(f"input[data-layer={name}]").uncheck()
    page.drawn()
    without = page.page.locator("#map-a").screenshot()
    assert without != with_classes
    page.page.locator("input[data-layer=confidence]").check()
    page.page.wait_for_selector("#ramps .ramp")
    page.page.locator("input[data-layer=confidence]").uncheck()
    for name in ("classes", "objects"):
        page.page.locator(f"input[data-layer={name}]").check()
    assert page.page.locator("#ramps .ramp").count() == 0


def test_a_click_on_an_object_shows_its_attributes(page: Page, run_output: Path):
    frame = objects_of(run_output)
    row = frame.area.idxmax()
    point = frame.representative_point().to_crs(4326)[row]
    page.drawn()
    page.click_until(point.x, point.y, f"Object {row}")
    page.page.wait_for_selector("#attributes:not([hidden])")
    found = page.attributes()
    assert found["id"] == str(row)
    assert found["object_id"] == str(frame.loc[row, "object_id"])
    page.page.keyboard.press("Escape")
    page.page.wait_for_selector("#attributes", state="hidden")


def test_an_object_is_found_by_its_id(page: Page, run_output: Path):
    frame = objects_of(run_output)
    row = frame.index[len(frame) // 2]
    page.page.fill("#search-id", str(frame.loc[row, "object_id"]))
    page.page.press("#search-id", "Enter")
    page.titled(f"Object {row}")


def test_the_walk_goes_from_the_worst_to_the_next(page: Page, run_output: Path):
    frame = objects_of(run_output).sort_values(["confidence", "area_m2"], ascending=[True, False])
    page.page.locator("#title").click()
    for row in frame.index[:2]:
        page.page.keyboard.press("n")
        page.titled(f"Object {row}")
        point = frame.representative_point().to_crs(4326)[row]
        x, y = page.place(point.x, point.y)
        box = page.page.locator("#map-a").bounding_box()
        assert abs(x - box["x"] - box["width"] / 2) < box["width"] / 2
        assert abs(y - box["y"] - box["height"] / 2) < box["height"] / 2


def test_the_image_is_compared_with_the_map_by_a_divider_that_keys_move(page: Page):
    page.page.locator("input[name=compare][value=image]").check()
    page.page.wait_for_selector("#map-b canvas")
    divider = page.page.locator("#divider")
    divider.focus()
    page.page.keyboard.press("Home")
    page.page.keyboard.press("PageUp")
    assert divider.get_attribute("aria-valuenow") == "10"
    page.page.locator("input[name=compare][value=off]").check()
    assert page.errors == []


def test_every_control_has_a_name(page: Page):
    script = """() => [...document.querySelectorAll('button, input, select, canvas.maplibregl-canvas, [role=slider]')]
        .filter(e => !(e.getAttribute('aria-label') || e.labels?.length || e.textContent.trim() || e.title))
        .map(e => e.outerHTML)"""
    unnamed = page.page.evaluate(script)
    assert unnamed == []


def test_two_runs_are_compared_with_their_changes(browser: Any, serve: Serve, run_output: Path):
    server, _ = serve(run_output, run_output)
    page = Page(browser, server.address, color_scheme="dark")
    assert page.page.locator("input[data-layer=changes]").is_checked()
    page.page.locator("input[name=compare][value=runs]").check()
    page.page.wait_for_selector("#map-b canvas")
    assert page.page.locator("#legend tr[data-code=changed] td").nth(1).inner_text() == "0"
    assert page.errors == []


def renumbered(run_output: Path, folder: Path) -> Path:
    """A copy of a run whose objects have other ids."""
    shutil.copyfile(run_output.parent / "scene.tif", folder / "scene.tif")
    copy = shutil.copytree(run_output, folder / "out")
    with closing(sqlite3.connect(copy / "scene" / "scene_objects.gpkg")) as db, db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f'DROP TRIGGER "{name}"')
        db.execute("UPDATE objects SET object_id = object_id + 1000000")
    return copy


def test_a_click_on_the_left_chooses_the_polygon_of_the_other_run(
    browser: Any, serve: Serve, run_output: Path, tmp_path: Path
):
    server, _ = serve(run_output, renumbered(run_output, tmp_path))
    page = Page(browser, server.address)
    page.page.locator("input[name=compare][value=runs]").check()
    page.page.wait_for_selector("#map-b canvas")
    frame = objects_of(run_output)
    row = frame.area.idxmax()
    point = frame.representative_point().to_crs(4326)[row]
    page.drawn()
    for key, more, words in (("End", 1_000_000, " of the other run"), ("Home", 0, "")):
        page.page.locator("#divider").focus()
        page.page.keyboard.press(key)
        page.click_until(point.x, point.y, f"Object {row}{words}")
        assert page.attributes()["object_id"] == str(frame.loc[row, "object_id"] + more)
    assert page.errors == []


def test_a_late_answer_to_an_earlier_choice_is_dropped(page: Page, run_output: Path):
    frame = objects_of(run_output)
    first, second = (str(frame.loc[row, "object_id"]) for row in frame.index[:2])
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.page.route(re.compile(f"object_id={first}$"), hold)
    for asked in (first, second):
        page.page.fill("#search-id", asked)
        page.page.press("#search-id", "Enter")
    page.titled(f"Object {frame.index[1]}")
    with page.page.expect_response(re.compile(f"object_id={first}$")):
        held[0].continue_()
    page.page.wait_for_timeout(300)
    page.titled(f"Object {frame.index[1]}")
    page.page.unroute_all()


def test_an_object_is_split_and_merged_again_on_the_page(browser: Any, serve: Serve, run_output: Path, tmp_path: Path):
    copy = renumbered(run_output, tmp_path) / "scene"
    shutil.copyfile(run_output / "scene" / "scene_objects.gpkg", copy / "scene_objects.gpkg")
    server, _ = serve(copy, edit=True)
    page = Page(browser, server.address)
    before = objects_of(copy.parent)
    row = before.area.idxmax()
    whole, ident = before.geometry[row], before.loc[row, "object_id"]
    west, _, east, _ = whole.bounds
    height = whole.representative_point().y
    to_lonlat = Transformer.from_crs(32632, 4326, always_xy=True)

    def choose(number: int) -> None:
        page.page.fill("#search-id", str(number))
        page.page.press("#search-id", "Enter")
        page.page.locator("#attributes tr", has_text=re.compile(f"^object_id\\s*{number}$")).wait_for()
        page.drawn()

    choose(ident)
    page.page.locator("input[name=tool][value=line]").check()
    assert page.page.locator("#edit-split").is_disabled()
    for x in (west - 1, east + 1):
        page.page.mouse.click(*page.place(*to_lonlat.transform(x, height)))
    page.page.locator("#edit-split").press("Enter")
    page.page.locator("#edit-count", has_text="1 not saved").wait_for()
    page.page.locator("#edit-save").press("Enter")
    page.page.locator("#edit-count", has_text="All is saved").wait_for()
    page.ready()
    split = objects_of(copy.parent)
    pieces = split[split.representative_point().within(whole)]
    assert len(pieces) >= 2
    assert pieces.union_all().symmetric_difference(whole).area < 1e-6
    page.page.locator("input[name=tool]").first.check()
    for number in pieces["object_id"]:
        choose(number)
        page.page.locator("#edit-collect").click()
    page.page.locator("#edit-merge", has_text=f"Merge {len(pieces)}").click()
    page.page.locator("#edit-count", has_text="1 not saved").wait_for()
    page.page.locator("#edit-save").click()
    page.page.locator("#edit-count", has_text="All is saved").wait_for()
    merged = objects_of(copy.parent)
    assert len(merged) == len(before)
    assert any(one.equals(whole) for one in merged.geometry)
    assert page.errors == []


def test_a_vertex_is_moved_on_the_page(browser: Any, serve: Serve, run_output: Path, tmp_path: Path):
    copy = renumbered(run_output, tmp_path) / "scene"
    shutil.copyfile(run_output / "scene" / "scene_objects.gpkg", copy / "scene_objects.gpkg")
    server, _ = serve(copy, edit=True)
    page = Page(browser, server.address)
    page.drawn()
    before = objects_of(copy.parent)
    row = before.area.idxmax()
    whole = before.geometry[row]
    start = max(whole.exterior.coords, key=lambda point: point[1])  # the northernmost vertex moves outwards
    to_lonlat = Transformer.from_crs(32632, 4326, always_xy=True)
    page.page.locator("input[name=tool][value=line]").check()
    for point in (start, (start[0], start[1] + 4)):
        page.page.mouse.click(*page.place(*to_lonlat.transform(*point)))
    page.page.locator("#edit-move").click()
    page.page.locator("#edit-count", has_text="1 not saved").wait_for()
    assert page.errors == []


def test_a_map_is_corrected_on_the_page_and_the_file_holds_it(
    browser: Any, serve: Serve, run_output: Path, tmp_path: Path
):
    shutil.copyfile(run_output.parent / "scene.tif", tmp_path / "scene.tif")
    copy = shutil.copytree(run_output, tmp_path / "out") / "scene"
    server, client = serve(copy, edit=True)
    page = Page(browser, server.address)
    page.drawn()
    to_lonlat = Transformer.from_crs(32632, 4326, always_xy=True)
    corners = [(500040, 5399940), (500060, 5399940), (500060, 5399960), (500040, 5399960)]
    page.page.locator("input[name=tool][value=area]").check()
    for corner in corners:
        page.page.mouse.click(*page.place(*to_lonlat.transform(*corner)))
    page.page.select_option("#edit-class", "5")
    page.page.locator("#edit-paint").click()
    page.page.locator("#edit-count", has_text="1 not saved").wait_for()
    # another operator is faster: the page says so, and keeps what was done
    asked = {
        "revision": 1,
        "kind": "repaint",
        "class_code": 1,
        "geometry": {"type": "Point", "coordinates": [9.00001, 48.7526]},
    }
    assert client.post("/edits/0", json=asked | {"width_px": 3}).status_code == 200
    page.page.locator("#edit-save").click()
    page.page.locator("#alert", has_text="changed elsewhere").wait_for()
    page.page.locator("#edit-count", has_text="2 not saved").wait_for()
    page.page.locator("#edit-save").click()
    page.page.locator("#edit-count", has_text="All is saved").wait_for()
    page.ready()
    frame = geopandas.read_file(copy / "scene_segments.gpkg", layer="segments")
    water = frame[frame["class_code"] == 5].union_all()
    drawn = shapely.Polygon(corners)
    assert water.intersection(drawn).area > 0.97 * drawn.area
    # neighbours still share edges: together they cover the scene once
    assert frame.area.sum() == pytest.approx(frame.union_all().area, rel=1e-9)
    assert page.errors == ["Failed to load resource: the server responded with a status of 409 (Conflict)"]
