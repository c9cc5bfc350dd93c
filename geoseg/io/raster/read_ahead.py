"""Prefetch of windows: read the next ones while the caller computes, and decode each block of the file about once.

A file of full-width strips, asked for windows row by row and left to right, would decode every strip once per window
column. Here the windows of one row of windows share a *panel*: a buffer over the columns they cover, filled in whole
block rows, of which the next row of windows keeps the rows it needs again. Where a panel of the whole width exceeds
``READ_AHEAD_BYTES`` the row is cut into several, and each strip is decoded once per panel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from geoseg.core.raster import Raster
from geoseg.core.types.arrays import AnyArray, AnyDtype
from geoseg.core.window import Window
from geoseg.io.prefetch import prefetch
from geoseg.io.raster.georeference import crop

READ_AHEAD_BYTES = 512 * 2**20
"""Largest size of the panel, bytes. Reading a scene of any height needs this, ``READ_CACHE_BYTES`` of GDAL,
``_SLAB_BYTES`` and ``depth + 1`` windows; a single window that is larger is read directly, without a panel."""

_SLAB_BYTES = 64 * 2**20


class Readable(Protocol):
    """Protocol of what is read by window: a scene, or a scene with its margin."""

    @property
    def extent(self) -> Window:
        """The window that can be read, on the scene's grid."""
        ...

    @property
    def geobox(self) -> GeoBox:
        """The scene's grid."""
        ...

    @property
    def bands(self) -> Sequence[Any]:
        """Data bands."""
        ...

    @property
    def dtype(self) -> AnyDtype:
        """Data type of all bands."""
        ...

    @property
    def block_shape(self) -> tuple[int, int]:
        """Rows and columns of the blocks of the scene's file."""
        ...

    def read(self, window: Window, bands: Sequence[int] | None = None) -> Raster:
        """Decode a window; see ``Scene.read``."""
        ...


def read_ahead(
    scene: Readable,
    windows: Iterable[Window],
    bands: Sequence[int] | None = None,
    depth: int = 1,
    *,
    panel_bytes: int = READ_AHEAD_BYTES,
) -> Iterator[tuple[Window, Raster]]:
    """Read windows in a thread while the caller computes.

    Args:
        scene: the scene.
        windows: in order; row by row and left to right decodes least. Consumed one row of windows in advance.
        bands: 1-based indexes; None: all data bands.
        depth: windows to prefetch; 0 reads in the caller's thread.
        panel_bytes: largest size of the decoded pixels kept for the next windows.

    Yields:
        Each window with its pixels, in the order of ``windows``. An error of a window is raised in its place;
        closing the generator stops the thread.
    """
    panels = _through_panels(scene, iter(windows), bands, panel_bytes)
    if depth < 1:
        yield from panels
        return
    yield from prefetch(panels, depth)


