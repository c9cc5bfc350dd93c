"""The options that say how a scene is opened, given to the commands that have them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from conftest import blobs

from geoseg.cli.main import app
from geoseg.process.command import run_command

pytestmark = pytest.mark.usefixtures("restored_signals")


def geoseg(*arguments: str | Path) -> int:
    return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False)


def answered(out: Path, name: str) -> np.ndarray:
    """Where a map has an answer."""
    with rasterio.open(out / name / f"{name}_classes.tif") as classes:
        return classes.read(1) != classes.nodata


@pytest.fixture
def predict(tiny_model: Path, tmp_path: Path) -> Any:
    common = ["--model", tiny_model, "--runtime", "torch", "--device", "cpu", "--out", tmp_path / "out", "--quiet"]
    return lambda *arguments: geoseg("predict", *arguments, *common, "--no-vector", "--overwrite")


def four(write_scene: Any, *, described: bool) -> tuple[Path, np.ndarray]:
    """Red, green, blue and near infrared with a lake, tagged as rasterio tags four bands of 8 bits."""
    values = blobs((120, 130), bands=4)
    values[3, 20:50, 20:50] = 0
    path = write_scene(values, name="four.tif")
    if described:
        with rasterio.open(path, "r+") as file:
            file.descriptions = ("red", "green", "blue", "nir")
    return path, values[3] > 0


def test_near_infrared_of_zero_is_no_hole(
    write_scene: Any, predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, land = four(write_scene, described=True)
    assert predict(path) == 0
    assert answered(tmp_path / "out", "four").all()
    assert predict(path, "--bands", "4,1,2") == 0
    assert answered(tmp_path / "out", "four").all()
    assert predict(path, "--alpha", "yes") == 0
    np.testing.assert_array_equal(answered(tmp_path / "out", "four"), land)
    assert geoseg("inspect", path, "--model", "buildings-unet") == 0
    assert "band 4 is tagged as alpha but described as nir: read as data" in capsys.readouterr().out


def test_a_band_tagged_as_alpha_is_read_as_data_when_told(
    write_scene: Any, predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, land = four(write_scene, described=False)
    assert predict(path) == 0
    np.testing.assert_array_equal(answered(tmp_path / "out", "four"), land)
    assert predict(path, "--bands", "4,1,2") == 3
    assert "Pass --alpha no" in capsys.readouterr().err
    assert predict(path, "--bands", "4,1,2", "--alpha", "no") == 0
    assert answered(tmp_path / "out", "four").all()
    assert geoseg("inspect", path, "--model", "buildings-unet", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["alpha_bands"] == [4]
    assert "--alpha no" in facts["notes"][0]
    assert geoseg("inspect", path, "--model", "buildings-unet") == 0
    assert "band 4: alpha" in capsys.readouterr().out


def test_a_collar_without_a_tag_is_left_out_when_told(write_scene: Any, predict: Any, tmp_path: Path) -> None:
    values = blobs((120, 130))
    values[:, :, :40] = 255
    values[0, 60, 60:70] = 255
    path = write_scene(values, name="collar.tif")
    assert predict(path) == 0
    assert answered(tmp_path / "out", "collar").all()
    assert predict(path, "--nodata", "255") == 0
    expected = np.ones((120, 130), bool)
    expected[:, :40] = False
    np.testing.assert_array_equal(answered(tmp_path / "out", "collar"), expected)


def test_another_nodata_value_makes_another_map(write_scene: Any, tiny_model: Path, tmp_path: Path) -> None:
    path = write_scene(blobs((60, 60)), name="a.tif")
    run = ["predict", path, "--model", tiny_model, "--runtime", "torch", "--out", tmp_path / "out", "--quiet"]
    assert geoseg(*run) == 0
    assert geoseg(*run) == 0
    assert geoseg(*run, "--nodata", "255") == 6
    assert geoseg(*run, "--alpha", "no") == 6


def test_bands_with_numbers_of_no_known_satellite_are_asked_for(
    write_scene: Any, predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_scene(blobs((60, 60)), name="export.tif", photometric="MINISBLACK")
    with rasterio.open(path, "r+") as file:
        file.descriptions = ("B1", "B2", "B3")
    assert predict(path) == 3
    assert "Pass --bands" in capsys.readouterr().err
    assert predict(path, "--bands", "3,2,1") == 0


def test_a_vrt_reads_sources_below_the_root(
    write_scene: Any, predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_scene(blobs((60, 60)), name="a.tif")
    inner = path.parent / "inner"
    inner.mkdir()
    with rasterio.open(path) as src:
        rasterio.shutil.copy(src, inner / "b.vrt", driver="VRT")
    text = (
        (inner / "b.vrt")
        .read_text()
        .replace(f">{path}<", ">../a.tif<")
        .replace('Filename relativeToVRT="0"', 'Filename relativeToVRT="1"')
    )
    (inner / "b.vrt").write_text(text)
    assert predict(inner / "b.vrt", "--allow-vrt") == 3
    assert "--vrt-root" in capsys.readouterr().err
    assert predict(inner / "b.vrt", "--allow-vrt", "--vrt-root", path.parent) == 0
    assert (
        geoseg("inspect", inner / "b.vrt", "--model", "buildings-unet", "--allow-vrt", "--vrt-root", path.parent) == 0
    )


def test_assets_of_an_item_are_chosen(write_scene: Any, predict: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assets = {}
    for place, name in enumerate(("red", "green", "blue", "swir16")):
        side = 60 if name != "swir16" else 30
        write_scene(blobs((side, side), bands=1, seed=place), name=f"{name}.tif")
        assets[name] = {"href": f"{name}.tif", "type": "image/tiff", "roles": ["data"], "eo:bands": [{"name": name}]}
    path = write_scene(blobs((60, 60))).parent / "item.json"
    path.write_text(json.dumps({"type": "Feature", "id": "x", "properties": {}, "assets": assets}))
    assert predict(path) == 3
    assert "--assets" in capsys.readouterr().err
    assert predict(path, "--assets", "red,green,blue") == 0


def test_advice_names_only_options_that_the_command_has(
    write_scene: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_scene(blobs((30, 30), bands=1), name="codes.tif")
    with rasterio.open(path) as src:
        rasterio.shutil.copy(src, path.with_suffix(".vrt"), driver="VRT")
    placeless = write_scene(blobs((30, 30), bands=1), name="placeless.tif", crs=None)
    commands = {
        "vectorise": lambda scene: ["vectorise", scene],
        "evaluate": lambda scene: ["evaluate", "--prediction", path, "--reference", scene],
        "predict": lambda scene: ["predict", scene, "--model", "buildings-unet", "--out", tmp_path / "out"],
        "inspect": lambda scene: ["inspect", scene],
    }
    for name, arguments in commands.items():
        assert geoseg(name, "--help") == 0
        has = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        for scene in (path.with_suffix(".vrt"), placeless, "https://127.0.0.1:9/a.tif"):
            code = geoseg(*arguments(scene))
            message = capsys.readouterr().err
            assert code in {2, 3} or not message
            advised = set(re.findall(r"(?<![\w-])--[a-z-]+", re.sub(r"(rio|gdal\w*) .*", "", message)))
            assert advised <= has, f"{name}: {message}"
