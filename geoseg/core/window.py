"""Window: a half-open rectangle of pixels, rows first; Margin: pixels beyond the four edges of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open pixel rectangle ``[row_start, row_stop) x [col_start, col_stop)``.

    Examples:
        >>> Window(0, 2, 10, 13).shape
        (2, 3)
    """

    row_start: int
    row_stop: int
    col_start: int
    col_stop: int

    def __post_init__(self) -> None:
        if self.row_stop < self.row_start or self.col_stop < self.col_start:
            raise ValueError(f"a window cannot end before it starts: {self}")

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> Window:
        """Return the window of a whole grid of ``shape`` (rows, columns)."""
        return cls(0, shape[0], 0, shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return self.row_stop - self.row_start

    @property
    def width(self) -> int:
        """Columns."""
        return self.col_stop - self.col_start

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.height, self.width

    @property
    def pixels(self) -> int:
        """Number of pixels inside."""
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of this window in an array of the whole grid."""
        return slice(self.row_start, self.row_stop), slice(self.col_start, self.col_stop)

    def within(self, outer: Window) -> tuple[slice, slice]:
        """Index of this window in an array that covers ``outer``."""
        return self.shifted(-outer.row_start, -outer.col_start).slices

    def shifted(self, rows: int, cols: int) -> Window:
        """Return the window moved down by ``rows`` and right by ``cols`` pixels."""
        return Window(self.row_start + rows, self.row_stop + rows, self.col_start + cols, self.col_stop + cols)

    def expanded(self, rows: int, cols: int | None = None) -> Window:
        """Return the window grown by ``rows`` above and below and ``cols`` (default: the same) left and right."""
        cols = rows if cols is None else cols
        return Window(self.row_start - rows, self.row_stop + rows, self.col_start - cols, self.col_stop + cols)

    def intersection(self, other: Window) -> Window:
        """Return the common part; a window without pixels if the two do not overlap."""
        row_start, col_start = max(self.row_start, other.row_start), max(self.col_start, other.col_start)
        row_stop, col_stop = min(self.row_stop, other.row_stop), min(self.col_stop, other.col_stop)
        return Window(row_start, max(row_start, row_stop), col_start, max(col_start, col_stop))

    def union(self, other: Window) -> Window:
        """Return the smallest window that contains both."""
        return Window(
            min(self.row_start, other.row_start),
            max(self.row_stop, other.row_stop),
            min(self.col_start, other.col_start),
            max(self.col_stop, other.col_stop),
        )

    def contains(self, other: Window) -> bool:
        """Return True if ``other`` lies inside this window."""
        return (
            self.row_start <= other.row_start
            and other.row_stop <= self.row_stop
            and self.col_start <= other.col_start
            and other.col_stop <= self.col_stop
        )

    def split(self, side_px: int) -> Iterator[Window]:
        """Cut into windows of at most ``side_px`` rows and columns, row by row.

        Examples:
            >>> [part.shape for part in Window(0, 2, 0, 5).split(3)]
            [(2, 3), (2, 2)]
        """
        for top in range(self.row_start, self.row_stop, side_px):
            for left in range(self.col_start, self.col_stop, side_px):
                yield Window(top, min(top + side_px, self.row_stop), left, min(left + side_px, self.col_stop))


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Numbers of pixels beyond each edge of a grid that can be read, because neighbouring scenes have them.

    Examples:
        >>> Margin(top=16, left=8).around((100, 200))
        Window(row_start=-16, row_stop=100, col_start=-8, col_stop=200)
    """

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __post_init__(self) -> None:
        if min(self.sides) < 0:
            raise ValueError(f"a margin has no negative side: {self}")

    @classmethod
    def between(cls, outer: Window, inner: Window) -> Margin:
        """Return the margin of a window inside a larger one; a side on which it is not larger is 0."""
        return cls(
            top=max(0, inner.row_start - outer.row_start),
            bottom=max(0, outer.row_stop - inner.row_stop),
            left=max(0, inner.col_start - outer.col_start),
            right=max(0, outer.col_stop - inner.col_stop),
        )

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """(top, bottom, left, right)."""
        return self.top, self.bottom, self.left, self.right

    def __bool__(self) -> bool:
        return any(self.sides)

    def around(self, shape: tuple[int, int]) -> Window:
        """Return the window of a grid of ``shape`` (rows, columns) with this margin."""
        return Window(-self.top, shape[0] + self.bottom, -self.left, shape[1] + self.right)

    def scaled(self, shape: tuple[int, int], other: tuple[int, int]) -> Margin:
        """Return the same margin in whole pixels of another grid over the same ground, rounded down.

        Args:
            shape: (rows, columns) of this grid.
            other: (rows, columns) of the other.
        """
        rows, cols = (new / old for new, old in zip(other, shape, strict=True))
        return Margin(
            top=int(self.top * rows),
            bottom=int(self.bottom * rows),
            left=int(self.left * cols),
            right=int(self.right * cols),
        )

    def at_most(self, rows: int, cols: int) -> Margin:
        """Return the margin cut to ``rows`` above and below and ``cols`` left and right."""
        return Margin(
            top=min(self.top, rows),
            bottom=min(self.bottom, rows),
            left=min(self.left, cols),
            right=min(self.right, cols),
        )


NO_MARGIN = Margin()
"""Margin of a scene that stands alone."""
