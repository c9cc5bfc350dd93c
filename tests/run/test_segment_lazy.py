"""A lazy array is segmented as its file is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from conftest import blobs

import geoseg
from geoseg.core.spec import PredictSpec
from geoseg.errors import UsageError
from geoseg.models.model import Model


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return geoseg.load_model(tiny_model, device="cpu", runtime="torch", precision="fp32")


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("change", ["plain", "nodata", "finer", "taper"])
def test_the_same_codes_as_from_the_file(change: str, write_scene: Any, model: Model, tmp_path: Path) -> None:
    values, profile = blobs((230, 310)), {}
    spec = PredictSpec(block_px=128, blend="taper" if change == "taper" else "core")
    if change == "nodata":
        values[:, 50:90, 60:200], profile = 0, {"nodata": 0}
    if change == "finer":
        profile = {"transform": rasterio.Affine(0.3, 0, 500000, 0, -0.3, 5400000)}
    path = write_scene(values, **profile)
    layers = geoseg.predict(path, model, tmp_path, spec=spec)
    with geoseg.open_scene(path) as scene:
        lazy = geoseg.segment(scene.to_xarray(chunks=100), model, spec=spec)
        assert lazy.codes.chunks is not None
        found = lazy.compute(scheduler="synchronous")
    np.testing.assert_array_equal(found.codes, rasterio.open(layers.bundle.classes).read(1))
    np.testing.assert_array_equal(found.confidence, rasterio.open(layers.bundle.confidence).read(1))
    assert found.codes.rio.crs == rasterio.open(path).crs


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_blocks_computed_in_threads_are_those_computed_in_turn(
    runtime: Any, write_scene: Any, tiny_model: Path
) -> None:
    model = geoseg.load_model(tiny_model, device="cpu", runtime=runtime, precision="fp32")
    with geoseg.open_scene(write_scene(blobs((400, 400)))) as scene:
        lazy = geoseg.segment(scene.to_xarray(chunks=64), model, spec=PredictSpec(block_px=64))
        threaded = lazy.compute(scheduler="threads", num_workers=4)
        in_turn = lazy.compute(scheduler="synchronous")
    np.testing.assert_array_equal(threaded.codes, in_turn.codes)
    np.testing.assert_array_equal(threaded.confidence, in_turn.confidence)


def test_only_the_blocks_asked_for_are_predicted(write_scene: Any, model: Model) -> None:
    class Counting:
        """Stands in for the model's runtime and counts its calls."""

        def __init__(self, runtime: Any) -> None:
            self.runtime, self.calls = runtime, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.runtime, name)

        def run(self, tiles: Any) -> Any:
            self.calls += 1
            return self.runtime.run(tiles)

    counting = Counting(model.runtime)
    counted = Model(model.card, model.source, info=model.info, runtime=counting)
    with geoseg.open_scene(write_scene(blobs((400, 400)))) as scene:
        lazy = geoseg.segment(scene.to_xarray(chunks=64), counted, spec=PredictSpec(block_px=64))
        assert counting.calls == 0
        lazy.codes[:20, :20].compute(scheduler="synchronous")
        assert counting.calls == 1


def test_what_needs_a_file_is_refused(write_scene: Any, model: Model) -> None:
    with geoseg.open_scene(write_scene()) as scene:
        pixels = scene.to_xarray()
        with pytest.raises(UsageError, match="whole scene"):
            geoseg.segment(pixels, model, spec=PredictSpec(value_range="auto"))
        with pytest.raises(UsageError, match="dimensions"):
            geoseg.segment(pixels[0], model)
        with pytest.raises(UsageError, match="no CRS"):
            geoseg.segment(pixels.drop_vars("spatial_ref"), model)


def test_bands_with_numbers_of_no_known_satellite_are_not_guessed(write_scene: Any, model: Model) -> None:
    path = write_scene(blobs((60, 60)), photometric="MINISBLACK")
    with rasterio.open(path, "r+") as file:
        file.descriptions = ("B1", "B2", "B3")
    with geoseg.open_scene(path) as scene:
        array = scene.to_xarray()
        with pytest.raises(geoseg.MatchError, match="B1"):
            geoseg.segment(array, model)
        chosen = geoseg.segment(array, model, spec=PredictSpec(bands=("3", "2", "1")))
        assert (chosen.codes.compute(scheduler="synchronous") != 255).all()


@pytest.mark.parametrize("crs", ["EPSG:4978", "EPSG:4326"])
def test_an_array_that_lies_nowhere_is_refused(crs: str, write_scene: Any, model: Model) -> None:
    with geoseg.open_scene(write_scene(blobs((60, 60)))) as scene:
        array = scene.to_xarray().rio.write_crs(crs, inplace=False)
        with pytest.raises(geoseg.SceneError, match=r"Geocentric|beyond the pole"):
            geoseg.segment(array, model)
