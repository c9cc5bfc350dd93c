"""Every sample file by trait is segmented onto its own grid, or refused with the documented exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from geoseg.core.spec import PredictSpec
from geoseg.errors import GeosegError
from geoseg.io.raster.scene import open_scene
from geoseg.models.model import Model, load_model
from geoseg.run.predict import predict

TRAITS = Path(__file__).resolve().parents[2] / "sample_tiles" / "traits"
WANTED: dict[str, dict[str, Any]] = {
    "float32_reflectance.tif": {"bands": ("3", "2", "1"), "value_range": (0.0, 0.3)},
    "int16_nodata_minus9999.tif": {"value_range": "auto"},
    "rotated_float_nan.tif": {"value_range": "auto"},
    "utm_uint16_nodata0.tif": {"bands": ("3", "2", "1"), "value_range": "auto"},
}
OPENED: dict[str, dict[str, Any]] = {
    "mosaic.vrt": {"allow_vrt": True},
    "png_worldfile.png": {"assume_crs": "EPSG:32632"},
}
IMAGES = sorted(p.name for p in TRAITS.glob("*.*") if p.suffix in {".tif", ".jp2", ".jpg", ".png", ".vrt", ".json"})


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model, device="cpu", runtime="torch", precision="fp32")


def bands_needed(name: str) -> dict[str, Any]:
    """Options without which the scene is refused; one-band scenes feed their band three times."""
    with open_scene(TRAITS / name, **OPENED.get(name, {})) as scene:
        single = len(scene.bands) == 1
    return WANTED.get(name, {}) | ({"bands": ("1", "1", "1")} if single else {})


@pytest.mark.slow_after(8)
@pytest.mark.parametrize("name", IMAGES)
def test_the_trait_is_segmented_on_its_own_grid(name: str, model: Model, tmp_path: Path) -> None:
    with open_scene(TRAITS / name, **OPENED.get(name, {})) as scene:
        layers = predict(scene, model, tmp_path, spec=PredictSpec(**bands_needed(name)))
        shape, gcps = tuple(scene.geobox.shape), len(scene.gcps)
    with rasterio.open(layers.bundle.classes) as classes:
        assert classes.shape == shape
        assert len(classes.gcps[0]) == gcps
        codes = classes.read(1)
    if name.endswith(".tif"):
        with rasterio.open(TRAITS / name) as source:
            assert classes.transform == source.transform
            assert classes.crs == source.crs
            valid = source.dataset_mask() > 0
            if source.dtypes[0].startswith("float"):
                valid &= np.isfinite(source.read()).all(axis=0)
        assert (codes[~valid] == 255).all()
        assert (codes[valid] != 255).all()


@pytest.mark.parametrize(
    ("name", "code"),
    [("mosaic.vrt", 2), ("png_worldfile.png", 3), *((name, 3) for name in WANTED)],
)
def test_what_cannot_be_known_is_refused(name: str, code: int, model: Model, tmp_path: Path) -> None:
    with pytest.raises(GeosegError) as refusal:
        predict(TRAITS / name, model, tmp_path)
    assert refusal.value.exit_code == code
    assert name in str(refusal.value)
    assert not any(tmp_path.iterdir())
