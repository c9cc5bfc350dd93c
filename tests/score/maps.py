"""Small maps on disk, and ways to make them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from scipy import ndimage

HALF_METRE = Affine(0.5, 0, 500000, 0, -0.5, 5400000)


def write_map(path: Path, values: np.ndarray[Any, Any], **profile: Any) -> Path:
    """Write (y, x) or (band, y, x) as GeoTIFF or PNG; half-metre pixels in UTM unless ``crs`` is None."""
    bands = values[None] if values.ndim == 2 else values
    options: dict[str, Any] = {"crs": "EPSG:32632", "transform": HALF_METRE} | profile
    if options["crs"] is None:
        options = {key: value for key, value in options.items() if key not in {"crs", "transform"}}
    driver = "PNG" if path.suffix == ".png" else "GTiff"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver=driver,
            count=len(bands),
            height=bands.shape[1],
            width=bands.shape[2],
            dtype=bands.dtype,
            **options,
        ) as file:
            file.write(bands)
    return path


def patches(shape: tuple[int, int], classes: int, seed: int, sigma: float = 4.0) -> np.ndarray[Any, Any]:
    """Draw a map of rounded patches, codes 0 to ``classes - 1``."""
    noise = np.random.default_rng(seed).normal(size=(classes, *shape))
    return np.argmax(ndimage.gaussian_filter(noise, (0, sigma, sigma)), axis=0).astype(np.uint8)


def disturbed(codes: np.ndarray[Any, Any], classes: int, seed: int, share: float = 0.2) -> np.ndarray[Any, Any]:
    """Replace a share of a map by other patches."""
    other = patches(codes.shape, classes, seed + 1000)
    wrong = np.random.default_rng(seed).random(codes.shape) < share
    wrong |= ndimage.gaussian_filter(np.random.default_rng(seed + 1).normal(size=codes.shape), 6) > 0.06
    return np.where(wrong, other, codes).astype(np.uint8)
