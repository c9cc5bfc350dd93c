"""Label layers on the grid of an image: unchanged, with reversed axes, or resampled by nearest neighbour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer

from geoseg.core.closing import Closing
from geoseg.core.grid import grid_difference, shares_pixels
from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.labels.label_layer import LabelLayer, Labels, Valid

_MOST_PX = 64_000_000
"""Source pixels read at once; a window that needs more is halved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Rules for aligning labels with a grid.

    Attributes:
        of: owner of the grid, for messages: ``the image``.
        cure: advice for the user where the grids differ.
        resample: resample by nearest neighbour where grids differ; otherwise they are refused.
        covering: labels on the same pixels may extend beyond the grid.
    """

    of: str
    cure: str
    resample: bool = False
    covering: bool = False


def on_grid(layer: LabelLayer, geobox: GeoBox, fit: Fit) -> LabelLayer:
    """Align a layer with a grid. Reversed rows or columns are reordered, which is exact.

    If one of the two has no CRS, they are compared by their sizes.

    Args:
        layer: the labels; closed on an error.
        geobox: the grid.
        fit: rules for differing grids.

    Raises:
        SceneError: the grids differ; the message names the difference.
    """
    difference = grid_difference(geobox, layer.geobox, unplaced=True)
    if difference is None:
        return layer
    if fit.resample or shares_pixels(geobox, layer.geobox, covering=fit.covering):
        return ResampledLabels(layer, geobox)
    layer.close()
    raise SceneError(layer.name, f"it is not on the grid of {fit.of}: {difference}.", fit.cure)


class ResampledLabels(Closing):
    """Exact nearest-neighbour resampling: every pixel centre is transformed by PROJ and both affine transforms.

    Args:
        layer: the layer to resample; closed with this one.
        geobox: the target grid. Pixels outside the layer are invalid.

    Raises:
        SceneError: one of the two has no CRS.
    """

    def __init__(self, layer: LabelLayer, geobox: GeoBox) -> None:
        self.name = layer.name
        self.geobox = geobox
        self.hidden = layer.hidden
        self._layer = layer
        if layer.geobox.crs is None or geobox.crs is None:
            raise SceneError(layer.name, "without a CRS on both sides nothing can be resampled.", "Georeference it.")
        theirs, ours = (CRS.from_user_input(box.crs.to_wkt()) for box in (layer.geobox, geobox))
        self._to_theirs = None if theirs == ours else Transformer.from_crs(ours, theirs, always_xy=True)

    def read(self, window: Window) -> tuple[Labels, Valid]:
        """Read labels and their validity mask, both (y, x)."""
        row, col = self._places(window)
        height, width = (int(n) for n in self._layer.geobox.shape)
        inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
        labels = np.zeros(window.shape, np.int64)
        valid = np.zeros(window.shape, bool)
        if not inside.any():
            return labels, valid
        need = Window(
            int(row[inside].min()), int(row[inside].max()) + 1, int(col[inside].min()), int(col[inside].max()) + 1
        )
        if need.pixels > _MOST_PX and window.pixels > 1:
            for part in _halves(window):
                at = part.within(window)
                labels[at], valid[at] = self.read(part)
            return labels, valid
        found, known = self._layer.read(need)
        at_rows, at_cols = row[inside] - need.row_start, col[inside] - need.col_start
        labels[inside], valid[inside] = found[at_rows, at_cols], known[at_rows, at_cols]
        return labels, valid

    def _places(self, window: Window) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        t = self.geobox.transform
        rows, cols = np.mgrid[window.slices] + 0.5
        x, y = t.a * cols + t.b * rows + t.c, t.d * cols + t.e * rows + t.f
        if self._to_theirs is not None:
            x, y = self._to_theirs.transform(x, y)
        back = ~self._layer.geobox.transform
        col, row = back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f
        lost = ~(np.isfinite(row) & np.isfinite(col))
        row, col = np.where(lost, -1, row), np.where(lost, -1, col)
        limit = 2.0**62
        return (
            np.floor(np.clip(row, -limit, limit)).astype(np.int64),
            np.floor(np.clip(col, -limit, limit)).astype(np.int64),
        )

    def close(self) -> None:
        """Close the underlying layer."""
        self._layer.close()


def _halves(window: Window) -> tuple[Window, Window]:
    if window.height >= window.width:
        middle = window.row_start + window.height // 2
        return (
            Window(window.row_start, middle, window.col_start, window.col_stop),
            Window(middle, window.row_stop, window.col_start, window.col_stop),
        )
    middle = window.col_start + window.width // 2
    return (
        Window(window.row_start, window.row_stop, window.col_start, middle),
        Window(window.row_start, window.row_stop, middle, window.col_stop),
    )
