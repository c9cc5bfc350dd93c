"""HandObjects: objects that edits drew, merged or split, over those that are found in the edited class raster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from geoseg.core.window import Window
from geoseg.edits.planes import EditedPlanes
from geoseg.io.edits.edit import AUTOMATIC
from geoseg.vector.objects.scene import COLUMNS, SceneObjects
from geoseg.vector.source import LabelTable

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
_SIDES: Final = ndimage.generate_binary_structure(2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandObject:
    """An object by hand: pixels that touch each other.

    Attributes:
        ident: number of its last pixel, row * width + column.
        code: its class.
        cut: True if it touches the edge of the scene or pixels without a class.
        window: smallest window of its pixels.
        mask: (y, x) over the window.
        number: number of the object in the edits; parts that were cut off have the same one.
    """

    ident: int
    code: int
    cut: bool
    window: Window
    mask: Bools
    number: int


class HandObjects:
    """All objects by hand of a map.

    Args:
        planes: the edited planes.
        nodata: code of pixels without a class.
        least_px: smaller parts that an edit cut off of an object are left out; its largest part stays.
    """

    def __init__(self, planes: EditedPlanes, nodata: int, least_px: int) -> None:
        windows: dict[int, Window] = {}
        for one in planes.paints:
            number = one.paint.number
            if number != AUTOMATIC and one.window.pixels:
                windows[number] = one.window.union(windows.get(number, one.window))
        self.all: tuple[HandObject, ...] = tuple(
            found
            for number, window in sorted(windows.items())
            for found in _large(_parts(planes, number, window, nodata), least_px)
        )

    def labels(self, window: Window) -> I32:
        """Return the place of each pixel's object in the list plus one, (y, x); 0: none."""
        out = np.zeros(window.shape, np.int32)
        for place, one in enumerate(self.all, start=1):
            part = one.window.intersection(window)
            if part.pixels:
                out[part.within(window)][one.mask[part.within(one.window)]] = place
        return out


class WithoutHand:
    """Codes of a map in which objects by hand are of no class that is counted; a source of ``SceneObjects``.

    Args:
        planes: the edited planes.
        codes: classes that are counted.
        nodata: code of pixels without a class.
    """

    def __init__(self, planes: EditedPlanes, codes: tuple[int, ...], nodata: int) -> None:
        self.shape = planes.shape
        self._planes = planes
        self._other = next(code for code in range(256) if code not in codes and code != nodata)

    def read(self, window: Window) -> tuple[U8, U8 | None]:
        """Read codes and confidence, both (y, x)."""
        found = self._planes.edited(window)
        return np.where(found.number != AUTOMATIC, np.uint8(self._other), found.codes), found.confidence


class AllObjects:
    """Labels of found objects and of those by hand; a source of ``vectorise_labels``.

    Args:
        found: objects that were found.
        hand: objects by hand.
        planes: the edited planes.
    """

    def __init__(self, found: SceneObjects, hand: HandObjects, planes: EditedPlanes) -> None:
        self.shape = found.shape
        self._found, self._hand, self._planes = found, hand, planes
        self._first = len(found.table.code)
        columns = np.zeros(len(hand.all), COLUMNS)
        columns["object_id"] = [one.ident for one in hand.all]
        columns["touches_edge"] = [one.cut for one in hand.all]
        codes = np.array([one.code for one in hand.all], np.uint8)
        self.table = LabelTable(
            code=np.concatenate([found.table.code, codes]),
            none=0,
            columns=np.concatenate([found.table.columns, columns]),
        )

    def read(self, window: Window) -> tuple[I32, U8 | None]:
        """Read labels, 0 = no object, and confidence, both (y, x)."""
        labels, by_hand = self._found.labels(window), self._hand.labels(window)
        labels = np.where(by_hand > 0, by_hand + np.int32(self._first - 1), labels)
        return labels.astype(np.int32), self._planes.edited(window).confidence


def _parts(planes: EditedPlanes, number: int, window: Window, nodata: int) -> list[HandObject]:
    """List the connected parts of one number."""
    scene = Window.whole(planes.shape)
    near = window.expanded(1).intersection(scene)
    seen = planes.edited(near)
    around = np.full((near.height + 2, near.width + 2), nodata, np.uint8)  # beyond the edge of the scene
    around[1:-1, 1:-1] = seen.codes
    outside = ndimage.binary_dilation(around == nodata, _SIDES)[1:-1, 1:-1]
    labels = _by_class(seen.number == number, seen.codes)
    found = []
    for place, slices in enumerate(ndimage.find_objects(labels), start=1):
        mask = labels[slices] == place
        rows, cols = slices
        at = Window(rows.start, rows.stop, cols.start, cols.stop).shifted(near.row_start, near.col_start)
        row, col = (int(axis[-1]) for axis in np.nonzero(mask))
        ident = (at.row_start + row) * planes.shape[1] + at.col_start + col
        cut = bool(outside[slices][mask].any())
        code = int(seen.codes[slices][mask][0])
        found.append(HandObject(ident=ident, code=code, cut=cut, window=at, mask=mask, number=number))
    return found


def _large(parts: list[HandObject], least_px: int) -> list[HandObject]:
    """Leave out small parts of one number, but for the largest one."""
    sizes = [int(one.mask.sum()) for one in parts]
    least = min(least_px, max(sizes, default=0))
    return [one for one, size in zip(parts, sizes, strict=True) if size >= least]


def _by_class(mask: Bools, codes: U8) -> I32:
    """Number the connected parts of a mask; pixels of two classes are never in one part."""
    out, count = np.zeros(mask.shape, np.int32), 0
    for code in np.unique(codes[mask]).tolist():
        labels, added = ndimage.label(mask & (codes == code), _SIDES)
        out = np.where(labels > 0, labels + count, out).astype(np.int32)
        count += added
    return out
