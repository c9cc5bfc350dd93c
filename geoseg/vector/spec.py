"""VectorSpec: how polygons shall be drawn from codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from geoseg.core.choices import SimplifyMethod
from geoseg.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorSpec:
    """Options of the vectoriser.

    Attributes:
        simplify_m: tolerance on the ground, metres; 0 keeps every pixel corner.
        method: ``douglas-peucker`` keeps every pixel corner within ``simplify_m`` of the result; ``visvalingam``
            removes corners whose triangle is smaller than ``simplify_m`` squared.
        smooth: straighten pixel stairs before simplifying; without effect when ``simplify_m`` is 0.
        min_area_m2: regions smaller than this go to the neighbour they share the longest boundary with.
        class_min_area_m2: code -> minimum area, in place of ``min_area_m2``.
        connectivity: 4 joins pixels across sides; 8 also across corners: multipolygons, exact ones only.

    Raises:
        UsageError: a negative number or an unknown choice.
    """

    simplify_m: float = 0.0
    method: SimplifyMethod = "douglas-peucker"
    smooth: bool = True
    min_area_m2: float = 0.0
    class_min_area_m2: Mapping[int, float] = field(default_factory=dict)
    connectivity: Literal[4, 8] = 4

    def __post_init__(self) -> None:
        if not (0 <= self.simplify_m < float("inf")):
            raise UsageError(f"simplify_m is {self.simplify_m}; give a tolerance in metres, or 0 for exact polygons")
        areas = (self.min_area_m2, *self.class_min_area_m2.values())
        if not all(0 <= area < float("inf") for area in areas):
            raise UsageError(f"minimum areas are {areas}; give square metres, or 0 to keep every region")
        if not all(0 <= code <= 255 for code in self.class_min_area_m2):
            raise UsageError(f"class_min_area_m2 has codes {sorted(self.class_min_area_m2)}; codes are 0 to 255")
        if self.method not in get_args(SimplifyMethod):
            raise UsageError(f"method is {self.method!r}; choose one of {', '.join(get_args(SimplifyMethod))}")
        if self.connectivity not in (4, 8):
            raise UsageError(f"connectivity is {self.connectivity}; choose 4 or 8")
        if self.connectivity == 8 and (self.generalises or not self.exact):
            raise UsageError(
                "connectivity 8 gives exact polygons only; leave out simplify_m and minimum areas, or use 4"
            )

    @property
    def exact(self) -> bool:
        """True if boundaries keep every pixel corner."""
        return self.simplify_m == 0

    @property
    def generalises(self) -> bool:
        """True if small regions are merged into their neighbours."""
        return self.min_area_m2 > 0 or any(area > 0 for area in self.class_min_area_m2.values())

    def min_area_of(self, code: int) -> float:
        """Return the minimum area of a class, square metres."""
        return float(self.class_min_area_m2.get(code, self.min_area_m2))
