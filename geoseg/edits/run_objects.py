"""RunObjects: the objects that a run drew into its layers, pixel by pixel, as they were before any edit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import shapely

from geoseg.core.closing import Closing
from geoseg.core.layer import OBJECTS, SEGMENTS
from geoseg.core.window import Window
from geoseg.errors import OutputError
from geoseg.inference.tasks.instance_layers import MOST_PIXELS
from geoseg.io.edits.areas import in_pixels
from geoseg.io.edits.layer_tables import naming_damage, read_rows, wkb_of
from geoseg.io.edits.scratch_labels import ScratchLabels
from geoseg.io.labels.panoptic_raster import PER_THING, things_of
from geoseg.io.polygons.segment_stream import GEOMETRY
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.raster.code_file import LayerFiles

Bools = npt.NDArray[np.bool_]
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
        cut: (label,) True where the polygons say that an object touches the edge of the scene or pixels without data.
        windows: (label,) smallest window of each object.
        source: opens their numbers.
    """

    number: I64
    code: U8
    score: F64
    cut: Bools
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
        self._are_labels = not len(objects) or int(objects.number[-1]) == len(objects)

    def read(self, window: Window) -> I32:
        """Read labels, (y, x) int32, 0 for none."""
        numbers = self._numbers.read(window)
        if self._are_labels:
            return numbers.astype(np.int32)
        labels = np.searchsorted(self._number, numbers) + 1
        return np.where(numbers == NO_NUMBER, 0, labels).astype(np.int32)

    def close(self) -> None:
        """Close the files."""
        self._numbers.close()


def things_of_panoptic(raster: Callable[[], Path], classes: Path, segments: Path | None) -> RunObjects:
    """Find the things of a panoptic map, by their numbers.

    Args:
        raster: returns the raster of panoptic labels, as the run wrote it; a save moves it.
        classes: the class raster.
        segments: polygons with the scores of things; None: there are none.

    Raises:
        OutputError: a file is damaged.
    """
    score: dict[int, float] = {}
    if segments is not None:
        with naming_damage(segments):
            rows = read_rows(segments, SEGMENTS, ("segment_id", "score"))
            score = {int(label) // PER_THING: float(value) for label, value in rows if value is not None}
    return _found(lambda: _ThingNumbers(raster()), classes, score)


def objects_of_ids(raster: Callable[[], Path], classes: Path, objects: Path | None) -> RunObjects:
    """Find detected objects in the raster of their ids, by these.

    Args:
        raster: returns the raster of ids, as the run wrote it; a save moves it.
        classes: the class raster.
        objects: polygons with the scores of objects; None: there are none.

    Raises:
        OutputError: a file is damaged.
    """
    score, cut = dict[int, float](), set[int]()
    if objects is not None:
        with naming_damage(objects):
            for ident, value, touches in read_rows(objects, OBJECTS, ("object_id", "score", "touches_edge")):
                score[int(ident) + 1] = float(value)
                cut |= {int(ident) + 1} if touches else set()
    return _found(lambda: _IdNumbers(raster()), classes, score, cut)


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
    labels = ScratchLabels(grid.shape, objects.parent.parent)
    score, cut = dict[int, float](), set[int]()
    rows = read_rows(objects, OBJECTS, (GEOMETRY, "pixels", "score", "touches_edge"))
    with naming_damage(objects):
        for label, (blob, pixels, value, touches) in enumerate(rows, start=1):
            score[label] = float(value)
            cut |= {label} if touches else set()
            if labels.burn(in_pixels(shapely.from_wkb(wkb_of(blob)), grid), label) != pixels:
                raise OutputError(
                    f"{objects}: polygon {label} does not have the {pixels} pixels that it was drawn from. Run geoseg"
                    " predict again with --object-ids."
                )
    return _found(lambda: _BurntNumbers(labels), classes, score, cut)


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


def _found(
    source: Callable[[], Numbers], classes: Path, scores: Mapping[int, float], cut: Collection[int] = ()
) -> RunObjects:
    """Go through a map once and list its objects."""
    code: dict[int, int] = {}
    windows: dict[int, Window] = {}
    numbers = source()
    try:
        with LayerFiles(classes) as file:
            for window in Window.whole(file.shape).split(_BLOCK_PX):
                (codes,) = file.planes(window)
                found = numbers.read(window)
                if found.shape != codes.shape:
                    raise OutputError(f"{classes}: is not of the size of the objects. Run geoseg predict again.")
                for number, place, part in _parts(found, window):
                    code.setdefault(number, int(codes.ravel()[place]))
                    windows[number] = part.union(windows.get(number, part))
    finally:
        numbers.close()
    order = sorted(windows)
    return RunObjects(
        number=np.array(order, np.int64),
        code=np.array([0, *(code[number] for number in order)], np.uint8),
        score=np.array([np.nan, *(scores.get(number, np.nan) for number in order)], np.float64),
        cut=np.array([False, *(number in cut for number in order)], np.bool_),
        windows=(Window(0, 0, 0, 0), *(windows[number] for number in order)),
        source=source,
    )


def _parts(numbers: I64, window: Window) -> list[tuple[int, int, Window]]:
    """List number, place of the first pixel and smallest window of the objects of a block."""
    starts = np.ones(numbers.shape, np.bool_)
    starts[:, 1:] = numbers[:, 1:] != numbers[:, :-1]
    rows, cols = np.nonzero(starts)
    stops = np.append(cols[1:], 0)
    stops[stops == 0] = window.width
    found = numbers[rows, cols]
    order = np.flatnonzero(found != NO_NUMBER)
    order = order[np.argsort(found[order], kind="stable")]
    if not len(order):
        return []
    found, rows, cols, stops = found[order], rows[order], cols[order], stops[order]
    first = np.flatnonzero(np.diff(found, prepend=NO_NUMBER))
    tops, bottoms = np.minimum.reduceat(rows, first), np.maximum.reduceat(rows, first) + 1
    lefts, rights = np.minimum.reduceat(cols, first), np.maximum.reduceat(stops, first)
    places = rows[first] * window.width + cols[first]
    boxes = [
        Window(*edges).shifted(window.row_start, window.col_start)
        for edges in zip(tops.tolist(), bottoms.tolist(), lefts.tolist(), rights.tolist(), strict=True)
    ]
    return list(zip(found[first].tolist(), places.tolist(), boxes, strict=True))
