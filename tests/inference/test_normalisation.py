"""What a network sees of a pixel is a formula of its value, whatever else the scene shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from conftest import WriteScene, tiny_card

from geoseg.core.card import CardBand, ModelCard
from geoseg.core.spec import PredictSpec
from geoseg.io.raster.scene import open_scene
from geoseg.models.model import Model, ModelSource
from geoseg.run.lazy import segment
from geoseg.testing.fake_runtimes import FilterRuntime

SIDE = 64
BANDS = tuple(CardBand(name=name, mean=mean, std=std) for name, mean, std in (("red", 0.4, 0.2), ("green", 0.5, 0.3)))


def card(**changes: Any) -> ModelCard:
    return tiny_card(bands=BANDS, tile_px=SIDE, halo_px=8, **changes)


def seen(path: Path, model_card: ModelCard, spec: PredictSpec) -> np.ndarray[Any, Any]:
    """The one tile (band, y, x) that a network is shown of a scene of its size."""
    runtime = FilterRuntime(len(model_card.legend), 0)
    model = Model(model_card, ModelSource(name_or_path="filter"), info=runtime.info, runtime=runtime)
    with open_scene(path) as scene:
        segment(scene, model, spec=spec).compute(scheduler="synchronous")
    (tile,) = runtime.seen
    return tile


KINDS: dict[str, tuple[str, dict[str, Any], dict[str, Any], tuple[float, float]]] = {
    "pictures": ("uint8", {}, {}, (1 / 255, 0.0)),
    "a range that is given": ("uint16", {}, {"value_range": (100.0, 3000.0)}, (1 / 2900, -100 / 2900)),
    "floats": ("float32", {}, {"value_range": (-1.0, 1.0)}, (0.5, 0.5)),
    "reflectance by tags": ("uint16", {"radiometry": "reflectance"}, {}, (1e-4, -0.1)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", ["dark", "bright", "noise"])
def test_pixels_are_scaled_by_card_and_file_alone(write_scene: WriteScene, kind: str, other: str) -> None:
    dtype, changes, options, (gain, bias) = KINDS[kind]
    random = np.random.default_rng(0)
    top = {"uint8": 255, "uint16": 4000, "float32": 1}[dtype]
    values = (random.random((2, SIDE, SIDE)) * top).astype(dtype)
    changed = values.copy()
    half = SIDE // 2
    changed[:, :half] = {"dark": 0, "bright": top, "noise": random.random((2, half, SIDE)) * top}[other]
    tiles = []
    for name, pixels in (("one", values), ("other", changed)):
        path = write_scene(pixels, name=f"{name}.tif", photometric="MINISBLACK")
        with rasterio.open(path, "r+") as file:
            file.descriptions = ("red", "green")
            if "tags" in kind:
                file.scales, file.offsets = (1e-4, 1e-4), (-0.1, -0.1)
        tiles.append(seen(path, card(**changes), PredictSpec(**options)))
    scaled = np.clip(values.astype(np.float64) * gain + bias, 0, 1)
    expected = np.stack([(plane - band.mean) / band.std for plane, band in zip(scaled, BANDS, strict=True)])
    np.testing.assert_allclose(tiles[0], expected, atol=1e-5)
    np.testing.assert_array_equal(tiles[0][:, half:], tiles[1][:, half:])
    assert (tiles[0][:, :half] != tiles[1][:, :half]).any()
