"""Matching: the scene is read as the card wants, or the difference is named."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from conftest import blobs, tiny_card

from geoseg.core.card import CardBand, GsdRange
from geoseg.core.spec import PredictSpec
from geoseg.core.window import Window
from geoseg.errors import MatchError
from geoseg.inference.match import ReadPlan, match
from geoseg.io.raster.scene import open_scene


def plan(path: Path, card: Any = None, **options: Any):
    with open_scene(path) as scene:
        return match(scene, card or tiny_card(), PredictSpec(**options))


def describe(path: Path, *names: str) -> None:
    with rasterio.open(path, "r+") as file:
        for index, name in enumerate(names, 1):
            file.set_band_description(index, name)


def test_rgb_is_read_as_it_is(write_scene: Any) -> None:
    found = plan(write_scene())
    assert found.bands == (1, 2, 3)
    assert not found.resampled
    values = np.array([[[0, 255]]] * 3, np.uint8)
    np.testing.assert_allclose(found.normalise(values, np.ones((1, 2), bool))[0, 0], [-2.0, 2.0])


def test_bands_are_found_by_name_in_whatever_order(write_scene: Any) -> None:
    path = write_scene(blobs((40, 40), 4), photometric="MINISBLACK")
    describe(path, "nir", "blue", "green", "red")
    assert plan(path).bands == (4, 3, 2)


def test_a_fourth_band_is_left_out(write_scene: Any) -> None:
    assert plan(write_scene(blobs((40, 40), 4), photometric="RGB")).bands == (1, 2, 3)


def test_a_missing_band_is_named_with_what_there_is(write_scene: Any) -> None:
    card = tiny_card(bands=tuple(CardBand(name=name) for name in ("nir", "red", "green")))
    with pytest.raises(
        MatchError, match=r"scene\.tif: has bands \(red, green, blue\); model tiny needs .*nir.*--bands"
    ):
        plan(write_scene(), card)


@pytest.mark.parametrize(
    ("bands", "expected"), [("3,2,1", (3, 2, 1)), ("blue,green,red", (3, 2, 1)), ("1,1,1", (1, 1, 1))]
)
def test_bands_can_be_chosen_by_number_or_name(write_scene: Any, bands: str, expected: tuple[int, ...]) -> None:
    assert plan(write_scene(), bands=tuple(bands.split(","))).bands == expected


@pytest.mark.parametrize("bands", ["1,2", "1,2,9", "red,green,nir", "0,1,2"])
def test_a_wrong_choice_of_bands_is_refused(write_scene: Any, bands: str) -> None:
    with pytest.raises(MatchError, match="bands|band"):
        plan(write_scene(), bands=tuple(bands.split(",")))


def test_one_band_is_not_taken_for_three(write_scene: Any) -> None:
    with pytest.raises(MatchError, match="needs"):
        plan(write_scene(blobs((40, 40), 1)))


def test_nameless_bands_are_taken_in_order_and_that_is_said(write_scene: Any) -> None:
    found = plan(write_scene(photometric="MINISBLACK"))
    assert found.bands == (1, 2, 3)
    assert "no names" in found.notes[0]


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32", "float64"])
def test_values_without_a_known_scale_are_refused_with_the_cure(write_scene: Any, dtype: str) -> None:
    path = write_scene(blobs((40, 40)).astype(dtype), photometric="MINISBLACK")
    with pytest.raises(MatchError, match=rf"{dtype}.*--value-range"):
        plan(path)


def test_a_value_range_maps_its_ends_to_zero_and_one(write_scene: Any) -> None:
    found = plan(write_scene(blobs((40, 40)).astype("uint16"), photometric="MINISBLACK"), value_range=(100, 3100))
    values = np.array([[[100, 1600, 3100, 9000, 0]]] * 3, np.uint16)
    seen = found.normalise(values, np.ones((1, 5), bool))[0, 0] * 0.25 + 0.5
    np.testing.assert_allclose(seen, [0, 0.5, 1, 1, 0], atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_however_values_are_stored_the_network_sees_them_by_the_formula(
    write_scene: Any, dtype: str, seed: int
) -> None:
    """Pixels v in [0, 1] give (v - mean) / std of the card's band, whatever gain, offset and order of bands."""
    rng = np.random.default_rng(seed)
    names = list(rng.permutation(["red", "green", "blue", "nir"]))
    grey = rng.integers(0, 256, (4, 1 if seed % 4 == 0 else 9, 11))
    gain, offset = (1.0, 0.0) if dtype == "uint8" else (float(rng.integers(2, 100)), float(rng.integers(0, 900)))
    path = write_scene((grey * gain + offset).astype(dtype), photometric="MINISBLACK")
    describe(path, *names)
    bands = tuple(
        CardBand(name=name, mean=float(rng.uniform(0.1, 0.9)), std=float(rng.uniform(0.1, 0.5)))
        for name in ("nir", "red", "green")
    )
    options = {} if dtype == "uint8" else {"value_range": (offset, 255 * gain + offset)}
    with open_scene(path) as scene:
        found = match(scene, tiny_card(bands=bands), PredictSpec(**options))
        raster = scene.read(Window.whole(scene.geobox.shape), found.bands)
    seen = found.normalise(raster.values, raster.valid)
    for plane, band in zip(seen, bands, strict=True):
        expected = (grey[names.index(band.name)] / 255 - band.mean) / band.std
        np.testing.assert_allclose(plane, expected, atol=2e-5)


