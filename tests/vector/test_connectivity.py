"""Connectivity 8 makes one segment of what touches at corners; connectivity 4 does not."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from label_maps import NODATA, grid_of, mosaic, vectorised
from scipy import ndimage

from geoseg.errors import UsageError
from geoseg.vector.spec import VectorSpec

small_maps = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 1, 2, NODATA])
)


@settings(max_examples=100, deadline=None)
@given(small_maps, st.integers(1, 8))
def test_segments_are_8_connected_components(codes: np.ndarray, block_px: int) -> None:
    spec = VectorSpec(connectivity=8)
    whole, parts = vectorised(codes, spec=spec), vectorised(codes, spec=spec, block_px=block_px, threads=2)
    if whole is None:
        assert parts is None
        return
    assert parts is not None
    assert shapely.is_valid(whole.geometry).all()
    assert {shape.geom_type for shape in whole.geometry} == {"MultiPolygon"}
    assert shapely.equals_identical(whole.geometry, parts.geometry).all()
    for column in ("class_code", "area_m2", "perimeter_m", "pixels"):
        assert getattr(whole, column) == pytest.approx(getattr(parts, column), rel=1e-12)
    pixels = []
    for code in np.unique(codes[codes != NODATA]):
        found, count = ndimage.label(codes == code, structure=np.ones((3, 3)))
        pixels += [(int(code), int((found == n).sum())) for n in range(1, count + 1)]
    assert sorted(zip(whole.class_code.tolist(), whole.pixels.tolist(), strict=True)) == sorted(pixels)
    assert (np.rint(shapely.area(whole.geometry)) == whole.pixels).all()


def test_confidence_is_that_of_all_parts() -> None:
    codes = np.array([[1, 0], [0, 1]], np.uint8)
    percent = np.array([[10, 20], [30, 50]], np.uint8)
    segments = vectorised(codes, confidence=percent, spec=VectorSpec(connectivity=8), geobox=grid_of(codes))
    assert segments is not None
    assert segments.class_code.tolist() == [0, 1]
    assert segments.confidence == pytest.approx([0.25, 0.3])
    assert segments.confidence_min == pytest.approx([0.2, 0.1])
    assert [shape.geom_type for shape in segments.geometry] == ["MultiPolygon", "MultiPolygon"]


def test_a_large_map_is_the_same_for_all_blocks() -> None:
    codes = mosaic(200, sigma=1.5, classes=3)
    whole = vectorised(codes, spec=VectorSpec(connectivity=8))
    parts = vectorised(codes, spec=VectorSpec(connectivity=8), block_px=33)
    assert whole is not None
    assert parts is not None
    assert shapely.equals_identical(whole.geometry, parts.geometry).all()


@pytest.mark.parametrize("option", ["min_area_m2", "simplify_m"])
def test_other_options_need_connectivity_4(option: str) -> None:
    with pytest.raises(UsageError, match="connectivity"):
        VectorSpec(connectivity=8, **{option: 3.0})  # type: ignore[arg-type]
