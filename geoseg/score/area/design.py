"""Sampling design: a stratified random sample of a map, by the good practices for area estimation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from geoseg.core.choices import Allocation
from geoseg.core.ground import pixel_sides_m
from geoseg.core.window import Window
from geoseg.errors import UsageError
from geoseg.score.matrix import NONE, U8

_STRIP_PX = 8_000_000


class CodeSource(Protocol):
    """Protocol of a map read by window."""

    shape: tuple[int, int]

    def read(self, window: Window) -> tuple[U8, U8 | None]:
        """Read codes (y, x), 255 where there is no class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strata:
    """The classes of a map as strata.

    Attributes:
        codes: in ascending order.
        pixels: (class, row) int64, pixels of a class in each row of the map.
        row_area_m2: (row,) ground area of one pixel; rows of a map in degrees differ.
    """

    codes: tuple[int, ...]
    pixels: npt.NDArray[np.int64]
    row_area_m2: npt.NDArray[np.float64]

    @property
    def area_m2(self) -> npt.NDArray[np.float64]:
        """Ground area of each class."""
        return np.asarray(self.pixels @ self.row_area_m2)

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """Share of the mapped ground of each class."""
        return np.asarray(self.area_m2 / self.area_m2.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Pixels drawn, in random order.

    Attributes:
        rows: (point,) rows of the map.
        cols: (point,) columns.
        codes: (point,) class of the map.
    """

    rows: npt.NDArray[np.int64]
    cols: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64]


def measure_strata(source: CodeSource, geobox: GeoBox) -> Strata:
    """Count the pixels of every class, row by row; reads the map once.

    Args:
        source: the map.
        geobox: grid of the map.

    Raises:
        UsageError: no pixel has a class.
    """
    height, width = source.shape
    counts: dict[int, npt.NDArray[np.int64]] = {}
    for window in _strips(source.shape):
        codes, _ = source.read(window)
        rows = np.arange(window.height)[:, None]
        table = np.bincount((rows * 256 + codes).ravel(), minlength=window.height * 256).reshape(-1, 256)
        for code in np.flatnonzero(table.sum(0)[:NONE]).tolist():
            mine = counts.setdefault(code, np.zeros(height, np.int64))
            mine[window.row_start : window.row_stop] = table[:, code]
    if not counts:
        raise UsageError("the map has no pixel with a class, so there is nothing to draw from.")
    middle = np.arange(height) + 0.5
    area = pixel_sides_m(geobox, middle, np.full(height, width / 2))[2]
    codes_found = tuple(sorted(counts))
    return Strata(codes=codes_found, pixels=np.stack([counts[code] for code in codes_found]), row_area_m2=area)


def sample_size(
    weights: npt.NDArray[np.float64], expected: npt.NDArray[np.float64], standard_error: float = 0.01
) -> int:
    """Compute the number of points for a requested standard error of the overall accuracy.

    Args:
        weights: share of each class in the map.
        expected: expected user's accuracy of each class.
        standard_error: requested standard error of the overall accuracy.

    Source:
        Olofsson et al. 2014, equation 13 (Cochran 1977, equation 5.25), for a large map.

    Examples:
        >>> sample_size(np.array([0.02, 0.015, 0.32, 0.645]), np.array([0.7, 0.6, 0.9, 0.95]))
        641
    """
    spread = np.sqrt(expected * (1 - expected))
    return int(np.ceil(round(float((weights @ spread / standard_error) ** 2), 6)))


def allocate(
    strata: Strata,
    total: int,
    *,
    how: Allocation = "proportional",
    minimum: int = 50,
    expected: Mapping[int, float] | None = None,
) -> npt.NDArray[np.int64]:
    """Allocate points to the classes.

    Args:
        strata: strata of the map.
        total: points to draw; exceeded if the minimum requires it.
        how: by area, the same number each, or by area times expected spread (least variance of the overall accuracy).
        minimum: least number of points per class, limited by its pixels; the other classes get the rest.
        expected: expected user's accuracy by code, for ``neyman``; 0.8 for other classes.

    Returns:
        (class,) int64; no class gets more points than it has pixels.

    Source:
        Olofsson et al. 2014, section 5.1.2: 50 to 100 points for each rare class, the rest by area.
    """
    share = strata.weights.copy()
    if how == "equal":
        share = np.full(len(share), 1 / len(share))
    if how == "neyman":
        accuracy = np.array([(expected or {}).get(code, 0.8) for code in strata.codes])
        share *= np.sqrt(accuracy * (1 - accuracy))
    if not share.any():  # no error is expected in any class
        share = strata.weights
    most = strata.pixels.sum(axis=1)
    least = np.minimum(minimum, most)
    target = min(max(total, int(least.sum())), int(most.sum()))
    return _whole(_between(share, least, most, target), most, target)


def _between(
    share: npt.NDArray[np.float64], least: npt.NDArray[np.int64], most: npt.NDArray[np.int64], total: int
) -> npt.NDArray[np.float64]:
    """Scale shares so that they sum to ``total``, each within its bounds."""
    share = np.maximum(share, 1e-12 * share.max())
    low, high = 0.0, float((most / share).max())
    for _ in range(200):
        middle = (low + high) / 2
        if np.clip(middle * share, least, most).sum() < total:
            low = middle
        else:
            high = middle
    return np.asarray(np.clip(high * share, least, most))


def draw(source: CodeSource, strata: Strata, points: npt.NDArray[np.int64], *, seed: int) -> Points:
    """Draw pixels at random without replacement, uniformly over the ground of each class.

    If rows differ in area, a pixel's probability is proportional to its area as long as a small share is drawn.

    Args:
        source: the map.
        strata: strata measured on it.
        points: (class,) number of points to draw.
        seed: the same seed draws the same points.
    """
    rng = np.random.default_rng(seed)
    picked = [
        _pick(rng, row_counts, strata.row_area_m2, int(n)) for row_counts, n in zip(strata.pixels, points, strict=True)
    ]
    rows = np.concatenate([row for row, _ in picked])
    ranks = np.concatenate([rank for _, rank in picked])
    codes = np.repeat(np.array(strata.codes, np.int64), [len(row) for row, _ in picked])
    cols = _columns(source, rows, ranks, codes)
    order = rng.permutation(len(rows))  # so that the order tells nothing of the class
    return Points(rows=rows[order], cols=cols[order], codes=codes[order])


def _pick(
    rng: np.random.Generator, row_counts: npt.NDArray[np.int64], row_area: npt.NDArray[np.float64], number: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Draw (row, rank within the row) of pixels of one class."""
    before = np.concatenate([[0], np.cumsum(row_counts)])
    total = int(before[-1])
    if number > total // 2:
        area = np.repeat(row_area, row_counts)
        chosen = rng.choice(total, size=number, replace=False, p=area / area.sum())
    else:
        reach = np.cumsum(row_counts * row_area)
        unique: dict[int, None] = {}
        while len(unique) < number:
            at = rng.random(2 * number) * reach[-1]
            row = np.minimum(np.searchsorted(reach, at, side="right"), len(reach) - 1)
            start = reach[row] - row_counts[row] * row_area[row]
            rank = np.clip(((at - start) / row_area[row]).astype(np.int64), 0, row_counts[row] - 1)
            unique.update(dict.fromkeys((before[row] + rank)[row_counts[row] > 0].tolist()))
        chosen = np.array(list(unique)[:number], np.int64)
    row = np.searchsorted(before, chosen, side="right") - 1
    return row, chosen - before[row]


def _columns(
    source: CodeSource, rows: npt.NDArray[np.int64], ranks: npt.NDArray[np.int64], codes: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    cols = np.full(len(rows), -1, np.int64)
    for row in np.unique(rows).tolist():
        line, _ = source.read(Window(row, row + 1, 0, source.shape[1]))
        for place in np.flatnonzero(rows == row).tolist():
            cols[place] = np.flatnonzero(line[0] == codes[place])[ranks[place]]
    return cols


def _strips(shape: tuple[int, int]) -> list[Window]:
    step = max(1, _STRIP_PX // shape[1])
    return [Window(row, min(row + step, shape[0]), 0, shape[1]) for row in range(0, shape[0], step)]


def _whole(target: npt.NDArray[np.float64], most: npt.NDArray[np.int64], total: int) -> npt.NDArray[np.int64]:
    """Round to integers with the sum ``total``, by largest remainders."""
    down = np.floor(target + 1e-9).astype(np.int64)
    remainder = np.where(down < most, target - down, -1.0)
    down[np.argsort(-remainder, kind="stable")[: total - int(down.sum())]] += 1
    return down
