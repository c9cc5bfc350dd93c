"""LabelMasks: pixels of the objects that edits name, on maps whose objects have labels."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property

import numpy as np
import numpy.typing as npt

from geoseg.core.closing import Closing
from geoseg.core.layer import SEGMENTS
from geoseg.core.window import Window
from geoseg.edits.edited_objects import EditedObjects
from geoseg.edits.finished_map import FinishedMap
from geoseg.edits.object_masks import Mask, Surroundings, no_object
from geoseg.edits.planes import EditedPlanes
from geoseg.errors import UsageError
from geoseg.io.edits.areas import in_pixels, window_of
from geoseg.io.edits.edit import EditLog, paints_of
from geoseg.io.edits.layer_tables import polygons_by_id
from geoseg.io.labels.panoptic_raster import PER_THING
from geoseg.io.raster.code_file import LayerFiles

Bools = npt.NDArray[np.bool_]
_BLOCK_PX, _MARGIN_PX = 1024, 8


class LabelMasks(Closing):
    """Objects of a map with its edits, by the ids that its layers have; see ``ObjectMasks``.

    Detected objects have the number of their last pixel on the map as it is edited. Things of a panoptic map have the
    label of the raster and the ``segment_id`` of the polygons, as they were saved last: these count the things, so
    that they change where one is added.

    Args:
        finished: the map.
        planes: its planes with all active edits.
        log: the edits.
    """

    def __init__(self, finished: FinishedMap, planes: EditedPlanes, log: EditLog) -> None:
        self.codes = finished.counted
        self.parts_classes = False
        self._finished, self._planes, self._log = finished, planes, log
        self._opened = ExitStack()
        self._objects = self._opened.enter_context(EditedObjects(finished, planes))

    def named(self, ident: int) -> tuple[Mask, Surroundings, int]:
        """Find an object by its id; see ``ObjectMasks.named``.

        Raises:
            UsageError: there is no such object.
        """
        panoptic = self._finished.kind == "panoptic"
        label = self._of_segment(ident) if panoptic else self._of_pixel(ident)
        window = self._objects.window_of(label)
        around = self.around(window)
        mask = Mask(window=around.window, inside=around.labels == label, code=int(self._objects.code[label]))
        if not panoptic and _last(mask, self._planes.shape[1]) != ident:
            raise no_object(ident)
        if not window.pixels or not mask.inside.any():
            raise UsageError(
                f"object {ident} was changed by an edit that is not in the layers yet. Save, and look it up again."
            )
        return mask, around, label

    def around(self, core: Window) -> Surroundings:
        """Find the objects in a window and of the pixels around it."""
        window = core.expanded(1).intersection(Window.whole(self._planes.shape))
        edited = self._planes.edited(window)
        return Surroundings(
            window=window,
            codes=edited.codes,
            valid=edited.paintable,
            labels=self._objects.labels(window, edited),
            found=frozenset(),
        )

    def of_label(self, label: int) -> Mask:
        """Return the pixels of an object by its label; none if an edit took them all."""
        window = self._objects.window_of(label)
        inside = np.zeros(window.shape, np.bool_)
        if window.pixels:
            inside = self._objects.labels(window) == label
        return Mask(window=window, inside=inside, code=int(self._objects.code[label]))

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def _of_pixel(self, ident: int) -> int:
        height, width = self._planes.shape
        row, col = divmod(ident, width)
        label = int(self._objects.labels(Window(row, row + 1, col, col + 1))[0, 0]) if 0 <= row < height else 0
        if label == 0:
            raise no_object(ident)
        return label

    def _of_segment(self, ident: int) -> int:
        """Find the label of a thing by its label in the saved raster."""
        if not PER_THING <= ident < 2**31:
            raise no_object(ident)
        pixel = self._pixel_of(ident)
        return self._objects.label_of(int(self._saved.labels(pixel)[0, 0]), self._saved)

    @cached_property
    def _saved(self) -> EditedObjects:
        """The objects of the map as it was saved last."""
        saved = paints_of(entry for entry in self._log.entries if entry.saved)
        planes = self._opened.enter_context(EditedPlanes(self._finished, saved))
        return self._opened.enter_context(EditedObjects(self._finished, planes))

    def _pixel_of(self, ident: int) -> Window:
        """Find a pixel of a thing in the saved raster."""
        finished, scene = self._finished, Window.whole(self._planes.shape)
        if finished.bundle.segments.exists():
            drawn = polygons_by_id(finished.bundle.segments, SEGMENTS, "segment_id", [ident])
            if ident not in drawn:
                raise no_object(ident)
            near = window_of(in_pixels(drawn[ident][0], finished.grid), self._planes.shape)
            scene = near.expanded(_MARGIN_PX).intersection(scene)
        with LayerFiles(finished.numbers) as file:
            for window in scene.split(_BLOCK_PX):
                rows, cols = np.nonzero(file.planes(window)[0] == ident)
                if len(rows):
                    row, col = window.row_start + int(rows[0]), window.col_start + int(cols[0])
                    return Window(row, row + 1, col, col + 1)
        raise no_object(ident)


def _last(mask: Mask, width: int) -> int:
    """Return the number of the last pixel of a mask; -1 if it has none."""
    rows, cols = np.nonzero(mask.inside)
    if not len(rows):
        return -1
    return (mask.window.row_start + int(rows[-1])) * width + mask.window.col_start + int(cols[-1])
