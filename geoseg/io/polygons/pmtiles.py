"""PMTiles of segments: a pyramid of vector tiles in one file, for web maps on any file server."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import cos, log2, radians, sqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from pmtiles.tile import Compression, TileType, tileid_to_zxy, zxy_to_tileid
from pmtiles.writer import Writer

from geoseg.core.legend import Legend
from geoseg.core.segments import Segments
from geoseg.core.types.json_value import JsonDict, JsonObject
from geoseg.io.checks.pmtiles import check_pmtiles
from geoseg.io.files.hashed_file import DigestedFile
from geoseg.io.files.sorted_spill import SortedSpill
from geoseg.io.files.writing import whole_file
from geoseg.io.polygons.segment_stream import SegmentStream, to_wkb
from geoseg.io.polygons.tile_cut import MAX_LATITUDE, cut_into_tiles
from geoseg.io.polygons.to_wgs84 import ToWgs84
from geoseg.io.polygons.vector_schema import NO_COLUMNS, VectorSchema
from geoseg.io.polygons.vector_tile import encode_tile

_SHOWN = {"class_code": "Number", "class_name": "String", "area_m2": "Number", "confidence": "Number"}
_OBJECT_ID = "object_id"
_PLACE = [pa.field("key", pa.int64()), pa.field("id", pa.int64())]
_TYPES = {"Number": pa.float64(), "String": pa.string()} | {"class_code": pa.int32(), _OBJECT_ID: pa.int64()}
_EQUATOR_M = 40075016.68557849
_SCREEN_PX = 512
_FINEST_ZOOM = 22


def write_pmtiles(
    path: Path,
    batches: Iterable[Segments],
    schema: VectorSchema,
) -> int:
    """Write polygons as PMTiles 3: Mapbox vector tiles with one layer.

    At the finest zoom a pixel of the scene is one on the screen, and every polygon is kept, to an eighth of a pixel; at
    the others polygons below four screen pixels are left out, down to the zoom where none is left. Features have
    class_code, class_name, area_m2 and confidence, objects also object_id; their id is their number in the stream.

    Args:
        path: the final ``.pmtiles``.
        batches: polygons, batch by batch; no batches give one empty tile.
        schema: CRS, legend, name and columns of the layer. Classes are written to the metadata; of the further columns
            only the ids of objects are written to tiles.

    Returns:
        Number of polygons written. Those beyond 85 degrees of latitude are in no tile.

    Raises:
        UsageError: there is no CRS, or none that can be transformed to longitude and latitude.
        WriteError: the disk is full or fails; nothing is left at ``path``.
        LegendError: a polygon's code is not in the legend.

    Source:
        https://github.com/protomaps/PMTiles/blob/main/spec/v3/spec.md.
    """
    to_lonlat = ToWgs84(path, schema.crs_wkt)
    ids = _OBJECT_ID in (schema.extra.names or ())
    shown = _SHOWN | ({_OBJECT_ID: "Number"} if ids else {})
    stream = SegmentStream(batches, schema if ids else replace(schema, extra=NO_COLUMNS))
    columns = _schema(shown)
    out = DigestedFile()

    def verify(part: Path) -> None:
        out.compare(part)
        check_pmtiles(part)

    with whole_file(path, verify=verify) as part, out.open(part):
        spill = SortedSpill(part, columns)
        extent = _Extent()
        for rows in _cut(stream, to_lonlat, extent, columns):
            spill.add(rows)
        # the library's own temporary file would lie on the system's disk, not on the target's
        with part.with_name(f"{part.name}.tiles").open("w+b") as scratch:
            writer = Writer(out)
            writer.tile_f.close()
            writer.tile_f = scratch
            zooms = {_add(writer, number, tile) for number, tile in _tiles(spill.read(), schema.layer, list(shown))}
            writer.finalize(
                _header(extent, max(zooms)),
                _metadata(
                    schema.legend, {"id": schema.layer, "minzoom": min(zooms), "maxzoom": max(zooms), "fields": shown}
                ),
            )
    return stream.rows


def _schema(shown: dict[str, str]) -> pa.Schema:
    """List the columns of the rows that are sorted by tile."""
    known = [pa.field(name, _TYPES.get(name, _TYPES[kind])) for name, kind in shown.items()]
    return pa.schema([*_PLACE, *known, pa.field("geometry", pa.binary())])


class _Extent:
    """Bounds of all polygons, degrees."""

    def __init__(self) -> None:
        self.west, self.south, self.east, self.north = -180.0, -MAX_LATITUDE, 180.0, MAX_LATITUDE
        self._seen = False

    def add(self, lonlat: npt.NDArray[np.object_]) -> None:
        west, south, east, north = shapely.total_bounds(lonlat).tolist()
        if self._seen:
            west, south = min(west, self.west), min(south, self.south)
            east, north = max(east, self.east), max(north, self.north)
        self.west, self.east, self._seen = west, east, True
        self.south, self.north = (min(max(lat, -MAX_LATITUDE), MAX_LATITUDE) for lat in (south, north))


def _cut(stream: SegmentStream, to_lonlat: ToWgs84, extent: _Extent, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the pieces of every batch, by tile number."""
    max_zoom: int | None = None
    before = 0
    for segments in stream.segments():
        lonlat = to_lonlat(segments.geometry)
        extent.add(lonlat)
        if max_zoom is None:
            max_zoom = _finest_zoom(segments, float(shapely.bounds(lonlat[0])[[1, 3]].mean()))
        keys, owners, pieces = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, object)]
        for tile in cut_into_tiles(lonlat, max_zoom):
            keys.append(np.full(len(tile.owner), zxy_to_tileid(tile.zoom, tile.column, tile.row)))
            owners.append(tile.owner)
            pieces.append(to_wkb(tile.geometry))
        owner = np.concatenate(owners)
        known = dict(zip(stream.attributes.names, stream.columns(segments), strict=True))
        shown = [known[field.name].take(pa.array(owner)) for field in schema if field.name in known]
        columns = [np.concatenate(keys), owner + before, *shown, np.concatenate(pieces)]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        before += len(segments)


