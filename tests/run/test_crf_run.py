"""A run with a CRF: the same map whoever makes it, other pixels than without, nothing where nothing is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from conftest import blobs

import geoseg
from geoseg.core.spec import PredictSpec
from geoseg.models.model import Model

CRF = "4,4,20,2,1.5,4"


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return geoseg.load_model(tiny_model, device="cpu", runtime="torch", precision="fp32")


def spec(**options: Any) -> PredictSpec:
    return PredictSpec.model_validate({"block_px": 128, "crf": CRF, "vector": False} | options)


def codes(path: Path, model: Model, out: Path, **options: Any) -> np.ndarray[Any, Any]:
    layers = geoseg.predict(path, model, out, spec=spec(**options))
    return np.asarray(rasterio.open(layers.bundle.classes).read(1))


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("change", ["plain", "finer", "taper", "uint16"])
def test_a_lazy_array_is_sharpened_as_its_file_is(change: str, write_scene: Any, model: Model, tmp_path: Path) -> None:
    values, profile = blobs((150, 310)), dict[str, Any](nodata=0)
    values[:, :, 110:250] = 0  # a block and all its context
    options: dict[str, Any] = {"blend": "taper"} if change == "taper" else {"block_px": 64}
    if change == "finer":
        profile |= {"transform": rasterio.Affine(0.3, 0, 500000, 0, -0.3, 5400000)}
    if change == "uint16":
        values, options = values.astype(np.uint16) * 16, {"value_range": (0, 4080), "block_px": 64}
    path = write_scene(values, **profile)
    found = codes(path, model, tmp_path, **options)
    with geoseg.open_scene(path) as scene:
        lazy = geoseg.segment(scene.to_xarray(chunks=100), model, spec=spec(**options)).compute(scheduler="synchronous")
    np.testing.assert_array_equal(lazy.codes, found)
    hole = (values == 0).all(axis=0)
    assert (found[hole] == 255).all()
    assert (found[~hole] != 255).all()


def test_the_size_of_blocks_hardly_matters_and_the_crf_does(write_scene: Any, model: Model, tmp_path: Path) -> None:
    path = write_scene(blobs((300, 330)))
    small = codes(path, model, tmp_path / "small", block_px=64)
    large = codes(path, model, tmp_path / "large", block_px=1024)
    plain = codes(path, model, tmp_path / "plain", crf=None)
    assert (small == large).mean() >= 0.9999
    assert (plain != large).mean() > 0.01


def test_the_same_colours_in_other_numbers_are_the_same_colours(write_scene: Any, model: Model, tmp_path: Path) -> None:
    values = blobs((100, 120))
    eight = codes(write_scene(values, name="eight.tif"), model, tmp_path)
    wide = write_scene(values.astype(np.uint16) * 257, name="sixteen.tif")
    sixteen = codes(wide, model, tmp_path, value_range=(0, 65535))
    assert (eight == sixteen).mean() >= 0.999


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("options", [{"tta": "flip"}, {"tta_scales": (0.75, 1.0)}, {"uncertainty": True}])
def test_the_mean_of_several_answers_is_sharpened(
    options: dict[str, Any], write_scene: Any, model: Model, tmp_path: Path
) -> None:
    path = write_scene(blobs((200, 210)))
    small = codes(path, model, tmp_path / "small", **options, block_px=64)
    large = codes(path, model, tmp_path / "large", **options, block_px=1024)
    plain = codes(path, model, tmp_path / "plain", **options, crf=None)
    assert (small == large).mean() >= 0.9999
    assert (plain != large).any()


@pytest.mark.slow
def test_uncertainty_is_the_networks_own_and_probabilities_are_the_map_s(
    write_scene: Any, model: Model, tmp_path: Path
) -> None:
    path = write_scene(blobs((150, 160)))
    options: dict[str, Any] = {"tta": "flip", "uncertainty": True, "probabilities": True}
    with geoseg.open_scene(path) as scene:
        pixels = scene.to_xarray()
        sharp, plain = (geoseg.segment(pixels, model, spec=spec(**options, crf=crf)).compute() for crf in (CRF, None))
    np.testing.assert_array_equal(sharp.entropy, plain.entropy)
    np.testing.assert_array_equal(sharp.mutual_information, plain.mutual_information)
    likely = np.stack([sharp[name] for name in sharp if str(name).startswith("probability")])
    np.testing.assert_array_equal(likely.max(axis=0), sharp.confidence)
    assert (plain.confidence != sharp.confidence).any()
