"""Tiny data sets in published layouts, and the truth that readers must find in them."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import scipy.io
from affine import Affine
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from geoseg.core.legend import Legend, LegendClass
from geoseg.core.window import Window
from geoseg.data.labelled_scene import LabelledScene

TWO = Legend(
    classes=(
        LegendClass(code=0, name="background", colour="#000000"),
        LegendClass(code=1, name="thing", colour="#ff0000"),
    )
)
UTM = Affine(0.5, 0, 500000, 0, -0.5, 5400000)


def legend_of(count: int) -> Legend:
    return Legend(
        classes=tuple(LegendClass(code=c, name=f"class {c}", colour=f"#{c:02x}{c * 7:02x}80") for c in range(count))
    )


def codes_in_blobs(shape: tuple[int, int], classes: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Codes (y, x) in squares of 9 pixels."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes, (-(-shape[0] // 9), -(-shape[1] // 9))).astype(np.uint8)
    return np.kron(coarse, np.ones((9, 9), np.uint8))[: shape[0], : shape[1]]


def picture(shape: tuple[int, int], seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(1, 255, (*shape, 3), dtype=np.uint8)


def write_tiff(path: Path, values: npt.NDArray[Any], **profile: Any) -> Path:
    """Write (band, y, x) as GeoTIFF; half-metre pixels in UTM unless told otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": values.dtype,
        "count": len(values),
        "height": values.shape[1],
        "width": values.shape[2],
        "crs": "EPSG:32632",
        "transform": UTM,
    }
    options = {key: value for key, value in (options | profile).items() if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **options) as target:
            target.write(values)
    return path


def save(path: Path, values: npt.NDArray[Any], **options: Any) -> None:
    """Save an image with Pillow, in whatever format the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def kaggle_runs(mask: npt.NDArray[np.bool_]) -> str:
    """Encode pixel by pixel, as slowly as the rules read: down the columns, counting from 1."""
    runs: list[list[int]] = []
    for place, inside in enumerate(mask.T.ravel(), start=1):
        if inside and runs and runs[-1][0] + runs[-1][1] == place:
            runs[-1][1] += 1
        elif inside:
            runs.append([place, 1])
    return " ".join(str(number) for run in runs for number in run)


def write_annotations(path: Path, segmentations: list[npt.NDArray[Any]], boundaries: list[npt.NDArray[Any]]) -> None:
    """Write a ``groundTruth`` file as BSDS500 has it: a cell array of structures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.empty((1, len(segmentations)), object)
    for place, (segmentation, boundary) in enumerate(zip(segmentations, boundaries, strict=True)):
        cells[0, place] = {"Segmentation": segmentation.astype(np.uint16), "Boundaries": boundary.astype(np.uint8)}
    scipy.io.savemat(path, {"groundTruth": cells})


def by_name(scenes: list[LabelledScene]) -> dict[str, LabelledScene]:
    """Scenes by the last word of their names."""
    return {scene.name.split()[-1]: scene for scene in scenes}


def whole(scene: LabelledScene) -> npt.NDArray[np.uint8]:
    return scene.read(Window.whole(scene.shape)).class_indices
