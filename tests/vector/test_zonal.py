"""Zonal statistics are those of the pixels, whatever the blocks, the threads and what was merged."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from label_maps import NODATA, collect, grid_of, mosaic, vectorised
from scipy import ndimage

from geoseg.core.segments import Segments
from geoseg.core.window import Window
from geoseg.errors import UsageError
from geoseg.vector.source import ArraySource
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import vectorise_codes
from geoseg.vector.zonal import band_columns


class ArrayBands:
    """Bands (band, y, x) that are in memory; what is NaN or masked does not count."""

    def __init__(self, values: np.ndarray, valid: np.ndarray | None = None) -> None:
        self.names = tuple(f"b{k + 1}" for k in range(len(values)))
        self.shape = values.shape[1:]
        self._values = values
        self._valid = np.isfinite(values) if valid is None else valid

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        at = (slice(None), *window.slices)
        return self._values[at], self._valid[at]


def with_bands(
    codes: np.ndarray, bands: ArrayBands, spec: VectorSpec | None = None, block_px: int = 2048, threads: int = 1
) -> Segments | None:
    batches = list(
        vectorise_codes(
            ArraySource(codes),
            grid_of(codes),
            nodata=NODATA,
            spec=spec or VectorSpec(),
            block_px=block_px,
            threads=threads,
            bands=bands,
        )
    )
    return collect(batches) if batches else None


def labels_of(codes: np.ndarray, segments: Segments) -> np.ndarray:
    """Number of the (exact) segment of each pixel from 1 on, as GDAL burns them; 0 outside."""
    shapes = zip(segments.geometry, range(1, len(segments) + 1), strict=True)
    return rasterio.features.rasterize(shapes, codes.shape, transform=grid_of(codes).transform, dtype="int32")


def assert_law(labels: np.ndarray, values: np.ndarray, valid: np.ndarray, segments: Segments) -> None:
    """Compare with scipy's statistics of labelled pixels, with a mean of rational numbers where it may cancel."""
    index = np.arange(1, len(segments) + 1)
    for band, (layer, counts) in enumerate(zip(values.astype(np.float64), valid, strict=True)):
        inside = np.where(counts, labels, 0)
        column = {what: segments.extra[f"b{band + 1}_{what}"] for what in ("mean", "min", "max", "std", "count")}
        known = ndimage.sum_labels(counts, labels, index).astype(int)
        assert (column["count"] == known).all()
        some = known > 0
        for what in ("mean", "min", "max", "std"):
            assert (np.isnan(column[what]) == ~some).all()
        assert (column["min"][some] == ndimage.minimum(layer, inside, index[some])).all()
        assert (column["max"][some] == ndimage.maximum(layer, inside, index[some])).all()
        for k in np.flatnonzero(some):
            pixels = [Fraction(v) for v in layer[inside == k + 1]]
            mean = sum(pixels) / len(pixels)
            assert column["mean"][k] == pytest.approx(float(mean), rel=1e-14, abs=0)
            square = sum((v - mean) ** 2 for v in pixels) / len(pixels)
            assert column["std"][k] == pytest.approx(float(square) ** 0.5, rel=1e-9, abs=0)


def bands_of(seed: int, shape: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, 65536, shape), 4e5 + rng.normal(0, 1e-3, shape), rng.normal(0, 1, shape) ** 7])


@pytest.mark.parametrize("block_px", [7, 33, 2048])
def test_statistics_are_those_of_the_pixels(block_px: int) -> None:
    codes = mosaic(70, sigma=2, nodata=True)
    values = bands_of(1, codes.shape)
    valid = np.random.default_rng(2).random(values.shape) < 0.8
    segments = with_bands(codes, ArrayBands(values, valid), block_px=block_px, threads=2)
    assert segments is not None
    assert_law(labels_of(codes, segments), values, valid, segments)


