"""Surroundings: the pixels beyond a scene's edges, read from the scenes next to it on the same grid."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from affine import Affine

from geoseg.core.raster import Raster
from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Margin, Window
from geoseg.errors import GeosegError, SceneError
from geoseg.io.files.fingerprint import state_of_files
from geoseg.io.raster.georeference import crop
from geoseg.io.raster.scene import Scene

ALIGNED_PX = 0.01
"""Largest distance between the corners of two grids that count as one, pixels."""

_STRIP_PX = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A rectangle beyond a scene's edges whose pixels one neighbour has.

    Attributes:
        window: rectangle on the scene's grid, outside the scene.
        uri: address of the neighbour.
        row, col: position of the neighbour's first pixel on the scene's grid.
    """

    window: Window
    uri: str
    row: int
    col: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The neighbours of a scene that have pixels beyond its edges, and those that could not be used.

    Attributes:
        pieces: rectangles that do not overlap; what none of them covers has no pixels.
        digest: SHA-256 of these pixels and of where they lie.
        state: files of the neighbours with size, time of change and inode, when the digest was taken.
        left_out: address and cause of each neighbour that could not be used.
    """

    pieces: tuple[Piece, ...] = ()
    digest: str = ""
    state: tuple[tuple[str, int, int, int], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def used(self) -> tuple[str, ...]:
        """Addresses of the neighbours in use."""
        return tuple(dict.fromkeys(piece.uri for piece in self.pieces))

    def available(self, shape: tuple[int, int]) -> Margin:
        """Return how far the pieces reach beyond the edges of a scene of ``shape`` (rows, columns)."""
        outer = whole = Window.whole(shape)
        for piece in self.pieces:
            outer = outer.union(piece.window)
        return Margin.between(outer, whole)

    def unchanged(self) -> bool:
        """Return True if no file of a neighbour changed or went away since the digest was taken."""
        try:
            return state_of_files("", [name for name, *_ in self.state]) == self.state
        except SceneError:
            return False


class SurroundedScene:
    """A scene with its margin, read by window like a ``Scene``; positions before its edges are negative.

    Args:
        scene: the scene; it keeps its neighbours open.
        around: its neighbours.
        extent: window on the scene's grid that may be read.
    """

    def __init__(self, scene: Scene, around: Surroundings, extent: Window) -> None:
        self._scene, self._around = scene, around
        self.extent = extent
        self.geobox = scene.geobox
        self.bands = scene.bands
        self.dtype = scene.dtype
        self.block_shape = scene.block_shape

    def read(self, window: Window, bands: Sequence[int] | None = None) -> Raster:
        """Decode a window of the extent; what neither the scene nor a neighbour has is not valid.

        Args:
            window: window on the scene's grid.
            bands: 1-based indexes, in order; None: all data bands.

        Raises:
            SceneError: the scene or a neighbour is damaged there.
        """
        inside = window.intersection(Window.whole(tuple(self.geobox.shape)))
        if inside == window:
            return self._scene.read(window, bands)
        count = len(self.bands if bands is None else bands)
        values = np.zeros((count, *window.shape), self.dtype)
        valid = np.zeros(window.shape, bool)
        if inside.pixels:
            own = self._scene.read(inside, bands)
            values[:, *inside.within(window)], valid[inside.within(window)] = own.values, own.valid
        for piece in self._around.pieces:
            part = piece.window.intersection(window)
            if part.pixels:
                found = _read_piece(self._scene, piece, part, bands)
                values[:, *part.within(window)], valid[part.within(window)] = found.values, found.valid
        return Raster(values=values, valid=valid, geobox=crop(self.geobox, window))


def surroundings(scene: Scene, readable: Window, bands: Sequence[int]) -> Surroundings:
    """Find out which neighbours have the pixels beyond a scene's edges, and read these once for their digest.

    Each pixel is taken from the first neighbour, in the order of ``scene.options.neighbours``, whose grid covers it.
    Neighbours that cannot be opened, do not fit or are damaged there are left out.

    Args:
        scene: the scene, opened with the addresses of its neighbours.
        readable: window on its grid, larger than the scene, of the pixels that are asked for.
        bands: 1-based bands that are read.
    """
    free = list(_outside(readable, Window.whole(tuple(scene.geobox.shape))))
    pieces: list[Piece] = []
    left_out: list[tuple[str, str]] = []
    states: dict[str, tuple[str, int, int, int]] = {}
    digest = hashlib.sha256()
    for uri in scene.options.neighbours:
        try:
            other = scene.neighbour(uri)
            row, col = _place(scene, other)
            covered = Window.whole(tuple(other.geobox.shape)).shifted(row, col)
            parts = [part for window in free if (part := window.intersection(covered)).pixels]
            own = [Piece(window=part, uri=uri, row=row, col=col) for part in parts]
            digests = [_digest(scene, piece, bands) for piece in own]
        except GeosegError as error:
            left_out.append((uri, str(error)))
            continue
        if not own:
            continue
        pieces += own
        free = [rest for window in free for rest in _outside(window, covered)]
        states |= {name: state for state in other.opened_state if (name := state[0])}
        digest.update("".join(digests).encode())
    return Surroundings(
        pieces=tuple(pieces),
        digest=digest.hexdigest() if pieces else "",
        state=tuple(states.values()),
        left_out=tuple(left_out),
    )


def aligned(transform: Affine, other: Affine, shape: tuple[int, int]) -> tuple[int, int] | None:
    """Return row and column of the first pixel of another grid; None where the two are not one grid.

    Grids of one CRS are one if all corners of the other lie within 0.01 px of corners of pixels.

    Args:
        transform: of the grid to count on.
        other: of the other grid.
        shape: (rows, columns) of the other grid.
    """
    height, width = shape
    relative = ~transform * other
    col, row = relative * (0, 0)
    if not (math.isfinite(col) and math.isfinite(row)):
        return None
    first_row, first_col = round(row), round(col)
    for down, right in ((0, 0), (0, width), (height, 0), (height, width)):
        x, y = relative * (right, down)
        if max(abs(x - first_col - right), abs(y - first_row - down)) > ALIGNED_PX:
            return None
    return first_row, first_col


def _place(scene: Scene, other: Scene) -> tuple[int, int]:
    """Return the position of a neighbour on the scene's grid.

    Raises:
        SceneError: it lies on another grid or has other bands.
    """
    cure = "Make it like the scene, or leave it out."
    place = None
    if scene.placed and other.placed and scene.geobox.crs == other.geobox.crs:
        place = aligned(scene.geobox.transform, other.geobox.transform, tuple(other.geobox.shape))
    if place is None:
        raise SceneError(other.uri, f"its pixels do not lie on the grid of {scene.uri}.", cure)
    if scene.kind_of_bands() != other.kind_of_bands():
        raise SceneError(other.uri, f"its bands are not those of {scene.uri}.", cure)
    return place


def _outside(window: Window, hole: Window) -> Iterator[Window]:
    """Cut a window without a hole into at most four windows: above, below, left and right of it."""
    hole = hole.intersection(window)
    if not hole.pixels:
        yield window
        return
    parts = (
        Window(window.row_start, hole.row_start, window.col_start, window.col_stop),
        Window(hole.row_stop, window.row_stop, window.col_start, window.col_stop),
        Window(hole.row_start, hole.row_stop, window.col_start, hole.col_start),
        Window(hole.row_start, hole.row_stop, hole.col_stop, window.col_stop),
    )
    yield from (part for part in parts if part.pixels)


def _digest(scene: Scene, piece: Piece, bands: Sequence[int]) -> str:
    """Hash the pixels of a piece strip by strip, with their validity and where they lie."""
    window, total = piece.window, hashlib.sha256()
    total.update(repr(window).encode())
    rows = max(1, _STRIP_PX // window.width)
    for row in range(window.row_start, window.row_stop, rows):
        part = Window(row, min(row + rows, window.row_stop), window.col_start, window.col_stop)
        raster = _read_piece(scene, piece, part, bands)
        total.update(np.where(raster.valid, raster.values, raster.values.dtype.type(0)).tobytes())
        total.update(_packed(raster.valid))
    return total.hexdigest()


def _packed(valid: npt.NDArray[np.bool_]) -> bytes:
    packed: AnyArray = np.packbits(valid)
    return packed.tobytes()


def _read_piece(scene: Scene, piece: Piece, part: Window, bands: Sequence[int] | None) -> Raster:
    return scene.neighbour(piece.uri).read(part.shifted(-piece.row, -piece.col), bands)
