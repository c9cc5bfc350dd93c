"""STAC items: one asset with all bands or one per band; nothing outside the item's folder, no request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from geoseg.core.window import Window
from geoseg.errors import GeosegError
from geoseg.io.raster.scene import Scene, open_scene

GRID = Affine(10, 0, 500000, 0, -10, 5400000)
VALUES = np.random.default_rng(8).integers(1, 9000, (4, 40, 50), dtype=np.uint16)
WHOLE = Window(0, 40, 0, 50)


def tif(path: Path, values: np.ndarray, **profile: Any) -> None:
    base = {"crs": "EPSG:32633", "transform": GRID, "dtype": values.dtype, "driver": "GTiff", **profile}
    with rasterio.open(path, "w", count=len(values), height=values.shape[1], width=values.shape[2], **base) as dst:
        dst.write(values)


def item(folder: Path, assets: dict[str, Any], name: str = "item.json") -> Path:
    path = folder / name
    text = {"type": "Feature", "stac_version": "1.1.0", "id": "S2A_33UVP", "assets": assets}
    path.write_text(json.dumps(text))
    return path


def asset(href: str, *names: str, **more: Any) -> dict[str, Any]:
    media = {"href": href, "type": "image/tiff; application=geotiff", "roles": ["data"]}
    return {**media, **({"eo:bands": [{"name": n, "common_name": n} for n in names]} if names else {}), **more}


def stack(folder: Path) -> dict[str, Any]:
    assets = {}
    for index, name in enumerate(("red", "green", "blue", "nir")):
        tif(folder / f"{name}.tif", VALUES[index : index + 1], nodata=0)
        assets[name] = asset(f"./{name}.tif", name)
    return assets


def names(scene: Scene) -> list[str]:
    return [band.name for band in scene.bands]


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(GeosegError) as caught:
        open_scene(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_asset_per_band_is_a_stack(tmp_path: Path) -> None:
    assets = stack(tmp_path)
    assets["thumbnail"] = {"href": "t.png", "type": "image/png", "roles": ["thumbnail"]}
    assets["scl"] = asset("scl.tif")
    assets["red-jp2"] = asset("gone.jp2", "red")
    with open_scene(item(tmp_path, assets)) as scene:
        assert scene.driver == "STAC"
        assert scene.stem == "S2A_33UVP"
        assert names(scene) == ["red", "green", "blue", "nir"]
        assert [band.index for band in scene.bands] == [1, 2, 3, 4]
        np.testing.assert_array_equal(scene.read(WHOLE).values, VALUES)
        np.testing.assert_array_equal(scene.read(WHOLE, [4, 1]).values, VALUES[[3, 0]])
        np.testing.assert_array_equal(scene.to_xarray(16).compute().values, VALUES)
        assert {Path(name).name for name in scene.files} == {"item.json", "red.tif", "green.tif", "blue.tif", "nir.tif"}


def test_assets_are_chosen_by_key_or_common_name(tmp_path: Path) -> None:
    assets = stack(tmp_path)
    assets["B08"] = {**assets.pop("nir"), "eo:bands": [{"name": "B08", "common_name": "nir"}]}
    path = item(tmp_path, assets)
    with open_scene(path, assets=("nir", "red")) as scene:
        assert names(scene) == ["nir", "red"]
        np.testing.assert_array_equal(scene.read(WHOLE).values, VALUES[[3, 0]])
    assert "Choose from: red, green, blue, B08" in refused(path, assets=("swir",))


def test_one_asset_with_all_bands(tmp_path: Path) -> None:
    tif(tmp_path / "all.tif", VALUES)
    tif(tmp_path / "visual.tif", VALUES[:3])
    bands = [
        {"name": n, "eo:common_name": n, "raster:scale": 1e-4, "raster:offset": -0.1, "nodata": 7}
        for n in ("blue", "nir")
    ]
    extra = [{"name": "x"}, {"name": "red"}]
    assets = {"image": asset("all.tif", bands=bands + extra), "visual": asset("visual.tif", "red", roles=["visual"])}
    with open_scene(item(tmp_path, assets)) as scene:
        assert names(scene) == ["blue", "nir", "band_3", "red"]
        assert (scene.bands[0].scale, scene.bands[0].offset) == (1e-4, -0.1)
        assert scene.nodata == 7
        np.testing.assert_array_equal(scene.read(WHOLE).values, VALUES)


def test_bands_of_other_grids_are_refused_with_the_difference(tmp_path: Path) -> None:
    assets = stack(tmp_path)
    assets["swir16"] = asset("swir16.tif", "swir16")
    tif(tmp_path / "swir16.tif", VALUES[:1, :20, :25], transform=Affine(20, 0, 500000, 0, -20, 5400000))
    assert "asset swir16 has 20 x 25 px, the first has 40 x 50 px" in refused(item(tmp_path, assets))
    tif(tmp_path / "swir16.tif", VALUES[:1], transform=Affine(10, 0, 500005, 0, -10, 5400000))
    assert "transform" in refused(item(tmp_path, assets))
    tif(tmp_path / "swir16.tif", VALUES[:1], crs="EPSG:32634")
    assert "CRS" in refused(item(tmp_path, assets))
    tif(tmp_path / "swir16.tif", VALUES[:1].astype("float32"))
    assert "type float32" in refused(item(tmp_path, assets))


@pytest.mark.parametrize(
    "href",
    [
        "../outside.tif",
        "/etc/passwd",
        "file:///etc/passwd.tif",
        "inner/../../outside.tif",
        "a\0.tif",
        "link.tif",
        "http://127.0.0.1:9/a.tif",
        "/vsicurl/http://127.0.0.1:9/a.tif",
        "",
    ],
)
def test_hrefs_that_lead_away_are_refused(tmp_path: Path, href: str) -> None:
    folder = tmp_path / "items"
    folder.mkdir()
    tif(tmp_path / "outside.tif", VALUES)
    (folder / "link.tif").symlink_to(tmp_path / "outside.tif")
    path = item(folder, {"image": asset(href)})
    assert "S2A_33UVP" in refused(path)
    if "127" in href:
        assert "leads to" in refused(path, allow_remote=True)


@pytest.mark.parametrize(
    "text", ["{", "{}", '{"type": "Catalog", "links": []}', '{"type": "Feature", "assets": []}', "{" * 5000]
)
def test_what_is_no_item(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert "a.json" in refused(tmp_path / "a.json")


def test_an_item_without_rasters_lists_its_assets(tmp_path: Path) -> None:
    assert "Its assets: doc" in refused(item(tmp_path, {"doc": {"href": "a.pdf"}}))
