"""Label layers: the class of every pixel, read by window from codes, colours or a Matlab file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.matlab_file import read_annotations
from geoseg.io.scene import open_scene

Labels = npt.NDArray[np.int64]
Valid = npt.NDArray[np.bool_]
Rgb = tuple[int, int, int]

UNLABELLED = -1
"""Among the values of a colour table: this colour means no class."""


class LabelLayer(Protocol):
    """Whole numbers over a grid.

    Attributes:
        name: for messages.
        geobox: the grid; its CRS is None where the file has none.
    """

    name: str
    geobox: GeoBox

    def read(self, window: Window) -> tuple[Labels, Valid]:
        """Read labels and where there are any, both (y, x)."""

    def close(self) -> None:
        """Close its files."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class _Closing:
    def close(self) -> None:
        """Close its files; there may be none."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class RasterLabels(_Closing):
    """Labels of a raster: the codes of its one band, the indices of its palette, or the codes of its colours.

    Args:
        path: any raster a scene may be; it need not have a CRS.
        colours: what a colour means; needed where the raster has three bands or more.
        nodata: one more value that means no class.
        others: what colours mean that ``colours`` does not know; None: they are refused.

    Raises:
        SceneError: it cannot be read, or has colours and nobody says what they mean.

    Colours whose channels are all 0 or 255 are recognised by the nearer end of each channel, as the DeepGlobe
    benchmark asks for; others exactly.
    """

    def __init__(
        self,
        path: Path,
        *,
        colours: Mapping[Rgb, int] | None = None,
        nodata: int | None = None,
        others: int | None = None,
    ) -> None:
        self._scene = open_scene(path, unplaced=True, palette_codes=True)
        self.name = str(path)
        self.geobox = self._scene.geobox
        self._nodata = nodata
        self._others = others
        self.coloured = len(self._scene.bands) >= 3
        if self.coloured and colours is None:
            self._scene.close()
            raise SceneError(
                self.name,
                f"it has {len(self._scene.bands)} bands and no class codes.",
                "Name the protocol whose colours it has, or give the colours of the classes with --legend.",
            )
        self._colours = dict(colours or {})

    def read(self, window: Window) -> tuple[Labels, Valid]:
        """Read labels and where there are any, both (y, x).

        Raises:
            SceneError: a value is no whole number, or a colour is not of the legend.
        """
        raster = self._scene.read(window, bands=[1, 2, 3] if self.coloured else [1])
        if self.coloured:
            labels = self._decoded(raster.values, raster.valid, window)
            return labels, raster.valid & (labels != UNLABELLED)
        values, valid = raster.values[0], raster.valid
        labels = np.where(valid, values, 0).astype(np.int64)
        if values.dtype.kind == "f" and (labels[valid] != values[valid]).any():
            odd = values[valid][labels[valid] != values[valid]][0]
            raise SceneError(self.name, f"it holds the value {odd}; classes are whole numbers.", "Give a class raster.")
        return labels, valid if self._nodata is None else valid & (labels != self._nodata)

    def _decoded(self, values: npt.NDArray[np.generic], valid: Valid, window: Window) -> Labels:
        rgb = values.astype(np.int64)
        if all(channel in {0, 255} for colour in self._colours for channel in colour):
            rgb = np.where(rgb >= 128, 255, 0)
        keys = rgb[0] << 16 | rgb[1] << 8 | rgb[2]
        known = sorted((r << 16 | g << 8 | b, code) for (r, g, b), code in self._colours.items())
        table, codes = np.array([key for key, _ in known]), np.array([code for _, code in known])
        place = np.minimum(np.searchsorted(table, keys), len(table) - 1)
        strange = valid & (table[place] != keys)
        if self._others is not None:
            return np.where(table[place] == keys, codes[place], self._others)
        if strange.any():
            row, col = (int(n) for n in np.argwhere(strange)[0])
            colour = tuple(int(n) for n in values[:, row, col])
            raise SceneError(
                self.name,
                f"colour {colour} at row {row + window.row_start}, column {col + window.col_start} is no class.",
                f"The legend's colours are {', '.join(str(c) for c in self._colours)}.",
            )
        return np.asarray(codes[place])

    def close(self) -> None:
        """Close the raster."""
        self._scene.close()


class MatlabLabels(_Closing):
    """Labels of a ``groundTruth`` .mat file with one annotator, as CrackForest has them (1 road, 2 crack).

    Raises:
        SceneError: it is no such file, or several people annotated it.
    """

    def __init__(self, path: Path) -> None:
        annotations = read_annotations(path)
        if len(annotations) != 1:
            raise SceneError(
                str(path),
                f"{len(annotations)} people annotated it, so a pixel has no one class.",
                "Compare boundaries with --protocol bsds.",
            )
        self.name = str(path)
        self._labels = annotations[0].segmentation
        self.geobox = GeoBox(self._labels.shape, Affine.identity(), None)

    def read(self, window: Window) -> tuple[Labels, Valid]:
        """Read labels, all valid."""
        labels = self._labels[window.slices]
        return labels, np.ones(labels.shape, bool)
