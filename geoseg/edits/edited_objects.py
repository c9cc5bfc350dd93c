"""EditedObjects: objects of a map of detected objects or of a panoptic map, as edits left them, and those by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geoseg.core.closing import Closing
from geoseg.core.window import Window
from geoseg.edits.finished_map import FinishedMap
from geoseg.edits.planes import EditedPlanes, EditedWindow
from geoseg.edits.run_objects import RunLabels
from geoseg.inference.objects.shape import PixelSums, add_pixels
from geoseg.io.edits.edit import AUTOMATIC

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
_BY_HAND_SCORE = 1.0


class EditedObjects(Closing):
    """Objects of a map with its edits. Thread-safe.

    A label is 0 where there is no object, that of ``RunObjects`` for an object of the run, and beyond these one for
    each object by hand, in the order of their numbers in the log.

    Args:
        finished: the map.
        planes: its planes with the edits.

    Attributes:
        shape: (rows, columns).
        planes: the planes.
        code: (label,) class of each label.
        score: (label,) score of each label; NaN where there is none.
    """

    def __init__(self, finished: FinishedMap, planes: EditedPlanes) -> None:
        run = finished.run_objects
        self.shape, self.planes = planes.shape, planes
        self._labels, self._first = RunLabels(run), len(run)
        self._cut = run.cut if finished.paints_anywhere else None
        by_hand: dict[int, tuple[int, Window]] = {}
        for one in planes.paints:
            number, code = one.paint.number, one.paint.code
            if number != AUTOMATIC and code is not None:
                _, window = by_hand.get(number, (code, one.window))
                by_hand[number] = code, one.window.union(window)
        self._number = np.array(sorted(by_hand), np.int64)
        drawn = [by_hand[number] for number in sorted(by_hand)]
        score = _BY_HAND_SCORE if run.scored else np.nan
        self.code: U8 = np.concatenate([run.code, np.array([code for code, _ in drawn], np.uint8)])
        self.code[0] = finished.legend.nodata
        self.score: F64 = np.concatenate([run.score, np.full(len(drawn), score)])
        self._windows = (*run.windows, *(window for _, window in drawn))

    def __len__(self) -> int:
        """Number of labels."""
        return len(self.code)

    def labels(self, window: Window, edited: EditedWindow | None = None) -> I32:
        """Read labels, (y, x) int32.

        Args:
            window: of the scene.
            edited: the planes of the window, where they were read already.
        """
        edited = self.planes.edited(window) if edited is None else edited
        run = np.where(edited.by_hand, 0, self._labels.read(window))
        by_hand = np.searchsorted(self._number, edited.number) + 1 + self._first
        return np.where(edited.number != AUTOMATIC, by_hand, run).astype(np.int32)

    def label_of(self, label: int, other: EditedObjects) -> int:
        """Return the label that an object has here; 0 if edits here do not have it.

        Args:
            label: its label in ``other``.
            other: the map with other edits.
        """
        if label <= self._first:
            return label
        number = other._number[label - self._first - 1]
        place = int(np.searchsorted(self._number, number))
        there = place < len(self._number) and self._number[place] == number
        return self._first + 1 + place if there else 0

    def window_of(self, label: int) -> Window:
        """Return a window that holds all pixels of an object."""
        return self._windows[label]

    def sums(self) -> PixelSums:
        """Count and sum up the pixels of all labels, in one pass over the map."""
        sums, scene = PixelSums.empty(len(self)), Window.whole(self.shape)
        for window in self.planes.blocks():
            around = window.expanded(1)
            near = around.intersection(scene)
            edited = self.planes.edited(near)
            known = np.zeros(around.shape, np.bool_)
            known[near.within(around)] = True if self._cut is not None else edited.codes != self.code[0]
            labels = np.ascontiguousarray(self.labels(near, edited)[window.within(near)])
            add_pixels(sums, labels, window, known, self.shape[1])
        if self._cut is not None:  # where the run had no result looks like where it has no object
            sums.cut[: len(self._cut)] |= self._cut
        return sums

    def close(self) -> None:
        """Close the files of the run."""
        self._labels.close()
