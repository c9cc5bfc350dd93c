"""PixelGround: true ground area and length of anything drawn on a grid, from a coarse table of pixel sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg.core.ground import pixel_sides_m
from geoseg.errors import UsageError
from geoseg.vector.kernel import kernel

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_COLUMN_CELLS = 64
_WEIGHT_BITS = 16


class Metric(NamedTuple):
    """First fundamental form of the ground on a coarse grid of pixel positions.

    Attributes:
        form: (3, node rows, node columns) squares of one step down, of one step right, and their inner product, m2.
        step: (row step, column step) pixels between nodes.
        unit_m: length unit of the integers that lengths are counted in.
    """

    form: F64
    step: tuple[float, float]
    unit_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelGround:
    """Pixel sizes of a scene.

    Attributes:
        metric: lengths.
        area: (bands + 1, nodes) pixel areas in units of ``unit_m2``, at every ``2**shift`` rows and evenly spaced
            columns of a scene of ``width``.
        unit_m2: square metres per unit of area.
        shift: log2 of the rows in a band.
        width: columns of the scene.
    """

    metric: Metric
    area: F64
    unit_m2: float
    shift: int
    width: int

    @classmethod
    def of(cls, geobox: GeoBox) -> PixelGround:
        """Measure a grid at up to 65 columns and every 1 to 1024 rows."""
        height, width = (int(size) for size in geobox.shape)
        shift = int(np.clip(np.floor(np.log2(max(height / 64, 1))), 0, 10))
        bands = (height >> shift) + 1
        cells = min(_COLUMN_CELLS, width)
        rows = np.arange(bands + 1, dtype=float) * (1 << shift) + 0.5
        cols = np.linspace(0, width, cells + 1)
        # pixels are measured from side to side: no farther out than the scene, which may end at a pole
        at = np.minimum(rows, height - 0.5)[:, None], np.clip(cols, 0.5, width - 0.5)[None, :]
        # a node beyond the edge of the Earth (a satellite's full disk) has no ground
        down, right, area = (np.where(np.isfinite(side), side, 0.0) for side in pixel_sides_m(geobox, *at))
        if not area.max() > 0:
            raise UsageError("the grid lies nowhere on the Earth. Check its CRS and transform.")
        reached = height - 0.5 - rows[-2]
        if reached > 0:
            area[-1] = area[-2] + (area[-1] - area[-2]) * ((1 << shift) / reached)
        return cls(
            metric=_metric(geobox, *at, (down, right), (float(1 << shift), width / cells)),
            area=area / area.max() * (1 << _WEIGHT_BITS),
            unit_m2=float(area.max()) / (1 << _WEIGHT_BITS) / (1 << shift),
            shift=shift,
            width=width,
        )

    def cumulative(self, rows: tuple[int, int], cols: tuple[int, int]) -> I64:
        """Add pixel areas up from the left, for the bands that ``rows`` touch.

        Returns:
            (bands + 1, columns + 1) int64; differences along a row are areas in 1 / 2**16 of the largest pixel.
        """
        first, last = rows[0] >> self.shift, ((rows[1] - 1) >> self.shift) + 1
        centres = (np.arange(*cols) + 0.5) * ((self.area.shape[1] - 1) / self.width)
        left = np.minimum(centres.astype(np.int64), self.area.shape[1] - 2)
        part = centres - left
        lines = self.area[first : last + 1]
        out = np.zeros((len(lines), cols[1] - cols[0] + 1), np.int64)
        values = np.rint(lines[:, left] * (1 - part) + lines[:, left + 1] * part).astype(np.int64)
        np.cumsum(values, axis=1, out=out[:, 1:])
        return out


def _metric(geobox: GeoBox, rows: F64, cols: F64, sides: tuple[F64, F64], step: tuple[float, float]) -> Metric:
    down, right = sides
    t = geobox.transform
    slanted = GeoBox(geobox.shape, Affine(t.a + t.b, t.b, t.c, t.d + t.e, t.e, t.f), geobox.crs)
    # the slanted grid's columns run along the diagonals of the true pixels; a position is (row - column, column) there
    _, diagonal, _ = pixel_sides_m(slanted, rows - cols, np.broadcast_to(cols, down.shape))
    inner = (diagonal**2 - down**2 - right**2) / 2
    inner[np.abs(inner) < 1e-6 * down * right] = 0.0
    form = np.nan_to_num(np.ascontiguousarray(np.stack([down**2, right**2, inner])))
    sides_m = np.concatenate([down[down > 0], right[right > 0]])
    return Metric(form, step, float(sides_m.min()) / (1 << 20))


@kernel
def form_at(metric: Metric, row: float, col: float) -> tuple[float, float, float]:
    """Interpolate (down squared, right squared, inner product) at a position in pixels."""
    form, step = metric.form, metric.step
    y = min(max(row / step[0], 0.0), form.shape[1] - 1.0)
    x = min(max(col / step[1], 0.0), form.shape[2] - 1.0)
    i = min(int(y), form.shape[1] - 2)
    j = min(int(x), form.shape[2] - 2)
    y -= i
    x -= j
    a, b, c, d = (1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x
    return (
        form[0, i, j] * a + form[0, i, j + 1] * b + form[0, i + 1, j] * c + form[0, i + 1, j + 1] * d,
        form[1, i, j] * a + form[1, i, j + 1] * b + form[1, i + 1, j] * c + form[1, i + 1, j + 1] * d,
        form[2, i, j] * a + form[2, i, j + 1] * b + form[2, i + 1, j] * c + form[2, i + 1, j + 1] * d,
    )
