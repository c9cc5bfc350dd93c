"""Attributes are what the pixels say: counts, means, minima, and true ground area in any CRS."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import shapely
from affine import Affine
from label_maps import grid_of, mosaic, vectorised
from odc.geo.geobox import GeoBox
from pyproj import CRS, Geod, Transformer
from scipy import ndimage

from geoseg.core.ground import pixel_sides_m
from geoseg.errors import UsageError
from geoseg.vector.spec import VectorSpec

GRIDS = {
    "utm": (Affine(0.5, 0, 4.5e5, 0, -0.5, 5.1e6), "EPSG:32633"),
    "web mercator": (Affine(2, 0, 9.5e6, 0, -2, 3.2e6), "EPSG:3857"),
    "web mercator, tall": (Affine(4000, 0, 1e6, 0, -4000, 8e6), "EPSG:3857"),
    "degrees": (Affine(1e-5, 0, 25, 0, -1e-5, 60), "EPSG:4326"),
    "degrees, a continent": (Affine(0.2, 0, -20, 0, -0.2, 70), "EPSG:4326"),
    "rotated": (Affine(0.4, 0.3, 4.5e5, 0.3, -0.4, 5.1e6), "EPSG:32633"),
    "south-up": (Affine(0.5, 0, 4.5e5, 0, 0.5, 5.1e6), "EPSG:32633"),
    "polar": (Affine(5000, 0, -1e6, 0, -5000, 1e6), "EPSG:3413"),
    "pixels twice as wide as high": (Affine(2, 0, 4.5e5, 0, -1, 5.1e6), "EPSG:32633"),
    "feet": (Affine(3, 0, 2e6, 0, -3, 7e5), "EPSG:2263"),
}


def labelled(codes: np.ndarray) -> np.ndarray:
    """Number 4-connected regions of one code by their last pixels, as segments are."""
    parts = np.zeros(codes.shape, np.int64)
    for code in np.unique(codes):
        found, count = ndimage.label(codes == code)
        parts[found > 0] = found[found > 0] + parts.max()
        del count
    last = {part: k for k, part in enumerate(parts.ravel())}
    order = {part: n for n, (part, _) in enumerate(sorted(last.items(), key=lambda item: item[1]))}
    return np.vectorize(order.get)(parts)


def geod_areas(geometry: np.ndarray, crs: str) -> tuple[np.ndarray, np.ndarray]:
    to_lonlat = Transformer.from_crs(CRS.from_user_input(crs), 4326, always_xy=True)
    geod = Geod(ellps="WGS84")
    areas, lengths = [], []
    for polygon in geometry:
        dense = shapely.segmentize(polygon, max(polygon.length / 400, 1e-9))
        lonlat = shapely.transform(dense, lambda xy: np.column_stack(to_lonlat.transform(xy[:, 0], xy[:, 1])))
        areas.append(abs(geod.geometry_area_perimeter(lonlat)[0]))
        rings = [lonlat.exterior, *lonlat.interiors]
        lengths.append(sum(geod.geometry_length(ring) for ring in rings))
    return np.array(areas), np.array(lengths)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("simplify", [False, True])
def test_area_and_perimeter_are_true_ground_measures(name: str, *, simplify: bool) -> None:
    transform, crs = GRIDS[name]
    codes = mosaic(200, sigma=9)
    geobox = GeoBox(codes.shape, transform, crs)
    step = float(max(pixel_sides_m(geobox, 100, 100)[:2]))
    spec = VectorSpec(simplify_m=step if simplify else 0.0)
    segments = vectorised(codes, geobox=geobox, spec=spec, block_px=77)
    assert segments is not None
    areas, lengths = geod_areas(segments.geometry, crs)
    large = segments.pixels > 4
    assert segments.area_m2[large] == pytest.approx(areas[large], rel=5e-3)
    assert segments.perimeter_m[large] == pytest.approx(lengths[large], rel=1e-2)
    if not simplify:
        rows, cols = np.indices(codes.shape) + 0.5
        pixel = pixel_sides_m(geobox, rows, cols)[2]
        expected = ndimage.sum_labels(pixel, labelled(codes), np.arange(len(segments)))
        assert segments.area_m2 == pytest.approx(expected, rel=1e-3)


def test_cells_centred_on_the_poles_add_up_to_the_whole_earth() -> None:
    codes = np.zeros((181, 360), np.uint8)
    codes[90:] = 1
    segments = vectorised(codes, geobox=GeoBox(codes.shape, Affine(1, 0, -180, 0, -1, 90.5), "EPSG:4326"))
    assert segments is not None
    assert segments.area_m2.sum() == pytest.approx(510_065_621_724_000, rel=1e-3)  # of the ellipsoid of WGS84
    assert np.isfinite(segments.perimeter_m).all()


def test_a_full_disk_has_the_area_of_what_the_satellite_sees() -> None:
    height_m, radius_m = 35_785_831.0, 6_371_007.0
    geobox = GeoBox((1100, 1100), Affine(1e4, 0, -5.5e6, 0, -1e4, 5.5e6), f"+proj=geos +h={height_m} +ellps=WGS84")
    rows, cols = np.indices((1100, 1100)) + 0.5
    codes = np.where(np.hypot(rows - 550, cols - 550) < 400, 1, 255).astype(np.uint8)  # four fifths of the way out
    segments = vectorised(codes, geobox=geobox)
    assert segments is not None
    angle = 4e6 / height_m
    seen = np.arcsin((radius_m + height_m) / radius_m * np.sin(angle)) - angle  # from the centre of the Earth
    assert segments.area_m2.sum() == pytest.approx(2 * np.pi * radius_m**2 * (1 - np.cos(seen)), rel=2e-2)


def test_a_grid_nowhere_on_the_earth_is_refused() -> None:
    codes = mosaic(20)
    with pytest.raises(UsageError, match="nowhere on the Earth"):
        vectorised(codes, geobox=grid_of(codes, Affine(1, 0, 9e9, 0, -1, 9e9), "EPSG:32633"))


def test_local_grids_count_in_their_own_unit() -> None:
    codes = mosaic(50)
    segments = vectorised(codes, geobox=grid_of(codes, Affine(2, 0, 0, 0, -3, 0), None))
    assert segments is not None
    assert segments.area_m2 == pytest.approx(segments.pixels * 6.0)
    assert segments.perimeter_m == pytest.approx(shapely.length(segments.geometry), rel=1e-5)


@pytest.mark.parametrize("block_px", [13, 2048])
def test_pixels_and_confidence_are_those_of_the_pixels(block_px: int) -> None:
    codes = mosaic(90, sigma=2)
    percent = np.random.default_rng(5).integers(0, 101, codes.shape).astype(np.uint8)
    percent[np.random.default_rng(6).random(codes.shape) < 0.1] = 255
    segments = vectorised(codes, confidence=percent, block_px=block_px)
    assert segments is not None
    parts = labelled(codes)
    for number in range(len(segments)):
        inside = parts == number
        known = percent[inside & (percent != 255)].astype(float)
        assert segments.pixels[number] == inside.sum()
        assert (codes[inside] == segments.class_code[number]).all()
        if known.size == 0:
            assert np.isnan(segments.confidence[number])
            assert np.isnan(segments.confidence_min[number])
            continue
        assert segments.confidence[number] == pytest.approx(known.mean() / 100, abs=1e-6)
        assert segments.confidence_min[number] == pytest.approx(known.min() / 100, abs=1e-6)


def test_without_confidence_there_is_none() -> None:
    segments = vectorised(mosaic(20))
    assert segments is not None
    assert np.isnan(segments.confidence).all()
    assert np.isnan(segments.confidence_min).all()


def test_a_function_can_place_the_corners() -> None:
    from geoseg.vector.source import ArraySource
    from geoseg.vector.vectorise import vectorise_codes

    codes = mosaic(40)
    plain = vectorised(codes, geobox=grid_of(codes, Affine(1, 0, 0, 0, -1, 0), None))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches = vectorise_codes(
            ArraySource(codes),
            grid_of(codes, Affine(1, 0, 0, 0, -1, 0), None),
            to_world=lambda cols, rows: (cols * 2 + 100, -rows * 3 + 0.01 * cols**2),
            block_px=16,
        )
        bent = np.concatenate([batch.geometry for batch in batches])
    assert plain is not None
    expected = shapely.transform(
        plain.geometry, lambda xy: np.column_stack([xy[:, 0] * 2 + 100, xy[:, 1] * 3 + 0.01 * xy[:, 0] ** 2])
    )
    assert shapely.equals_exact(bent, expected, 1e-9).all()
