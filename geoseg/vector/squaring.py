"""Polygons with right angles, each on its own: ``buildingregulariser`` in local frames of true metres."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import shapely

from geoseg.core.ground import ground_form
from geoseg.errors import UsageError

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Shapes = npt.NDArray[np.object_]

# The library rounds main directions to whole degrees, counts them in bins that begin at whole degrees and are coarser
# at multiples of five: what stands at this angle is found exactly, and stays exact.
_UPRIGHT = np.radians(32 + 1e-6)
_REACH = 4


class Squaring(Protocol):
    """Settings of a regularisation; see ``RegulariseSpec``."""

    @property
    def tolerance_m(self) -> float: ...  # noqa: D102
    @property
    def diagonals(self) -> bool: ...  # noqa: D102
    @property
    def circles(self) -> bool: ...  # noqa: D102
    @property
    def min_iou(self) -> float: ...  # noqa: D102
    @property
    def min_hole_m2(self) -> float: ...  # noqa: D102


class Frames(NamedTuple):
    """Local frames of polygons: ``(xy - centre) @ to_metres``.

    Attributes:
        centre: (polygon, 2) in CRS units.
        to_metres: (polygon, 2, 2).
        back: its inverse.
        unit_m: (polygon, 2) metres in one unit of x and of y.
        usable: where the CRS leads to the ground.
    """

    centre: F64
    to_metres: F64
    back: F64
    unit_m: F64
    usable: npt.NDArray[np.bool_]


def check_library() -> None:
    """Make sure that the library is there.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import buildingregulariser  # noqa: F401, PLC0415 - optional
    except ImportError as error:
        raise UsageError("--regularise: not installed. Run pip install 'geoseg[regularise]'.") from error


def frames_of(geometry: Shapes, crs: object) -> Frames:
    """Find for each polygon a map to metres, in any rotation, that is true at its centre."""
    centre = shapely.get_coordinates(shapely.centroid(geometry))
    form = ground_form(crs, centre[:, 0], centre[:, 1])
    usable = np.isfinite(form).all(axis=(1, 2)) & (np.linalg.det(np.nan_to_num(form)) > 0)
    form[~usable] = np.eye(2)
    to_metres = np.asarray(np.linalg.cholesky(form), np.float64)
    unit_m: F64 = np.sqrt(form[:, [0, 1], [0, 1]])
    return Frames(centre, to_metres, _inverse(to_metres), unit_m, usable)


def _inverse(matrices: F64) -> F64:
    return np.asarray(np.linalg.inv(matrices), np.float64)


def reach_of(frames: Frames, tolerance_m: float) -> F64:
    """Tell how much each polygon may grow along x and along y, in CRS units: four tolerances on each side."""
    return _REACH * tolerance_m / frames.unit_m


def map_into(geometry: Shapes, frames: Frames) -> Shapes:
    """Draw polygons in their frames."""
    coords, which = shapely.get_coordinates(geometry, return_index=True)
    moved = np.einsum("ni,nij->nj", coords - frames.centre[which], frames.to_metres[which])
    return _set(geometry, moved)


def map_back(geometry: Shapes, frames: Frames) -> Shapes:
    """Draw polygons given in their frames in the CRS again."""
    coords, which = shapely.get_coordinates(geometry, return_index=True)
    moved = np.einsum("ni,nij->nj", coords, frames.back[which]) + frames.centre[which]
    return _set(geometry, moved)


def _set(geometry: Shapes, coords: F64) -> Shapes:
    return np.asarray(shapely.set_coordinates(geometry.copy(), coords), object)


def _turned(frames: Frames, angle: F64) -> Frames:
    """Turn frames counter-clockwise."""
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.stack([np.stack([cosine, sine], axis=-1), np.stack([-sine, cosine], axis=-1)], axis=-2)
    to_metres = frames.to_metres @ turn
    return frames._replace(to_metres=to_metres, back=_inverse(to_metres))


