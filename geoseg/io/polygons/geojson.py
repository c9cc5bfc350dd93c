"""GeoJSON of segments by RFC 7946, streamed with one feature per line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely

from geoseg.core.segments import Segments
from geoseg.io.checks.geojson import check_geojson, check_geojson_lines
from geoseg.io.files.hashed_file import DigestedFile
from geoseg.io.files.writing import whole_file
from geoseg.io.polygons.segment_stream import SegmentStream
from geoseg.io.polygons.to_wgs84 import ToWgs84
from geoseg.io.polygons.vector_schema import VectorSchema

F64 = npt.NDArray[np.float64]
Geometry = npt.NDArray[np.object_]

_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
# GEOS writes one number in a thousand with all its 17 digits where fewer say the same
_LONG = re.compile(r"-?\d+\.\d{12,}")


def write_geojson(
    path: Path,
    batches: Iterable[Segments],
    schema: VectorSchema,
    *,
    decimals: int = 7,
) -> int:
    """Write polygons as GeoJSON: WGS84, cut at the antimeridian, exterior rings counterclockwise, with a bbox.

    A ``.geojsonl`` file has the features only, one JSON object per line.

    Args:
        path: the final ``.geojson`` or ``.geojsonl``.
        batches: polygons, batch by batch; no batches give an empty collection.
        schema: CRS, legend and columns of the layer; the format keeps no name.
        decimals: decimal places of coordinates; 7 are a centimetre. A polygon that rounding would make invalid keeps
            all digits.

    Returns:
        Number of polygons written.

    Raises:
        UsageError: there is no CRS, or none that can be transformed to longitude and latitude.
        WriteError: the disk is full or fails; nothing is left at ``path``.
        LegendError: a polygon's code is not in the legend.

    Source:
        RFC 7946; https://jsonlines.org.
    """
    to_lonlat = ToWgs84(path, schema.crs_wkt)
    stream = SegmentStream(batches, schema)
    lines = path.suffix.lower() == ".geojsonl"
    out = DigestedFile()
    extent = _Extent()

    def verify(part: Path) -> None:
        out.compare(part)
        (check_geojson_lines if lines else check_geojson)(part)

    with whole_file(path, verify=verify) as part, out.open(part):
        features = _features(stream, to_lonlat, decimals, extent)
        for text in (feature + "\n" for feature in features) if lines else _collection(features, extent):
            out.write(text.encode())
    return stream.rows


def _collection(features: Iterable[str], extent: _Extent) -> Iterator[str]:
    yield '{"type": "FeatureCollection", "features": ['
    separator = "\n"
    for feature in features:
        yield separator + feature
        separator = ",\n"
    bbox = extent.bbox()  # known when all features have passed
    yield "\n]" + ("" if bbox is None else f', "bbox": {_json(bbox)}') + "}\n"


def _features(stream: SegmentStream, to_lonlat: ToWgs84, decimals: int, extent: _Extent) -> Iterator[str]:
    for segments in stream.segments():
        lonlat = _rounded(to_lonlat(segments.geometry), decimals)
        extent.add(shapely.bounds(shapely.get_parts(lonlat)))
        columns = [column.to_pylist() for column in stream.columns(segments)]
        for geometry, *values in zip(shapely.to_geojson(lonlat), *columns, strict=True):
            known = dict(zip(stream.attributes.names, values, strict=True))
            plain = _LONG.sub(lambda number: repr(float(number[0])), geometry)
            yield f'{{"type": "Feature", "properties": {_json(known)}, "geometry": {plain}}}'


def _rounded(geometry: Geometry, decimals: int) -> Geometry:
    # adding zero makes -0.0 plain
    rounded = np.asarray(shapely.transform(geometry, lambda points: np.round(points, decimals) + 0.0), object)
    broken = ~shapely.is_valid(rounded)
    broken[broken] = shapely.is_valid(geometry[broken])
    rounded[broken] = geometry[broken]
    return np.asarray(shapely.orient_polygons(rounded, exterior_cw=False), object)


class _Extent:
    """The bbox of boxes on the globe, which may cross the antimeridian."""

    def __init__(self) -> None:
        self._whole: F64 | None = None
        self._eastern_west, self._western_east = 180.0, -180.0
        self._at_greenwich = False

    def add(self, boxes: F64) -> None:
        """Add boxes (box, 4), none of them across the antimeridian."""
        known = boxes if self._whole is None else np.vstack([boxes, self._whole])
        self._whole = np.r_[known[:, :2].min(axis=0), known[:, 2:].max(axis=0)]
        east, west = boxes[:, 0] >= 0, boxes[:, 2] <= 0
        self._eastern_west = min(self._eastern_west, boxes[east, 0].min(initial=180))
        self._western_east = max(self._western_east, boxes[west, 2].max(initial=-180))
        self._at_greenwich |= bool((~east & ~west).any())

    def bbox(self) -> list[float] | None:
        """West, south, east, north; west > east where the smaller box crosses the antimeridian.

        Source:
            RFC 7946, section 5.2.
        """
        if self._whole is None:
            return None
        west, south, east, north = self._whole.tolist()
        gap = self._eastern_west - self._western_east
        if west < 0 < east and not self._at_greenwich and 360 - gap < east - west:
            west, east = self._eastern_west, self._western_east
        return [float(west), south, float(east), north]
