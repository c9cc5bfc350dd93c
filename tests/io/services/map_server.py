"""A server of tiles and maps of a known image, for tests: XYZ, WMS and WMTS."""

from __future__ import annotations

import base64
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from pyproj import Transformer
from rasterio.io import MemoryFile

from geoseg.io.files.gdal_messages import suppress_gdal_messages

ZOOM, TILES, TILE_PX = 15, 4, 256
COL, ROW = 17_024, 11_110
"""First column and row of the tiles of the image: 4 x 4 tiles near Koblenz."""

EDGE_M = math.pi * 6378137
PIXEL_M = 2 * EDGE_M / (TILE_PX * 2**ZOOM)
LEFT, TOP = COL * TILE_PX * PIXEL_M - EDGE_M, EDGE_M - ROW * TILE_PX * PIXEL_M


def known_image(bands: int = 3) -> np.ndarray:
    """Every pixel of another colour than its neighbours: (band, y, x) uint8."""
    rows, cols = np.mgrid[0 : TILES * TILE_PX, 0 : TILES * TILE_PX]
    return np.stack([(rows * 7 + cols * 3 + band * 50) % 251 for band in range(bands)]).astype(np.uint8)


def encoded(values: np.ndarray, driver: str = "PNG", **options: Any) -> bytes:
    """Encode an image (band, y, x)."""
    profile = {"driver": driver, "count": len(values), "height": values.shape[1], "width": values.shape[2]}
    with suppress_gdal_messages(), MemoryFile() as file:
        with file.open(**(profile | {"dtype": values.dtype} | options)) as dataset:
            dataset.write(values)
        return bytes(file.read())


def bounds_of(row_start: int, row_stop: int, col_start: int, col_stop: int) -> str:
    """``bounds=`` of a window of the image, drawn in by a tenth of a pixel."""
    to_degrees = Transformer.from_crs(3857, 4326, always_xy=True)
    west, north = to_degrees.transform(LEFT + (col_start + 0.1) * PIXEL_M, TOP - (row_start + 0.1) * PIXEL_M)
    east, south = to_degrees.transform(LEFT + (col_stop - 0.1) * PIXEL_M, TOP - (row_stop - 0.1) * PIXEL_M)
    return f"bounds={west!r},{south!r},{east!r},{north!r}"


@dataclass
class MapServer:
    """A server that runs: its address, the image, and what it was asked for.

    Attributes:
        address: ``http://127.0.0.1:PORT``.
        answer: makes (status, content) of a tile of the image by its row and column, in place of the tile.
        asked: paths with their queries, in order.
        logins: login of each request, or None.
    """

    address: str = ""
    image: np.ndarray = field(default_factory=known_image)
    answer: Callable[[int, int], tuple[int, bytes] | None] = lambda *_: None
    documents: dict[str, bytes] = field(default_factory=dict)
    capabilities: bytes = b""
    redirect: str = ""
    asked: list[str] = field(default_factory=list)
    logins: list[str | None] = field(default_factory=list)

    def tile(self, row: int, col: int) -> tuple[int, bytes]:
        """Answer for a tile of the image."""
        special = self.answer(row, col)
        if special is not None:
            return special
        if not (0 <= row < TILES and 0 <= col < TILES):
            return 404, b"no such tile"
        side = TILE_PX
        part = self.image[:, row * side : (row + 1) * side, col * side : (col + 1) * side]
        return 200, encoded(part)

    def map(self, words: dict[str, str]) -> tuple[int, bytes]:
        """Answer to GetMap in EPSG:3857: nearest pixels, transparent outside of the image."""
        left, bottom, right, top = (float(number) for number in words["BBOX"].split(","))
        width, height = int(words["WIDTH"]), int(words["HEIGHT"])
        cols = np.floor((left + (np.arange(width) + 0.5) * (right - left) / width - LEFT) / PIXEL_M).astype(int)
        rows = np.floor((TOP - top + (np.arange(height) + 0.5) * (top - bottom) / height) / PIXEL_M).astype(int)
        side = TILES * TILE_PX
        inside = ((rows >= 0) & (rows < side))[:, None] & ((cols >= 0) & (cols < side))[None]
        colours = self.image[:, rows.clip(0, side - 1)][:, :, cols.clip(0, side - 1)] * inside
        return 200, encoded(np.concatenate([colours, (inside * 255)[None]]).astype(np.uint8))

    def respond(self, path: str) -> tuple[int, bytes]:
        """Answer to a path with its query."""
        parts = urlsplit(path)
        words = {name.upper(): value for name, value in parse_qsl(parts.query, keep_blank_values=True)}
        if parts.path in self.documents:
            return 200, self.documents[parts.path]
        if words.get("REQUEST") == "GetCapabilities" and self.capabilities:
            return 200, self.capabilities
        if words.get("REQUEST") == "GetMap":
            return self.map(words)
        if words.get("REQUEST") == "GetTile":
            return self.tile(int(words["TILEROW"]) - ROW, int(words["TILECOL"]) - COL)
        _, zoom, col, row = parts.path.partition(".")[0].split("/")[-4:]
        if parts.path.startswith("/tms/"):
            row = str(2**ZOOM - 1 - int(row))
        return self.tile(int(row) - ROW, int(col) - COL) if int(zoom) == ZOOM else (404, b"")


@contextmanager
def serving(**fields: Any) -> Iterator[MapServer]:
    """Run a server."""
    served = MapServer(**fields)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            served.asked.append(self.path)
            login = self.headers["Authorization"]
            served.logins.append(None if login is None else base64.b64decode(login.partition(" ")[2]).decode())
            if served.redirect:
                self.send_response(302)
                self.send_header("Location", served.redirect)
                self.end_headers()
                return
            status, content = served.respond(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        served.address = f"http://127.0.0.1:{server.server_port}"
        yield served
        server.shutdown()
        thread.join()
