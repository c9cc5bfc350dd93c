"""ObjectSpec: which classes become objects, and where touching ones are parted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from geoseg.core.choices import SplitMethod
from geoseg.errors import UsageError

_MOST_REACH_PX = 256  # its square times the square of 100 % is an int32

_NECKS = {"distance": 0.95, "confidence": 0.85}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSpec:
    """How the regions of a class become objects.

    Attributes:
        codes: classes that are counted; every other class, and nodata, is outside of objects.
        split: ``none``: an object is a connected region; ``distance``: a region is cut where it is narrow (watershed of
            the distance to its edge); ``confidence``: where it is narrow or its class is less sure (watershed of that
            distance times the confidence).
        neck: two parts stay one object where the passage between them is at least this share of the height of the lower
            part (its half-width, or half-width times confidence); from 0 (cuts nothing) to 1 (cuts at every narrowing).
            None: 0.95 by distance, 0.85 by confidence, which find most buildings on the data of the bundled model.
        min_area_m2: smaller parts join the neighbour behind the widest passage; smaller regions are left out.
        reach_px: half-widths are measured up to here, so parts that are wider than twice this are not distinguished.
        connectivity: 4 joins pixels across sides; 8 also across corners.

    Raises:
        UsageError: no class, or a number that makes no sense.
    """

    codes: tuple[int, ...]
    split: SplitMethod = "none"
    neck: float | None = None
    min_area_m2: float = 0.0
    reach_px: int = 64
    connectivity: Literal[4, 8] = 4

    def __post_init__(self) -> None:
        if not self.codes or not all(0 <= code <= 255 for code in self.codes):
            raise UsageError(f"classes of objects are {self.codes}; give codes from 0 to 255")
        if self.split not in get_args(SplitMethod):
            raise UsageError(f"split is {self.split!r}; choose one of {', '.join(get_args(SplitMethod))}")
        if self.neck is not None and not 0 <= self.neck <= 1:
            raise UsageError(f"neck is {self.neck}; give a share from 0 to 1")
        if not 0 <= self.min_area_m2 < float("inf"):
            raise UsageError(f"min_area_m2 is {self.min_area_m2}; give square metres, or 0 to keep every object")
        if not 1 <= self.reach_px <= _MOST_REACH_PX:
            raise UsageError(f"reach_px is {self.reach_px}; give 1 to {_MOST_REACH_PX} pixels")
        if self.connectivity not in (4, 8):
            raise UsageError(f"connectivity is {self.connectivity}; choose 4 or 8")

    @property
    def splits(self) -> bool:
        """True if regions are cut."""
        return self.split != "none"

    @property
    def least_passage(self) -> float:
        """The share from which a passage joins two parts."""
        if not self.splits:
            return 0.0
        return _NECKS[self.split] if self.neck is None else self.neck

    @property
    def halo_px(self) -> int:
        """Pixels around a block that decide what happens in it."""
        return self.reach_px + 1 if self.splits else 1
