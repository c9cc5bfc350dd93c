"""Window: a half-open rectangle of pixels, rows first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open pixel rectangle ``[row_start, row_stop) x [col_start, col_stop)``.

    Example:
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
