"""Label maps that are hard on a tracer, and what an independent tracer makes of them."""

from __future__ import annotations

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from scipy.ndimage import gaussian_filter

from geoseg.core.segments import Segments
from geoseg.vector.source import ArraySource
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import vectorise_codes

NODATA = 255


def spiral(size: int) -> np.ndarray:
    codes = np.zeros((size, size), np.uint8)
    row = col = 0
    dr, dc = 0, 1
    codes[0, 0] = 1
    while True:
        ahead = [(row + dr * k, col + dc * k) for k in (1, 2)]
        inside = [0 <= r < size and 0 <= c < size for r, c in ahead]
        if not inside[0] or (inside[1] and codes[ahead[1]] == 1):
            dr, dc = dc, -dr
            ahead = [(row + dr * k, col + dc * k) for k in (1, 2)]
            inside = [0 <= r < size and 0 <= c < size for r, c in ahead]
            if not inside[0] or (inside[1] and codes[ahead[1]] == 1):
                return codes
        row, col = row + dr, col + dc
        codes[row, col] = 1


def mosaic(size: int, *, sigma: float = 3, classes: int = 5, seed: int = 0, nodata: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fields = [gaussian_filter(rng.standard_normal((size, size)), sigma) for _ in range(classes)]
    codes = np.argmax(fields, axis=0).astype(np.uint8)
    if nodata:
        codes[gaussian_filter(rng.standard_normal((size, size)), 4 * sigma) > 0.6 / (4 * sigma)] = NODATA
    return codes


HARD_MAPS: dict[str, np.ndarray] = {
    "one pixel": np.array([[3]], np.uint8),
    "one row": np.array([[1, 1, 2, NODATA, 1]], np.uint8),
    "one column": np.array([[1], [2], [2], [NODATA]], np.uint8),
    "all nodata": np.full((4, 5), NODATA, np.uint8),
    "one class": np.full((7, 3), 9, np.uint8),
    "checkerboard": (np.indices((9, 8)).sum(axis=0) % 2).astype(np.uint8),
    "checkerboard with nodata": np.where(np.indices((8, 9)).sum(axis=0) % 2, 7, NODATA).astype(np.uint8),
    "spiral": spiral(17),
    "nested rings": np.minimum.reduce([*np.indices((15, 15)), *(14 - np.indices((15, 15)))]).astype(np.uint8) % 2,
    "touches itself at a corner": np.array(
        [[1, 1, 1, 1, 0], [1, 0, 0, 1, 0], [1, 0, 1, 1, 0], [1, 1, 0, 0, 0], [0, 0, 0, 1, 1]], np.uint8
    ),
    "two holes that touch": np.array(
        [[1, 1, 1, 1, 1], [1, 2, 1, 1, 1], [1, 1, 2, 1, 1], [1, 1, 1, 3, 1], [1, 1, 1, 1, 1]], np.uint8
    ),
    "hole touches the shell twice over": np.array(
        [[1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1], [1, 1, 0, 0, 1, 1], [1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 0]], np.uint8
    ),
    "code zero and 254": np.array([[0, 254], [254, 0]], np.uint8),
    "noise": np.random.default_rng(0).integers(0, 3, (23, 31)).astype(np.uint8),
    "noise with nodata": np.where(
        np.random.default_rng(1).random((29, 27)) < 0.3, NODATA, np.random.default_rng(2).integers(0, 2, (29, 27))
    ).astype(np.uint8),
    "mosaic": mosaic(60),
    "mosaic with nodata": mosaic(61, nodata=True),
}


def grid_of(codes: np.ndarray, transform: Affine | None = None, crs: str | None = "EPSG:32633") -> GeoBox:
    return GeoBox(codes.shape, transform or Affine(1.0, 0.0, 500000.0, 0.0, -1.0, 5000000.0), crs)


def collect(batches: list[Segments]) -> Segments:
    columns = {
        name: np.concatenate([getattr(batch, name) for batch in batches]) for name in Segments.__dataclass_fields__
    }
    return Segments(**columns)


def vectorised(
    codes: np.ndarray,
    *,
    confidence: np.ndarray | None = None,
    geobox: GeoBox | None = None,
    spec: VectorSpec | None = None,
    block_px: int = 2048,
    threads: int = 1,
) -> Segments | None:
    batches = list(
        vectorise_codes(
            ArraySource(codes, confidence),
            geobox or grid_of(codes),
            nodata=NODATA,
            spec=spec or VectorSpec(),
            block_px=block_px,
            threads=threads,
        )
    )
    return collect(batches) if batches else None


def polygonised(codes: np.ndarray, geobox: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    """Polygons and codes as GDAL's polygonizer sees them."""
    found = rasterio.features.shapes(codes, mask=codes != NODATA, connectivity=4, transform=geobox.transform)
    pairs = [(shapely.geometry.shape(shape), int(code)) for shape, code in found]
    return np.array([shape for shape, _ in pairs], object), np.array([code for _, code in pairs], np.uint8)
