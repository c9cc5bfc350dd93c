"""PolygonArchive: the polygons of a PMTiles archive by map tile, by place, by id and by confidence."""

from __future__ import annotations

import math
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from google.protobuf.message import DecodeError
from mapbox_vector_tile.Mapbox import vector_tile_pb2
from pmtiles.reader import Reader, all_tiles
from pmtiles.tile import Compression, MagicNumberNotFound, SpecVersionUnsupported, TileType

from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import SceneError
from geoseg.io.tiles.address import MAX_ZOOM, Bounds, TileAddress
from geoseg.io.tiles.polygons import TILE_LAYER, Polygon

MOST_SEARCHED_BYTES: Final = 4 * 2**20
"""Size of an archive up to which all its tiles are read to find ids: some 150,000 polygons."""

_MOST_TILE_BYTES: Final = 64 * 2**20
_MOST_FIELDS: Final = 64
_DAMAGE: Final = (
    *(DecodeError, MagicNumberNotFound, SpecVersionUnsupported, zlib.error, shapely.errors.ShapelyError),
    *(EOFError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError),
)
"""Errors of pmtiles, protobuf and shapely over a damaged archive."""

GetBytes = Callable[[int, int], bytes]


@dataclass(slots=True)
class _Found:
    """One polygon: its attributes, and the boxes in degrees of its pieces."""

    attributes: UntypedDict
    boxes: list[Bounds] = field(default_factory=list)


class PolygonArchive:
    """Polygons of a PMTiles archive of vector tiles. Each question opens the file anew, so it may be replaced.

    The finest tiles hold every polygon; attributes and outlines are those of the tiles.

    Args:
        path: the archive.

    Attributes:
        layer: name of its first layer.
        fields: attributes of the polygons.
        count: None, since an archive does not say how many polygons it has.
        zooms: coarsest and finest zoom of its tiles.
        searched: True if ids are found and places are listed; else polygons are found by their place only.

    Raises:
        SceneError: it is no archive of vector tiles.
    """

    count = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[int, _Found] | None = None
        self._lock = threading.Lock()
        with self._reading() as read:
            reader = Reader(read)
            header, metadata = reader.header(), reader.metadata()
            vector = header["tile_type"] == TileType.MVT
            if not vector or header["tile_compression"] not in {Compression.GZIP, Compression.NONE}:
                raise ValueError("its tiles are no vector tiles that can be read")
            entry = metadata["vector_layers"][0]
            self.layer = str(entry["id"])
            self.fields = tuple(str(name) for name in entry["fields"])[:_MOST_FIELDS]
            self.zooms = max(0, int(header["min_zoom"])), min(MAX_ZOOM, int(header["max_zoom"]))
        self.searched = path.stat().st_size <= MOST_SEARCHED_BYTES

    def tile(self, address: TileAddress) -> bytes:
        """Return a tile with its layer renamed as those of other polygons are; empty where there is none.

        Raises:
            SceneError: the file is damaged.
        """
        layer = self._layer_of(address)
        if layer is None:
            return b""
        tile = vector_tile_pb2.tile()
        tile.layers.add().CopyFrom(layer)
        tile.layers[0].name = TILE_LAYER
        content: bytes = tile.SerializeToString()
        return content

    def at(self, lon: float, lat: float) -> Polygon | None:
        """Find the smallest polygon that covers a point, degrees, by its piece in the finest tile there."""
        zoom = self.zooms[1]
        x, y = _to_world(lon, lat, zoom)
        if not 0 <= y < 2**zoom:
            return None
        address = TileAddress(zoom, min(int(x), 2**zoom - 1), int(y))
        layer = self._layer_of(address)
        if layer is None:
            return None
        place = (x - address.column) * layer.extent, (y - address.row) * layer.extent
        point = shapely.Point(place)
        best: tuple[float, Any] | None = None
        with self._guarded():
            for feature in layer.features:
                counts, points = _points(feature.geometry)
                if not len(points) or (points.min(axis=0) > place).any() or (points.max(axis=0) < place).any():
                    continue
                piece = _polygon_of(counts, points)
                if piece.covers(point) and (best is None or piece.area < best[0]):
                    best = piece.area, feature
            if best is None:
                return None
            box = _box(best[1], layer.extent, address)
            found = _Found(attributes=_attributes(best[1], layer), boxes=[box])
        if self.searched:
            found = self._all().get(int(best[1].id), found)
        return _described(int(best[1].id), found)

    def polygon(self, row: int) -> Polygon | None:
        """Find a polygon by its id; None if there is none, or the archive is not searched."""
        found = self._all().get(row)
        return None if found is None else _described(row, found)

    def with_object(self, object_id: int) -> Polygon | None:
        """Find a polygon by its ``object_id``; None if there is none, or the archive is not searched."""
        for row, found in self._all().items():
            if found.attributes.get("object_id") == object_id:
                return _described(row, found)
        return None

    def least_certain(self, *, most: int, hidden: Sequence[int], least_m2: float) -> list[Polygon]:
        """List the polygons of least confidence, the worst first; empty if the archive is not searched.

        Args:
            most: longest list.
            hidden: class codes that are left out.
            least_m2: polygons of less area are left out.
        """

        def rank(item: tuple[int, _Found]) -> tuple[float, float, int]:
            known = item[1].attributes
            return float(known["confidence"]), -float(known.get("area_m2") or 0), item[0]

        shown = [
            (row, found)
            for row, found in self._all().items()
            if isinstance(found.attributes.get("confidence"), int | float)
            and found.attributes.get("class_code") not in hidden
            and float(found.attributes.get("area_m2") or 0) >= least_m2
        ]
        return [_described(row, found) for row, found in sorted(shown, key=rank)[:most]]

    def _all(self) -> dict[int, _Found]:
        """Read the finest tiles once; none of an archive that is not searched."""
        if not self.searched:
            return {}
        with self._lock:
            if self._known is None:
                known: dict[int, _Found] = {}
                with self._reading() as read:
                    for (zoom, column, row), content in all_tiles(read):
                        layer = self._decoded(content) if zoom == self.zooms[1] else None
                        if layer is None:
                            continue
                        for feature in layer.features:
                            found = known.get(feature.id)
                            if found is None:
                                found = known[feature.id] = _Found(attributes=_attributes(feature, layer))
                            found.boxes.append(_box(feature, layer.extent, TileAddress(zoom, column, row)))
                self._known = known
            return self._known

    def _layer_of(self, address: TileAddress) -> Any:
        if not self.zooms[0] <= address.zoom <= self.zooms[1]:
            return None
        with self._reading() as read:
            content = Reader(read).get(address.zoom, address.column, address.row)
            return None if content is None else self._decoded(content)

    def _decoded(self, content: bytes) -> Any:
        """Decode a tile; returns its layer of the archive's name, or None."""
        if content.startswith(b"\x1f\x8b"):
            unpacking = zlib.decompressobj(31)
            content = unpacking.decompress(content, _MOST_TILE_BYTES)
            if not unpacking.eof:
                raise ValueError("a tile is cut short or too large")
        tile = vector_tile_pb2.tile()
        tile.ParseFromString(content)
        return next((layer for layer in tile.layers if layer.name == self.layer and layer.extent > 0), None)

    @contextmanager
    def _reading(self) -> Iterator[GetBytes]:
        with self._guarded(), self.path.open("rb") as file:

            def read(offset: int, length: int) -> bytes:
                file.seek(offset)
                content = file.read(length)
                if not content and length:
                    raise EOFError(f"it ends before byte {offset}")
                return content

            yield read

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except _DAMAGE as error:
            cause = f"its tiles cannot be read ({error or type(error).__name__})."
            raise SceneError(str(self.path), cause, "Write it again: geoseg vectorise.") from error


