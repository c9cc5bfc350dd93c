"""Segments to write: some that look like a map, some that look like nothing but numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS
from scipy.ndimage import gaussian_filter

from geoseg.core.legend import Legend, LegendClass
from geoseg.core.segments import Segments
from geoseg.core.types.arrays import AnyArray
from geoseg.vector.source import ArraySource
from geoseg.vector.vectorise import vectorise_codes

LEGEND = Legend(
    classes=(
        LegendClass(code=0, name="other", colour="#808080"),
        LegendClass(code=200, name='it\'s <"green"> & é', colour="#33a02c"),
    )
)
"""Of ``segments_of``."""

MAP_LEGEND = Legend(
    classes=tuple(LegendClass(code=code, name=f"class {code}", colour=f"#{code:02x}80ff") for code in range(5))
)
"""Of ``map_segments``."""

UTM = CRS.from_epsg(32645).to_wkt()


def segments_of(count: int, seed: int = 0) -> Segments:
    """Draw squares of 9 m with holes, anywhere in 10 km."""
    rng = np.random.default_rng(seed)
    x, y = 500000 + rng.integers(0, 999, count) * 10.0, 3e6 + rng.integers(0, 999, count) * 10.0
    outer = shapely.box(x, y, x + 9, y + 9)
    confidence = rng.random(count).astype(np.float32)
    confidence[::3] = np.nan
    pixels = rng.integers(1, 2**40, count)
    return Segments(
        geometry=shapely.difference(outer, shapely.box(x + 2, y + 2, x + 4, y + 4)),
        class_code=rng.choice(np.array([0, 200], np.uint8), count),
        area_m2=pixels * (0.9 + rng.random(count) / 5),
        perimeter_m=rng.random(count) * 1e6,
        confidence=confidence,
        confidence_min=(confidence / 3).astype(np.float32),
        pixels=pixels,
    )


def plain(geometry: Any, gsd_m: float = 1.0) -> Segments:
    """Make segments of class 0 whose pixels are squares of ``gsd_m``."""
    geometry = np.atleast_1d(np.asarray(geometry, object))
    area = shapely.area(geometry)
    nothing = np.full(len(geometry), np.nan, np.float32)
    return Segments(
        geometry=geometry,
        class_code=np.zeros(len(geometry), np.uint8),
        area_m2=area,
        perimeter_m=shapely.length(geometry),
        confidence=nothing,
        confidence_min=nothing,
        pixels=np.maximum(1, np.rint(area / gsd_m**2)).astype(np.int64),
    )


def map_segments(
    size: int, transform: Affine, crs: object, *, classes: int = 5, sigma: float = 3, seed: int = 0
) -> Segments:
    """Vectorise a drawn mosaic of classes with nodata in it: neighbours, holes, large and small.

    Args:
        size: side of the mosaic, pixels.
        transform: of its grid.
        crs: of its grid.
        classes: number of classes.
        sigma: pixels, about the size of the smallest regions.
        seed: of the drawing.
    """
    rng = np.random.default_rng(seed)
    codes = np.argmax([gaussian_filter(rng.standard_normal((size, size)), sigma) for _ in range(classes)], axis=0)
    codes[gaussian_filter(rng.standard_normal((size, size)), 4 * sigma) > 0.15 / sigma] = 255
    source = ArraySource(codes.astype(np.uint8))
    batches = vectorise_codes(source, GeoBox(codes.shape, transform, crs), nodata=255, threads=1)
    return Segments(**joined(list(batches)))


def joined(batches: Iterable[Segments]) -> dict[str, AnyArray]:
    """Join the columns of batches, by name."""
    listed = list(batches)
    return {name: np.concatenate([getattr(batch, name) for batch in listed]) for name in Segments.__dataclass_fields__}
