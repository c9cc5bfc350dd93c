"""Tiling: division of a scene into tiles with a halo, of which the core is kept. The only tiling loop of geoseg.

Along one axis, with ``stride = tile - 2 * halo``::

    tile 0   |######## core 0 ########|--halo--|
    tile 1            |--halo--|######## core 1 ########|--halo--|
    tile 2 (slid)                  |--halo-...-|######## core 2 ########|
             0                                                          scene's edge

The first and the last core reach to the scene's edge: no halo is needed there. Where neighbouring scenes have pixels
beyond an edge, the tiles begin in that margin, so that the cores at the edge have their halo too.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from geoseg.core.choices import Blend
from geoseg.core.window import NO_MARGIN, Margin, Window

ALIGN_PX = 32
"""A scene smaller than a tile is one tile, padded by reflection to the next multiple of this."""

LONGEST_TILE_PX = 16384
"""Longest side of a tile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One forward pass.

    Attributes:
        core: window that it owns, on the scene's grid. Cores partition the scene with its margin.
        support: window where it has a weight above 0, on the scene's grid; equal to ``core`` unless tapered.
        read: window that the network sees, on the working grid; reaches past the grid and its margin only where these
            are smaller than a tile (then the pixels are reflected).
    """

    row: int
    col: int
    core: Window
    support: Window
    read: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Whole cores that are scheduled, stored, retried and resumed together.

    Attributes:
        window: the union of its cores inside the scene, on the scene's grid.
        cells: the rows and columns of its tiles.
    """

    row: int
    col: int
    window: Window
    cells: Window


