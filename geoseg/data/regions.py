"""Regions: rectangles of a scene for training and for validation, with a guard band between them.

Neighbouring pixels show the same roofs, so a random split of pixels would leak. A scene is cut into cells; some are
validation ground. Training gets the largest rectangles that keep ``guard_px`` away from all validation ground,
including that of other scenes that show the same place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import shapely
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer

from geoseg.core.window import Window

Flags = npt.NDArray[np.bool_]

_EDGE_POINTS = 16
"""Points along each side of a rectangle that is transformed to another CRS."""


class Cells:
    """A scene cut into cells of about the same size.

    Args:
        shape: (rows, columns) of the scene.
        side_px: approximate side of a cell.

    Attributes:
        shape: rows and columns of cells.
    """

    def __init__(self, shape: tuple[int, int], side_px: int) -> None:
        counts = [max(1, round(length / side_px)) for length in shape]
        self._rows, self._cols = (
            np.round(np.linspace(0, length, count + 1)).astype(int).tolist()
            for length, count in zip(shape, counts, strict=True)
        )
        self.shape = counts[0], counts[1]

    def window(self, cells: Window) -> Window:
        """Convert a window of cells to a window of pixels."""
        return Window(
            self._rows[cells.row_start],
            self._rows[cells.row_stop],
            self._cols[cells.col_start],
            self._cols[cells.col_stop],
        )

    def touched(self, geobox: GeoBox, polygons: Sequence[shapely.Geometry]) -> Flags:
        """Mark the cells that polygons in the grid's CRS touch.

        Args:
            geobox: grid of the scene.
            polygons: polygons in its CRS.

        Returns:
            (row, column) bool over the cells.
        """
        flags = np.zeros(self.shape, bool)
        tree = shapely.STRtree(list(polygons))
        for row in range(self.shape[0]):
            for col in range(self.shape[1]):
                outline = ground(geobox, self.window(Window(row, row + 1, col, col + 1)))
                flags[row, col] = tree.query(outline, predicate="intersects").size > 0
        return flags

    def drawn(self, share: float, seed: int, name: str) -> Flags:
        """Mark a random share of the cells, at least one and not all of several; determined by seed and name.

        Args:
            share: share of the cells.
            seed: seed of the draw.
            name: name of the scene.

        Returns:
            (row, column) bool over the cells.
        """
        count = self.shape[0] * self.shape[1]
        chosen = min(max(1, round(share * count)), max(1, count - 1))
        salt = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        flags = np.zeros(count, bool)
        flags[np.random.default_rng([seed, salt]).permutation(count)[:chosen]] = True
        return flags.reshape(self.shape)


def disjoint(flags: Flags) -> list[Window]:
    """Cover the marked cells with rectangles, each cell once."""
    left = flags.copy()
    windows = []
    while left.any():
        row, col = (int(n) for n in np.argwhere(left)[0])
        window = _grown(left, row, col, across=True)
        left[window.slices] = False
        windows.append(window)
    return windows


def covering(flags: Flags) -> list[Window]:
    """Cover the marked cells with rectangles as large as possible; they may overlap."""
    found = {
        _grown(flags, int(row), int(col), across=across) for row, col in np.argwhere(flags) for across in (True, False)
    }
    return sorted(w for w in found if not any(other != w and other.contains(w) for other in found))


def _grown(flags: Flags, row: int, col: int, *, across: bool) -> Window:
    """Grow a cell to all sides while only marked cells are taken, first along the rows or first along the columns."""
    window = Window(row, row + 1, col, col + 1)
    sides = (
        ((0, 0, 0, 1), (0, 0, -1, 0), (0, 1, 0, 0), (-1, 0, 0, 0))
        if across
        else ((0, 1, 0, 0), (-1, 0, 0, 0), (0, 0, 0, 1), (0, 0, -1, 0))
    )
    whole = Window.whole((flags.shape[0], flags.shape[1]))
    for top, bottom, left, right in sides:
        while True:
            wider = Window(
                window.row_start + top, window.row_stop + bottom, window.col_start + left, window.col_stop + right
            )
            if not whole.contains(wider) or not flags[wider.slices].all():
                break
            window = wider
    return window


def keep_away(window: Window, grounds: Iterable[Window], guard_px: int) -> Window | None:
    """Shrink a rectangle until no pixel lies within ``guard_px`` of other ground; None if nothing is left.

    Args:
        window: the rectangle.
        grounds: rectangles to keep away from; they may lie outside the scene.
        guard_px: least number of rows or columns between.
    """
    for ground_px in grounds:
        near = ground_px.expanded(guard_px)
        if not near.intersection(window).pixels:
            continue
        above = Window(window.row_start, max(window.row_start, near.row_start), window.col_start, window.col_stop)
        below = Window(min(window.row_stop, near.row_stop), window.row_stop, window.col_start, window.col_stop)
        left = Window(window.row_start, window.row_stop, window.col_start, max(window.col_start, near.col_start))
        right = Window(window.row_start, window.row_stop, min(window.col_stop, near.col_stop), window.col_stop)
        window = max((above, below, left, right), key=lambda rest: rest.pixels)
        if not window.pixels:
            return None
    return window


def ground(geobox: GeoBox, window: Window) -> shapely.Polygon:
    """Outline of a window in the CRS of its grid."""
    steps = np.linspace(0, 1, _EDGE_POINTS + 1)[:-1]
    rows = np.concatenate([0 * steps, steps, 0 * steps + 1, 1 - steps]) * window.height + window.row_start
    cols = np.concatenate([steps, 0 * steps + 1, 1 - steps, 0 * steps]) * window.width + window.col_start
    t = geobox.transform
    return shapely.Polygon(np.stack([t.a * cols + t.b * rows + t.c, t.d * cols + t.e * rows + t.f], axis=1))


def seen_from(geobox: GeoBox, other: GeoBox, window: Window) -> Window | None:
    """Return the window of a grid that covers a window of another one, plus one pixel each side; None without overlap.

    Args:
        geobox: the grid of the result.
        other: the grid of ``window``.
        window: the ground.
    """
    if geobox.crs is None or other.crs is None:
        return None
    x, y = np.asarray(ground(other, window).exterior.coords).T
    theirs, ours = (CRS.from_user_input(box.crs.to_wkt()) for box in (other, geobox))
    if theirs != ours:
        x, y = Transformer.from_crs(theirs, ours, always_xy=True).transform(x, y)
    back = ~geobox.transform
    rows, cols = back.d * x + back.e * y + back.f, back.a * x + back.b * y + back.c
    if not (np.isfinite(rows).all() and np.isfinite(cols).all()):
        return None
    (top, bottom), (left, right) = ((float(side.min()), float(side.max())) for side in (rows, cols))
    return Window(int(np.floor(top)) - 1, int(np.ceil(bottom)) + 1, int(np.floor(left)) - 1, int(np.ceil(right)) + 1)
