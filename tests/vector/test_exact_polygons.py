"""Exact polygons are what GDAL's polygonizer finds, they tile the valid area, and burnt back they are the codes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from label_maps import HARD_MAPS, NODATA, grid_of, mosaic, polygonised, vectorised
from odc.geo.geobox import GeoBox

from geoseg.core.segments import Segments

small_maps = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 1, 2, NODATA])
)


def outlines(geometry: np.ndarray, codes: np.ndarray, geobox: GeoBox) -> set[tuple[int, str]]:
    """Polygons in whole pixels, without corners that are none, in one spelling."""

    def pixels(coords: np.ndarray) -> np.ndarray:
        cols, rows = ~geobox.transform * (coords[:, 0], coords[:, 1])
        whole = np.rint(np.column_stack([cols, rows]))
        assert np.allclose(whole, np.column_stack([cols, rows]), atol=1e-6)
        return whole

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        plain = shapely.normalize(shapely.simplify(shapely.transform(geometry, pixels), 0))
    return {(int(code), shape.wkt) for code, shape in zip(codes, plain, strict=True)}


def assert_law(codes: np.ndarray, segments: Segments | None, transform: Affine | None = None) -> None:
    geobox = grid_of(codes, transform)
    expected, expected_codes = polygonised(codes, geobox)
    if segments is None:
        assert len(expected) == 0
        return
    assert shapely.is_valid(segments.geometry).all()
    assert shapely.coverage_is_valid(segments.geometry)
    assert len(segments) == len(expected)
    assert outlines(segments.geometry, segments.class_code, geobox) == outlines(expected, expected_codes, geobox)
    burnt = rasterio.features.rasterize(
        zip(segments.geometry, segments.class_code, strict=True),
        out_shape=codes.shape,
        transform=geobox.transform,
        fill=NODATA,
        dtype="uint8",
    )
    assert (burnt == codes).all()


@pytest.mark.parametrize("name", HARD_MAPS)
@pytest.mark.parametrize("block_px", [1, 2, 3, 5, 2048])
def test_hard_maps_equal_gdal(name: str, block_px: int) -> None:
    codes = HARD_MAPS[name]
    assert_law(codes, vectorised(codes, block_px=block_px))


@settings(max_examples=150, deadline=None)
@given(small_maps, st.integers(1, 6))
def test_any_map_equals_gdal(codes: np.ndarray, block_px: int) -> None:
    assert_law(codes, vectorised(codes, block_px=block_px))


@pytest.mark.parametrize(
    "transform",
    [
        Affine(0.5, 0, 10, 0, -0.5, 20),
        Affine(2, 0, 10, 0, 2, 20),
        Affine(0.3, 0.2, 5, 0.2, -0.3, 7),
        Affine(-1, 0.25, 5, 0.5, 3, 7),
    ],
    ids=["north-up", "south-up", "rotated", "sheared"],
)
def test_any_transform_equals_gdal(transform: Affine) -> None:
    codes = mosaic(40, nodata=True)
    segments = vectorised(codes, geobox=grid_of(codes, transform), block_px=16)
    assert segments is not None
    assert_law(codes, segments, transform)
    assert (shapely.is_ccw(shapely.get_exterior_ring(segments.geometry))).all()


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("name", ["noise", "noise with nodata", "mosaic", "mosaic with nodata", "spiral"])
def test_nothing_depends_on_blocks_or_threads(name: str) -> None:
    codes = HARD_MAPS[name]
    percent = np.random.default_rng(3).integers(0, 101, codes.shape).astype(np.uint8)
    whole = vectorised(codes, confidence=percent)
    assert whole is not None
    for block_px, threads in [(1, 3), (4, 2), (7, 1), (16, 4), (50, 2)]:
        parts = vectorised(codes, confidence=percent, block_px=block_px, threads=threads)
        assert parts is not None
        assert shapely.equals_identical(whole.geometry, parts.geometry).all()
        for column in ("class_code", "area_m2", "perimeter_m", "confidence", "confidence_min", "pixels"):
            assert (getattr(whole, column) == getattr(parts, column)).all()


@pytest.mark.parametrize("block_px", [1, 4, 7])
def test_no_block_changes_a_perimeter_where_pixels_differ_in_size(block_px: int) -> None:
    rng = np.random.default_rng(7)
    codes = np.where(rng.random((40, 40)) < 0.5, NODATA, rng.integers(0, 5, (40, 40))).astype(np.uint8)
    geobox = grid_of(codes, Affine(0.5, 0, 0, 0, -0.5, 60), "EPSG:4326")
    whole, parts = vectorised(codes, geobox=geobox), vectorised(codes, geobox=geobox, block_px=block_px)
    assert whole is not None
    assert parts is not None
    assert (whole.perimeter_m == parts.perimeter_m).all()


def test_segments_come_in_the_order_of_their_last_pixels() -> None:
    codes = HARD_MAPS["mosaic"]
    segments = vectorised(codes, block_px=9)
    assert segments is not None
    order = np.arange(1, len(segments) + 1)
    numbered = rasterio.features.rasterize(
        zip(segments.geometry, order, strict=True),
        out_shape=codes.shape,
        transform=grid_of(codes).transform,
        dtype="int32",
    )
    last = [np.flatnonzero(numbered.ravel() == number).max() for number in order]
    assert last == sorted(last)
