"""Simplified polygons still tile the valid area: no gap, no overlap, whatever the tolerance, method or block size."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from label_maps import HARD_MAPS, NODATA, grid_of, mosaic, vectorised

from geoseg.core.choices import SimplifyMethod
from geoseg.vector.spec import VectorSpec

small_maps = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.sampled_from([0, 0, 1, 2, NODATA])
)
specs = st.builds(
    VectorSpec,
    simplify_m=st.sampled_from([0.3, 1.0, 2.5, 10.0, 100.0]),
    method=st.sampled_from(["visvalingam", "douglas-peucker"]),
    smooth=st.booleans(),
)


def assert_tiles(codes: np.ndarray, spec: VectorSpec, block_px: int = 2048) -> None:
    exact = vectorised(codes)
    segments = vectorised(codes, spec=spec, block_px=block_px)
    if exact is None:
        assert segments is None
        return
    assert segments is not None
    assert (segments.class_code == exact.class_code).all()
    assert (segments.pixels == exact.pixels).all()
    assert shapely.is_valid(segments.geometry).all()
    assert (shapely.area(segments.geometry) > 0).all()
    assert shapely.coverage_is_valid(segments.geometry)
    overlap = shapely.area(segments.geometry).sum() - shapely.union_all(segments.geometry).area
    assert overlap == pytest.approx(0, abs=1e-6)
    valid_area = (codes != NODATA).sum()
    if (codes != NODATA).all():
        assert shapely.area(segments.geometry).sum() == pytest.approx(valid_area)
    assert_no_gap(exact.geometry, segments.geometry, spec)


def assert_no_gap(exact: np.ndarray, simplified: np.ndarray, spec: VectorSpec) -> None:
    """Beside nodata the border may move by the tolerance; nothing else is left free, and each hole is around nodata."""
    valid, covered = shapely.union_all(exact), shapely.union_all(simplified)
    free = shapely.box(*shapely.total_bounds(exact)).difference(valid)
    holes = [shapely.Polygon(ring) for part in shapely.get_parts(covered) for ring in part.interiors]
    assert all(hole.intersection(free).area > 0 for hole in holes)
    # a vertex goes with a triangle of at most the tolerance's square, whose base is half a pixel or more
    most = spec.simplify_m + 1 if spec.method == "douglas-peucker" else 2 * spec.simplify_m**2 + 1
    border = valid.boundary.buffer(most)
    assert shapely.symmetric_difference(valid, covered).difference(border).area == pytest.approx(0, abs=1e-9)


def test_a_gap_beside_nodata_would_be_found() -> None:
    codes = mosaic(61, nodata=True)
    spec = VectorSpec(simplify_m=1.0)
    exact, segments = vectorised(codes), vectorised(codes, spec=spec)
    assert exact is not None
    assert segments is not None
    torn = segments.geometry.copy()
    widest = int(shapely.area(torn).argmax())
    torn[widest] = torn[widest].buffer(-0.05)
    assert_no_gap(exact.geometry, segments.geometry, spec)
    with pytest.raises(AssertionError):
        assert_no_gap(exact.geometry, torn, spec)


@settings(max_examples=300, deadline=None)
@given(small_maps, specs, st.integers(1, 9))
def test_any_map_stays_a_coverage(codes: np.ndarray, spec: VectorSpec, block_px: int) -> None:
    assert_tiles(codes, spec, block_px)


@settings(max_examples=200, deadline=None)
@given(small_maps, specs, st.integers(1, 9))
def test_no_block_size_changes_a_vertex(codes: np.ndarray, spec: VectorSpec, block_px: int) -> None:
    whole, parts = vectorised(codes, spec=spec), vectorised(codes, spec=spec, block_px=block_px, threads=2)
    if whole is None:
        assert parts is None
        return
    assert parts is not None
    assert shapely.equals_identical(whole.geometry, parts.geometry).all()
    for column in ("class_code", "area_m2", "perimeter_m", "pixels"):
        assert (getattr(whole, column) == getattr(parts, column)).all()


@pytest.mark.parametrize("method", ["visvalingam", "douglas-peucker"])
@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("name", HARD_MAPS)
def test_hard_maps_stay_a_coverage(name: str, *, smooth: bool, method: SimplifyMethod) -> None:
    for tolerance in (0.7, 3.0):
        assert_tiles(HARD_MAPS[name], VectorSpec(simplify_m=tolerance, method=method, smooth=smooth), 7)


@pytest.mark.parametrize("nodata", [False, True])
@pytest.mark.parametrize("method", ["visvalingam", "douglas-peucker"])
@pytest.mark.parametrize("smooth", [False, True])
def test_a_large_mosaic_is_the_same_for_all_blocks(*, smooth: bool, method: SimplifyMethod, nodata: bool) -> None:
    codes = mosaic(300, nodata=nodata, classes=4)
    spec = VectorSpec(simplify_m=2.0, method=method, smooth=smooth)
    whole = vectorised(codes, spec=spec)
    assert whole is not None
    assert shapely.coverage_is_valid(whole.geometry)
    for block_px in (32, 75, 150):
        parts = vectorised(codes, spec=spec, block_px=block_px, threads=2)
        assert parts is not None
        assert shapely.equals_identical(whole.geometry, parts.geometry).all()


@pytest.mark.parametrize("method", ["visvalingam", "douglas-peucker"])
def test_class_areas_stay_within_one_percent(method: SimplifyMethod) -> None:
    codes = mosaic(400, sigma=6)
    segments = vectorised(codes, spec=VectorSpec(simplify_m=1.0, method=method))
    assert segments is not None
    for code in np.unique(codes):
        area = shapely.area(segments.geometry[segments.class_code == code]).sum()
        assert area == pytest.approx((codes == code).sum(), rel=0.01)
    assert segments.area_m2 == pytest.approx(shapely.area(segments.geometry), rel=2e-3)


@pytest.mark.parametrize(("rise", "run"), [(1, 1), (1, 2), (1, 5), (3, 7), (5, 4)])
def test_a_straight_edge_comes_out_straight(rise: int, run: int) -> None:
    rows, cols = np.indices((70, 70)) + 0.5
    codes = (rows * run > cols * rise + 12).astype(np.uint8)
    segments = vectorised(codes, spec=VectorSpec(simplify_m=1.0))
    assert segments is not None
    assert all(shapely.get_num_coordinates(segments.geometry) <= 8)
    line = shapely.LineString([(c, (c * rise + 12) / run) for c in (0, 70)])
    back = shapely.affinity.affine_transform
    for polygon in segments.geometry:
        pixels = back(polygon, [1, 0, 0, -1, -500000, 5000000])
        inner = [p for p in pixels.exterior.coords if 2 < p[0] < 68 and 2 < p[1] < 68]
        assert all(shapely.Point(p).distance(line) < 1.0 for p in inner)


def test_corners_of_buildings_are_kept() -> None:
    codes = np.zeros((30, 40), np.uint8)
    codes[5:15, 6:30] = 1
    codes[10:25, 20:30] = 1
    segments = vectorised(codes, spec=VectorSpec(simplify_m=1.5))
    exact = vectorised(codes)
    assert segments is not None
    assert exact is not None
    assert shapely.equals(segments.geometry, exact.geometry).all()


def test_douglas_peucker_keeps_its_distance() -> None:
    codes = mosaic(150, sigma=5)
    exact = vectorised(codes)
    segments = vectorised(codes, spec=VectorSpec(simplify_m=2.0, method="douglas-peucker", smooth=False))
    assert exact is not None
    assert segments is not None
    lines = shapely.boundary(exact.geometry), shapely.boundary(segments.geometry)
    assert shapely.hausdorff_distance(shapely.segmentize(lines[0], 0.25), lines[1]).max() <= 2.0 + 1e-6


def test_the_tolerance_is_in_metres_on_the_ground() -> None:
    codes = mosaic(120, sigma=4)
    coarse = vectorised(codes, spec=VectorSpec(simplify_m=2.0))
    fine = vectorised(
        codes,
        geobox=grid_of(codes, Affine(0.25, 0, 5e5, 0, -0.25, 5e6)),
        spec=VectorSpec(simplify_m=0.5),
    )
    assert coarse is not None
    assert fine is not None
    vertices = [shapely.get_num_coordinates(s.geometry).sum() for s in (coarse, fine)]
    assert vertices[0] == pytest.approx(vertices[1], rel=0.01)
    degrees = grid_of(codes, Affine(2e-5, 0, 25.0, 0, -1e-5, 60.0), "EPSG:4326")
    geographic = vectorised(codes, geobox=degrees, spec=VectorSpec(simplify_m=2.0))
    assert geographic is not None
    assert shapely.coverage_is_valid(geographic.geometry)
    assert shapely.get_num_coordinates(geographic.geometry).sum() == pytest.approx(vertices[0], rel=0.1)