class _Panel:
    """Buffer of decoded pixels over a range of columns, from ``row_start`` down, with the filled height per column."""

    def __init__(self, scene: Readable, bands: Sequence[int] | None, limit_bytes: int) -> None:
        self.scene = scene
        self.bands = bands
        self.limit_bytes = limit_bytes
        self.count = len(scene.bands if bands is None else bands)
        self.pixel_bytes = self.count * scene.dtype.itemsize + 1
        self.area = Window(0, 0, 0, 0)
        self.values: AnyArray = np.empty((self.count, 0, 0), scene.dtype)
        self.valid: npt.NDArray[np.bool_] = np.empty((0, 0), bool)
        self.filled: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def aligned(self, window: Window) -> Window:
        """Grow a window to whole blocks, which are decoded anyway; blocks larger than the window are not completed."""
        extent, (rows, cols) = self.scene.extent, self.scene.block_shape
        row_stop = window.row_stop if rows > window.height else min(extent.row_stop, -(-window.row_stop // rows) * rows)
        if cols > window.width:
            return Window(window.row_start, row_stop, window.col_start, window.col_stop)
        col_start = max(extent.col_start, window.col_start // cols * cols)
        col_stop = min(extent.col_stop, -(-window.col_stop // cols) * cols)
        return Window(window.row_start, row_stop, col_start, col_stop)

    def fits(self, window: Window) -> bool:
        return window.pixels * self.pixel_bytes <= self.limit_bytes

    def move(self, area: Window) -> None:
        """Move the buffer to a new area; decoded rows are kept if the area starts lower over no other columns."""
        old = self.area
        keeps = (
            old.col_start <= area.col_start
            and area.col_stop <= old.col_stop
            and old.row_start <= area.row_start < old.row_stop
            and self.fits(Window(area.row_start, area.row_stop, old.col_start, old.col_stop))
        )
        if not keeps:
            self.area = area
            if area.height > self.valid.shape[0] or area.width != self.valid.shape[1]:
                # Room for twice the rows, since inner rows of windows have a halo on both sides: it costs address
                # space only, and growing later would hold two panels at once.
                rows = max(area.height, min(2 * area.height, self.limit_bytes // (area.width * self.pixel_bytes)))
                self.values = np.empty((self.count, 0, 0), self.scene.dtype)  # frees the old one before the new
                self.values = np.empty((self.count, rows, area.width), self.scene.dtype)
                self.valid = np.empty((rows, area.width), bool)
            self.filled = np.full(area.width, area.row_start, np.int64)
            return
        self.area = Window(area.row_start, max(area.row_stop, old.row_stop), old.col_start, old.col_stop)
        drop = area.row_start - old.row_start
        kept = max(0, int(self.filled.max()) - area.row_start)
        values, valid = self.values, self.valid
        if self.area.height > self.valid.shape[0]:
            self.values = np.empty((self.count, *self.area.shape), self.scene.dtype)
            self.valid = np.empty(self.area.shape, bool)
        for band in range(self.count):  # one band at a time: an overlapping copy takes a temporary of its size
            self.values[band, :kept] = values[band, drop : drop + kept]
        self.valid[:kept] = valid[drop : drop + kept]
        self.filled = np.maximum(self.filled, area.row_start)

    def read(self, window: Window) -> Raster:
        """Decode the missing pixels of a window and return a copy of the window."""
        requested, cols = self.aligned(window).intersection(self.area), self.scene.block_shape[1]
        if cols > window.width:  # all the panel has of these blocks, for the windows to come
            start, stop = requested.col_start // cols * cols, -(-requested.col_stop // cols) * cols
            requested = Window(requested.row_start, requested.row_stop, start, stop).intersection(self.area)
        stops = self.filled[requested.col_start - self.area.col_start : requested.col_stop - self.area.col_start]
        edges = [0, *(np.flatnonzero(np.diff(stops)) + 1).tolist(), len(stops)]
        for start, stop in pairwise(edges):
            row_start = int(stops[start])
            if row_start < requested.row_stop:
                self._fill(
                    Window(row_start, requested.row_stop, requested.col_start + start, requested.col_start + stop)
                )
        rows, columns = window.within(self.area)
        return Raster(
            values=self.values[:, rows, columns].copy(),
            valid=self.valid[rows, columns].copy(),
            geobox=crop(self.scene.geobox, window),
        )

    def _fill(self, missing: Window) -> None:
        block_rows = self.scene.block_shape[0]
        slab_rows = max(1, _SLAB_BYTES // (missing.width * self.pixel_bytes))
        # A strip taller than a slab is cut: GDAL's cache has room for it, so the next slab finds it decoded.
        step = slab_rows // block_rows * block_rows or slab_rows
        first_stop = missing.row_start + step - (missing.row_start % block_rows if step >= block_rows else 0)
        stops = [*range(first_stop, missing.row_stop, step), missing.row_stop]
        for start, stop in zip([missing.row_start, *stops], stops, strict=False):
            slab = Window(start, stop, missing.col_start, missing.col_stop)
            raster = self.scene.read(slab, self.bands)
            rows, cols = slab.within(self.area)
            self.values[:, rows, cols] = raster.values
            self.valid[rows, cols] = raster.valid
            self.filled[cols] = stop


def _through_panels(
    scene: Readable, windows: Iterator[Window], bands: Sequence[int] | None, limit_bytes: int
) -> Iterator[tuple[Window, Raster]]:
    panel = _Panel(scene, bands, limit_bytes)
    pending: Window | None = next(windows, None)
    while pending is not None:
        together, area = [pending], panel.aligned(pending)
        rows = (pending.row_start, pending.row_stop)
        pending = None
        with suppress(StopIteration):
            while True:
                pending = next(windows)
                wider = area.union(panel.aligned(pending))
                if (pending.row_start, pending.row_stop) != rows or not panel.fits(wider):
                    break
                together.append(pending)
                area, pending = wider, None
        if not panel.fits(area):
            yield from ((window, scene.read(window, bands)) for window in together)
            continue
        panel.move(area)
        for window in together:
            yield window, panel.read(window)
