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
    each number of an object by hand. Labels of objects do not change with further edits.

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
        self._edge_is_known = not finished.paints_anywhere
        windows: dict[int, Window] = {}
        by_hand: dict[int, int] = {}
        for one in planes.paints:
            number = one.paint.number
            if number != AUTOMATIC and one.paint.code is not None:
                by_hand[number] = one.paint.code
                windows[number] = one.window.union(windows.get(number, one.window))
        more = max(by_hand, default=0)
        self.code: U8 = np.concatenate([run.code, np.zeros(more, np.uint8)])
        self.code[0] = finished.legend.nodata
        self.score: F64 = np.concatenate([run.score, np.full(more, _BY_HAND_SCORE if run.scored else np.nan)])
        self._windows = list(run.windows) + [Window(0, 0, 0, 0)] * more
        for number, code in by_hand.items():
            self.code[self._first + number], self._windows[self._first + number] = code, windows[number]

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
        return np.where(edited.number != AUTOMATIC, edited.number + np.int32(self._first), run).astype(np.int32)

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
            known[near.within(around)] = (edited.codes != self.code[0]) if self._edge_is_known else True
            labels = np.ascontiguousarray(self.labels(near, edited)[window.within(near)])
            add_pixels(sums, labels, window, known, self.shape[1])
        return sums

    def close(self) -> None:
        """Close the files of the run."""
        self._labels.close()
