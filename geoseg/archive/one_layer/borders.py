"""Polygons along the borders of a sheet, kept apart so that borders can be joined without reading all others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely

from geoseg.archive.one_layer.join import clipped, concatenated, place_ids
from geoseg.archive.one_layer.sheets import Sheet
from geoseg.core.digest import sha256_of_json
from geoseg.core.legend import Legend
from geoseg.core.segments import Segments
from geoseg.io.polygons.geoparquet import write_geoparquet
from geoseg.io.polygons.segment_files import OBJECT_ID, WITH_ID, read_parquet, read_segments, with_ids
from geoseg.io.polygons.vector_schema import VectorSchema

_LOADED_SHEETS = 32
_EXACT_PX, _ALIGNED_PX = 2.0**-20, 0.01
"""Coordinates of one place differ by rounding, and by as much as the grids of neighbours may."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Border:
    """Polygons of a sheet that reach to an adjacent sheet.

    Attributes:
        numbers: number of each polygon in the sheet.
        segments: the polygons.
    """

    numbers: npt.NDArray[np.int64]
    segments: Segments

    def pick(self, numbers: Sequence[int]) -> Segments:
        """Return polygons by their numbers in the sheet."""
        return self.segments[np.searchsorted(self.numbers, np.asarray(numbers, np.int64))]


class Borders:
    """The sheets of one CRS with their borders.

    Where sheets overlap, the ground belongs to the first by name.

    Args:
        sheets: sheets of one CRS, in the order of their names.
        folder: where the polygons along borders are kept.
        legend: classes of the polygons.

    Attributes:
        beside: for each sheet, the sheets that it touches or overlaps.
        grid: distance below which two coordinates are one, in units of the CRS.
    """

    def __init__(self, sheets: Sequence[Sheet], folder: Path, legend: Legend) -> None:
        self.sheets = sheets
        self._folder, self._legend = folder, legend
        pixel = min(sheet.pixel for sheet in sheets)
        self._footprints = footprints = [sheet.footprint for sheet in sheets]
        tree = shapely.STRtree(footprints)
        one, other = tree.query(footprints, predicate="dwithin", distance=2 * _ALIGNED_PX * pixel)
        self.beside: list[list[int]] = [[] for _ in sheets]
        off_px = 0.0
        for first, second in zip(one.tolist(), other.tolist(), strict=True):
            if first != second:
                self.beside[first].append(second)
                apart_px = sheets[first].off_grid_px(sheets[second])
                off_px = max(off_px, apart_px if apart_px <= _ALIGNED_PX else 0.0)
        self.grid = pixel * max(_EXACT_PX, 2 * off_px if off_px > _EXACT_PX else 0.0)
        self._regions = [self._region(index) for index in range(len(sheets))]
        self._load = lru_cache(maxsize=_LOADED_SHEETS)(self._read)

    def _region(self, index: int) -> shapely.Geometry | None:
        """Return the ground that a sheet answers for; None: all of its own."""
        own = self._footprints[index]
        before = [self._footprints[other] for other in self.beside[index] if other < index]
        over = [box for box in before if shapely.area(shapely.intersection(own, box)) > (4 * self.grid) ** 2]
        return shapely.difference(own, shapely.union_all(over), grid_size=self.grid) if over else None

    def key(self, index: int) -> str:
        """Return a digest that differs when a sheet's polygons, its ground or the adjacent sheets change."""
        sheet = self.sheets[index]
        stat = sheet.segments.stat()
        around = sorted((self.sheets[other].name, self._footprints[other].wkt) for other in self.beside[index])
        return sha256_of_json([stat.st_size, stat.st_mtime_ns, self._footprints[index].wkt, around, self.grid])

    def polygons(self, index: int) -> Iterator[Segments]:
        """Read all polygons of a sheet, cut to its ground and numbered, batch by batch."""
        region, number = self._regions[index], 0
        for batch in read_segments(self.sheets[index].segments):
            segments = batch if region is None else clipped(batch, region, self.grid)
            yield with_ids(segments, np.arange(number, number + len(segments)))
            number += len(segments)

    def write(self, index: int) -> None:
        """Find the polygons along a sheet's borders, and keep them in a file."""
        zone = shapely.union_all([self._footprints[other] for other in self.beside[index]])
        shapely.prepare(zone)

        def near() -> Iterator[Segments]:
            for batch in self.polygons(index):
                found = np.flatnonzero(shapely.dwithin(batch.geometry, zone, 2 * self.grid))
                if len(found):
                    yield batch[found]

        crs = self.sheets[index].crs_wkt
        write_geoparquet(self.file(index), near(), VectorSchema(crs_wkt=crs, legend=self._legend, extra=WITH_ID))
        self._load.cache_clear()

    def file(self, index: int) -> Path:
        """Path of the polygons along a sheet's borders."""
        return self._folder / f"{self.sheets[index].name}.parquet"

    def load(self, index: int) -> Border:
        """Read the polygons along a sheet's borders; those of the last sheets stay in memory."""
        return self._load(index)

    def _read(self, index: int) -> Border:
        batches = list(read_parquet(self.file(index)))
        if not batches:
            return Border(numbers=np.empty(0, np.int64), segments=_NOTHING)
        segments = concatenated(batches)
        numbers = segments.extra[OBJECT_ID].astype(np.int64)
        order = np.argsort(numbers)
        return Border(numbers=numbers[order], segments=segments[order])

    def places(self, index: int, segments: Segments) -> npt.NDArray[np.int64]:
        """Return ids of polygons of a sheet by their places."""
        return place_ids(segments.geometry, self.sheets[index].pixel)


_NOTHING = Segments(
    geometry=np.empty(0, object),
    class_code=np.empty(0, np.uint8),
    area_m2=np.empty(0),
    perimeter_m=np.empty(0),
    confidence=np.empty(0, np.float32),
    confidence_min=np.empty(0, np.float32),
    pixels=np.empty(0, np.int64),
    extra=np.zeros(0, WITH_ID),
)
