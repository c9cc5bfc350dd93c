"""No vector file's name or content sends a request, or opens a file beside it, unless the user allows it."""

from __future__ import annotations

import http.server
import json
import sqlite3
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from vector_samples import BOXES, GRID, burnt, frame_of, write

from geoseg.cli.main import app
from geoseg.core.window import Window
from geoseg.data.label_files import PolygonFile
from geoseg.errors import GeosegError, SceneError, UsageError
from geoseg.io.labels.area_of_interest import read_area
from geoseg.io.labels.sample_file import read_sample
from geoseg.process.command import run_command
from geoseg.score.evaluate_files import evaluate
from geoseg.score.object_files import evaluate_objects


@dataclass
class Listener:
    """A server of this machine: serves a folder, and writes down what it is asked."""

    address: str
    folder: Path
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    folder = tmp_path / "served"
    folder.mkdir()
    write(frame_of(BOXES).to_crs(4326), folder / "area.geojson")
    write(frame_of(BOXES), folder / "area.gpkg")
    listening: Listener

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_: object) -> None:
            listening.asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening = Listener(f"http://127.0.0.1:{server.server_address[1]}", folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield listening
    server.shutdown()
    server.server_close()
    thread.join(10)


def _vrt(source: str) -> str:
    return f"""<OGRVRTDataSource><OGRVRTLayer name="area">
        <SrcDataSource relativeToVRT="0">{source}</SrcDataSource><SrcLayer>area</SrcLayer>
        </OGRVRTLayer></OGRVRTDataSource>"""


def _linked_crs(path: Path, href: str) -> None:
    text = json.loads(frame_of(BOXES).to_json())
    text["crs"] = {"type": "link", "properties": {"href": href, "type": "ogcwkt"}}
    path.write_text(json.dumps(text))


def _virtual_table(path: Path, source: str) -> None:
    write(frame_of(BOXES), path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA writable_schema = ON")
        sql = f"CREATE VIRTUAL TABLE more USING VirtualShape('{source}', 'UTF-8', 32633)"
        database.execute("INSERT INTO sqlite_master VALUES ('table', 'more', 'more', 0, ?)", (sql,))
    database.close()


def _archive(path: Path, text: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("area.geojson", text)


def _geodatabase(path: Path, vrt: str) -> None:
    path.mkdir()
    (path / "a00000001.gdbtable").write_text(vrt)
    (path / "a.vrt").write_text(vrt)
    (path / "a.csv").write_text("a,b")


def _hostile(folder: Path, address: str) -> dict[str, Callable[[Path], object]]:
    served = f"{address}/area.geojson"
    secret = str(folder / "area.gpkg")
    vrt = _vrt(f"/vsicurl/{served}")
    pipeline = json.dumps({"type": "gdal_streamed_alg", "command_line": f"gdal vector pipeline ! read {served}"})
    link = f"<kml><NetworkLink><Link><href>{address}/a.kml</href></Link></NetworkLink></kml>"
    return {
        "vrt.gpkg": lambda path: path.write_text(vrt),
        "vrt.geojson": lambda path: path.write_text(vrt),
        "vrt.shp": lambda path: path.write_text(vrt),
        "vrt.fgb": lambda path: path.write_text(_vrt(served)),
        "vrt.kml": lambda path: path.write_text(vrt),
        "vrt.parquet": lambda path: path.write_text(vrt),
        "vrt.vrt": lambda path: path.write_text(vrt),
        "local.gpkg": lambda path: path.write_text(_vrt(secret)),
        "prolog.json": lambda path: path.write_text(f"<?xml version='1.0'?><!-- {{ -->{vrt}"),
        "text.geojson": lambda path: path.write_text(f'{{"type": "FeatureCollection", "x": "{vrt!r}"}}'),
        "vrt.zip": lambda path: _archive(path, vrt),
        "pipeline.json": lambda path: path.write_text(pipeline),
        "linked.geojson": lambda path: _linked_crs(path, f"{address}/crs.wkt"),
        "network.kml": lambda path: path.write_text(link),
        "vrt.gdb": lambda path: _geodatabase(path, vrt),
        "virtual.gpkg": lambda path: _virtual_table(path, str(folder / "area")),
    }


def _users(path: Path | str, folder: Path) -> dict[str, Callable[[], object]]:
    """What reads vector files, each given the same name."""
    codes = folder / "map.tif"
    profile: dict[str, Any] = {"driver": "GTiff", "count": 1, "dtype": "uint8", "nodata": 255}
    with rasterio.open(
        codes, "w", width=160, height=120, crs="EPSG:32633", transform=GRID.transform, **profile
    ) as file:
        file.write(burnt(BOXES).astype(np.uint8), 1)
    return {
        "area": lambda: read_area(path, GRID),
        "labels": lambda: PolygonFile(path=Path(path)).open(GRID),
        "reference": lambda: evaluate(codes, path),
        "objects": lambda: evaluate_objects(codes, Path(path), of_class="1"),
        "predicted objects": lambda: evaluate_objects(Path(path), folder / "served" / "area.gpkg"),
        "sample": lambda: read_sample(Path(path)),
    }


@pytest.mark.slow_after(5)
@pytest.mark.parametrize("name", list(_hostile(Path(), "")))
def test_content_that_names_other_files_is_refused_unread(tmp_path: Path, listener: Listener, name: str) -> None:
    path = tmp_path / name
    _hostile(listener.folder, listener.address)[name](path)
    for user, use in _users(path, tmp_path).items():
        with pytest.raises(SceneError) as caught:
            use()
        assert name.partition(".")[0] in str(caught.value), user
    assert listener.asked == []


@pytest.mark.parametrize(
    "form", ["{}/area.geojson", "/vsicurl/{}/area.geojson", "/vsizip//vsicurl/{}/area.zip", "WFS:{}/x", "GeoJSON:{}/a"]
)
def test_addresses_are_not_asked(tmp_path: Path, listener: Listener, form: str) -> None:
    address = form.format(listener.address)
    for user, use in _users(address, tmp_path).items():
        with pytest.raises(GeosegError) as caught:
            use()
        assert caught.value.exit_code in {2, 3}, user
        if form.startswith("{}"):
            assert "ownload it" in str(caught.value), user
    assert listener.asked == []


def test_an_address_is_read_where_the_user_allows_it(listener: Listener) -> None:
    address = f"{listener.address}/area.gpkg"
    drawn = read_area(address, GRID, allow_remote=True)(Window.whole((120, 160)))
    assert (drawn == burnt(BOXES)).all()
    assert listener.asked == ["/area.gpkg"]
    with pytest.raises(SceneError, match="cannot be fetched"):
        read_area(f"{listener.address}/gone.gpkg", GRID, allow_remote=True)
    with pytest.raises(UsageError, match="Download it first"):
        read_area(f"/vsicurl/{address}", GRID, allow_remote=True)


def test_what_is_downloaded_is_trusted_no_more_than_a_file(listener: Listener) -> None:
    (listener.folder / "vrt.gpkg").write_text(_vrt(f"{listener.address}/area.geojson"))
    with pytest.raises(SceneError, match="OGR VRT"):
        read_area(f"{listener.address}/vrt.gpkg", GRID, allow_remote=True)
    assert listener.asked == ["/vrt.gpkg"]


def test_the_command_asks_no_address_unless_told_to(
    write_scene: Any, tiny_model: Path, listener: Listener, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = write_scene(np.full((3, 120, 160), 90, np.uint8), crs="EPSG:32633", transform=GRID.transform)

    def command(*more: str) -> int:
        asked = [
            "predict",
            str(scene),
            "--model",
            str(tiny_model),
            "--out",
            str(tmp_path / "out"),
            "--no-vector",
            *more,
        ]
        return run_command(lambda: app(args=[*asked, *more], standalone_mode=False), debug=False)

    area = f"{listener.address}/area.gpkg"
    assert command("--aoi", area) == 2
    assert "--allow-remote" in capsys.readouterr().err
    assert listener.asked == []
    assert command("--aoi", area, "--allow-remote") == 0
    assert set(listener.asked) == {"/area.gpkg"}
    (made,) = (tmp_path / "out").glob("*/*_classes.tif")
    with rasterio.open(made) as codes:
        assert ((codes.read(1) != 255) == burnt(BOXES)).all()
    local = 'LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
    frame_of(BOXES).set_crs(local, allow_override=True).to_file(tmp_path / "local.gpkg")
    assert command("--aoi", str(tmp_path / "local.gpkg"), "--overwrite") == 3
