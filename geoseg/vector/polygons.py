"""Finished regions leave their patch as polygons; what is open stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine

from geoseg.core.segments import Segments
from geoseg.vector.arcs import Arcs
from geoseg.vector.corner_groups import join_groups
from geoseg.vector.ground import PixelGround
from geoseg.vector.join import add_sums
from geoseg.vector.kernel import kernel
from geoseg.vector.patch import Patch
from geoseg.vector.regions import pick_sums
from geoseg.vector.rings import Lines, Links, Measures, Rings, draw_rings, find_rings, measure_arcs, pick_lines
from geoseg.vector.zonal import band_table, merge_bands, pick_bands

Bools = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
ToWorld = Callable[[F64, F64], tuple[F64, F64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How lattice points become coordinates, and what the columns of bands are called.

    Attributes:
        ground: pixel sizes.
        transform: the grid's.
        to_world: a function in its place, or None.
        band_names: names of the bands for statistics.
        columns: (label) structured array: what each polygon gets from its label; without fields when nothing.
    """

    ground: PixelGround
    transform: Affine
    to_world: ToWorld | None = None
    band_names: tuple[str, ...] = ()
    columns: npt.NDArray[np.void] = field(default_factory=lambda: np.zeros(0, []))


@dataclass(frozen=True, slots=True, kw_only=True)
class Polygons:
    """Segments with the position of their last pixels (row * width + column), which is their place in the output."""

    last: I64
    segments: Segments


def draw_regions(patch: Patch, selected: Bools, lines: Lines, links: Links, drawing: Drawing) -> Polygons:
    """Draw regions of a patch, in the order of their last pixels.

    Args:
        patch: holds all boundaries of the requested regions.
        selected: which regions to draw.
        lines: shapes of the patch's arcs.
        links: of the requested regions, and maybe others.
        drawing: pixel sizes and transform.
    """
    measures = measure_arcs(lines, drawing.ground.metric)
    rings = find_rings(patch.arcs, lines, measures, links, selected)
    regions = np.flatnonzero(selected)
    regions = regions[np.argsort(patch.sums.last[regions])]
    rank = np.empty(len(selected), np.int64)
    rank[regions] = np.arange(len(regions))
    ring_rank = rank[rings.region]
    order = np.lexsort((rings.least, rings.area2 < 0, ring_rank))
    first_ring = np.searchsorted(ring_rank[order], np.arange(len(regions) + 1))
    coords, offset = _draw(rings, order, lines, measures, drawing)
    geometry = shapely.from_ragged_array(shapely.GeometryType.POLYGON, coords, (offset, first_ring))

    length = np.bincount(ring_rank, rings.length, len(regions)).astype(np.float64) * drawing.ground.metric.unit_m
    area2 = np.bincount(ring_rank, rings.area2, len(regions)) / lines.scale**2
    sums, bands = pick_sums(patch.sums, regions), pick_bands(patch.bands, regions)
    area = sums.weight * drawing.ground.unit_m2 * (area2 / 2 / sums.pixels)
    if patch.group is not None:
        number = np.unique(patch.group[regions], return_inverse=True)[1].astype(np.int32)
        geometry = _collect(geometry, number)
        area, length = (np.bincount(number, column).astype(np.float64) for column in (area, length))
        sums, bands = add_sums(sums, number, len(geometry)), merge_bands(bands, number, len(geometry))
    known = np.maximum(sums.known, 1)
    segments = Segments(
        geometry=geometry,
        class_code=sums.code,
        area_m2=area,
        perimeter_m=length.astype(np.float64),
        confidence=np.where(sums.known > 0, sums.percent / known / 100, np.nan).astype(np.float32),
        confidence_min=np.where(sums.known > 0, sums.lowest / 100, np.nan).astype(np.float32),
        pixels=sums.pixels,
        extra=_with_columns(band_table(bands, drawing.band_names, len(geometry)), drawing.columns, sums.label),
    )
    return Polygons(last=sums.last, segments=segments)


