"""Polygons of detected objects: one multipolygon for each object, however many parts it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt
import shapely

from geoseg.core.class_choice import chosen_codes
from geoseg.core.ground import gsd_m
from geoseg.core.legend import Legend
from geoseg.core.segments import Segments
from geoseg.io.polygons.derived_layer import DerivedLayer
from geoseg.io.publish.grid import LayerGrid
from geoseg.vector.regularise import RegulariseSpec, regulariser

_LEAST_M, _PIXELS = 0.5, 2
"""Tolerance of right angles: metres, or pixels where these are larger, so that no stairs of pixels stay."""


def one_each(batches: Iterable[Segments], pixels: dict[int, int], *, column: str = "object_id") -> Iterator[Segments]:
    """Put the polygons of each object together.

    An object is passed on when all its pixels have come. Parts come in the order of their last pixels, so objects leave
    in the order of theirs.

    Args:
        batches: polygons with ids in ``extra``, ordered by their last pixels.
        pixels: pixels of each object by id; polygons with other ids are passed on as they are.
        column: name of the ids.

    Yields:
        Batches of multipolygons.
    """
    waiting: dict[int, list[Segments]] = {}
    for batch in batches:
        ids = batch.extra[column]
        expected = np.array(
            [pixels.get(number, own) for number, own in zip(ids.tolist(), batch.pixels.tolist(), strict=True)], np.int64
        )
        is_whole = batch.pixels == expected
        done: list[tuple[int, Segments]] = []
        for index in np.flatnonzero(~is_whole).tolist():
            number = int(ids[index])
            parts = waiting.setdefault(number, [])
            parts.append(batch[index : index + 1])
            if sum(int(part.pixels[0]) for part in parts) == pixels[number]:
                done.append((index, _merged(waiting.pop(number))))
        out = _in_order(next(as_multi([batch[is_whole]])), np.flatnonzero(is_whole), done)
        if len(out):
            yield out


class EachPart:
    """Polygons of the parts of multipolygons; can be gone through repeatedly.

    Args:
        batches: multipolygons, in re-iterable batches.
    """

    def __init__(self, batches: Iterable[Segments]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Segments]:
        for batch in self._batches:
            parts, index = shapely.get_parts(batch.geometry, return_index=True)
            yield replace(batch[index], geometry=parts)


def as_multi(batches: Iterable[Segments]) -> Iterator[Segments]:
    """Make multipolygons of one part each."""
    for batch in batches:
        yield replace(batch, geometry=np.array([_multi(one) for one in batch.geometry], object))


def regular_layer(layer: str, classes: str, grid: LayerGrid, legend: Legend) -> DerivedLayer:
    """Define the layer of objects with right angles.

    Args:
        layer: name of the layer of objects.
        classes: classes that get right angles, names or codes with commas between them.
        grid: the scene's grid.
        legend: of the map.

    Raises:
        UsageError: there is no such class.
    """
    codes = chosen_codes("--regularise", classes, legend)
    tolerance_m = max(_LEAST_M, _PIXELS * max(gsd_m(grid.geobox)))
    run = regulariser(RegulariseSpec(codes=codes, tolerance_m=tolerance_m), grid.crs_wkt)
    return DerivedLayer(codes=codes, make=lambda kept: as_multi(run(EachPart(kept))), name=f"{layer}_regular")


def _multi(polygon: shapely.Polygon) -> shapely.MultiPolygon:
    return shapely.MultiPolygon([polygon])


def _merged(parts: list[Segments]) -> Segments:
    first, pixels = parts[-1], np.array([int(part.pixels[0]) for part in parts])
    share = pixels / pixels.sum()

    confidence = np.array([part.confidence[0] for part in parts])
    return replace(
        first,
        geometry=np.array([shapely.MultiPolygon([part.geometry[0] for part in parts])], object),
        area_m2=np.sum([part.area_m2 for part in parts], axis=0),
        perimeter_m=np.sum([part.perimeter_m for part in parts], axis=0),
        pixels=np.sum([part.pixels for part in parts], axis=0),
        confidence=np.array([(confidence * share).sum()], np.float32),
        confidence_min=np.array([min(float(part.confidence_min[0]) for part in parts)], np.float32),
    )


def _in_order(singles: Segments, places: npt.NDArray[np.intp], others: list[tuple[int, Segments]]) -> Segments:
    """Insert further objects by their places in the batch."""
    if not others:
        return singles
    order = np.argsort(np.concatenate([places, [place for place, _ in others]]), kind="stable")
    return _stacked([singles, *(one for _, one in others)])[order]


def _stacked(parts: list[Segments]) -> Segments:
    return Segments(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Segments)})
