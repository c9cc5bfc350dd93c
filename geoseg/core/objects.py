"""ObjectTable: countable things with an identity, as columns, each with its mask as run lengths on the scene's grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window

_DTYPES = {
    "label": np.int64,
    "code": np.uint8,
    "score": np.float32,
    "open": np.bool_,
    "first_run": np.int64,
    "run_row": np.int32,
    "run_col": np.int32,
    "run_length": np.int32,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectTable:
    """Objects of one block, or of a scene.

    The mask of object ``i`` is the runs ``first_run[i]`` to ``first_run[i + 1]``, sorted by row, then column; a run is
    a row of the scene, the column it begins at, and its length in pixels.

    Attributes:
        label: (n,) int64, unique; a number local to the block, after stitching the object's id in the scene.
        code: (n,) uint8, code of the class.
        score: (n,) float32, 0 to 1.
        open: (n,) bool, True if the object touches the edge of the window its block has read and may continue there.
        first_run: (n + 1,) int64.
        run_row: (r,) int32.
        run_col: (r,) int32.
        run_length: (r,) int32, at least 1.

    Raises:
        ValueError: the columns do not fit each other.
    """

    label: npt.NDArray[np.int64]
    code: npt.NDArray[np.uint8]
    score: npt.NDArray[np.float32]
    open: npt.NDArray[np.bool_]
    first_run: npt.NDArray[np.int64]
    run_row: npt.NDArray[np.int32]
    run_col: npt.NDArray[np.int32]
    run_length: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        count, runs = len(self.label), len(self.run_row)
        lengths = {len(self.code), len(self.score), len(self.open), len(self.first_run) - 1}
        if lengths != {count} or {len(self.run_col), len(self.run_length)} != {runs}:
            raise ValueError("the columns of objects differ in length")
        if self.first_run[0] != 0 or self.first_run[-1] != runs or (np.diff(self.first_run) < 1).any():
            raise ValueError("each object has at least one run, and each run one object")
        if len(np.unique(self.label)) != count:
            raise ValueError("two objects have one label")

    def __len__(self) -> int:
        return len(self.label)

    @classmethod
    def empty(cls) -> ObjectTable:
        """Make a table without objects."""
        return cls.from_columns({name: np.zeros(int(name == "first_run"), kind) for name, kind in _DTYPES.items()})

    @classmethod
    def from_columns(cls, columns: Mapping[str, AnyArray]) -> ObjectTable:
        """Make a table from columns by name, the inverse of ``columns``.

        Raises:
            ValueError: a column is missing or unknown, has another type, or does not fit the others.
        """
        if columns.keys() != _DTYPES.keys():
            raise ValueError(f"columns of objects are {', '.join(_DTYPES)}, not {', '.join(columns)}")
        wrong = [name for name, kind in _DTYPES.items() if columns[name].dtype != kind or columns[name].ndim != 1]
        if wrong:
            raise ValueError(f"columns of another type or shape: {', '.join(wrong)}")
        return cls(**columns)

    @classmethod
    def from_masks(cls, masks: Sequence[tuple[int, float, Window, npt.NDArray[np.bool_], bool]]) -> ObjectTable:
        """Make a table of masks; labels count from 0.

        Args:
            masks: per object its class code, its score, a window of the scene, its mask (y, x) over the window, and
                True if it is open. A mask has at least one pixel.
        """
        runs = [_runs(mask, window) for _, _, window, mask, _ in masks]
        row, col, length = (
            np.concatenate([part[column] for part in runs]) if runs else np.zeros(0, np.int32) for column in range(3)
        )
        return cls(
            label=np.arange(len(masks), dtype=np.int64),
            code=np.array([entry[0] for entry in masks], np.uint8),
            score=np.array([entry[1] for entry in masks], np.float32),
            open=np.array([entry[4] for entry in masks], np.bool_),
            first_run=np.cumsum([0, *(len(part[0]) for part in runs)], dtype=np.int64),
            run_row=row,
            run_col=col,
            run_length=length,
        )

    def columns(self) -> dict[str, AnyArray]:
        """The columns by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def window(self, index: int) -> Window:
        """The smallest window of the scene that holds an object."""
        here = slice(self.first_run[index], self.first_run[index + 1])
        rows, cols = self.run_row[here], self.run_col[here]
        stops = cols + self.run_length[here]
        return Window(int(rows[0]), int(rows[-1]) + 1, int(cols.min()), int(stops.max()))

    def mask(self, index: int) -> npt.NDArray[np.bool_]:
        """The mask of an object, (y, x) over ``window(index)``."""
        window = self.window(index)
        mask = np.zeros(window.shape, bool)
        for run in range(self.first_run[index], self.first_run[index + 1]):
            start = self.run_col[run] - window.col_start
            mask[self.run_row[run] - window.row_start, start : start + self.run_length[run]] = True
        return mask

    def pixels(self) -> npt.NDArray[np.int64]:
        """Pixels of each object, (n,) int64."""
        if not len(self):
            return np.zeros(0, np.int64)
        return np.add.reduceat(self.run_length.astype(np.int64), self.first_run[:-1])

    def last_pixel(self, scene_width: int) -> npt.NDArray[np.int64]:
        """Number of the last pixel of each object, ``row * scene_width + column``: its id in the scene, (n,) int64."""
        last = self.first_run[1:] - 1
        col = self.run_col[last].astype(np.int64) + self.run_length[last] - 1
        return self.run_row[last].astype(np.int64) * scene_width + col

    def take(self, chosen: npt.NDArray[np.int64]) -> ObjectTable:
        """Keep some objects, in the order of their indices in ``chosen``."""
        counts = np.diff(self.first_run)[chosen]
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        runs = np.arange(first[-1]) - np.repeat(first[:-1] - self.first_run[chosen], counts)
        return ObjectTable(
            label=self.label[chosen],
            code=self.code[chosen],
            score=self.score[chosen],
            open=self.open[chosen],
            first_run=first,
            run_row=self.run_row[runs],
            run_col=self.run_col[runs],
            run_length=self.run_length[runs],
        )

    def clipped(self, window: Window) -> tuple[npt.NDArray[np.int64], ObjectTable]:
        """Cut the masks to a window; objects without a pixel there are left out.

        Returns:
            Index of each object that is left, and their table.
        """
        start = np.maximum(self.run_col, window.col_start)
        stop = np.minimum(self.run_col + self.run_length, window.col_stop)
        kept = (self.run_row >= window.row_start) & (self.run_row < window.row_stop) & (stop > start)
        owner = np.repeat(np.arange(len(self)), np.diff(self.first_run))[kept]
        counts = np.bincount(owner, minlength=len(self))
        left = np.flatnonzero(counts)
        return left, ObjectTable(
            label=self.label[left],
            code=self.code[left],
            score=self.score[left],
            open=self.open[left],
            first_run=np.concatenate([[0], np.cumsum(counts[left])]).astype(np.int64),
            run_row=self.run_row[kept],
            run_col=start[kept],
            run_length=(stop - start)[kept],
        )

    @classmethod
    def concatenated(cls, tables: Sequence[ObjectTable]) -> ObjectTable:
        """Put tables one behind the other; their labels must differ."""
        if not tables:
            return cls.empty()
        starts = np.cumsum([0, *(len(table.run_row) for table in tables)])
        first = [table.first_run[:-1] + start for table, start in zip(tables, starts, strict=False)]
        columns = {
            name: np.concatenate([getattr(table, name) for table in tables]) for name in _DTYPES if name != "first_run"
        }
        return cls(first_run=np.append(np.concatenate(first), starts[-1]).astype(np.int64), **columns)

    def __iter__(self) -> Iterator[tuple[int, Window, npt.NDArray[np.bool_]]]:
        for index in range(len(self)):
            yield int(self.label[index]), self.window(index), self.mask(index)


def _runs(
    mask: npt.NDArray[np.bool_], window: Window
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Rows, first columns and lengths of the runs of a mask, on the scene's grid."""
    framed = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    framed[:, 1:-1] = mask
    steps = np.diff(framed, axis=1)
    row, start = np.nonzero(steps == 1)
    stop = np.nonzero(steps == -1)[1]
    return (
        (row + window.row_start).astype(np.int32),
        (start + window.col_start).astype(np.int32),
        (stop - start).astype(np.int32),
    )
