"""Edits of the polygons of classes: a polygon gets another class."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from geoseg.core.layer import SEGMENTS
from geoseg.core.window import Window
from geoseg.edits.edited_objects import EditedObjects
from geoseg.edits.finished_map import FinishedMap
from geoseg.edits.planes import EditedPlanes
from geoseg.errors import UsageError
from geoseg.io.edits.areas import burn, in_pixels, in_world, outline, window_of
from geoseg.io.edits.edit import AUTOMATIC, Edit, EditLog, Paint, paints_of
from geoseg.io.edits.layer_tables import polygons_by_id

Bools = npt.NDArray[np.bool_]
_SIDES: Final = ndimage.generate_binary_structure(2, 1)
_MARGIN_PX: Final = 8


def resolve_segments(finished: FinishedMap, log: EditLog, edit: Edit) -> tuple[tuple[Paint, ...], int]:
    """Return the pixels of polygons of the saved layer of segments.

    Of a simplified outline the pixels are meant that it was drawn from.

    Raises:
        UsageError: the map has no such layer, or no such polygon.
    """
    path = finished.bundle.segments
    if not path.exists():
        raise UsageError(f"{finished.bundle.directory}: has no polygons of classes. Repaint an area.")
    found = polygons_by_id(path, SEGMENTS, "fid", edit.ids)
    missing = [ident for ident in edit.ids if ident not in found]
    if missing:
        raise UsageError(f"{edit.kind}: there is no polygon {missing[0]} in {path.name}. Look its fid up again.")
    paints, number = list[Paint](), log.next_number
    with EditedPlanes(finished, paints_of(log.active)) as planes, ExitStack() as opened:
        panoptic = finished.kind == "panoptic"
        objects = opened.enter_context(EditedObjects(finished, planes)) if panoptic else None
        by_hand = objects is not None and edit.class_code in finished.counted
        for polygon, code in found.values():
            drawn = in_pixels(polygon, finished.grid)
            window, inside = _pixels(planes, objects, drawn, code)
            if not inside.any():
                raise UsageError(f"{edit.kind}: an edit that is not in the layers yet changed the polygon. Save first.")
            area = in_world(outline(inside, window), finished.grid)
            paints.append(Paint(area=area, code=edit.class_code, number=number if by_hand else AUTOMATIC))
            number += by_hand
    return tuple(paints), number


def _pixels(
    planes: EditedPlanes, objects: EditedObjects | None, drawn: BaseGeometry, code: int
) -> tuple[Window, Bools]:
    """Find the pixels of a polygon: those inside, and the regions of its class that lie in it for the most part.

    On a panoptic map these are its things and regions of stuff.
    """
    scene = Window.whole(planes.shape)
    box, margin = window_of(drawn, planes.shape), _MARGIN_PX
    while True:
        window = box.expanded(margin).intersection(scene)
        inside = burn(drawn, window)
        edited = planes.edited(window)
        own_class = edited.codes == code
        if objects is None:
            regions, _ = ndimage.label(own_class, _SIDES)
        else:
            things = np.where(own_class, objects.labels(window, edited), 0)
            regions, _ = ndimage.label(own_class & (things == 0), _SIDES)
            regions = np.where(things > 0, things + regions.max(), regions)
            inside &= own_class
        counts, all_counts = np.bincount(regions[inside], minlength=regions.max() + 1), np.bincount(regions.ravel())
        own = counts * 2 > all_counts
        own[0] = False
        found = own[regions] if objects is not None else inside | own[regions]
        edge = np.ones(window.shape, np.bool_)
        edge[1:-1, 1:-1] = False
        if window == scene or not (found & edge).any():
            return window, found
        margin *= 2
