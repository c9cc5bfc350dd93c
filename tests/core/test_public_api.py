"""The package as a notebook sees it: names at the top, inputs of every kind, errors in the words of Python."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from conftest import WriteScene, blobs
from small_training import document, write_squares

import geoseg
from geoseg.api import python_words
from geoseg.io.raster.open_options import OpenOptions

FUNCTIONS = ("evaluate", "load_model", "open_scene", "predict", "save_model", "segment", "train", "vectorise")


def test_dir_lists_every_public_name_and_each_loads() -> None:
    names = dir(geoseg)
    assert set(names) == set(geoseg.__all__)
    assert {*FUNCTIONS, "PredictSpec", "Legend", "ModelCard", "Scene", "SceneError", "UsageError"} <= set(names)
    for name in names:
        assert getattr(geoseg, name) is getattr(geoseg, name)
        if name in FUNCTIONS:
            assert inspect.getdoc(getattr(geoseg, name))
    with pytest.raises(AttributeError, match="open_scene"):
        geoseg.open_raster  # noqa: B018


def test_importing_and_listing_loads_neither_torch_nor_gdal() -> None:
    code = "import sys, geoseg; dir(geoseg); print([m for m in ('torch', 'rasterio', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.fixture
def scene_file(write_scene: WriteScene) -> Path:
    return write_scene(blobs((70, 90)))


ARRAY = np.zeros((3, 8, 8), np.uint8)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: geoseg.open_scene(xr.DataArray(ARRAY)), "takes a path or an address, not DataArray.*geoseg.segment"),
        (lambda: geoseg.open_scene(""), "not an empty string"),
        (lambda: geoseg.open_scene(b"scene.tif"), "not bytes"),
        (lambda: geoseg.predict(ARRAY, "buildings-unet", "out"), "not ndarray.*geoseg.segment"),
        (lambda: geoseg.predict("scene.tif", "buildings-unet", 3), "the folder of the layers as out, not int"),
        (lambda: geoseg.predict("a.tif", "b", "c", spec={"tile_px": 3}), r"spec=PredictSpec\(...\), not dict"),
        (lambda: geoseg.load_model(ARRAY), "a torch module, or a model's name or path, not ndarray"),
        (lambda: geoseg.segment(ARRAY, "buildings-unet"), "an xarray.DataArray .* not ndarray.*geoseg.predict"),
        (lambda: geoseg.segment("scene.tif", "buildings-unet"), "not str.*to_xarray"),
        (lambda: geoseg.vectorise(ARRAY[0]), "path of a class raster, not ndarray"),
        (lambda: geoseg.evaluate(ARRAY, "labels.tif"), "not ndarray.*to_raster"),
        (lambda: geoseg.evaluate("out", None), "not NoneType"),
        (lambda: geoseg.train({"name": "x"}, "data", "out"), "a Recipe or the path of its YAML file, not dict"),
    ],
)
def test_an_input_of_the_wrong_kind_is_named_with_what_is_meant(call: Callable[[], object], words: str) -> None:
    with pytest.raises(geoseg.UsageError, match=words):
        call()


def test_str_path_and_array_give_the_same_classes(scene_file: Path, tiny_model: Path, tmp_path: Path) -> None:
    model = geoseg.load_model(str(tiny_model), device="cpu", runtime="torch", precision="fp32")
    layers = geoseg.predict(str(scene_file), model, str(tmp_path / "a"))
    with rasterio.open(layers.bundle.classes) as file:
        codes = file.read(1)
    with geoseg.open_scene(scene_file) as scene:
        lazy = [geoseg.segment(scene, model), geoseg.segment(scene.to_xarray(), model)]
        assert all((one.codes.values == codes).all() for one in lazy)
        by_array = geoseg.vectorise(lazy[0].codes, model.card.legend)
    by_path = geoseg.vectorise(layers.bundle.classes, model.card.legend)
    assert by_path.geometry.geom_equals(by_array.geometry).all()
    assert by_path.class_name.tolist() == by_array.class_name.tolist()
    report = geoseg.evaluate(str(layers.bundle.directory), layers.bundle.classes)
    assert report.as_json()["results"]["all"]["overall_accuracy"] == 1


def test_train_takes_the_path_of_a_recipe(tmp_path: Path) -> None:
    import yaml

    write_squares(tmp_path)
    (tmp_path / "squares.yaml").write_text(yaml.safe_dump(document(steps=1)))
    model, card = geoseg.train(str(tmp_path / "squares.yaml"), str(tmp_path), str(tmp_path / "out"))
    assert geoseg.load_model(model, device="cpu", runtime="torch").card == card


@pytest.mark.parametrize(
    ("call", "parameter"),
    [
        (lambda scene: geoseg.open_scene("https://example.org/a.tif"), "open_scene(..., allow_remote=True)"),
        (lambda scene: geoseg.predict("s3://bucket/a.tif", "buildings-unet", "out"), "allow_remote=True"),
        (lambda scene: geoseg.open_scene(scene, max_pixels=10), "max_pixels=N"),
        (lambda scene: geoseg.load_model("buildings-unet", device="tpu"), "device"),
        (
            lambda scene: geoseg.predict(scene, "forest-unet", "out", spec=geoseg.PredictSpec(bands=("9", "1", "2"))),
            "PredictSpec(bands=",
        ),
        (
            lambda scene: geoseg.predict(
                scene, "buildings-unet", "out", spec=geoseg.PredictSpec(tile_px=64, halo_px=40)
            ),
            "PredictSpec(tile_px=",
        ),
    ],
)
def test_errors_name_parameters_and_no_options(
    scene_file: Path, call: Callable[[Path], object], parameter: str
) -> None:
    with pytest.raises(geoseg.GeosegError) as refused:
        call(scene_file)
    assert parameter in str(refused.value)
    assert "--" not in str(refused.value)


def test_every_option_that_opening_and_predicting_have_becomes_a_parameter_that_exists() -> None:
    for name in (*geoseg.PredictSpec.model_fields, *OpenOptions.__dataclass_fields__):
        words = python_words(f"a.tif: refused. Pass --{name.replace('_', '-')}.")
        assert re.search(rf"\b(PredictSpec|open_scene)\(.*\b{name}=", words), words


@pytest.mark.parametrize(
    "command", ["rio warp IN.tif OUT.tif --like a.tif", "rio edit-info --nodata 255 IN.tif", "gdalwarp --config A B"]
)
def test_command_lines_of_other_programs_stay_as_they_are(command: str) -> None:
    assert python_words(f"It is refused. Resample it: {command}") == f"It is refused. Resample it: {command}"
