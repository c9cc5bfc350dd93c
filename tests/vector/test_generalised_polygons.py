"""Small regions join the class they share most boundary with; the map has no holes and no block size shows."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from label_maps import NODATA, grid_of, mosaic, vectorised
from scipy import ndimage

from geoseg.core.segments import Segments
from geoseg.vector.spec import VectorSpec

small_maps = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 0, 1, 2, NODATA])
)


def burnt(codes: np.ndarray, segments: Segments) -> np.ndarray:
    return rasterio.features.rasterize(
        zip(segments.geometry, segments.class_code, strict=True),
        out_shape=codes.shape,
        transform=grid_of(codes).transform,
        fill=NODATA,
        dtype="uint8",
    )


@settings(max_examples=150, deadline=None)
@given(small_maps, st.sampled_from([1.5, 3.0, 6.0, 1000.0]), st.sampled_from([0.0, 1.0, 3.0]), st.integers(1, 8))
def test_no_block_size_changes_the_map(codes: np.ndarray, least: float, simplify_m: float, block_px: int) -> None:
    spec = VectorSpec(min_area_m2=least, simplify_m=simplify_m)
    whole, parts = vectorised(codes, spec=spec), vectorised(codes, spec=spec, block_px=block_px, threads=2)
    if whole is None:
        assert parts is None
        return
    assert parts is not None
    assert shapely.equals_identical(whole.geometry, parts.geometry).all()
    for column in ("class_code", "area_m2", "perimeter_m", "pixels"):
        assert (getattr(whole, column) == getattr(parts, column)).all()


@settings(max_examples=150, deadline=None)
@given(small_maps, st.sampled_from([1.5, 3.0, 6.0, 1000.0]))
def test_what_is_left_is_large_or_alone(codes: np.ndarray, least: float) -> None:
    segments = vectorised(codes, spec=VectorSpec(min_area_m2=least))
    if segments is None:
        return
    assert shapely.is_valid(segments.geometry).all()
    assert shapely.coverage_is_valid(segments.geometry)
    after = burnt(codes, segments)
    assert ((after == NODATA) == (codes == NODATA)).all()
    for code in np.unique(after[after != NODATA]):
        parts, count = ndimage.label(after == code)
        assert count == (segments.class_code == code).sum()
        for part in range(1, count + 1):
            inside = parts == part
            ring = ndimage.binary_dilation(inside) & ~inside
            assert inside.sum() * 1.001 >= least or (after[ring] == NODATA).all()


def test_a_speck_joins_the_longest_shared_boundary() -> None:
    codes = np.zeros((9, 9), np.uint8)
    codes[:, 5:] = 1
    codes[4, 4:6] = 2
    codes[3, 4] = 2
    segments = vectorised(codes, spec=VectorSpec(min_area_m2=4))
    assert segments is not None
    expected = np.zeros((9, 9), np.uint8)
    expected[:, 5:] = 1
    expected[4, 4:6] = 0
    expected[3, 4] = 0
    assert (burnt(codes, segments) == expected).all()


@pytest.mark.parametrize("least", [1e15, 1e30, 1e300])
def test_a_minimum_beyond_the_map_leaves_one_region(least: float) -> None:
    codes = np.random.default_rng(3).integers(0, 4, (40, 50)).astype(np.uint8)
    segments = vectorised(codes, spec=VectorSpec(min_area_m2=least))
    assert segments is not None
    assert list(segments.pixels) == [codes.size]


def test_a_class_can_have_a_minimum_of_its_own() -> None:
    codes = np.zeros((20, 20), np.uint8)
    codes[2:4, 2:4] = 1
    codes[10:12, 10:12] = 2
    segments = vectorised(codes, spec=VectorSpec(min_area_m2=10, class_min_area_m2={1: 1.0}))
    assert segments is not None
    assert sorted(segments.class_code) == [0, 1]
    assert sorted(segments.pixels) == [4, 396]


@pytest.mark.parametrize("simplify_m", [0.0, 2.0])
def test_a_large_map_is_the_same_for_all_blocks(simplify_m: float) -> None:
    codes = mosaic(300, sigma=2, nodata=True)
    spec = VectorSpec(min_area_m2=40, simplify_m=simplify_m)
    whole = vectorised(codes, spec=spec)
    assert whole is not None
    assert shapely.coverage_is_valid(whole.geometry)
    for block_px in (32, 75, 150):
        parts = vectorised(codes, spec=spec, block_px=block_px, threads=2)
        assert parts is not None
        assert shapely.equals_identical(whole.geometry, parts.geometry).all()
