"""Thinning of binary images to lines one pixel wide, as boundary benchmarks do before matching."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Bool = npt.NDArray[np.bool_]

# east, then counter-clockwise, as (row, column)
_NEIGHBOURS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
_FULL = 255


def thin(image: Bool, *, framed: bool = False) -> Bool:
    """Thin until nothing changes; connectivity is preserved (8 for lines, 4 for the background).

    Args:
        image: (y, x).
        framed: the image is surrounded by a line that stays; else by background.

    Source:
        Guo and Hall 1989, Parallel thinning with two-subiteration algorithms, algorithm A1, in the form of Lam, Lee and
        Suen 1992, page 879, which Matlab's ``bwmorph(..., 'thin', Inf)`` names as its source.
    """
    padded = np.pad(np.asarray(image, bool), 1, constant_values=framed)
    inside = np.zeros_like(padded)
    inside[1:-1, 1:-1] = True
    flat, free = padded.ravel(), (padded & inside).ravel()
    steps = np.array([row * padded.shape[1] + col for row, col in _NEIGHBOURS])
    # only a pixel beside an empty one can go; its neighbours may be next
    edge = np.flatnonzero(free)
    edge = edge[_around(flat, edge, steps) != _FULL]
    free[edge] = False
    turn = np.zeros(flat.size, np.int32)
    changed = True
    while changed:
        changed = False
        for table in _tables():
            gone = table[_around(flat, edge, steps)]
            if not gone.any():
                continue
            changed = True
            removed, edge = edge[gone], edge[~gone]
            flat[removed] = False
            adjacent = (removed[:, None] + steps).ravel()
            adjacent = adjacent[free[adjacent]]
            count = np.arange(adjacent.size, dtype=np.int32)
            turn[adjacent] = count
            adjacent = adjacent[turn[adjacent] == count]  # each once
            free[adjacent] = False
            edge = np.concatenate([edge, adjacent])
    return padded[1:-1, 1:-1]


def _around(flat: Bool, places: npt.NDArray[np.int64], steps: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Read the eight neighbours of pixels as the bits of a byte."""
    bits = np.zeros(places.size, np.uint8)
    for bit, step in enumerate(steps.tolist()):
        bits |= flat[places + step].view(np.uint8) << np.uint8(bit)
    return bits


@cache
def _tables() -> tuple[Bool, Bool]:
    """Lookup tables: True if a pixel is removed, for each of 256 neighbourhoods, in either sub-iteration."""
    x = [(np.arange(256) >> bit & 1).astype(bool) for bit in range(8)]
    crossings = sum((~x[2 * i] & (x[2 * i + 1] | x[(2 * i + 2) % 8])).astype(int) for i in range(4))
    first = sum((x[2 * i] | x[2 * i + 1]).astype(int) for i in range(4))
    second = sum((x[2 * i + 1] | x[(2 * i + 2) % 8]).astype(int) for i in range(4))
    fewest = np.minimum(first, second)
    simple = (crossings == 1) & (fewest >= 2) & (fewest <= 3)
    return (
        simple & ~((x[1] | x[2] | ~x[7]) & x[0]),
        simple & ~((x[5] | x[6] | ~x[3]) & x[4]),
    )
