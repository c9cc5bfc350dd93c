"""RunObjects: the objects that a run drew into its layers, pixel by pixel, as they were before any edit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import shapely
from scipy import ndimage

from geoseg.core.closing import Closing
from geoseg.core.layer import OBJECTS, SEGMENTS
from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window
from geoseg.errors import OutputError
from geoseg.inference.tasks.instance_layers import MOST_PIXELS
from geoseg.io.edits.areas import in_pixels
from geoseg.io.edits.layer_tables import read_rows, wkb_of
from geoseg.io.edits.scratch_labels import ScratchLabels
from geoseg.io.labels.panoptic_raster import PER_THING, things_of
from geoseg.io.polygons.segment_stream import GEOMETRY
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.raster.code_file import LayerFiles

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

NO_NUMBER: Final = 0
"""Number of pixels without an object; those of objects are larger."""

_BLOCK_PX: Final = 1024


class Numbers(Protocol):
    """Numbers of the objects of a map, read by window."""

    def read(self, window: Window) -> I64:
        """Read numbers, (y, x), ``NO_NUMBER`` where there is no object."""
        ...

    def close(self) -> None:
        """Close its files."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunObjects:
    """Objects of a run. Label ``k`` is the object ``number[k - 1]``; label 0 is none.

    Attributes:
        number: (object,) ascending numbers of the objects.
        code: (label,) class of each label.
        score: (label,) score of each label, 0 to 1; NaN where there is none.
        windows: (label,) smallest window of each object.
        source: opens their numbers.
    """

    number: I64
    code: U8
    score: F64
    windows: tuple[Window, ...]
    source: Callable[[], Numbers]

    def __len__(self) -> int:
        return len(self.number)

    @property
    def scored(self) -> bool:
        """True if objects have scores; without any object it is so."""
        return not len(self) or not bool(np.isnan(self.score[1:]).all())


class RunLabels(Closing):
    """Reader of the labels of a run's objects. Thread-safe.

    Args:
        objects: the objects.
    """

    def __init__(self, objects: RunObjects) -> None:
        self._number, self._numbers = objects.number, objects.source()

    def read(self, window: Window) -> I32:
        """Read labels, (y, x) int32, 0 for none."""
        numbers = self._numbers.read(window)
        labels = np.searchsorted(self._number, numbers) + 1
        return np.where(numbers == NO_NUMBER, 0, labels).astype(np.int32)

    def close(self) -> None:
        """Close the files."""
        self._numbers.close()


def things_of_panoptic(raster: Path, classes: Path, segments: Path | None) -> RunObjects:
    """Find the things of a panoptic map, by their numbers.

    Args:
        raster: of panoptic labels.
        classes: the class raster.
        segments: polygons with the scores of things; None: there are none.

    Raises:
        OutputError: a file is damaged.
    """
    score: dict[int, float] = {}
    if segments is not None:
        rows = read_rows(segments, SEGMENTS, ("segment_id", "score"))
        score = {int(label) // PER_THING: value for label, value in rows if value is not None}
    return _found(lambda: _ThingNumbers(raster), classes, score)


def objects_of_ids(raster: Path, classes: Path, objects: Path | None) -> RunObjects:
    """Find detected objects in the raster of their ids, by these.

    Args:
        raster: of ids.
        classes: the class raster.
        objects: polygons with the scores of objects; None: there are none.

    Raises:
        OutputError: a file is damaged.
    """
    score: dict[int, float] = {}
    if objects is not None:
        rows = read_rows(objects, OBJECTS, ("object_id", "score"))
        score = {int(ident) + 1: value for ident, value in rows if value is not None}
    return _found(lambda: _IdNumbers(raster), classes, score)


def objects_of_polygons(objects: Path, classes: Path, grid: LayerGrid) -> RunObjects:
    """Burn the polygons of detected objects, which keep every corner of a pixel.

    Args:
        objects: their GeoPackage.
        classes: the class raster.
        grid: the grid.

    Raises:
        OutputError: a file is damaged.
        ResourceError: the disk is full.
    """
    labels, score = ScratchLabels(grid.shape, objects.parent.parent), dict[int, float]()
    rows = read_rows(objects, OBJECTS, (GEOMETRY, "pixels", "score"))
    for label, (blob, pixels, value) in enumerate(rows, start=1):
        score[label] = value
        if labels.burn(in_pixels(shapely.from_wkb(wkb_of(blob)), grid), label) != pixels:
            raise OutputError(
                f"{objects}: polygon {label} does not have the {pixels} pixels that it was drawn from. Run geoseg"
                " predict again with --object-ids."
            )
    return _found(lambda: _BurntNumbers(labels), classes, score)


class _ThingNumbers(Closing):
    def __init__(self, raster: Path) -> None:
        self._file = LayerFiles(raster)

    def read(self, window: Window) -> I64:
        (labels,) = self._file.planes(window)
        return np.asarray(np.maximum(things_of(labels), NO_NUMBER), np.int64)

    def close(self) -> None:
        self._file.close()


class _IdNumbers(Closing):
    """Ids plus one: the first pixel of a scene is an id, too."""

    def __init__(self, raster: Path) -> None:
        self._file = LayerFiles(raster)

    def read(self, window: Window) -> I64:
        (ids,) = self._file.planes(window)
        return np.where(ids == MOST_PIXELS, NO_NUMBER, ids.astype(np.int64) + 1)

    def close(self) -> None:
        self._file.close()


class _BurntNumbers(Closing):
    def __init__(self, labels: ScratchLabels) -> None:
        self._labels = labels

    def read(self, window: Window) -> I64:
        return self._labels.read(window).astype(np.int64)

    def close(self) -> None:
        """Leave the labels: other readers have them too."""


def _found(source: Callable[[], Numbers], classes: Path, scores: Mapping[int, float]) -> RunObjects:
    """Go through a map once and list its objects."""
    code: dict[int, int] = {}
    windows: dict[int, Window] = {}
    numbers = source()
    try:
        with LayerFiles(classes) as file:
            for window in Window.whole(file.shape).split(_BLOCK_PX):
                (codes,) = file.planes(window)
                for number, place, part in _parts(numbers.read(window), window):
                    code.setdefault(number, int(codes.ravel()[place]))
                    windows[number] = part.union(windows.get(number, part))
    finally:
        numbers.close()
    order = sorted(windows)
    return RunObjects(
        number=np.array(order, np.int64),
        code=np.array([0, *(code[number] for number in order)], np.uint8),
        score=np.array([np.nan, *(scores.get(number, np.nan) for number in order)], np.float64),
        windows=(Window(0, 0, 0, 0), *(windows[number] for number in order)),
        source=source,
    )


def _parts(numbers: AnyArray, window: Window) -> list[tuple[int, int, Window]]:
    """List number, place of the first pixel and smallest window of the objects of a block."""
    found, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    parts = []
    for number, place, slices in zip(
        found.tolist(), first.tolist(), ndimage.find_objects(inverse.reshape(numbers.shape) + 1), strict=True
    ):
        if number != NO_NUMBER:
            rows, cols = slices
            at = Window(rows.start, rows.stop, cols.start, cols.stop)
            parts.append((number, place, at.shifted(window.row_start, window.col_start)))
    return parts
