"""Zonal statistics: what the pixels of each region say in other bands, added up so that no cut shows.

Sums and sums of squares are kept as two float64 each (the value and what rounding took from it), so integers of any
band add up exactly and no order of adding matters; of floats the result is right to the last digits of a float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window
from geoseg.vector.kernel import kernel
from geoseg.vector.regions import Runs

Bools = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_SPLIT = 134217729.0  # 2**27 + 1: halves the 53 bits of a float64


class BandSource(Protocol):
    """Bands on the grid of the codes; ``read`` is called from several threads at once."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the scene."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Names of the columns of each band before ``_mean`` and the others; each once."""
        ...

    def read(self, window: Window) -> tuple[AnyArray, Bools]:
        """Read values and which of them count, both (band, y, x); values that count are finite."""
        ...


class BandSums(NamedTuple):
    """Sums over the pixels of each region, in each band; all (band, region).

    Attributes:
        known: number of pixels that count.
        low: smallest value; infinity when none counts.
        high: largest value; minus infinity when none counts.
        total: sum of values.
        total_rest: what is missing in ``total``.
        square: sum of squared values.
        square_rest: what is missing in ``square``.
    """

    known: I64
    low: F64
    high: F64
    total: F64
    total_rest: F64
    square: F64
    square_rest: F64


@kernel
def _add(high: float, low: float, other: float, rest: float) -> tuple[float, float]:
    """Add two numbers of two parts each (Dekker 1971, Knuth's exact sums)."""
    s = high + other
    b = s - high
    e = (high - (s - b)) + (other - b)
    t = low + rest
    b = t - low
    f = (low - (t - b)) + (rest - b)
    e += t
    u = s + e
    e = (e - (u - s)) + f
    v = u + e
    return v, e - (v - u)


@kernel
def _times(a: float, b: float) -> tuple[float, float]:
    """Multiply without loss: the rounded product and what rounding took (Dekker 1971, Veltkamp's splitting)."""
    p = a * b
    t = _SPLIT * a
    a1 = t - (t - a)
    a2 = a - a1
    t = _SPLIT * b
    b1 = t - (t - b)
    b2 = b - b1
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


def no_sums(bands: int, regions: int) -> BandSums:
    """Start with nothing added."""
    shape = bands, regions
    return BandSums(
        np.zeros(shape, np.int64), np.full(shape, np.inf), np.full(shape, -np.inf), *(np.zeros(shape) for _ in range(4))
    )


@kernel
def _sum_band(sums: BandSums, band: int, values: F64, valid: Bools, runs: Runs) -> None:
    height, width = values.shape
    for i in range(1, height + 1):
        for k in range(runs.row[i], runs.row[i + 1] - 1):
            a = max(runs.start[k], 1) - 1
            b = min(runs.start[k + 1] - 1, width)
            n = 0
            low, high = np.inf, -np.inf
            total = total_rest = square = square_rest = 0.0
            for j in range(a, b):
                if not valid[i - 1, j]:
                    continue
                value = values[i - 1, j]
                n += 1
                low, high = min(low, value), max(high, value)
                total, total_rest = _add(total, total_rest, value, 0.0)
                p, rest = _times(value, value)
                square, square_rest = _add(square, square_rest, p, rest)
            if n:
                _put(sums, band, runs.region[k], (n, low, high, total, total_rest, square, square_rest))


@kernel
def _put(sums: BandSums, band: int, region: int, some: tuple[int, float, float, float, float, float, float]) -> None:
    n, low, high, total, total_rest, square, square_rest = some
    sums.known[band, region] += n
    sums.low[band, region] = min(sums.low[band, region], low)
    sums.high[band, region] = max(sums.high[band, region], high)
    sums.total[band, region], sums.total_rest[band, region] = _add(
        sums.total[band, region], sums.total_rest[band, region], total, total_rest
    )
    sums.square[band, region], sums.square_rest[band, region] = _add(
        sums.square[band, region], sums.square_rest[band, region], square, square_rest
    )


@kernel
def _merge_bands(sums: BandSums, out: BandSums, number: I32) -> None:
    for band in range(sums.known.shape[0]):
        for k in range(number.shape[0]):
            if number[k] >= 0:
                some = (
                    sums.known[band, k],
                    sums.low[band, k],
                    sums.high[band, k],
                    sums.total[band, k],
                    sums.total_rest[band, k],
                    sums.square[band, k],
                    sums.square_rest[band, k],
                )
                _put(out, band, number[k], some)


def sum_bands(values: AnyArray, valid: Bools, runs: Runs, count: int) -> BandSums:
    """Add up the pixels that a block owns.

    Args:
        values: (band, height, width) of the block.
        valid: which of them count, same shape.
        runs: of the block's codes with one row above and one column to the left that are not the block's.
        count: number of regions.
    """
    sums = no_sums(len(values), count)
    for band, (layer, counts) in enumerate(zip(values, valid, strict=True)):
        _sum_band(sums, band, np.ascontiguousarray(layer, np.float64), np.ascontiguousarray(counts), runs)
    return sums


def merge_bands(sums: BandSums | None, number: I32, count: int) -> BandSums | None:
    """Add up regions that are one: ``number`` is the new number of each (-1 is dropped), ``count`` how many."""
    if sums is None:
        return None
    out = no_sums(len(sums.known), count)
    _merge_bands(sums, out, number)
    return out


def stack_bands(parts: Sequence[BandSums | None]) -> BandSums | None:
    """Put regions of several parts into one table."""
    some = [part for part in parts if part is not None]
    if not some:
        return None
    return BandSums._make(np.concatenate(column, axis=1) for column in zip(*some, strict=True))


def pick_bands(sums: BandSums | None, which: I64) -> BandSums | None:
    """Pick regions by index."""
    return None if sums is None else BandSums._make(column[:, which] for column in sums)


def band_columns(names: Sequence[str]) -> np.dtype[np.void]:
    """Name the columns of the bands: mean, min, max, std (of all its pixels) and count (of the pixels that count)."""
    columns: list[tuple[str, str]] = []
    for name in names:
        columns += [(f"{name}_{what}", "f8") for what in ("mean", "min", "max", "std")]
        columns.append((f"{name}_count", "i8"))
    return np.dtype(columns)


@kernel
def _deviation(n: int, total: tuple[float, float], square: tuple[float, float]) -> float:
    """Take the root of ``n * sum of squares - squared sum`` over ``n``; both lose nothing that a float64 would show."""
    p, rest = _times(total[0], total[0])
    rest += 2 * total[0] * total[1]
    q, more = _times(float(n), square[0])
    more += n * square[1]
    high, low = _add(q, more, -p, -rest)
    return float(np.sqrt(max(high + low, 0.0)) / n)


@kernel
def _deviations(sums: BandSums, band: int, out: F64) -> None:
    for k in range(out.shape[0]):
        n = sums.known[band, k]
        if n == 0:
            out[k] = np.nan
        elif sums.low[band, k] == sums.high[band, k]:
            out[k] = 0.0
        else:
            total = sums.total[band, k], sums.total_rest[band, k]
            square = sums.square[band, k], sums.square_rest[band, k]
            out[k] = _deviation(n, total, square)


def band_table(sums: BandSums | None, names: Sequence[str], count: int) -> npt.NDArray[np.void]:
    """Turn sums into statistics.

    Args:
        sums: of ``count`` regions, or None.
        names: of the bands.
        count: number of regions.

    Returns:
        (region) with the fields of ``band_columns``; NaN where no pixel counts.
    """
    table: npt.NDArray[np.void] = np.zeros(count, band_columns(names if sums is not None else ()))
    if sums is None:
        return table
    for band, name in enumerate(names):
        known = sums.known[band]
        none = known == 0
        n = np.maximum(known, 1)
        table[f"{name}_count"] = known
        # both parts over n: the rest would be lost if it were added first
        table[f"{name}_mean"] = np.where(none, np.nan, sums.total[band] / n + sums.total_rest[band] / n)
        table[f"{name}_min"] = np.where(none, np.nan, sums.low[band])
        table[f"{name}_max"] = np.where(none, np.nan, sums.high[band])
        deviation = np.empty(count)
        _deviations(sums, band, deviation)
        table[f"{name}_std"] = deviation
    return table
