"""Panoptic quality: how well segments agree with those of a reference, for each class, things and stuff.

Source: Kirillov et al. 2019, Panoptic Segmentation, section 4 (https://arxiv.org/abs/1801.00868); for boundaries Cheng
et al. 2021, Boundary IoU (https://arxiv.org/abs/2103.16562). Equal to the reference implementation of the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from geoseg.core.types.arrays import AnyArray
from geoseg.core.types.json_value import UntypedDict
from geoseg.score.panoptic.pairs import VOID, PairCounts

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LEAST_IOU = 0.5
"""Segments match if their intersection over union is larger; so each matches at most one other."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentTable:
    """Segments of a panoptic map.

    Attributes:
        number: (segment,) int64, rising, above 0; 0 in a map means void.
        code: (segment,) int64, class of each.
        crowd: (segment,) bool, True for regions of many things that are not told apart; only references have some.
    """

    number: I64
    code: I64
    crowd: Bools

    @classmethod
    def of(cls, number: Sequence[int] | I64, code: Sequence[int] | I64, crowd: Iterable[bool] | None = None) -> Self:
        """Make a table of segments in any order."""
        numbers, codes = np.asarray(number, np.int64), np.asarray(code, np.int64)
        crowds = np.zeros(len(numbers), np.bool_) if crowd is None else np.fromiter(crowd, np.bool_, len(numbers))
        order = np.argsort(numbers)
        return cls(number=numbers[order], code=codes[order], crowd=crowds[order])

    def __len__(self) -> int:
        return len(self.number)

    def find(self, numbers: I64) -> I64:
        """Return the row of each segment, -1 for numbers that the table lacks."""
        if not len(self):
            return np.full(len(numbers), -1, np.int64)
        place = np.minimum(np.searchsorted(self.number, numbers), len(self) - 1)
        return np.where(self.number[place] == numbers, place, -1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tally:
    """Matched and unmatched segments of each class, indexed by its code.

    Attributes:
        iou: (code,) float64, sum of the intersection over union of the matched pairs.
        matched: (code,) int64, pairs (true positives).
        extra: (code,) int64, predicted segments without a partner (false positives).
        missed: (code,) int64, segments of the reference without one (false negatives).
    """

    iou: F64
    matched: I64
    extra: I64
    missed: I64

    @classmethod
    def none(cls, codes: int) -> Self:
        """Make a tally of nothing for the codes 0 to ``codes - 1``."""
        return cls(iou=np.zeros(codes), **{name: np.zeros(codes, np.int64) for name in ("matched", "extra", "missed")})

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            iou=self.iou + other.iou,
            matched=self.matched + other.matched,
            extra=self.extra + other.extra,
            missed=self.missed + other.missed,
        )

    @property
    def occurs(self) -> Bools:
        """(code,) True for the classes that the reference or the prediction has."""
        return self.matched + self.extra + self.missed > 0

    def scores(self) -> tuple[F64, F64, F64]:
        """PQ, SQ and RQ of each class; 0 where it does not occur."""
        half = self.matched + 0.5 * self.extra + 0.5 * self.missed
        return _over(self.iou, half), _over(self.iou, self.matched), _over(self.matched, half)

    def mean(self, codes: Iterable[int]) -> dict[str, float | int | None]:
        """Mean scores over those of some classes that occur; None without any."""
        chosen = [code for code in codes if self.occurs[code]]
        pq, sq, rq = (None if not chosen else float(values[chosen].mean()) for values in self.scores())
        return {"pq": pq, "sq": sq, "rq": rq, "classes": len(chosen)}

    def of_class(self, code: int) -> UntypedDict:
        """Scores and counts of one class; scores are None where it does not occur."""
        pq, sq, rq = (float(values[code]) if self.occurs[code] else None for values in self.scores())
        counts = {name: int(getattr(self, name)[code]) for name in ("matched", "extra", "missed")}
        return {"pq": pq, "sq": sq, "rq": rq} | counts