def _with_columns(table: npt.NDArray[np.void], columns: npt.NDArray[np.void], label: I32) -> npt.NDArray[np.void]:
    """Put the columns of each polygon's label before those that it has already."""
    if not columns.dtype.names:
        return table
    out: npt.NDArray[np.void] = np.empty(len(label), [*_fields(columns), *_fields(table)])
    for name, _ in _fields(columns):
        out[name] = columns[name][label]
    for name, _ in _fields(table):
        out[name] = table[name]
    return out


def _fields(table: npt.NDArray[np.void]) -> list[tuple[str, str]]:
    return [(name, table.dtype[name].str) for name in table.dtype.names or ()]


def _collect(polygons: npt.NDArray[np.object_], number: I32) -> npt.NDArray[np.object_]:
    """Make one multipolygon of all polygons of the same number."""
    order = np.argsort(number, kind="stable")
    return np.asarray(shapely.multipolygons(polygons[order], indices=number[order]), object)


def _draw(rings: Rings, order: I64, lines: Lines, measures: Measures, drawing: Drawing) -> tuple[F64, I64]:
    if drawing.to_world is None:
        return draw_rings(rings, order, lines, measures, tuple(drawing.transform)[:6])
    flip = drawing.transform.determinant > 0
    pixels, offset = draw_rings(rings, order, lines, measures, (1.0, 0.0, 0.0, 0.0, 1.0 if flip else -1.0, 0.0))
    x, y = drawing.to_world(pixels[:, 0], pixels[:, 1] if flip else -pixels[:, 1])
    return np.column_stack([x, y]), offset


@kernel
def pick_arcs(arcs: Arcs, keep: Bools) -> Arcs:
    """Pick arcs by mask."""
    count = points = 0
    for arc in range(keep.shape[0]):
        if keep[arc]:
            count += 1
            points += arcs.offset[arc + 1] - arcs.offset[arc]
    out = np.empty((points, 2), np.int32)
    offset = np.empty(count + 1, np.int64)
    offset[0] = 0
    side = np.empty((count, 2), np.int32)
    end = np.empty((count, 2), np.uint8)
    n = used = 0
    for arc in range(keep.shape[0]):
        if not keep[arc]:
            continue
        for k in range(arcs.offset[arc], arcs.offset[arc + 1]):
            out[used] = arcs.points[k]
            used += 1
        side[n] = arcs.side[arc]
        end[n] = arcs.end[arc]
        n += 1
        offset[n] = used
    return Arcs(out, offset, side, end)


def leave_open(patch: Patch, keep_arcs: Bools) -> Patch:
    """Forget finished regions, and all arcs but those to keep."""
    number = np.where(patch.is_open, np.cumsum(patch.is_open) - 1, -1).astype(np.int32)
    arcs = pick_arcs(patch.arcs, keep_arcs)
    side = np.where(arcs.side >= 0, number[arcs.side], -1).astype(np.int32)
    borders = {name: number[getattr(patch, name)] for name in ("north", "south", "west", "east")}
    return Patch(
        sums=add_sums(patch.sums, number, int(patch.is_open.sum())),
        bands=merge_bands(patch.bands, number, int(patch.is_open.sum())),
        arcs=arcs._replace(side=side),
        lines=pick_lines(patch.lines, np.flatnonzero(keep_arcs).astype(np.int32)),
        is_open=patch.is_open[patch.is_open],
        group=None if patch.group is None else join_groups(patch.group, number, int(patch.is_open.sum())),
        known=patch.known,
        **borders,
    )


def take(polygons: Polygons, which: I64 | slice) -> Polygons:
    """Pick polygons by index."""
    return Polygons(last=polygons.last[which], segments=polygons.segments[which])


def gather(parts: list[Polygons]) -> Polygons:
    """Put polygons of several parts into one order, by their last pixels."""
    last = np.concatenate([part.last for part in parts])
    columns = {f.name: np.concatenate([getattr(part.segments, f.name) for part in parts]) for f in fields(Segments)}
    return take(Polygons(last=last, segments=Segments(**columns)), np.argsort(last))
