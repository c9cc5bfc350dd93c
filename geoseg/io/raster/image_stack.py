"""ImageStack: bands of one or more files over the same pixels, read by window for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from geoseg.core.grid import grid_difference
from geoseg.core.types.arrays import AnyArray, AnyDtype
from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.raster.scene import Scene

Range = tuple[float, float]

_WHOLE = frozenset({"PNG", "JPEG", "BMP", "GIF"})
"""GDAL drivers of formats that can only be decoded from the first row on."""
_WHOLE_PX = 64_000_000
_BLOCK_PX = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Bands of one file.

    Attributes:
        path: the file.
        bands: names or numbers (1 is the first), in order; None: all.
        value_range: values that mean 0 and 1, for all bands or band by band; None: 8-bit values as they are.
    """

    path: Path
    bands: tuple[str | int, ...] | None = None
    value_range: Range | tuple[Range, ...] | None = None


class ImageStack:
    """Bands over one grid. Files are opened only while they are read, so that thousands of stacks can exist.

    Args:
        layers: the files; the first defines the grid.
        opening: options for opening the files.
        constants: values in [0, 1] of further, constant bands.

    Attributes:
        name: name of the first file.
        geobox: the grid; its CRS is None where the file has none.
        shape: (rows, columns).
        bands: number of bands.
        block_shape: rows and columns that are efficient to read at once.
        dtype: uint8, or float32 where a value range or a constant is given: values are then in [0, 1].

    Raises:
        SceneError: a file cannot be read, has no such band, lies on another grid, or has values without a known range.
    """

    def __init__(
        self, layers: Sequence[Layer], *, opening: OpenOptions | None = None, constants: Sequence[float] = ()
    ) -> None:
        self._constants = tuple(constants)
        self._layers = tuple(layers)
        self._opening = opening or OpenOptions(unplaced=True)
        self.name = str(layers[0].path)
        self._indexes: list[list[int]] = []
        for place, layer in enumerate(layers):
            with self._open(layer) as scene:
                if not place:
                    self.geobox: GeoBox = scene.geobox
                    self.shape = (int(scene.geobox.shape[0]), int(scene.geobox.shape[1]))
                    self.block_shape = _block_shape(scene)
                _refuse_other(self.geobox, scene, layer)
                self._indexes.append(_indexes(scene, layer))
        self.bands = sum(len(indexes) for indexes in self._indexes) + len(self._constants)
        scaled = bool(constants) or any(layer.value_range is not None for layer in layers)
        self.dtype: AnyDtype = np.dtype(np.float32 if scaled else np.uint8)

    def holds(self, name: str) -> bool:
        """Return True if a file is one of the stack."""
        return any(layer.path.resolve() == Path(name).resolve() for layer in self._layers)

    def read(self, window: Window) -> tuple[AnyArray, npt.NDArray[np.bool_]]:
        """Read values (band, y, x) and valid (y, x), True where every file has a value. Invalid pixels are 0.

        Raises:
            SceneError: a file is damaged there.
        """
        values = np.empty((self.bands, *window.shape), self.dtype)
        valid = np.ones(window.shape, bool)
        first = 0
        for layer, indexes in zip(self._layers, self._indexes, strict=True):
            with self._open(layer) as scene:
                raster = scene.read(window, bands=indexes)
            valid &= raster.valid
            for place, band in enumerate(raster.values):
                values[first + place] = band if self.dtype == np.uint8 else _scaled(band, raster.valid, layer, place)
            first += len(indexes)
        for value in self._constants:
            values[first] = value
            first += 1
        values[:, ~valid] = 0
        return values, valid

    def _open(self, layer: Layer) -> Scene:
        return Scene(str(layer.path), self._opening)


def _indexes(scene: Scene, layer: Layer) -> list[int]:
    known = {str(band.index): band for band in scene.bands} | {band.name: band for band in scene.bands}
    requested = [str(name) for name in layer.bands] if layer.bands is not None else [str(b.index) for b in scene.bands]
    missing = [name for name in requested if name not in known]
    if missing:
        names = ", ".join(f"{band.index} ({band.name})" for band in scene.bands)
        cure = f"Its bands are {names}."
        if missing[0] in map(str, scene.alphas):
            cure += f" Band {missing[0]} is its alpha band: give alpha: no in the recipe to read it as data."
        raise SceneError(scene.uri, f"it has no band {missing[0]}.", cure)
    chosen = [known[name] for name in requested]
    ranges = layer.value_range
    if ranges is not None and isinstance(ranges[0], tuple) and len(ranges) != len(chosen):
        raise SceneError(
            scene.uri, f"{len(chosen)} bands and {len(ranges)} value ranges.", "Give one per band, or one."
        )
    if ranges is None and any(band.dtype != "uint8" for band in chosen):
        raise SceneError(
            scene.uri,
            f"{chosen[0].dtype} pixels, and the values of black and white are unknown.",
            "Give value_range: [LOW, HIGH] in the recipe.",
        )
    return [band.index for band in chosen]


def _scaled(band: AnyArray, valid: npt.NDArray[np.bool_], layer: Layer, place: int) -> npt.NDArray[np.float32]:
    low, high = _range(layer, place)
    # nodata may be too large to be scaled
    known = np.where(valid, band, 0).astype(np.float32)
    return np.asarray(np.clip((known - low) / (high - low), 0, 1), np.float32)


def _range(layer: Layer, place: int) -> Range:
    if layer.value_range is None:
        return 0.0, 255.0
    first = layer.value_range[0]
    if isinstance(first, tuple):
        chosen: Range = layer.value_range[place]  # type: ignore[assignment]
        return chosen
    return layer.value_range  # type: ignore[return-value]


def _refuse_other(geobox: GeoBox, scene: Scene, layer: Layer) -> None:
    difference = grid_difference(geobox, scene.geobox, unplaced=True)
    if difference is not None:
        raise SceneError(str(layer.path), f"its grid is not the image's: {difference}.", "Resample it first.")


def _block_shape(scene: Scene) -> tuple[int, int]:
    """Choose whole blocks of the file, about 512 px a side; a format decoded as a whole is one block."""
    height, width = (int(n) for n in scene.geobox.shape)
    if scene.driver in _WHOLE and height * width <= _WHOLE_PX:
        return height, width
    rows, cols = scene.block_shape
    if cols >= width:  # strips: as many as make the same number of pixels
        rows = rows * max(1, -(-(_BLOCK_PX**2) // (rows * width)))
        return min(rows, height), width
    rows, cols = (side * max(1, -(-_BLOCK_PX // side)) for side in (rows, cols))
    return min(rows, height), min(cols, width)
