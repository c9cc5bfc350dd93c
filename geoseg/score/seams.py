"""Seam error: difference between maps of two tilings near tile borders, compared with elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from geoseg.core.tiling import Tiling
from geoseg.core.types.json_value import UntypedDict
from geoseg.core.window import Window
from geoseg.score.matrix import NONE, U8, jsonable, ratio

Lines = npt.NDArray[np.int64]
_BINS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True, slots=True, kw_only=True)
class TiledMap:
    """Tile borders of one map, on the grid of the comparison.

    Attributes:
        rows: pixel rows that are the first of a core, without the scene's own edge.
        cols: the same for columns.
        window: window of the map; may reach past the comparison.
        margin_px: width of the margin at its own edge where pixels have less context than inside.
    """

    rows: Lines
    cols: Lines
    window: Window
    margin_px: int


def tiled_map(tiling: Tiling, *, row: int = 0, col: int = 0) -> TiledMap:
    """Find the tile borders of a map.

    Args:
        tiling: tiling of the map.
        row: row of the comparison at which the map begins.
        col: column at which it begins.
    """
    down, right = tiling.shape
    rows = [tiling.tile(r, 0).core.row_start for r in range(1, down)]
    cols = [tiling.tile(0, c).core.col_start for c in range(1, right)]
    scale = max(s / w for s, w in zip(tiling.scene_shape, tiling.work_shape, strict=True))
    return TiledMap(
        rows=np.array(rows, np.int64) + row,
        cols=np.array(cols, np.int64) + col,
        window=Window.whole(tiling.scene_shape).shifted(row, col),
        margin_px=int(np.ceil(tiling.halo_px * scale)),
    )


def distance_to_lines(window: Window, maps: Sequence[TiledMap]) -> npt.NDArray[np.int64]:
    """Return the number of pixels to the nearest tile border, for each pixel of a window; 0 next to a border.

    Args:
        window: window of the comparison.
        maps: tile borders of the maps.

    Returns:
        (y, x) int64.
    """
    rows = _nearest(np.arange(window.row_start, window.row_stop), np.concatenate([m.rows for m in maps]))
    cols = _nearest(np.arange(window.col_start, window.col_stop), np.concatenate([m.cols for m in maps]))
    return np.minimum(rows[:, None], cols[None, :])


def trustworthy(window: Window, maps: Sequence[TiledMap]) -> npt.NDArray[np.bool_]:
    """Mark the pixels of a window whose context is not reduced by the edge of either map.

    Args:
        window: window of the comparison.
        maps: tile borders of the maps.

    Returns:
        (y, x) bool.
    """
    fair = np.ones(window.shape, bool)
    common = maps[0].window
    for entry in maps[1:]:
        common = common.union(entry.window)
    for entry in maps:
        own, margin = entry.window, entry.margin_px
        # an edge that all maps share robs all of them alike
        sides = (
            own.row_start + (margin if own.row_start > common.row_start else 0),
            own.row_stop - (margin if own.row_stop < common.row_stop else 0),
            own.col_start + (margin if own.col_start > common.col_start else 0),
            own.col_stop - (margin if own.col_stop < common.col_stop else 0),
        )
        rows = np.arange(window.row_start, window.row_stop)
        cols = np.arange(window.col_start, window.col_stop)
        fair &= ((rows >= sides[0]) & (rows < sides[1]))[:, None] & ((cols >= sides[2]) & (cols < sides[3]))[None, :]
    return fair


@dataclass(slots=True)
class SeamCounts:
    """Pixels and differing pixels by distance to the nearest border, summed over windows."""

    near_px: int
    pixels: npt.NDArray[np.int64]
    differing: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, near_px: int) -> SeamCounts:
        """Make zero counts."""
        length = max(near_px, _BINS[-1]) + 1
        return cls(near_px, np.zeros(length, np.int64), np.zeros(length, np.int64))

    def add(self, window: Window, one: U8, other: U8, maps: Sequence[TiledMap]) -> None:
        """Count a window where both maps have a class.

        Args:
            window: window of the comparison.
            one: (y, x) codes of one map.
            other: (y, x) codes of the other map.
            maps: tile borders of both maps.
        """
        known = (one != NONE) & (other != NONE) & trustworthy(window, maps)
        away = np.minimum(distance_to_lines(window, maps), len(self.pixels) - 1)
        self.pixels += np.bincount(away[known], minlength=len(self.pixels))
        self.differing += np.bincount(away[known & (one != other)], minlength=len(self.pixels))

    def as_json(self) -> UntypedDict:
        """Return the shares of differing pixels near borders and elsewhere, their ratio, and a profile by distance."""
        near, away = slice(0, self.near_px), slice(self.near_px, None)
        shares = [ratio(self.differing[part].sum(), self.pixels[part].sum()) for part in (near, away)]
        edges = [*_BINS, len(self.pixels)]
        return {
            "near_px": self.near_px,
            "pixels_near": int(self.pixels[near].sum()),
            "pixels_elsewhere": int(self.pixels[away].sum()),
            "differing_near": jsonable(shares[0]),
            "differing_elsewhere": jsonable(shares[1]),
            "seam_error": jsonable(shares[0] - shares[1]),
            "relative_to_elsewhere": jsonable(ratio(shares[0], shares[1])),
            "profile": [
                {
                    "from_px": start,
                    "to_px": stop if stop < len(self.pixels) else None,
                    "pixels": int(self.pixels[start:stop].sum()),
                    "differing": jsonable(ratio(self.differing[start:stop].sum(), self.pixels[start:stop].sum())),
                }
                for start, stop in pairwise(edges)
                if self.pixels[start:stop].any()
            ],
        }


def _nearest(places: Lines, lines: Lines) -> Lines:
    """Return the distance from each position to the nearest line; line n lies between positions n - 1 and n."""
    if not lines.size:
        return np.full(places.size, np.iinfo(np.int64).max)
    lines = np.unique(lines)
    after = np.searchsorted(lines, places, side="right")
    below = places - lines[np.maximum(after - 1, 0)]
    above = lines[np.minimum(after, len(lines) - 1)] - 1 - places
    far = np.iinfo(np.int64).max
    return np.minimum(np.where(after > 0, below, far), np.where(after < len(lines), above, far))
