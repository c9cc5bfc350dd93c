"""Bands for statistics: what counts in each, what they are called, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.raster.band_scene import BandScene
from geoseg.io.raster.scene import open_scene

Write = Callable[..., Path]
WHOLE = Window(0, 20, 0, 30)


def codes(write_scene: Write, **profile: object) -> Path:
    return write_scene(np.ones((1, 20, 30), np.uint8), "codes.tif", **profile)


def test_each_band_has_its_own_gaps(write_scene: Write) -> None:
    values = np.random.default_rng(0).normal(size=(2, 20, 30)).astype(np.float32)
    values[0, 3, 4] = np.nan
    values[1, 5, 6] = -9999
    values[1, 7, 8] = np.inf
    path = write_scene(values, "image.tif", nodata=-9999)
    with open_scene(codes(write_scene)) as classes, open_scene(path) as image:
        found, valid = BandScene(classes, [(image, ["2", "1"])]).read(WHOLE)
        part, _ = BandScene(classes, [(image, [])]).read(Window(2, 9, 3, 11))
    expected = np.isfinite(values) & (values != -9999)
    assert (valid == expected[::-1]).all()
    assert (found[valid] == values[::-1][valid]).all()
    np.testing.assert_array_equal(part, values[:, 2:9, 3:11])


def test_zero_as_nodata_counts_in_each_band_alone(write_scene: Write) -> None:
    values = np.array([[[0, 1], [0, 5]], [[7, 0], [0, 9]]], np.uint8)
    image_path = write_scene(values, "image.tif", nodata=0)
    codes_path = write_scene(np.ones((1, 2, 2), np.uint8), "codes.tif")
    with open_scene(codes_path) as classes, open_scene(image_path) as image:
        _, valid = BandScene(classes, [(image, [])]).read(Window(0, 2, 0, 2))
    assert (valid == (values != 0)).all()


def test_values_are_physical_and_named_by_their_descriptions(write_scene: Write) -> None:
    values = np.arange(1200, dtype=np.int16).reshape(2, 20, 30)
    path = write_scene(values, "dem.tif")
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.1, 1.0), (100.0, 0.0)
        file.set_band_description(1, "Height (m)")
    with open_scene(codes(write_scene)) as classes, open_scene(path) as image:
        bands = BandScene(classes, [(image, ["1"]), (image, [])])
        found, _ = bands.read(WHOLE)
    assert bands.names == ("height_m", "dem_height_m", "b2")
    assert (found[0] == values[0] * 0.1 + 100).all()
    assert (found[2] == values[1]).all()


@pytest.mark.parametrize(
    "profile",
    [
        {"transform": Affine(0.5, 0, 500000.25, 0, -0.5, 5400000)},
        {"transform": Affine(0.6, 0, 500000, 0, -0.5, 5400000)},
        {"crs": "EPSG:32633"},
    ],
)
def test_another_grid_is_refused_with_the_cure(write_scene: Write, profile: dict[str, object]) -> None:
    path = write_scene(np.ones((1, 20, 30), np.uint8), "image.tif", **profile)
    with (
        open_scene(codes(write_scene)) as classes,
        open_scene(path) as image,
        pytest.raises(SceneError, match=r"image\.tif: its grid .* rio warp .*--like .*codes\.tif"),
    ):
        BandScene(classes, [(image, [])])


def test_an_unknown_band_is_refused_with_the_known_ones(write_scene: Write) -> None:
    path = write_scene(np.ones((3, 20, 30), np.uint8), "image.tif")
    with (
        open_scene(codes(write_scene)) as classes,
        open_scene(path) as image,
        pytest.raises(UsageError, match=r"no band nir, 4\. Its bands are 1 \(red\)"),
    ):
        BandScene(classes, [(image, ["red", "nir", "4"])])