def test_auto_takes_the_percentiles_of_the_whole_scene(write_scene: Any) -> None:
    values = (blobs((300, 300)).astype(np.uint16)) * 20
    found = plan(write_scene(values, photometric="MINISBLACK"), value_range="auto")
    low, high = np.percentile(values, (2, 98))
    assert -found.bias[0] / found.gain[0] == pytest.approx(low, rel=0.05)
    assert (1 - found.bias[0]) / found.gain[0] == pytest.approx(high, rel=0.05)


def test_reflectance_by_scale_tag_is_shown_to_a_picture_network(write_scene: Any) -> None:
    path = write_scene(blobs((40, 40)).astype(np.uint16), photometric="MINISBLACK")
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.0001,) * 3, (0.0,) * 3
    found = plan(path)
    seen = found.normalise(np.full((3, 1, 1), 1500, np.uint16), np.ones((1, 1), bool)) * 0.25 + 0.5
    np.testing.assert_allclose(seen, 0.5, atol=1e-6)
    reflectance = plan(path, tiny_card(radiometry="reflectance"))
    seen = reflectance.normalise(np.full((3, 1, 1), 1500, np.uint16), np.ones((1, 1), bool)) * 0.25 + 0.5
    np.testing.assert_allclose(seen, 0.15, atol=1e-6)


@pytest.mark.parametrize("scale", [0.0, float("nan")])
def test_a_scale_that_makes_every_value_the_same_is_refused(write_scene: Any, scale: float) -> None:
    path = write_scene(blobs((40, 40)).astype(np.uint16), photometric="MINISBLACK")
    with rasterio.open(path, "r+") as file:
        file.scales = (scale,) * 3
    with pytest.raises(MatchError, match="scale"):
        plan(path)


def test_enormous_nodata_does_not_overflow() -> None:
    values = np.full((3, 1, 2), -3.4e38, np.float32)
    values[:, :, 1] = 100
    card = tiny_card()
    found = ReadPlan(
        bands=(1, 2, 3),
        gain=(10.0,) * 3,
        bias=(0.0,) * 3,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        scene_shape=(1, 2),
        work_shape=(1, 2),
        scene_gsd_m=(card.gsd_m.min, card.gsd_m.min),
    ).normalise(values, np.array([[False, True]]))
    np.testing.assert_array_equal(found[0, 0], [0.0, 2.0])


def test_an_absurd_ground_sample_distance_is_refused(write_scene: Any) -> None:
    with pytest.raises(MatchError, match="nothing to show"):
        plan(write_scene(), gsd_m=0.0005)


def test_a_picture_is_not_taken_for_reflectance(write_scene: Any) -> None:
    with pytest.raises(MatchError, match="reflectance"):
        plan(write_scene(), tiny_card(radiometry="reflectance"))


@pytest.mark.parametrize(
    ("pixel", "seen"),
    [(0.5, 0.5), (0.41, 0.41), (0.1, 0.4), (0.25, 0.4), (0.9, 0.6)],
)
def test_pixels_outside_the_range_are_read_at_its_nearer_end(write_scene: Any, pixel: float, seen: float) -> None:
    path = write_scene(blobs((400, 300)), transform=Affine(pixel, 0, 500000, 0, -pixel, 5400000))
    found = plan(path)
    ground = math.sqrt(math.prod(found.scene_gsd_m))
    assert found.work_shape[0] == pytest.approx(400 * ground / seen if found.resampled else 400, abs=1)
    assert found.resampled == (pixel != seen)


def test_pixels_far_too_coarse_are_refused_with_both_sizes(write_scene: Any) -> None:
    path = write_scene(transform=Affine(10, 0, 500000, 0, -10, 5400000))
    with pytest.raises(MatchError, match=r"10 m on the ground; model tiny needs 0\.4 to 0\.6 m.*--gsd-m"):
        plan(path)
    assert not plan(path, gsd_m=10.0).resampled


def test_web_mercator_is_measured_on_the_ground(write_scene: Any) -> None:
    nominal = 0.5 / math.cos(math.radians(27.6))
    path = write_scene(crs="EPSG:3857", transform=Affine(nominal, 0, 9519926, 0, -nominal, 3202940))
    found = plan(path, tiny_card(gsd_m=GsdRange(min=0.45, max=0.53)))
    assert not found.resampled
    assert found.scene_gsd_m[0] == pytest.approx(0.5, rel=0.01)


def test_oblong_pixels_are_read_as_squares(write_scene: Any) -> None:
    path = write_scene(blobs((100, 200)), transform=Affine(0.3, 0, 500000, 0, -0.9, 5400000))
    found = plan(path)
    sides = [g * n / w for g, n, w in zip(found.scene_gsd_m, found.scene_shape, found.work_shape, strict=True)]
    assert sides[0] == pytest.approx(sides[1], rel=0.02)
