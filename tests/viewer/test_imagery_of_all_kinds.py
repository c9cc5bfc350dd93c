"""Imagery of subdatasets, Sentinel-2 products and services is on the map where the run has read it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from served_run import Serve
from test_server import shown

from geoseg.errors import UsageError
from geoseg.io.raster.open_options import OpenOptions
from geoseg.viewer.opened import open_run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))
from imagery_forms import FILES, IMAGE, SHAPE, Form, mapped, service_of

SERVICES = ("xyz", "wms", "wmts")
REMOTE = OpenOptions(allow_remote=True)


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def looks_like(client: httpx.Client, classes: Path, colours: np.ndarray) -> None:
    """Tiles at the finest zoom show the colours of single pixels, which all differ from their neighbours."""
    with rasterio.open(classes) as file:
        to_lonlat = Transformer.from_crs(file.crs, 4326, always_xy=True)
        places = [(row, col, file.xy(row, col)) for row, col in ((20, 30), (60, 100), (115, 5), (90, 64))]
    zoom = next(one["max_zoom"] for one in client.get("/api/a/0").json()["rasters"] if one["id"] == "imagery") + 3
    for row, col, xy in places:
        found = shown(client, "imagery", *to_lonlat.transform(*xy), zoom)
        assert found[3] == 255
        assert np.abs(np.array(found[:3]) - colours[:, row, col]).max() < 12, (row, col)


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"hdf5"}))
def test_a_run_of_a_file_of_several_rasters_shows_its_imagery(
    name: str, serve: Serve, tiny_model: Path, tmp_path: Path
) -> None:
    form = FILES[name](tmp_path)
    bundle = mapped(form, tiny_model, tmp_path / "out")
    looks_like(serve(bundle.directory)[1], bundle.classes, form.colours)


@pytest.mark.parametrize("name", ["product", "zipped product", "true colours"])
def test_a_product_alone_is_shown(name: str, serve: Serve, tmp_path: Path) -> None:
    form = FILES[name](tmp_path)
    _, client = serve(form.uri, options=OpenOptions(**form.options))
    assert [one["id"] for one in client.get("/api/a/0").json()["rasters"]] == ["imagery"]


@pytest.mark.parametrize("kind", SERVICES)
def test_a_run_of_a_service_shows_its_imagery_if_remote_is_allowed(
    kind: str, closing: ExitStack, serve: Serve, tiny_model: Path, tmp_path: Path
) -> None:
    form, server = closing.enter_context(service_of(kind))
    bundle = mapped(form, tiny_model, tmp_path / "out")
    server.asked.clear()
    facts = serve(bundle.directory)[1].get("/api/a/0").json()
    assert "imagery" not in {one["id"] for one in facts["rasters"]}
    assert any("--allow-remote" in note for note in facts["notes"])
    assert server.asked == []
    _, client = serve(bundle.directory, options=REMOTE)
    assert "imagery" in {one["id"] for one in client.get("/api/a/0").json()["rasters"]}
    looks_like(client, bundle.classes, IMAGE)


def test_a_run_of_a_service_with_a_key_says_why_it_has_no_imagery(
    closing: ExitStack, serve: Serve, tiny_model: Path, tmp_path: Path
) -> None:
    form, _ = closing.enter_context(service_of("xyz"))
    keyed = Form(form.uri.replace(".png#", ".png?key=s3cret#"), form.options, form.spec)
    bundle = mapped(keyed, tiny_model, tmp_path / "out")
    facts = serve(bundle.directory, options=REMOTE)[1].get("/api/a/0").json()
    assert "imagery" not in {one["id"] for one in facts["rasters"]}
    assert any("a parameter that may be a key" in note for note in facts["notes"])


def test_a_service_alone_is_shown_and_asked_for_what_is_looked_at(closing: ExitStack, serve: Serve) -> None:
    form, server = closing.enter_context(service_of("xyz"))
    uri = form.uri.replace("//", "//me:s3cret@").replace(".png#", ".png?key=t0ken#")
    with pytest.raises(UsageError, match="--allow-remote"):
        open_run(uri, OpenOptions())
    assert server.asked == []
    _, client = serve(uri, options=REMOTE)
    view = client.get("/api/view").text + client.get("/api/a/0").text
    assert server.asked == []
    assert "s3cret" not in view
    assert "t0ken" not in view
    west, south, east, north = client.get("/api/a/0").json()["bounds"]
    rows, cols = SHAPE
    lon, lat = west + (east - west) * 30.5 / cols, north - (north - south) * 20.5 / rows
    found = shown(client, "imagery", lon, lat, 18)
    assert np.abs(np.array(found[:3]) - IMAGE[:, 20, 30]).max() < 12
    assert len(set(server.asked)) == len(server.asked) >= 1
    assert set(server.logins) == {"me:s3cret"}


def test_beyond_a_zoom_a_large_area_of_a_service_is_not_asked_for(closing: ExitStack, serve: Serve) -> None:
    form, server = closing.enter_context(service_of("xyz"))
    head, _, _ = form.uri.partition("bounds=")
    _, client = serve(f"{head}bounds=7,50,8,51", options=REMOTE)
    (imagery,) = client.get("/api/a/0").json()["rasters"]
    assert imagery["min_zoom"] == imagery["max_zoom"] - 2
    assert shown(client, "imagery", 7.5, 50.5, imagery["min_zoom"] - 1)[3] == 0
    assert server.asked == []
