"""EditedPlanes: class codes and confidence of a map with the edits painted in, read by window."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from geoseg.core.closing import Closing
from geoseg.core.layer import NO_PERCENT
from geoseg.core.window import Window
from geoseg.edits.finished_map import FinishedMap
from geoseg.io.edits.areas import BurntArea, in_pixels, window_of
from geoseg.io.edits.edit import AUTOMATIC, BY_HAND_PERCENT, Paint
from geoseg.io.raster.code_file import CodeFile

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

_BLOCK_PX: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelPaint:
    """An area that is painted, on the grid.

    Attributes:
        burnt: its pixels.
        window: smallest window of its pixels.
        paint: the area in map coordinates, with class and object.
    """

    burnt: BurntArea
    window: Window
    paint: Paint


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedWindow:
    """Pixels of a window, all (y, x).

    Attributes:
        codes: uint8 class codes.
        confidence: uint8 percent, 255 = none; None where the map has no confidence.
        by_hand: True where an edit painted.
        number: int32 number of the object by hand; 0: none.
        paintable: True where edits can paint.
    """

    codes: U8
    confidence: U8 | None
    by_hand: Bools
    number: I32
    paintable: Bools


class EditedPlanes(Closing):
    """The planes of a finished map with edits painted in; a source for the vectoriser. Thread-safe.

    Pixels to which the run gave no class, such as those outside of the imagery, are never painted.

    Args:
        finished: the map.
        paints: what is painted, in order.
    """

    def __init__(self, finished: FinishedMap, paints: Sequence[Paint]) -> None:
        classes, confidence = finished.bundle.classes, finished.bundle.confidence
        percent = finished.original(confidence) if finished.has(confidence) else None
        self._file = CodeFile(finished.original(classes), percent)
        self.shape = self._file.shape
        self._nodata, self._anywhere = finished.legend.nodata, finished.paints_anywhere
        if finished.kind != "classes":
            paints = of_objects(paints, finished.counted)
        self._scoreless = finished.legend.background if finished.kind == "instances" else None
        self.paints = tuple(on_grid(finished, paint) for paint in paints)

    def read(self, window: Window) -> tuple[U8, U8 | None]:
        """Read codes and confidence, both (y, x)."""
        found = self.edited(window)
        return found.codes, found.confidence

    def edited(self, window: Window) -> EditedWindow:
        """Read codes and confidence, and where they were edited."""
        codes, confidence = self._file.read(window)
        by_hand, number = np.zeros(window.shape, np.bool_), np.zeros(window.shape, np.int32)
        original = codes
        paintable = np.ones(codes.shape, np.bool_) if self._anywhere else np.asarray(codes != self._nodata)
        for one in self.paints:
            part = one.window.intersection(window)
            if not part.pixels:
                continue
            if codes is original:
                codes, confidence = codes.copy(), None if confidence is None else confidence.copy()
            at = part.within(window)
            inside = one.burnt.read(part) & paintable[at]
            number[at][inside] = one.paint.number
            if one.paint.kept:
                continue
            by_hand[at] |= inside
            if one.paint.code is None:
                continue
            codes[at][inside] = one.paint.code
            if confidence is not None:
                unknown = one.paint.code in (self._nodata, self._scoreless)
                confidence[at][inside] = NO_PERCENT if unknown else BY_HAND_PERCENT
        number[codes == self._nodata] = AUTOMATIC
        return EditedWindow(codes=codes, confidence=confidence, by_hand=by_hand, number=number, paintable=paintable)

    def blocks(self) -> Iterator[Window]:
        """Cut the map into windows, row by row."""
        return Window.whole(self.shape).split(_BLOCK_PX)

    def close(self) -> None:
        """Close the files."""
        self._file.close()


def of_objects(paints: Sequence[Paint], counted: Collection[int]) -> tuple[Paint, ...]:
    """Let every area of a class of objects be one object, and others none; on another map they were otherwise.

    Args:
        paints: areas that are painted.
        counted: codes of the classes of objects.
    """
    number = max((paint.number for paint in paints), default=AUTOMATIC)
    found = []
    for paint in paints:
        if paint.code is None:
            continue
        if paint.code not in counted:
            found.append(replace(paint, number=AUTOMATIC))
            continue
        number += paint.number == AUTOMATIC
        found.append(paint if paint.number != AUTOMATIC else replace(paint, number=number))
    return tuple(found)


def on_grid(finished: FinishedMap, paint: Paint) -> PixelPaint:
    """Place an area on the grid of a map."""
    area_px = in_pixels(paint.area, finished.grid)
    window = window_of(area_px, finished.grid.shape)
    return PixelPaint(burnt=BurntArea(area_px, window), window=window, paint=paint)
