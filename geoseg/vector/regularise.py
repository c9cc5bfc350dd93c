"""Regularise buildings: right angles and one main direction, as separate polygons that do not change the coverage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import shapely

from geoseg.core.segments import Segments
from geoseg.errors import UsageError
from geoseg.vector.resolve_overlaps import resolve_overlaps
from geoseg.vector.squaring import check_library, frames_of, map_into, reach_of, square_up

F64 = npt.NDArray[np.float64]
Shapes = npt.NDArray[np.object_]
Regulariser = Callable[[Iterable[Segments]], Iterator[Segments]]

_STEPS = 3  # as far as one polygon's shape can depend on others; see give_way


_LEAST_M, _MOST_M = 0.001, 100_000.0  # beyond them the numbers of a wall are lost in rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class RegulariseSpec:
    """Options of the regularisation: classes that get right angles, and the largest change.

    Attributes:
        codes: classes to regularise.
        tolerance_m: what a wall may be off, metres; at least one and a half pixels, or the stairs of pixels stay.
        diagonals: walls may also stand at 45 degrees to the main direction.
        circles: nearly round things become circles.
        min_iou: a polygon that would keep less than this of what it was (intersection over union) stays as it was.
        min_hole_m2: smaller holes are filled, others kept, square metres.

    Raises:
        UsageError: no class, or a number that makes no sense.
    """

    codes: tuple[int, ...]
    tolerance_m: float = 0.5
    diagonals: bool = True
    circles: bool = False
    min_iou: float = 0.7
    min_hole_m2: float = 4.0

    def __post_init__(self) -> None:
        if not self.codes or not all(0 <= code <= 255 for code in self.codes):
            raise UsageError(f"classes to regularise are {self.codes}; give codes from 0 to 255")
        if not _LEAST_M <= self.tolerance_m <= _MOST_M:
            raise UsageError(f"tolerance_m is {self.tolerance_m:g}; give {_LEAST_M:g} to {_MOST_M:,.0f} metres")
        if not 0 < self.min_iou <= 1:
            raise UsageError(f"min_iou is {self.min_iou}; give a share, more than 0 and at most 1")
        if not 0 <= self.min_hole_m2 < float("inf"):
            raise UsageError(f"min_hole_m2 is {self.min_hole_m2}; give square metres")


def regularise(batches: Iterable[Segments], spec: RegulariseSpec, crs: object = None) -> Iterator[Segments]:
    """Give polygons of some classes right angles.

    Each polygon that comes out is valid, in the place and with the attributes of the one it was made from (its area
    and perimeter are its own), keeps at least ``min_iou`` of it, and overlaps no other one. The result does not depend
    on how the polygons are batched. At any time the batches in memory are those that are adjacent.

    Args:
        batches: polygons that do not overlap, as ``vectorise_codes`` yields them; gone through twice, so no iterator.
        spec: what to do.
        crs: of the coordinates: anything that makes one, or None for a plane in metres.

    Returns:
        Batches of the polygons of ``spec.codes``, in their order.

    Raises:
        UsageError: ``buildingregulariser`` is not installed, ``batches`` is an iterator, or a geometry is no Polygon.
    """
    return regulariser(spec, crs)(batches)


def regulariser(spec: RegulariseSpec, crs: object = None) -> Regulariser:
    """Make sure that all is there, and return what ``regularise`` does to batches.

    Raises:
        UsageError: ``buildingregulariser`` is not installed.
    """
    check_library()

    def run(batches: Iterable[Segments]) -> Iterator[Segments]:
        if iter(batches) is batches:
            raise UsageError("regularise goes through the batches twice; give a list, not an iterator")
        return _run(batches, spec, crs)

    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """A batch with what each polygon would become if it were alone."""

    segments: Segments
    replacement: Shapes
    iou: F64


def _run(batches: Iterable[Segments], spec: RegulariseSpec, crs: object) -> Iterator[Segments]:
    spans = np.array([_span(batch, spec, crs) for batch in _chosen(batches, spec)]).reshape(-1, 2)
    near = [_near(spans, n) for n in range(len(spans))]
    held: dict[int, _Tried] = {}
    done = 0
    for n, segments in enumerate(_chosen(batches, spec)):
        replacement, iou = square_up(segments.geometry, crs, spec)
        held[n] = _Tried(segments=segments, replacement=replacement, iou=iou)
        while done <= n and near[done].max() <= n:
            yield _settled([held[k] for k in near[done]], near[done].tolist().index(done), spec, crs)
            done += 1
            held = {k: tried for k, tried in held.items() if near[k].max() >= done}


def _chosen(batches: Iterable[Segments], spec: RegulariseSpec) -> Iterator[Segments]:
    for segments in batches:
        which = np.isin(segments.class_code, spec.codes)
        if which.any():
            yield Segments(**{f.name: getattr(segments, f.name)[which] for f in fields(Segments)})


def _span(segments: Segments, spec: RegulariseSpec, crs: object) -> tuple[float, float]:
    """Tell from where to where along y the polygons of a batch can reach."""
    if (shapely.get_type_id(segments.geometry) != shapely.GeometryType.POLYGON).any():
        raise UsageError("only single polygons can be regularised; use connectivity 4")
    bounds = shapely.bounds(segments.geometry)
    reach = reach_of(frames_of(segments.geometry, crs), spec.tolerance_m)[:, 1]
    return float((bounds[:, 1] - reach).min()), float((bounds[:, 3] + reach).max())


def _near(spans: F64, n: int) -> npt.NDArray[np.int64]:
    """List the batches that can matter to a batch, itself among them."""
    low, high = spans[n]
    for _ in range(_STEPS):
        which = (spans[:, 0] <= high) & (spans[:, 1] >= low)
        low, high = spans[which, 0].min(), spans[which, 1].max()
    return np.flatnonzero(which)


def _settled(tried: list[_Tried], place: int, spec: RegulariseSpec, crs: object) -> Segments:
    """Let a batch and those around it give way to each other, and take the batch."""
    raw = np.concatenate([batch.segments.geometry for batch in tried])
    replacement = np.concatenate([batch.replacement for batch in tried])
    settled = resolve_overlaps(raw, replacement, np.concatenate([batch.iou for batch in tried]), spec.min_iou)
    start = sum(len(batch.segments) for batch in tried[:place])
    segments = tried[place].segments
    geometry = settled[start : start + len(segments)]
    same = geometry == segments.geometry
    length = shapely.length(map_into(geometry, frames_of(segments.geometry, crs)))
    # ground areas of two shapes in one place are as their areas in the CRS
    share = shapely.area(geometry) / shapely.area(segments.geometry)
    return replace(
        segments,
        geometry=geometry,
        area_m2=np.where(same, segments.area_m2, segments.area_m2 * share),
        perimeter_m=np.where(same, segments.perimeter_m, length),
    )
