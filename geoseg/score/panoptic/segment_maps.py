"""Panoptic maps as scores read them: rasters of labels, class rasters with objects, and pictures of COCO."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.labels.coco_panoptic import CocoPicture
from geoseg.io.labels.contact_labels import ObjectLayer
from geoseg.io.labels.label_layer import LabelLayer
from geoseg.io.labels.panoptic_raster import MOST_THINGS, PER_THING, codes_of
from geoseg.score.panoptic.pairs import VOID, SegmentMap
from geoseg.score.panoptic.quality import SegmentTable

I64 = npt.NDArray[np.int64]

_WINDOW_PX = 2048
_MOST_LABEL = 2**31 - 2


class ScoredMap(SegmentMap, Protocol):
    """Protocol of a map that is scored.

    Attributes:
        name: of its file.
    """

    name: str

    def table(self, found: I64) -> SegmentTable:
        """List its segments.

        Args:
            found: numbers that its pixels have, rising.
        """
        ...


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

    def table(self, found: I64) -> SegmentTable:
        """List the segments; see ``ScoredMap``."""
        return table_of(found)

    def things(self) -> set[int]:
        """Read the whole raster, and return the codes that its things have."""
        return {code for window in _windows(self.shape) for code in thing_codes(np.unique(self.numbers(window)))}


class ObjectSegments:
    """Segments of a class raster whose things are told apart by another layer.

    A pixel of a class of things that lies in no object is void. Objects may have any numbers: they are numbered anew,
    in the order in which they are met.

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
        self._met = np.zeros(1, np.int64)
        """Numbers of the objects met so far, rising; 0 means none."""
        self._new = np.zeros(1, np.int64)

    def numbers(self, window: Window) -> I64:
        """Read the number of each pixel's segment; see ``SegmentMap``.

        Raises:
            SceneError: a class code is above 255, or there are more objects than can be numbered.
        """
        _, known, numbers = self._objects.read_objects(window)
        objects = self._numbered(numbers.astype(np.int64))
        if self._classes is None:
            code = np.where(objects > 0, self._things[0], -1 if self._rest is None else self._rest)
            valid = known
        else:
            code, valid = self._classes.read(window)
            if valid.any() and int(code[valid].max()) >= PER_THING:
                raise SceneError(
                    self.name,
                    f"{int(code[valid].max())} is no class code.",
                    f"Give a class raster with codes of 0 to {PER_THING - 1}.",
                )
        code = code.astype(np.int64)
        thing = np.isin(code, self._things)
        labels = np.where(thing, code + PER_THING * objects, code)
        return np.where(valid & (code >= 0) & ~(thing & (objects == 0)), labels + 1, VOID).astype(np.int64)

    def table(self, found: I64) -> SegmentTable:
        """List the segments; see ``ScoredMap``."""
        return table_of(found)

    def _numbered(self, numbers: I64) -> I64:
        """Number objects from 1, as they were before if they were met before."""
        here = np.unique(numbers)
        missing = here[~np.isin(here, self._met)]
        if len(missing):
            met = np.concatenate([self._met, missing])
            new = np.concatenate([self._new, np.arange(len(self._new), len(met))])
            order = np.argsort(met)
            self._met, self._new = met[order], new[order]
            if len(met) - 1 > MOST_THINGS:
                raise SceneError(self.name, f"it has more than {MOST_THINGS} objects.", "Score it in parts.")
        return np.asarray(self._new[np.searchsorted(self._met, numbers)])


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

    def table(self, found: I64) -> SegmentTable:
        """List the segments of the document, also those without a pixel; see ``ScoredMap``."""
        del found
        listed = self._segments
        return SegmentTable.of(
            [one.id for one in listed], [one.category for one in listed], [one.crowd for one in listed]
        )


def thing_codes(numbers: I64) -> set[int]:
    """Return the class codes of the things among panoptic labels plus 1."""
    return set(codes_of(numbers[numbers > PER_THING] - 1).tolist())


def table_of(numbers: I64) -> SegmentTable:
    """List the segments of panoptic labels plus 1; 0 is left out."""
    found = numbers[numbers != VOID]
    return SegmentTable.of(found, codes_of(found - 1))


def _windows(shape: tuple[int, int]) -> Iterator[Window]:
    for top in range(0, shape[0], _WINDOW_PX):
        for left in range(0, shape[1], _WINDOW_PX):
            yield Window(top, min(top + _WINDOW_PX, shape[0]), left, min(left + _WINDOW_PX, shape[1]))
