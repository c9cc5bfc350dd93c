"""Polygons of sheets that abut: parts of one class that share an edge across a border become one polygon."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from geoseg.core.segments import Segments

I64 = npt.NDArray[np.int64]


def shared_edges(one: Segments, other: Segments, grid: float) -> I64:
    """Find the pairs of polygons of one class, one from each sheet, that share an edge.

    Args:
        one: polygons of a sheet.
        other: polygons of an adjacent sheet.
        grid: distance below which two coordinates are one, in units of the CRS.

    Returns:
        (pair, 2): indexes into ``one`` and ``other``, sorted. Polygons that meet at a corner only are no pair.
    """
    if not len(one) or not len(other):
        return np.empty((0, 2), np.int64)
    pairs = shapely.STRtree(other.geometry).query(one.geometry, predicate="dwithin", distance=2 * grid)
    first, second = pairs[:, one.class_code[pairs[0]] == other.class_code[pairs[1]]]
    common = shapely.intersection(one.geometry[first], other.geometry[second], grid_size=grid)
    share = (shapely.length(common) > 2 * grid) | (shapely.area(common) > 0)
    found: I64 = np.stack([first[share], second[share]], axis=1).astype(np.int64)
    return found[np.lexsort((found[:, 1], found[:, 0]))]


def clipped(segments: Segments, region: shapely.Geometry, grid: float) -> Segments:
    """Cut polygons to the part of the ground that their sheet answers for; pixels and areas shrink in proportion.

    Args:
        segments: polygons.
        region: polygon or multipolygon.
        grid: see ``shared_edges``.
    """
    shapely.prepare(region)
    inside = shapely.covers(region, segments.geometry)
    if inside.all():
        return segments
    kept = segments[np.flatnonzero(inside)]
    cut = segments[np.flatnonzero(~inside)]
    parts = shapely.intersection(cut.geometry, region, grid_size=grid)
    polygons, owner = shapely.get_parts(parts, return_index=True)
    # an intersection may leave lines and points, and collections of them with polygons
    more, inner = shapely.get_parts(polygons, return_index=True)
    owner = owner[inner]
    flat = (shapely.get_type_id(more) == shapely.GeometryType.POLYGON) & (shapely.area(more) > grid**2)
    more, owner = more[flat], owner[flat]
    share = shapely.area(more) / shapely.area(cut.geometry[owner])
    length = shapely.length(more) / shapely.length(cut.geometry[owner])
    made = Segments(
        geometry=more,
        class_code=cut.class_code[owner],
        area_m2=cut.area_m2[owner] * share,
        perimeter_m=cut.perimeter_m[owner] * length,
        confidence=cut.confidence[owner],
        confidence_min=cut.confidence_min[owner],
        pixels=np.rint(cut.pixels[owner] * share).astype(np.int64),
    )
    return concatenated([kept, made])


def joined(parts: Segments, grid: float) -> Segments:
    """Make one polygon of the parts of an object; pixels and area add up, the mean confidence is that over all pixels.

    Args:
        parts: polygons of one class that hang together by shared edges.
        grid: see ``shared_edges``.

    Returns:
        One row, or more where the parts meet in corners only.
    """
    whole = shapely.union_all(parts.geometry, grid_size=grid)
    polygons = np.asarray(shapely.get_parts(whole), dtype=object)
    total = max(1, int(parts.pixels.sum()))
    share = shapely.area(polygons) / max(float(shapely.area(whole)), 1e-300)
    # the true length of a ring follows from that of the parts: the scale of a map changes little over an object
    scale = float(parts.perimeter_m.sum()) / max(float(shapely.length(parts.geometry).sum()), 1e-300)
    mean = float((parts.confidence.astype(np.float64) * parts.pixels).sum() / total)
    count = len(polygons)
    return Segments(
        geometry=polygons,
        class_code=np.full(count, parts.class_code[0], np.uint8),
        area_m2=float(parts.area_m2.sum()) * share,
        perimeter_m=shapely.length(polygons) * scale,
        confidence=np.full(count, mean, np.float32),
        confidence_min=np.full(count, parts.confidence_min.min(), np.float32),
        pixels=np.rint(total * share).astype(np.int64),
    )


def concatenated(batches: list[Segments]) -> Segments:
    """Return batches of equal columns as one; at least one batch."""
    names = Segments.__dataclass_fields__
    return Segments(**{name: np.concatenate([getattr(batch, name) for batch in batches]) for name in names})


def place_ids(geometry: npt.NDArray[np.object_], pixel: float) -> I64:
    """Number polygons by the pixel at their uppermost left corner, which depends on nothing but the polygon.

    Args:
        geometry: polygons that do not overlap.
        pixel: side of a pixel, in units of the CRS.
    """
    points, owner = shapely.get_coordinates(geometry, return_index=True)
    order = np.lexsort((points[:, 0], -points[:, 1], owner))
    first = order[np.unique(owner[order], return_index=True)[1]]
    cell = np.rint(points[first] / pixel).astype(np.int64)
    ids: I64 = ((cell[:, 1] & 0x7FFFFFFF) << 32) | (cell[:, 0] & 0xFFFFFFFF)
    return ids
