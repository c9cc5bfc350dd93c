"""ServiceSource: a service as a source of pixels, tile by tile."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from geoseg.core.digest import sha256_of_json
from geoseg.core.types.arrays import AnyArray, AnyDtype
from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.raster.georeference import Georeference, refuse_nowhere
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.raster.sidecar import BandFacts
from geoseg.io.services.address import ServiceAddress, parse_service
from geoseg.io.services.tile_fetch import Fetched, TileCache, fetch
from geoseg.io.services.tile_image import decode_tile
from geoseg.io.services.tile_layer import TileLayer
from geoseg.io.services.wms import wms_layer
from geoseg.io.services.wmts import wmts_layer
from geoseg.io.services.xyz import xyz_layer

_CONNECTIONS = 4
_DECODED_BYTES = 128 * 2**20
_CAPABILITIES_BYTES = 32 * 2**20
_COLOURS = {1: ("gray",), 3: ("red", "green", "blue")}

Tile = tuple[AnyArray, npt.NDArray[np.bool_]]


class ServiceSource:
    """Pixels of an XYZ, WMS or WMTS service. Thread-safe; a window asks for the tiles it touches that are not kept.

    The attributes are those of ``geoseg.io.raster.source.Source``. Opening sends no request to XYZ and WMS services,
    and one for the capabilities to a WMTS.

    Args:
        uri: ``xyz:``, ``wms:`` or ``wmts:`` address.
        options: options of opening.

    Attributes:
        facts_of_service: what is read, for records; neither login nor query is in it.
        title: name of the scene.

    Raises:
        UsageError: the address is wrong.
        SceneError: the area is too large, or the capabilities cannot be read.
    """

    def __init__(self, uri: str, options: OpenOptions) -> None:
        self.uri = uri
        service = parse_service(uri)
        self._service, self._layer = service, _layer(service)
        rows, cols = self._layer.window.shape
        if rows * cols >= options.max_pixels:
            limit = f"{rows} x {cols} px are {rows * cols / 1e9:.3g} Gpx, the limit is {options.max_pixels / 1e9:.3g}."
            raise SceneError(service.shown, limit, "Give smaller bounds, or pass --max-mpx N.")
        self.grid = Georeference(geobox=self._layer.geobox)
        refuse_nowhere(service.shown, self.grid.geobox)
        self.facts_of_service = self._layer.facts
        place = urlsplit(service.url)
        asked = [self._layer.facts, place.netloc.rpartition("@")[2], place.path, place.query]
        self.title = f"{self._layer.title}_{sha256_of_json(asked)[:8]}"
        self.indexes: tuple[int, ...] = tuple(range(1, service.bands + 1))
        self.dtype: AnyDtype = np.dtype(service.dtype)
        self.colours = _COLOURS.get(service.bands, ("undefined",) * service.bands)
        self.facts = (BandFacts(scale=1.0, offset=0.0),) * service.bands
        self.block_shape = self._layer.matrix.tile
        self.satellite, self.masked = "", True
        self.alphas: tuple[int, ...] = ()
        self.files: tuple[str, ...] = ()
        self.notes = (f"imagery of {service.host}: its terms of use and attribution apply to the map",)
        self._cache = TileCache()
        self._decoded: OrderedDict[tuple[int, int], Tile] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def dataset(self) -> NoReturn:
        """A service is no GDAL dataset.

        Raises:
            SceneError: always.
        """
        cause = "a service is not shown here, since that would ask for all its tiles."
        raise SceneError(self._service.shown, cause, "Predict from it, and view the map.")

    def verify(self) -> None:
        """Do nothing: no checksum of a service is known."""

    def read(self, window: Window, indexes: Sequence[int]) -> tuple[AnyArray, npt.NDArray[np.bool_]]:
        """Read a window; see ``Source.read``.

        Raises:
            SceneError: the server does not give a tile, or gives something else.
        """
        layer, (height, width) = self._layer, self._layer.matrix.tile
        area = window.shifted(layer.window.row_start, layer.window.col_start)
        rows = range(area.row_start // height, -(-area.row_stop // height))
        cols = range(area.col_start // width, -(-area.col_stop // width))
        values: AnyArray = np.zeros((len(indexes), *window.shape), self.dtype)
        valid = np.zeros(window.shape, bool)
        chosen = [index - 1 for index in indexes]
        with self._lock, ThreadPoolExecutor(_CONNECTIONS) as pool:  # which starts threads only for what is asked for
            for row in rows:  # a row of tiles at a time bounds what is held
                places = [(row, col) for col in cols]
                coming = {place: pool.submit(self._tile, place) for place in places if place not in self._decoded}
                held = {place: self._decoded[place] for place in places if place not in coming}
                for place in places:
                    tile = coming[place].result() if place in coming else held[place]
                    if tile is None:
                        continue
                    self._remember(place, tile)
                    col = place[1]
                    whole = Window(row * height, (row + 1) * height, col * width, (col + 1) * width)
                    part = whole.intersection(area)
                    there, here = part.within(area), part.within(whole)
                    values[:, *there] = tile[0][chosen][:, *here]
                    valid[there] = tile[1][here]
        return values, valid

    def _tile(self, place: tuple[int, int]) -> Tile | None:
        shown = f"{self._service.shown} (tile of row {place[0]}, column {place[1]})"
        kept = self._cache.find(place)
        fetched = fetch(shown, self._layer.address(*place)) if kept is None else kept
        if fetched.content is None:
            self._refuse_missing(shown)
            self._cache.keep(place, fetched)
            return None
        tile = decode_tile(shown, fetched.content, self._layer.matrix.tile, len(self.indexes), self.dtype)
        if kept is None:
            self._cache.keep(place, fetched)
        return tile

    def _refuse_missing(self, shown: str) -> None:
        if not self._service.missing_is_nodata:
            cure = "Give smaller bounds or a lower level, or add missing=nodata to the address."
            raise SceneError(shown, "the server has no such tile.", cure)

    def _remember(self, place: tuple[int, int], tile: Tile) -> None:
        """Keep the decoded tiles that were read last."""
        self._decoded[place] = tile
        self._decoded.move_to_end(place)
        most = max(1, _DECODED_BYTES // max(1, tile[0].nbytes + tile[1].nbytes))
        while len(self._decoded) > most:
            self._decoded.popitem(last=False)

    def close(self) -> None:
        """Forget its tiles."""
        with self._lock:
            self._decoded.clear()
            self._cache.close()


def _layer(service: ServiceAddress) -> TileLayer:
    if service.kind == "xyz":
        return xyz_layer(service)
    if service.kind == "wms":
        return wms_layer(service)
    fetched: Fetched = fetch(service.shown, service.url, limit=_CAPABILITIES_BYTES)
    if fetched.content is None:
        raise SceneError(service.shown, "the server has no such document.", "Check the address.")
    return wmts_layer(service, fetched.content)


def refuse_options(uri: str, options: OpenOptions) -> None:
    """Refuse options of opening that mean nothing for a service.

    Raises:
        UsageError: one is given.
    """
    wrong: dict[str, Any] = {
        "--assets": options.assets,
        "--subdataset": options.subdataset,
        "--assume-crs": options.assume_crs,
        "assume_gsd_m": options.assume_gsd_m,
    }
    given = [name for name, value in wrong.items() if value]
    if given or options.alpha == "yes":
        shown = parse_service(uri).shown
        raise UsageError(f"{shown}: a service is not opened with {given[0] if given else '--alpha yes'}. Leave it out.")