def _to_world(lon: float, lat: float, zoom: int) -> tuple[float, float]:
    """Return the place in tiles of a zoom from the north-western corner of the map."""
    sine = math.sin(math.radians(max(-89.9, min(89.9, lat))))
    return (lon / 360 + 0.5) * 2**zoom, (0.5 - math.atanh(sine) / (2 * math.pi)) * 2**zoom


def _points(commands: Sequence[int]) -> tuple[list[int], Any]:
    """Decode drawing commands: number of points of each ring, and the points (n, 2) in units of the tile.

    Source:
        Mapbox Vector Tile 2.1, section 4.3.
    """
    numbers: list[int] = []
    counts: list[int] = []
    position = 0
    while position < len(commands):
        kind, repeated = commands[position] & 7, commands[position] >> 3
        position += 1
        if kind == 7:
            continue
        if kind not in {1, 2} or position + 2 * repeated > len(commands):
            raise ValueError("a polygon's commands are damaged")
        if kind == 1:
            counts += [1] * repeated
        else:
            counts[-1] += repeated
        numbers += commands[position : position + 2 * repeated]
        position += 2 * repeated
    steps = np.asarray(numbers, np.int64).reshape(-1, 2)
    return counts, np.cumsum((steps >> 1) ^ -(steps & 1), axis=0)


def _polygon_of(counts: Sequence[int], points: Any) -> Any:
    """Make a polygon of rings; what an even number of them encloses is a hole."""
    rings = [part for part in np.split(points, np.cumsum(counts)[:-1]) if len(part) > 2]
    found: Any = shapely.MultiPolygon()
    for ring in rings:
        found = shapely.symmetric_difference(found, shapely.make_valid(shapely.Polygon(ring)))
    return found


def _box(feature: Any, extent: int, address: TileAddress) -> Bounds:
    """Return west, south, east and north of a piece, degrees."""
    _, points = _points(feature.geometry)
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    count = 2**address.zoom
    west, east = ((address.column + x / extent) / count * 360 - 180 for x in (left, right))
    north, south = (
        math.degrees(math.asin(math.tanh(math.pi * (1 - 2 * (address.row + y / extent) / count))))
        for y in (top, bottom)
    )
    return max(west, -180.0), south, min(east, 180.0), north


def _attributes(feature: Any, layer: Any) -> UntypedDict:
    found: UntypedDict = {}
    for key, value in zip(feature.tags[::2], feature.tags[1::2], strict=True):
        known = layer.values[value].ListFields()
        found[layer.keys[key]] = known[0][1] if known else None
    return found


def _described(row: int, found: _Found) -> Polygon:
    """Join the boxes of a polygon's pieces; west is over east across the antimeridian."""
    wests, souths, easts, norths = zip(*found.boxes, strict=True)
    west, east = min(wests), max(easts)
    if east - west > 180 and west == -180 and east == 180:
        west, east = min(side for side in wests if side > 0), max(side for side in easts if side < 0)
    return Polygon(id=row, attributes=found.attributes, bounds=(west, min(souths), east, max(norths)))
