"""Pixels of the objects that edits name, and of the objects that touch them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox
from scipy import ndimage

from geoseg.core.window import Window
from geoseg.edits.finished_map import FinishedMap
from geoseg.edits.hand_objects import HandObjects, WithoutHand
from geoseg.edits.planes import EditedPlanes
from geoseg.errors import UsageError
from geoseg.vector.objects.scene import BlockRun, SceneObjects, least_pixels

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
_FIRST_PX: Final = 256
_SIDES: Final = ndimage.generate_binary_structure(2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """Pixels of an object.

    Attributes:
        window: a window that holds them.
        inside: (y, x) bool over the window.
        code: class of the object.
    """

    window: Window
    inside: Bools
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Objects around some pixels.

    Attributes:
        window: a window that holds whole all regions of classes that are counted and touch the pixels.
        codes: (y, x) class codes.
        valid: (y, x) pixels that may become part of an object.
        labels: (y, x) number of each object in the window; 0: none.
        found: numbers of the objects that were found in the class raster; those by hand keep their outlines anyway.
    """

    window: Window
    codes: U8
    valid: Bools
    labels: I32
    found: frozenset[int]

    def mask(self, label: int) -> Mask:
        """Return the pixels of an object."""
        inside = self.labels == label
        return Mask(window=self.window, inside=inside, code=int(self.codes[inside][0]))

    def connected(self, around: Bools) -> list[int]:
        """List the found objects in the regions of one class that lie in or touch some pixels.

        Args:
            around: (y, x) bool over the window.
        """
        near = ndimage.binary_dilation(around, _SIDES)
        reached = np.zeros(self.labels.shape, np.bool_)
        counted = self.labels > 0
        for code in np.unique(self.codes[near & counted]).tolist():
            regions, _ = ndimage.label(counted & (self.codes == code), _SIDES)
            touched = np.unique(regions[near & (regions > 0)])
            reached |= np.isin(regions, touched)
        return sorted(self.found & set(np.unique(self.labels[reached]).tolist()))


class Masks(Protocol):
    """Objects of a map with its edits, by the ids that its layers have.

    Attributes:
        codes: classes of objects.
        parts_classes: True if objects are found in the class raster, so that those beside an edit must be told to keep
            their outlines, and drawn ones keep the classes of their pixels.
    """

    codes: tuple[int, ...]
    parts_classes: bool

    def named(self, ident: int) -> tuple[Mask, Surroundings, int]:
        """Find an object by its id: its pixels, the objects around it, and its number among them."""
        ...

    def around(self, core: Window) -> Surroundings:
        """Find the objects around the pixels of a window."""
        ...


class ObjectMasks:
    """Objects that are found in the class raster of a map with its edits, by the ids that the layer of objects has.

    Args:
        finished: the map.
        planes: its planes with all active edits.
    """

    def __init__(self, finished: FinishedMap, planes: EditedPlanes) -> None:
        self._finished, self._planes = finished, planes
        self._spec = finished.object_spec
        self.codes = finished.counted
        self.parts_classes = True
        self._hand = HandObjects(planes, finished.legend.nodata, least_pixels(self._spec, finished.grid.geobox))

    def named(self, ident: int) -> tuple[Mask, Surroundings, int]:
        """Find an object by its id, the number of its last pixel.

        Returns:
            Its pixels, the objects around it, and its number among them.

        Raises:
            UsageError: there is no such object.
        """
        height, width = self._planes.shape
        row, col = divmod(ident, width)
        if not 0 <= row < height:
            raise no_object(ident)
        around = self.around(Window(row, row + 1, col, col + 1))
        label = int(around.labels[row - around.window.row_start, col - around.window.col_start])
        if label == 0:
            raise no_object(ident)
        mask = around.mask(label)
        last_row, last_col = (int(axis[-1]) for axis in np.nonzero(mask.inside))
        if (last_row + around.window.row_start, last_col + around.window.col_start) != (row, col):
            raise no_object(ident)
        return mask, around, label

    def around(self, core: Window) -> Surroundings:
        """Find the objects whose regions touch the pixels of a window, whole."""
        scene = Window.whole(self._planes.shape)
        margin = _FIRST_PX
        while True:
            window = core.expanded(margin).intersection(scene)
            edited = self._planes.edited(window)
            counted = np.isin(edited.codes, self._spec.codes)
            regions, _ = ndimage.label(counted, _SIDES)
            near = np.unique(regions[core.expanded(1).intersection(window).within(window)])
            edge = np.ones(window.shape, np.bool_)
            edge[_inner(window, scene)] = False
            if window == scene or not np.isin(near[near > 0], regions[edge]).any():
                return self._labelled(window, edited.codes)
            margin *= 2

    def _labelled(self, window: Window, codes: U8) -> Surroundings:
        wide = window.expanded(self._spec.halo_px).intersection(Window.whole(self._planes.shape))
        source = _Cropped(WithoutHand(self._planes, self._spec.codes, self._finished.legend.nodata), wide)
        geobox = self._finished.grid.geobox
        part = GeoBox(wide.shape, geobox[wide.slices].transform, geobox.crs)
        run = BlockRun(nodata=self._finished.legend.nodata)
        with SceneObjects.find(source, part, self._spec, run) as objects:
            labels = objects.labels(Window.whole(wide.shape))[window.within(wide)]
        by_hand = self._hand.labels(window)
        first = int(labels.max(initial=0))
        found = frozenset(np.unique(labels[(labels > 0) & (by_hand == 0)]).tolist())
        labels = np.where(by_hand > 0, by_hand + np.int32(first), labels).astype(np.int32)
        valid = np.asarray(codes != self._finished.legend.nodata)
        return Surroundings(window=window, codes=codes, valid=valid, labels=labels, found=found)


def no_object(ident: int) -> UsageError:
    """Refuse the id of an object that there is not."""
    return UsageError(f"there is no object {ident} on the map as it is edited. Look its id up in the layer of objects.")


class _Cropped:
    """A window of a source of codes, as a source of its own."""

    def __init__(self, source: WithoutHand, window: Window) -> None:
        self.shape = window.shape
        self._source, self._window = source, window

    def read(self, window: Window) -> tuple[U8, U8 | None]:
        """Read codes and confidence of a window of the window."""
        return self._source.read(window.shifted(self._window.row_start, self._window.col_start))


def _inner(window: Window, scene: Window) -> tuple[slice, slice]:
    """Return the part of a window's array without its edges; an edge of the scene is no edge."""
    return (
        slice(int(window.row_start > scene.row_start), window.height - int(window.row_stop < scene.row_stop)),
        slice(int(window.col_start > scene.col_start), window.width - int(window.col_stop < scene.col_stop)),
    )
