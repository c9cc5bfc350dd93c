"""Boundary F1 and boundary IoU: agreement of the outlines of classes, at several distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from geoseg.core.types.json_value import UntypedDict
from geoseg.score.comparison import ComparisonBlock
from geoseg.score.matrix import NONE, jsonable, mean, ratio

Bool = npt.NDArray[np.bool_]
Distance = tuple[float, str]
"""A number and its unit, ``px`` or ``m``."""

_SLACK = {"px": 1e-9, "m": 1e-3}
"""Relative tolerance of distances. A metre of a UTM grid is up to a thousandth longer or shorter on the ground, and two
pixels of half a metre must be within a metre anywhere in the zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelSides:
    """Ground length of one step down and of one step right, metres; for distances in metres."""

    down: float = 1.0
    right: float = 1.0


@dataclass(slots=True)
class BoundaryCounts:
    """Counts for both scores, summed over views and scenes.

    Args:
        distances: distances within which outlines match.
        sides: pixel size of this scene.

    A boundary pixel of a class has a pixel of another class above, below, left or right of it. The edge of the scene
    and pixels without a class in either map are no boundary.
    """

    distances: Sequence[Distance]
    sides: PixelSides = PixelSides()
    near: dict[tuple[int, Distance], npt.NDArray[np.int64]] = field(default_factory=dict)
    bands: dict[tuple[int, Distance], npt.NDArray[np.int64]] = field(default_factory=dict)

    @property
    def halo_px(self) -> int:
        """Halo that a view needs, pixels."""
        smallest = min(self.sides.down, self.sides.right)
        reach = (value * (1 + _SLACK[unit]) / (1.0 if unit == "px" else smallest) for value, unit in self.distances)
        return 2 + int(np.ceil(max(reach)))

    def add(self, view: ComparisonBlock) -> None:
        """Count a view."""
        unknown = (view.reference == NONE) | (view.predicted == NONE)
        reference, predicted = np.where(unknown, NONE, view.reference), np.where(unknown, NONE, view.predicted)
        for code in np.union1d(np.unique(reference), np.unique(predicted)):
            if code == NONE:
                continue
            masks = reference == code, predicted == code
            self._add_near(int(code), masks, unknown, view.inner)
            self._add_bands(int(code), masks, unknown, view.inner)

    def _add_near(self, code: int, masks: tuple[Bool, Bool], unknown: Bool, inner: tuple[slice, slice]) -> None:
        edges = [outline(mask, unknown) for mask in masks]
        for unit in {unit for _, unit in self.distances}:
            sampling = (1.0, 1.0) if unit == "px" else (self.sides.down, self.sides.right)
            away = [distance_to(edge, sampling)[inner] for edge in edges]
            true, answered = (edge[inner] for edge in edges)
            for distance in self.distances:
                if distance[1] != unit:
                    continue
                counts = self.near.setdefault((code, distance), np.zeros(4, np.int64))
                reach = distance[0] * (1 + _SLACK[unit])
                hit, found = answered & (away[0] <= reach), true & (away[1] <= reach)
                counts += [hit.sum(), answered.sum(), found.sum(), true.sum()]

    def _add_bands(self, code: int, masks: tuple[Bool, Bool], unknown: Bool, inner: tuple[slice, slice]) -> None:
        depths = [depth(mask, unknown)[inner] for mask in masks]
        for distance in self.distances:
            side = float(np.sqrt(self.sides.down * self.sides.right))
            width = max(1, round(distance[0] if distance[1] == "px" else distance[0] / side))
            true, answered = ((d > 0) & (d <= width) for d in depths)
            counts = self.bands.setdefault((code, distance), np.zeros(2, np.int64))
            counts += [(true & answered).sum(), (true | answered).sum()]

    def merge(self, other: BoundaryCounts) -> None:
        """Add the counts of another scene."""
        for mine, theirs in ((self.near, other.near), (self.bands, other.bands)):
            for key, counts in theirs.items():
                mine[key] = mine.get(key, np.zeros_like(counts)) + counts

    def as_json(self, names: dict[int, str]) -> list[UntypedDict]:
        """Return the means over the classes and the scores of each class, for every distance.

        Args:
            names: names of the scored codes.
        """
        rows: list[UntypedDict] = []
        for distance in self.distances:
            classes: list[UntypedDict] = [
                {"code": code, "name": name} | self._scores(code, distance)
                for code, name in names.items()
                if (code, distance) in self.near
            ]
            rows.append(
                {
                    "distance": distance[0],
                    "unit": distance[1],
                    "mean_boundary_f1": jsonable(mean([_nan(c["boundary_f1"]) for c in classes])),
                    "mean_boundary_iou": jsonable(mean([_nan(c["boundary_iou"]) for c in classes])),
                    "classes": classes,
                }
            )
        return rows

    def _scores(self, code: int, distance: Distance) -> dict[str, object]:
        hit, answered, found, true = (int(n) for n in self.near[code, distance])
        both, either = (int(n) for n in self.bands[code, distance])
        precision, recall = ratio(hit, answered), ratio(found, true)
        if not answered or not true:  # one of the two maps has no boundary of this class
            f1 = 0.0 if answered or true else float("nan")
        else:
            f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return {
            "precision": jsonable(precision),
            "recall": jsonable(recall),
            "boundary_f1": jsonable(f1),
            "boundary_iou": jsonable(ratio(both, either)),
        }


def outline(mask: Bool, unknown: Bool) -> Bool:
    """Mark the pixels of a mask with a 4-neighbour outside it that has a class.

    Args:
        mask: (y, x) bool.
        unknown: (y, x) bool, pixels without a class.

    Returns:
        (y, x) bool.
    """
    other = ~mask & ~unknown
    return np.asarray(mask & ndimage.binary_dilation(other, ndimage.generate_binary_structure(2, 1)))


def distance_to(marked: Bool, sampling: tuple[float, float] = (1.0, 1.0)) -> npt.NDArray[np.float64]:
    """Return the distance from every pixel to the nearest marked one, centre to centre; infinite if none is marked.

    Args:
        marked: (y, x) bool.
        sampling: length of a step down and of a step right.

    Returns:
        (y, x) float64, in the unit of ``sampling``.
    """
    if not marked.any():
        return np.full(marked.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(~marked, sampling=sampling))


def depth(mask: Bool, unknown: Bool, *, edge: bool = False) -> npt.NDArray[np.int64]:
    """Count how many erosions by a 3 x 3 square each pixel of a mask survives, plus one; 0 outside the mask.

    Args:
        mask: (y, x).
        unknown: pixels without a class, which make no boundary.
        edge: the image's edge is a boundary too, as in the authors' own implementation, which scores single objects.

    Source:
        Cheng et al. 2021, Boundary IoU; pixels with depth <= d are those within d of the contour.
    """
    solid = mask | unknown
    if edge:
        inside = ndimage.distance_transform_cdt(np.pad(solid, 1), metric="chessboard")[1:-1, 1:-1]
    elif solid.all():
        inside = np.full(mask.shape, np.iinfo(np.int32).max)
    else:
        inside = ndimage.distance_transform_cdt(solid, metric="chessboard")
    return np.where(mask, inside, 0).astype(np.int64)


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value
