"""Size of the tiles of a scene: the largest that memory allows, since each tile repeats its halo."""

from __future__ import annotations

from geoseg.core.tiling import ALIGN_PX, Tiling

LONGEST_TILE_PX = 16384
"""Longest side of a tile."""


def largest_tile_px(work_shape: tuple[int, int], *, tile_px: int, halo_px: int, limit_px: int) -> int:
    """Choose the tile side with which a network computes the fewest pixels of a scene.

    Sides are multiples of 32 px that divide a side of the scene into equal parts, so that the last tile repeats little.

    Args:
        work_shape: (rows, columns) of the grid that the network sees.
        tile_px: smallest side; also the answer where a larger one would save nothing or exceed ``limit_px``.
        halo_px: context on each side of a core.
        limit_px: largest number of pixels of a tile.

    Example:
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
