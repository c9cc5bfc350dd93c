"""Panoptic maps as scores read them: rasters of labels, class rasters with objects, and pictures of COCO."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.labels.coco_panoptic import CocoPicture
from geoseg.io.labels.contact_labels import ObjectLayer
from geoseg.io.labels.label_layer import LabelLayer
from geoseg.io.labels.panoptic_raster import PER_THING, codes_of
from geoseg.score.panoptic.pairs import VOID
from geoseg.score.panoptic.quality import SegmentTable

I64 = npt.NDArray[np.int64]

_WINDOW_PX = 2048
_MOST_LABEL = 2**31 - 2


class LabelSegments:
    """Segments of a raster of panoptic labels; a class raster is one without things.

    Args:
        layer: the raster.
    """

    def __init__(self, layer: LabelLayer) -> None:
        self.name = layer.name
        rows, cols = (int(side) for side in layer.geobox.shape)
        self.shape = (rows, cols)
        self._layer = layer

    def numbers(self, window: Window) -> I64:
        """Read the number of each pixel's segment: its label plus 1; see ``SegmentMap``.

        Raises:
            SceneError: a label is no panoptic label.
        """
        labels, valid = self._layer.read(window)
        numbers = np.where(valid, labels, -1).astype(np.int64)
        if numbers.min(initial=0) < -1 or numbers.max(initial=0) > _MOST_LABEL:
            raise SceneError(self.name, "it holds numbers that are no panoptic labels.", "Give a raster of labels.")
        return numbers + 1

    def table(self) -> SegmentTable:
        """List the segments."""
        return table_of(np.unique(np.concatenate([np.unique(self.numbers(w)) for w in _windows(self.shape)])))


class ObjectSegments:
    """Segments of a class raster whose things are told apart by another layer.

    A pixel of a class of things that lies in no object is void.

    Args:
        classes: class codes; None: the pixels of objects are of the one class of things, all others of ``rest``.
        objects: numbers of objects on the same grid.
        things: codes of the classes of things.
        rest: code of the pixels without an object, where there are no class codes.
    """

    def __init__(
        self, classes: LabelLayer | None, objects: ObjectLayer, things: tuple[int, ...], rest: int | None = None
    ) -> None:
        self.name = objects.name if classes is None else classes.name
        rows, cols = (int(side) for side in objects.geobox.shape)
        self.shape = (rows, cols)
        self._classes, self._objects, self._things, self._rest = classes, objects, things, rest

    def numbers(self, window: Window) -> I64:
        """Read the number of each pixel's segment; see ``SegmentMap``."""
        _, known, objects = self._objects.read_objects(window)
        if self._classes is None:
            code = np.where(objects > 0, self._things[0], -1 if self._rest is None else self._rest)
            valid = known
        else:
            code, valid = self._classes.read(window)
        thing = np.isin(code, self._things)
        labels = np.where(thing, code + PER_THING * objects.astype(np.int64), code)
        return np.where(valid & (code >= 0) & ~(thing & (objects == 0)), labels + 1, VOID).astype(np.int64)

    def table(self) -> SegmentTable:
        """List the segments."""
        return table_of(np.unique(np.concatenate([np.unique(self.numbers(w)) for w in _windows(self.shape)])))


class PictureSegments:
    """Segments of a picture of COCO.

    Args:
        picture: the picture, with its segments.
    """

    def __init__(self, picture: CocoPicture) -> None:
        self.name, self._ids = str(picture.path), picture.ids()
        self.shape = (self._ids.shape[0], self._ids.shape[1])
        self._segments = picture.segments

    def numbers(self, window: Window) -> I64:
        """Read the number of each pixel's segment; see ``SegmentMap``."""
        return self._ids[window.slices]

    def table(self) -> SegmentTable:
        """List the segments."""
        listed = self._segments
        return SegmentTable.of(
            [one.id for one in listed], [one.category for one in listed], [one.crowd for one in listed]
        )


def table_of(numbers: I64) -> SegmentTable:
    """List the segments of panoptic labels plus 1; 0 is left out."""
    found = numbers[numbers != VOID]
    return SegmentTable.of(found, codes_of(found - 1))


def _windows(shape: tuple[int, int]) -> Iterator[Window]:
    for top in range(0, shape[0], _WINDOW_PX):
        for left in range(0, shape[1], _WINDOW_PX):
            yield Window(top, min(top + _WINDOW_PX, shape[0]), left, min(left + _WINDOW_PX, shape[1]))