@dataclass(frozen=True, slots=True)
class _Axis:
    """Cores, supports and reads along one axis.

    ``scene`` and ``work`` are its lengths in pixels of either grid, ``before`` and ``after`` those of the margin in
    pixels of the working grid. Positions count from the scene's own edge: in the margin before it they are negative.
    """

    scene: int
    work: int
    tile: int
    halo: int
    taper: bool
    before: int = 0
    after: int = 0

    @property
    def stride(self) -> int:
        return self.tile - 2 * self.halo

    @property
    def length(self) -> int:
        return self.before + self.work + self.after

    @property
    def count(self) -> int:
        """Tiles along the axis; none whose core would hold no pixel of the scene, which may be coarser."""
        if self.length <= self.tile:
            return 1
        most = -(-(self.length - self.tile) // self.stride) + 1
        return most - (self._inner_edge(most - 1) >= self._end)

    @property
    def _end(self) -> int:
        return self.scene + int(self.after * self.scene / self.work)

    @property
    def ramp(self) -> int:
        """Half-width of the taper on the scene's grid.

        Half the halo: pixels of a tile with weight above 0 still have half the halo as context, so that a network with
        a smaller receptive field gives the same result as on the whole image. Never so wide that two tapers meet.
        """
        if not self.taper or self.count == 1:
            return 0
        half = min(self.halo // 2, self.stride // 2)
        return half if self.scene == self.work else max(0, int(half * self.scene / self.work) - 1)

    def edge(self, index: int) -> int:
        """Scene pixel where core ``index`` begins."""
        if index <= 0:
            return -int(self.before * self.scene / self.work)
        if index >= self.count:
            return self._end
        return self._inner_edge(index)

    def _inner_edge(self, index: int) -> int:
        return round((self.halo + index * self.stride - self.before) * self.scene / self.work)

    def core(self, index: int) -> tuple[int, int]:
        return self.edge(index), self.edge(index + 1)

    def support(self, index: int) -> tuple[int, int]:
        start, stop = self.core(index)
        return max(self.edge(0), start - self.ramp), min(self.edge(self.count), stop + self.ramp)

    def read(self, index: int) -> tuple[int, int]:
        if self.length <= self.tile:
            return -self.before, min(self.tile, -(-self.length // ALIGN_PX) * ALIGN_PX) - self.before
        start = (self.length - self.tile if index == self.count - 1 else index * self.stride) - self.before
        return start, start + self.tile

    def over(self, start: int, stop: int) -> tuple[int, int]:
        """Cells whose cores meet scene pixels [start, stop); one where there are none."""
        cells = range(self.count)
        first = bisect_right(cells, start, key=self.edge) - 1
        return first, max(first + 1, bisect_left(cells, stop, key=self.edge))

    def weight(self, index: int, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Weight of tile ``index`` over scene pixels [start, stop): a partition of unity over all tiles."""
        first, last = self.core(index)
        centre = np.arange(start, stop) + 0.5
        if self.ramp == 0:
            return ((centre > first) & (centre < last)).astype(np.float32)
        rise = 1.0 if index == 0 else _smoothstep((centre - first + self.ramp) / (2 * self.ramp))
        fall = 0.0 if index == self.count - 1 else _smoothstep((centre - last + self.ramp) / (2 * self.ramp))
        return np.asarray(rise - fall, np.float32) * np.ones(stop - start, np.float32)


def _smoothstep(t: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """3t^2 - 2t^3 on [0, 1]: s(t) + s(1 - t) = 1, flat at both ends."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@dataclass(frozen=True)
class Tiling:
    """A lazy sequence of tiles over one scene, anchored at (0, 0).

    Args:
        scene_shape: (rows, columns) of the scene, the grid of the result.
        work_shape: (rows, columns) of the grid the network sees; the same, unless the scene is resampled. A stride of
            it must cover two pixels of the scene or more, or cores may be empty.
        tile_px: side of a tile on the working grid.
        halo_px: context on each side of a core, on the working grid; ``2 * halo_px < tile_px``.
        blend: ``core`` takes each pixel from the tile that owns it; ``taper`` fades neighbours into each other over
            half the halo on each side of the border.
        margin: pixels beyond the scene's edges that are read too, on the working grid; positions there are negative
            or past the end.

    Examples:
        >>> tiling = Tiling((1000, 1000), (1000, 1000), tile_px=512, halo_px=64)
        >>> len(tiling), tiling[0].core
        (9, Window(row_start=0, row_stop=448, col_start=0, col_stop=448))
    """

    scene_shape: tuple[int, int]
    work_shape: tuple[int, int]
    tile_px: int
    halo_px: int
    blend: Blend = "core"
    margin: Margin = NO_MARGIN

    def __post_init__(self) -> None:
        if self.halo_px < 0 or 2 * self.halo_px >= self.tile_px:
            raise ValueError(f"a halo of {self.halo_px} px on each side leaves nothing of a tile of {self.tile_px} px")
        if min(*self.scene_shape, *self.work_shape) < 1:
            raise ValueError(f"a grid of {self.scene_shape} (working: {self.work_shape}) has no pixels")

    @property
    def stride_px(self) -> int:
        """Distance between tiles on the working grid."""
        return self.tile_px - 2 * self.halo_px

    @cached_property
    def _axes(self) -> tuple[_Axis, _Axis]:
        taper, top, bottom, left, right = self.blend == "taper", *self.margin.sides
        rows, cols = (
            _Axis(scene, work, self.tile_px, self.halo_px, taper, before, after)
            for scene, work, before, after in zip(
                self.scene_shape, self.work_shape, (top, left), (bottom, right), strict=True
            )
        )
        return rows, cols

    @property
    def readable(self) -> Window:
        """The working grid with its margin."""
        return self.margin.around(self.work_shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return self._axes[0].count, self._axes[1].count

    @property
    def read_shape(self) -> tuple[int, int]:
        """Size of every tile's ``read``: all tiles of a scene are equal."""
        (top, bottom), (left, right) = (axis.read(0) for axis in self._axes)
        return bottom - top, right - left

    @property
    def computed_px(self) -> int:
        """Pixels that a network computes for the whole scene, halos included."""
        rows, cols = self.read_shape
        return len(self) * rows * cols

    @property
    def computed_share(self) -> float:
        """Pixels that a network computes for each pixel of the working grid: 1 would be a tiling without halos."""
        return self.computed_px / (self.work_shape[0] * self.work_shape[1])

    def __len__(self) -> int:
        return self.shape[0] * self.shape[1]

    def __getitem__(self, index: int) -> Tile:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.tile(*divmod(index, self.shape[1]))

    def __iter__(self) -> Iterator[Tile]:
        return self.tiles(Window.whole(self.shape))

    def tile(self, row: int, col: int) -> Tile:
        """Return the tile in a row and column of the grid of tiles."""
        rows, cols = self._axes
        return Tile(
            row=row,
            col=col,
            core=Window(*rows.core(row), *cols.core(col)),
            support=Window(*rows.support(row), *cols.support(col)),
            read=Window(*rows.read(row), *cols.read(col)),
        )

    def tiles(self, cells: Window) -> Iterator[Tile]:
        """Tiles in rows and columns ``cells``, row by row."""
        for row in range(cells.row_start, cells.row_stop):
            for col in range(cells.col_start, cells.col_stop):
                yield self.tile(row, col)

    def weight(self, tile: Tile, window: Window) -> npt.NDArray[np.float32]:
        """Return the weight of a tile over a window; over all tiles the weights of a pixel sum to 1.

        Args:
            tile: the tile.
            window: window of the scene's grid.

        Returns:
            (y, x) float32 in [0, 1].
        """
        rows, cols = self._axes
        down = rows.weight(tile.row, window.row_start, window.row_stop)
        right = cols.weight(tile.col, window.col_start, window.col_stop)
        return down[:, None] * right[None, :]

    def cells(self, window: Window) -> Window:
        """Rows and columns of the tiles whose cores meet a window of the scene."""
        rows, cols = self._axes
        return Window(*rows.over(window.row_start, window.row_stop), *cols.over(window.col_start, window.col_stop))

    def contributors(self, block: Block) -> Window:
        """Cells of the tiles that have a weight inside a block; with ``taper`` one more row and column each side."""
        if self.blend == "core":
            return block.cells
        return block.cells.expanded(1).intersection(Window.whole(self.shape))

    def read_window(self, block: Block) -> Window:
        """Return the window to read for a block, on the working grid; may reach past it like ``Tile.read``."""
        cells = self.contributors(block)
        first = self.tile(cells.row_start, cells.col_start).read
        return first.union(self.tile(cells.row_stop - 1, cells.col_stop - 1).read)


def largest_tile_px(work_shape: tuple[int, int], *, tile_px: int, halo_px: int, limit_px: int) -> int:
    """Choose the tile side with which a network computes the fewest pixels of a scene.

    Sides are multiples of 32 px that divide a side of the scene into equal parts, so that the last tile repeats little.

    Args:
        work_shape: (rows, columns) of the grid that the network sees.
        tile_px: smallest side; also the answer where a larger one would save nothing or exceed ``limit_px``.
        halo_px: context on each side of a core.
        limit_px: largest number of pixels of a tile.

    Examples:
        >>> largest_tile_px((8192, 8192), tile_px=512, halo_px=64, limit_px=5_000_000)
        2144
    """
    best, fewest = tile_px, Tiling(work_shape, work_shape, tile_px, halo_px).computed_px
    for side in sorted(set(work_shape)):
        for count in range(1, max(1, side // (tile_px - 2 * halo_px)) + 1):
            parted = -(-(side + (count - 1) * 2 * halo_px) // count)
            candidate = -(-parted // ALIGN_PX) * ALIGN_PX
            if candidate <= tile_px:
                break
            tiling = Tiling(work_shape, work_shape, candidate, halo_px)
            rows, cols = tiling.read_shape
            if (
                candidate <= LONGEST_TILE_PX
                and rows * cols <= limit_px
                and (tiling.computed_px, candidate) < (fewest, best)
            ):
                best, fewest = candidate, tiling.computed_px
    return best


@dataclass(frozen=True)
class Blocks:
    """The blocks of a tiling: a lazy sequence, row by row. They partition the scene, without its margin.

    Args:
        tiling: the tiles to group.
        block_px: approximate side of a block on the working grid; rounded down to whole cores, at least one.
    """

    tiling: Tiling
    block_px: int

    @cached_property
    def cores(self) -> int:
        """Cores along one side of a block."""
        return max(1, self.block_px // self.tiling.stride_px)

    @cached_property
    def _cells(self) -> Window:
        """Rows and columns of the tiles whose cores meet the scene; the others lie in its margin."""
        if self.tiling.margin == NO_MARGIN:
            return Window.whole(self.tiling.shape)
        return self.tiling.cells(Window.whole(self.tiling.scene_shape))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        rows, cols = self._cells.shape
        return -(-rows // self.cores), -(-cols // self.cores)

    @property
    def max_shape(self) -> tuple[int, int]:
        """Height and width that every block fits into, on the scene's grid."""
        rows = max(self.block(row, 0).window.height for row in range(self.shape[0]))
        cols = max(self.block(0, col).window.width for col in range(self.shape[1]))
        return rows, cols

    def __len__(self) -> int:
        return self.shape[0] * self.shape[1]

    def __getitem__(self, index: int) -> Block:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.block(*divmod(index, self.shape[1]))

    def __iter__(self) -> Iterator[Block]:
        return (self[index] for index in range(len(self)))

    def block(self, row: int, col: int) -> Block:
        """Return the block in a row and column of the grid of blocks."""
        inside, cores = self._cells, self.cores
        top, left = inside.row_start + row * cores, inside.col_start + col * cores
        cells = Window(top, top + cores, left, left + cores).intersection(inside)
        first = self.tiling.tile(cells.row_start, cells.col_start).core
        last = self.tiling.tile(cells.row_stop - 1, cells.col_stop - 1).core
        window = first.union(last).intersection(Window.whole(self.tiling.scene_shape))
        return Block(row=row, col=col, window=window, cells=cells)