def _over(one: AnyArray, other: AnyArray) -> F64:
    return np.asarray(np.divide(one, other, out=np.zeros(len(one)), where=other > 0), np.float64)


def tally(
    pairs: PairCounts, reference: SegmentTable, prediction: SegmentTable, codes: int = 256, *, boundary: bool = False
) -> Tally:
    """Match the segments of one image, or one mosaic.

    Pixels that are void in the reference count for nothing: they are left out of unions, and a predicted segment that
    lies there for more than half, void and crowds of its class together, is no false positive.

    Args:
        pairs: pixels of each pair of segments.
        reference: segments of the reference.
        prediction: segments of the prediction, none of them a crowd.
        codes: number of class codes.
        boundary: the smaller one of the intersections over union of masks and of their boundaries counts.
    """
    ours, theirs = prediction.find(pairs.prediction), reference.find(pairs.reference)
    size = _sums(ours, pairs.pixels, len(prediction))
    size_of_reference = _sums(theirs, pairs.pixels, len(reference))
    over_void = _sums(np.where(pairs.reference == VOID, ours, -1), pairs.pixels, len(prediction))
    both = np.flatnonzero((ours >= 0) & (theirs >= 0))
    one, other = ours[both], theirs[both]
    fits = (prediction.code[one] == reference.code[other]) & ~reference.crowd[other]
    both, one, other = both[fits], one[fits], other[fits]
    shared = pairs.pixels[both]
    iou = shared / (size[one] + size_of_reference[other] - shared - over_void[one])
    if boundary:
        iou = np.minimum(
            iou, _boundary_iou(pairs, (both, one, other), (ours, theirs), (len(prediction), len(reference)))
        )
    good = iou > LEAST_IOU
    found, hit = np.zeros(len(prediction), np.bool_), np.zeros(len(reference), np.bool_)
    found[one[good]], hit[other[good]] = True, True
    ignored = over_void + _over_crowds(pairs, (ours, theirs), prediction, reference)
    counts = size > 0
    extra = counts & ~found & ~(ignored > LEAST_IOU * size)
    missed = ~hit & ~reference.crowd
    return Tally(
        iou=np.bincount(prediction.code[one[good]], iou[good], codes).astype(np.float64),
        matched=np.bincount(prediction.code[one[good]], minlength=codes),
        extra=np.bincount(prediction.code[extra], minlength=codes),
        missed=np.bincount(reference.code[missed], minlength=codes),
    )


def _boundary_iou(
    pairs: PairCounts, chosen: tuple[I64, I64, I64], rows: tuple[I64, I64], counts: tuple[int, int]
) -> F64:
    """Intersection over union of the boundaries of chosen pairs; boundaries over void are left out."""
    both, one, other = chosen
    known = np.where(pairs.reference == VOID, -1, rows[0])
    ours = _sums(known, pairs.prediction_boundary, counts[0])
    theirs = _sums(rows[1], pairs.reference_boundary, counts[1])
    shared = pairs.boundary[both]
    return _over(shared, ours[one] + theirs[other] - shared)


def _over_crowds(pairs: PairCounts, rows: tuple[I64, I64], prediction: SegmentTable, reference: SegmentTable) -> I64:
    """Count the pixels of each predicted segment that lie in crowds of its class."""
    ours, theirs = rows
    at = np.flatnonzero((ours >= 0) & (theirs >= 0))
    at = at[reference.crowd[theirs[at]] & (reference.code[theirs[at]] == prediction.code[ours[at]])]
    return _sums(ours[at], pairs.pixels[at], len(prediction))


def _sums(rows: I64, pixels: I64, count: int) -> I64:
    """Add pixels by row; rows of -1 are left out."""
    out = np.zeros(count, np.int64)
    np.add.at(out, rows[rows >= 0], pixels[rows >= 0])
    return out