small_maps = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=10), elements=st.sampled_from([0, 0, 1, 2, NODATA])
)
specs = st.sampled_from(
    [
        VectorSpec(),
        VectorSpec(connectivity=8),
        VectorSpec(simplify_m=1.0),
        VectorSpec(min_area_m2=3.0),
        VectorSpec(min_area_m2=6.0, simplify_m=1.0),
    ]
)


@settings(max_examples=120, deadline=None)
@given(small_maps, specs, st.integers(1, 6), st.integers(0, 1000))
def test_no_block_shows(codes: np.ndarray, spec: VectorSpec, block_px: int, seed: int) -> None:
    values = bands_of(seed, codes.shape)
    bands = ArrayBands(values, np.random.default_rng(seed).random(values.shape) < 0.7)
    whole, parts = with_bands(codes, bands, spec), with_bands(codes, bands, spec, block_px, threads=2)
    plain = vectorised(codes, spec=spec)
    if whole is None:
        assert parts is None
        return
    assert parts is not None
    assert plain is not None
    assert shapely.equals_identical(whole.geometry, plain.geometry).all()
    assert shapely.equals_identical(whole.geometry, parts.geometry).all()
    for name in whole.extra.dtype.names:
        integers = name.startswith("b1") or name.endswith(("count", "min", "max"))
        if integers:
            np.testing.assert_array_equal(whole.extra[name], parts.extra[name])
        else:
            np.testing.assert_allclose(whole.extra[name], parts.extra[name], rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(small_maps, st.sampled_from([1.5, 3.0, 1000.0]), st.integers(0, 1000))
def test_what_a_small_region_knew_goes_with_it(codes: np.ndarray, least: float, seed: int) -> None:
    values = bands_of(seed, codes.shape)
    valid = np.ones(values.shape, bool)
    segments = with_bands(codes, ArrayBands(values, valid), VectorSpec(min_area_m2=least), block_px=3)
    if segments is not None:
        assert (segments.extra["b1_count"] == segments.pixels).all()
        assert_law(labels_of(codes, segments), values, valid, segments)


def test_groups_across_corners_are_one() -> None:
    codes = np.where(np.indices((6, 6)).sum(axis=0) % 2, 1, NODATA).astype(np.uint8)
    values = np.arange(36.0).reshape(1, 6, 6)
    segments = with_bands(codes, ArrayBands(values), VectorSpec(connectivity=8), block_px=2)
    assert segments is not None
    inside = values[0][codes == 1]
    assert len(segments) == 1
    assert segments.extra["b1_mean"][0] == inside.mean()
    assert segments.extra["b1_std"][0] == pytest.approx(inside.std())


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32])
def test_extremes_of_a_type_neither_wrap_nor_round(dtype: type) -> None:
    limits = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    codes = np.zeros((64, 64), np.uint8)
    values = np.full((1, 64, 64), limits.max, dtype)
    values[0, :, ::2] = limits.min
    segments = with_bands(codes, ArrayBands(values), block_px=10)
    assert segments is not None
    low, high = Fraction(float(limits.min)), Fraction(float(limits.max))
    assert segments.extra["b1_mean"][0] == float((low + high) / 2)
    assert segments.extra["b1_std"][0] == pytest.approx(float((high - low) / 2), rel=1e-15)


def test_a_flat_band_has_no_deviation() -> None:
    codes = mosaic(30)
    values = np.full((1, 30, 30), 0.1)
    segments = with_bands(codes, ArrayBands(values), block_px=7)
    assert segments is not None
    assert (segments.extra["b1_std"] == 0).all()
    assert (segments.extra["b1_mean"] == 0.1).all()


def test_columns_are_there_when_no_batch_is() -> None:
    codes = np.full((5, 5), NODATA, np.uint8)
    assert with_bands(codes, ArrayBands(np.zeros((1, 5, 5)))) is None
    assert band_columns(["b1"]).names == ("b1_mean", "b1_min", "b1_max", "b1_std", "b1_count")


def test_bands_of_another_size_are_refused() -> None:
    with pytest.raises(UsageError, match="bands"):
        with_bands(mosaic(20), ArrayBands(np.zeros((1, 20, 21))))
