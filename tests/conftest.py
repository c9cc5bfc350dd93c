"""What most tests need: a small scene, a small model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

from geoseg import nn
from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.legend import Legend, LegendClass
from geoseg.io.model_file import write_model

LEGEND = Legend(
    classes=[
        LegendClass(code=0, name="ground", colour="#c8b48c"),
        LegendClass(code=1, name="roof", colour="#d7301f"),
        LegendClass(code=5, name="water", colour="#2b8cbe"),
    ]
)


def tiny_card(**changes: Any) -> ModelCard:
    facts: dict[str, Any] = {
        "name": "tiny",
        "architecture": Architecture(name="unet", options={"width": 4, "depth": 2}),
        "bands": tuple(CardBand(name=name) for name in ("red", "green", "blue")),
        "gsd_m": GsdRange(min=0.4, max=0.6),
        "tile_px": 96,
        "halo_px": 16,
        "legend": LEGEND,
        "licence": "CC0-1.0",
    }
    return ModelCard(**(facts | changes))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file with random weights, seeded: its maps are nonsense, but the same nonsense every time."""
    torch.manual_seed(7)
    network = nn.build("unet", 3, 3, width=4, depth=2)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_model(path, {name: tensor.numpy() for name, tensor in network.state_dict().items()}, tiny_card())
    return path


def blobs(shape: tuple[int, int], bands: int = 3, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Smooth random imagery (band, y, x) uint8."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=(bands, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, 4, 4), mode="wrap")
    return np.clip(128 + smooth * 600, 1, 254).astype(np.uint8)


WriteScene = Callable[..., Path]


@pytest.fixture
def write_scene(tmp_path: Path) -> WriteScene:
    """Write a GeoTIFF: ``write_scene(values, name=..., **profile)``; half-metre pixels in UTM by default."""

    def write(values: np.ndarray[Any, Any] | None = None, name: str = "scene.tif", **profile: Any) -> Path:
        values = blobs((200, 260)) if values is None else values
        path = tmp_path / "scenes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {
            "driver": "GTiff",
            "dtype": values.dtype,
            "count": len(values),
            "height": values.shape[1],
            "width": values.shape[2],
            "crs": "EPSG:32632",
            "transform": Affine(0.5, 0, 500000, 0, -0.5, 5400000),
            "compress": "deflate",
        }
        if len(values) == 3:
            options["photometric"] = "RGB"
        options = {key: value for key, value in (options | profile).items() if value is not None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, "w", **options) as target:
                target.write(values)
        return path

    return write