def _finest_zoom(segments: Segments, lat: float) -> int:
    """Return the zoom at which scene pixels are about as large as screen pixels, by the first polygon."""
    gsd_m = sqrt(segments.area_m2[0] / segments.pixels[0])
    zoom = log2(_EQUATOR_M * max(cos(radians(lat)), 0.01) / (_SCREEN_PX * gsd_m))
    return int(np.clip(np.ceil(zoom - 0.1), 0, _FINEST_ZOOM))


def _add(writer: Writer, number: int, tile: bytes) -> int:
    """Add a tile and return its zoom."""
    writer.write_tile(number, gzip.compress(tile, compresslevel=6, mtime=0))
    zoom, _, _ = tileid_to_zxy(number)
    return int(zoom)


def _tiles(batches: Iterable[pa.RecordBatch], layer: str, shown: list[str]) -> Iterator[tuple[int, bytes]]:
    """Encode sorted rows, tile by tile; without rows one empty tile, since an archive must have one."""
    held: list[pa.RecordBatch] = []
    number = -1
    for batch in batches:
        keys = batch["key"].to_numpy()
        starts = [0, *(np.flatnonzero(np.diff(keys)) + 1).tolist()]
        for start, stop in zip(starts, [*starts[1:], len(keys)], strict=True):
            if held and keys[start] != number:
                yield number, _encode(held, layer, shown)
                held = []
            number = int(keys[start])
            held.append(batch.slice(start, stop - start))
    yield (number, _encode(held, layer, shown)) if held else (0, b"")


def _encode(held: list[pa.RecordBatch], layer: str, shown: list[str]) -> bytes:
    rows = pa.Table.from_batches(held).combine_chunks()
    columns = {name: rows[name].combine_chunks() for name in shown}
    columns["area_m2"] = pc.round(columns["area_m2"], 2)
    geometry = shapely.from_wkb(rows["geometry"].to_numpy(zero_copy_only=False))
    return encode_tile(layer, geometry, rows["id"].to_numpy(), columns)


def _header(extent: _Extent, max_zoom: int) -> JsonDict:
    west, south, east, north = (
        round(degrees * 1e7) for degrees in (extent.west, extent.south, extent.east, extent.north)
    )
    return {
        "tile_type": TileType.MVT,
        "tile_compression": Compression.GZIP,
        "min_lon_e7": west,
        "min_lat_e7": south,
        "max_lon_e7": east,
        "max_lat_e7": north,
        "center_zoom": max(0, max_zoom - 2),
        "center_lon_e7": (west + east) // 2,
        "center_lat_e7": (south + north) // 2,
    }


def _metadata(legend: Legend, layer: JsonObject) -> JsonDict:
    return {
        "name": layer["id"],
        "format": "pbf",
        "type": "overlay",
        "vector_layers": [layer],
        "classes": [entry.model_dump() for entry in legend.classes],
    }
