"""Laws of the drawn town: determinism, plausible classes, and heights and colours that fit the labels."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage
from shapely import contains_xy
from shapely.geometry import Polygon

from geoseg.core.isprs_legend import BUILDING, CAR, CLUTTER, IMPERVIOUS, LOW_VEGETATION, TOWN_LEGEND, TREE
from geoseg.synthetic.canvas import Canvas
from geoseg.synthetic.light import shadow_height
from geoseg.synthetic.town import Town, draw_town

SEEDS = (3, 2026)


@cache
def town(seed: int) -> Town:
    return draw_town(seed, (512, 608), gsd_m=0.2)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_town() -> None:
    first, again, other = (draw_town(seed, (120, 150)) for seed in (5, 5, 6))
    for name in ("rgb", "nir", "dsm", "labels"):
        assert np.array_equal(getattr(first, name), getattr(again, name)), name
    assert not np.array_equal(first.labels, other.labels)


def test_arrays_have_the_promised_shapes_and_types() -> None:
    drawn = draw_town(9, (33, 47), gsd_m=0.1)
    assert (drawn.rgb.shape, drawn.rgb.dtype) == ((3, 33, 47), np.uint8)
    assert (drawn.nir.shape, drawn.nir.dtype) == ((33, 47), np.uint8)
    assert (drawn.dsm.shape, drawn.dsm.dtype) == ((33, 47), np.float32)
    assert (drawn.labels.shape, drawn.labels.dtype) == ((33, 47), np.uint8)
    assert np.isfinite(drawn.dsm).all()


def test_the_legend_has_the_published_colours() -> None:
    published = [(255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0)]
    assert [entry.rgb for entry in TOWN_LEGEND.classes] == published
    assert TOWN_LEGEND.codes == (0, 1, 2, 3, 4, 5)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_class_has_a_plausible_share(seed: int) -> None:
    share = np.bincount(town(seed).labels.ravel(), minlength=6) / town(seed).labels.size
    plausible = {
        IMPERVIOUS: (0.1, 0.6),
        BUILDING: (0.08, 0.5),
        LOW_VEGETATION: (0.1, 0.6),
        TREE: (0.03, 0.5),
        CAR: (0.003, 0.08),
        CLUTTER: (0.0003, 0.3),
    }
    assert set(np.unique(town(seed).labels)) == set(TOWN_LEGEND.codes)
    for code, (least, most) in plausible.items():
        assert least <= share[code] <= most, (TOWN_LEGEND.by_code(code).name, share)


@pytest.mark.parametrize("seed", SEEDS)
def test_roofs_and_crowns_stand_above_the_ground_around_them(seed: int) -> None:
    labels, dsm = town(seed).labels, town(seed).dsm
    street = np.where(labels == IMPERVIOUS, dsm, np.nan)
    for code, least_m in ((BUILDING, 2.0), (TREE, 1.5), (CAR, 0.6)):
        regions, _ = ndimage.label(labels == code)
        rise = []
        for index, box in enumerate(ndimage.find_objects(regions), 1):
            rows, cols = (slice(max(0, s.start - 12), s.stop + 12) for s in box)
            ground, inside = street[rows, cols], dsm[rows, cols][regions[rows, cols] == index]
            if inside.size > 60 and np.isfinite(ground).any():
                rise.append(np.median(inside) - np.nanmedian(ground))
        assert len(rise) > 3
        assert np.quantile(rise, 0.1) > least_m, TOWN_LEGEND.by_code(code).name


@pytest.mark.parametrize("seed", SEEDS)
def test_plants_reflect_more_near_infrared_than_streets_and_roofs(seed: int) -> None:
    red, nir = town(seed).rgb[0].astype(float), town(seed).nir.astype(float)
    ndvi = (nir - red) / np.maximum(nir + red, 1)
    median = [np.median(ndvi[town(seed).labels == code]) for code in TOWN_LEGEND.codes]
    for green in (LOW_VEGETATION, TREE):
        for hard in (IMPERVIOUS, BUILDING, CAR):
            assert median[green] > median[hard] + 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_no_stretch_of_the_picture_repeats(seed: int) -> None:
    grey = town(seed).rgb.astype(np.float32).mean(0)
    grey -= ndimage.uniform_filter(grey, 9)
    power = np.abs(np.fft.rfft2(grey)) ** 2
    echo = np.fft.irfft2(power, grey.shape)
    echo /= echo[0, 0]
    # Beyond the size of any object only a copied texture could correlate.
    assert echo[60:-60, 60:-60].max() < 0.12


def test_a_polygon_covers_exactly_the_samples_inside_it() -> None:
    canvas = Canvas(shape=(90, 110), step_m=0.1, margin_m=1.0)
    rng = np.random.default_rng(4)
    turn = np.sort(rng.uniform(0, 2 * np.pi, 17))
    radius = rng.uniform(2, 4.2, 17)
    shell = np.stack([4.9 + radius * np.cos(turn), 3.4 + radius * np.sin(turn)], 1)
    hole = [(4.43, 3.13), (5.41, 3.17), (5.11, 4.03)]
    shape = Polygon(shell, [hole])
    found = canvas.cover(shape)
    assert found is not None
    spot, mask = found
    drawn = np.zeros(canvas.shape, bool)
    drawn[spot.index] = mask
    rows, cols = np.indices(canvas.shape)
    assert np.array_equal(drawn, contains_xy(shape, cols * 0.1 - 1.0, rows * 0.1 - 1.0))


@pytest.mark.parametrize("azimuth", [10, 100, 140, 200, 260, 350])
def test_a_mast_casts_its_shadow_away_from_the_sun_at_the_length_of_its_height(azimuth: float) -> None:
    rise = np.radians(40)
    sun = (-np.cos(np.radians(azimuth)) * np.cos(rise), np.sin(np.radians(azimuth)) * np.cos(rise), np.sin(rise))
    height = np.zeros((201, 201), np.float32)
    height[99:102, 99:102] = 4.0
    shadow = shadow_height(height, sun, 0.1) > height + 0.05
    rows, cols = np.nonzero(shadow)
    away = (rows - 100) * -sun[0] + (cols - 100) * -sun[1]
    aside = (rows - 100) * sun[1] - (cols - 100) * sun[0]
    flat = np.hypot(sun[0], sun[1])
    assert np.abs(aside / flat).max() < 4
    assert away.min() / flat > -3
    assert away.max() / flat == pytest.approx(40 / np.tan(rise), abs=4)
