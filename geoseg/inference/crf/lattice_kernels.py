"""Compiled loops of the permutohedral lattice; see ``lattice`` for the algorithm."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from geoseg.vector.kernel import kernel

Values = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]
Names = npt.NDArray[np.int32]

REMAINDER_AT = 60
"""First bit of the remainder in a lattice point's key; the quotients lie below."""

_HASH = 0x9E3779B97F4A7C15


@kernel
def splat_points(  # noqa: PLR0913, PLR0915
    pixels: Longs,
    width: int,
    colour: Values,
    scale: Doubles,
    shift: Doubles,
    bits: int,
    points: Names,
    shares: Values,
) -> Longs:
    """Find the lattice points around every pixel and its barycentric weights.

    Args:
        pixels: (pixel) indices into the flattened window.
        width: columns of the window.
        colour: (band, pixel of the window).
        scale: (dimension) factor of each coordinate: colours, row, column.
        shift: (dimension + 1) offset of the lattice, in lattice coordinates.
        bits: bits of one quotient in a key.
        points: (pixel, dimension + 1) written: indices of the lattice points.
        shares: (pixel, dimension + 1) written: weights of the pixel in them.

    Returns:
        The key of each lattice point, in order of first use; empty on overflow.
    """
    dims = len(scale)
    side = dims + 1
    bias, limit = 1 << (bits - 1), (1 << bits) - 2
    size = 1 << 12
    while size < len(pixels):
        size *= 2
    table = np.zeros((size, 2), np.int64)
    keys = np.empty(size // 2, np.int64)
    count = 0
    elevated, rest = np.empty(side), np.empty(side)
    quotient, rank = np.empty(side, np.int64), np.empty(side, np.int64)
    share = np.empty(side + 1)
    for i in range(len(pixels)):
        row, col = pixels[i] // width, pixels[i] % width
        total = 0.0
        for axis in range(dims, 0, -1):
            value = col if axis == dims else row if axis == dims - 1 else colour[axis - 1, pixels[i]]
            part = value * scale[axis - 1]
            elevated[axis] = total - axis * part + shift[axis]
            total += part
        elevated[0] = total + shift[0]
        excess = 0
        for axis in range(side):
            quotient[axis] = math.floor(elevated[axis] / side + 0.5)
            rest[axis] = elevated[axis] - quotient[axis] * side
            excess += quotient[axis]
            rank[axis] = 0
        for a in range(side):
            for b in range(a + 1, side):
                if rest[a] < rest[b]:
                    rank[a] += 1
                else:
                    rank[b] += 1
        for axis in range(side):
            rank[axis] += excess
            if rank[axis] < 0:
                rank[axis] += side
                quotient[axis] += 1
                rest[axis] -= side
            elif rank[axis] >= side:
                rank[axis] -= side
                quotient[axis] -= 1
                rest[axis] += side
        share[:] = 0.0
        key = 0
        for axis in range(side):
            part = rest[axis] / side
            share[dims - rank[axis]] += part
            share[side - rank[axis]] -= part
            if axis:
                biased = quotient[axis] + bias
                if biased < 2 or biased > limit:
                    return keys[:0]
                key |= biased << bits * (axis - 1)
        share[0] += 1.0 + share[side]
        for remainder in range(side):
            if remainder:
                key += 1 << REMAINDER_AT
                for axis in range(1, side):
                    if rank[axis] == side - remainder:
                        key -= 1 << bits * (axis - 1)
            place = _place(table, key)
            if table[place, 0] == 0:
                if count == len(keys):
                    table, keys = _grown(keys)
                    place = _place(table, key)
                table[place, 0], table[place, 1] = key + 1, count
                keys[count] = key
                count += 1
            points[i, remainder] = table[place, 1]
            shares[i, remainder] = share[remainder]
    return keys[:count].copy()


@kernel
def _place(table: Longs, key: int) -> int:
    """Entry of a hash table where a key is, or would be put."""
    mask = len(table) - 1
    mixed = np.uint64(key) * np.uint64(_HASH)
    place = np.int64(mixed >> np.uint64(20)) & mask
    while table[place, 0] != 0 and table[place, 0] != key + 1:
        place = (place + 1) & mask
    return int(place)


@kernel
def _grown(keys: Longs) -> tuple[Longs, Longs]:
    """Enter full ``keys`` into a table of twice the size."""
    table = np.zeros((4 * len(keys), 2), np.int64)
    more = np.empty(2 * len(keys), np.int64)
    for index in range(len(keys)):
        place = _place(table, keys[index])
        table[place, 0], table[place, 1] = keys[index] + 1, index
        more[index] = keys[index]
    return table, more


@kernel
def rename(points: Names, names: Names) -> None:
    """Replace the index of every lattice point by its new one."""
    for i in range(len(points)):
        for corner in range(points.shape[1]):
            points[i, corner] = names[points[i, corner]]


@kernel
def meet(keys: Longs, bits: int, neighbours: Names) -> None:
    """Find both neighbours of every lattice point along every axis; those not in use get the index past the last."""
    side = len(neighbours)
    starts = np.searchsorted(keys, np.arange(side + 1) << REMAINDER_AT)
    ones = 0
    for axis in range(1, side):
        ones += 1 << bits * (axis - 1)
    for remainder in range(side):
        for way in range(2):
            other = (remainder + 1 - 2 * way) % side
            # past the last remainder all quotients are one more, below the first one less
            step = (other - remainder) << REMAINDER_AT
            if other - remainder != 1 - 2 * way:
                step += ones * (1 - 2 * way)
            for axis in range(side):
                jump = step - (1 - 2 * way) * (1 << bits * (axis - 1) if axis else 0)
                at, stop = starts[other], starts[other + 1]
                for index in range(starts[remainder], starts[remainder + 1]):
                    neighbour_key = keys[index] + jump
                    while at < stop and keys[at] < neighbour_key:
                        at += 1
                    neighbours[axis, way, index] = at if at < stop and keys[at] == neighbour_key else len(keys)


@kernel
def splat(points: Names, shares: Values, values: Values, held: Values) -> None:
    """Splat ``values`` (pixel, channel): add them to ``held`` (point, channel), weighted by ``shares``."""
    for i in range(len(points)):
        for corner in range(points.shape[1]):
            for channel in range(values.shape[1]):
                held[points[i, corner], channel] += shares[i, corner] * values[i, channel]


@kernel
def blur(pair: Names, held: Values, out: Values) -> None:
    """Blur along one axis: ``out`` is ``held`` plus half of the values of both neighbours, all (point, channel)."""
    half = np.float32(0.5)
    for index in range(pair.shape[1]):
        one, other = pair[0, index], pair[1, index]
        for channel in range(held.shape[1]):
            out[index, channel] = held[index, channel] + half * (held[one, channel] + held[other, channel])


@kernel
def slice_(points: Names, shares: Values, held: Values, out: Values) -> None:
    """Slice: sum ``held`` (point, channel) over the points around each pixel, by ``shares``, into ``out``."""
    for i in range(len(points)):
        for channel in range(out.shape[1]):
            total = np.float32(0.0)
            for corner in range(points.shape[1]):
                total += shares[i, corner] * held[points[i, corner], channel]
            out[i, channel] = total