def main_directions(geometry: Shapes) -> F64:
    """Find the direction of the walls of each polygon, radians modulo a right angle; long walls count more."""
    coords, which = shapely.get_coordinates(shapely.get_exterior_ring(geometry), return_index=True)
    steps = np.diff(coords, axis=0)
    same = which[1:] == which[:-1]
    # the fourth power of a direction is the same for all four sides of a rectangle
    vector = (steps[same, 0] + 1j * steps[same, 1]) ** 4
    length = np.abs(vector) ** 0.25
    part = np.divide(vector, length**2, out=np.zeros_like(vector), where=length > 0)
    total = np.bincount(which[1:][same], part.real, len(geometry)) + 1j * np.bincount(
        which[1:][same], part.imag, len(geometry)
    )
    return np.asarray(np.angle(total) / 4)


def without_small_holes(geometry: Shapes, least: float) -> Shapes:
    """Fill holes smaller than ``least``, in squared units of the coordinates."""
    rings, which = shapely.get_rings(geometry, return_index=True)
    shell = np.r_[True, which[1:] != which[:-1]]
    keep = shell | (shapely.area(shapely.polygons(rings)) >= least)
    return np.asarray(shapely.polygons(rings[keep], indices=which[keep]), object)


def square_up(geometry: Shapes, crs: object, spec: Squaring) -> tuple[Shapes, F64]:
    """Give polygons right angles; each is treated alone.

    Args:
        geometry: valid Polygons.
        crs: of their coordinates, or None for a plane in metres.
        spec: what to do.

    Returns:
        The polygons, and how far each is the one it was (intersection over union). What the library spoils stays as it
        was, with 1: below ``min_iou``, invalid, without a large hole, or grown by more than ``reach_of`` allows.
    """
    if not len(geometry):
        return geometry, np.zeros(0)
    frames = frames_of(geometry, crs)
    straight = shapely.simplify(map_into(geometry, frames), spec.tolerance_m)
    frames = _turned(frames, _UPRIGHT - main_directions(straight))
    local = map_into(geometry, frames)
    filled = without_small_holes(local, spec.min_hole_m2)
    squared = _by_library(filled, spec)
    iou = overlap_share(squared, local)
    holes = shapely.get_num_interior_rings(squared) >= shapely.get_num_interior_rings(filled)
    out = map_back(squared, frames)
    grown = (shapely.bounds(out) - shapely.bounds(geometry)) * [-1, -1, 1, 1]
    within = (grown <= np.tile(reach_of(frames, spec.tolerance_m), 2)).all(axis=1)
    good = frames.usable & (iou >= spec.min_iou) & holes & within & shapely.is_valid(out)
    return np.where(good, out, geometry), np.where(good, iou, 1.0)


def overlap_share(one: Shapes, other: Shapes) -> F64:
    """Divide intersections by unions; 0 where there is neither."""
    common = shapely.area(shapely.intersection(one, other))
    both = shapely.area(one) + shapely.area(other) - common
    return np.divide(common, both, out=np.zeros(len(one)), where=both > 0)


def _by_library(geometry: Shapes, spec: Squaring) -> Shapes:
    """Let the library work on polygons in metres; what it drops comes back empty."""
    import geopandas  # noqa: PLC0415 - costs half a second, and only this optional step needs it
    from buildingregulariser import regularize_geodataframe  # noqa: PLC0415 - optional

    frame = geopandas.GeoDataFrame({"place": np.arange(len(geometry))}, geometry=geometry)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a polygon was given back as it came is seen by its right angles
        answer: Any = regularize_geodataframe(
            frame,
            parallel_threshold=2 * spec.tolerance_m,
            simplify_tolerance=spec.tolerance_m,
            allow_45_degree=spec.diagonals,
            allow_circles=spec.circles,
            num_cores=1,  # more would fork this process, whose threads do not survive it
        )
    parts, row = shapely.get_parts(answer.geometry.to_numpy(), return_index=True)
    place = answer["place"].to_numpy()[row]
    # of a polygon that fell apart the largest part comes last, and stays
    order = np.argsort(shapely.area(parts), kind="stable")
    out = np.full(len(geometry), shapely.Polygon(), object)
    out[place[order]] = parts[order]
    return out
