"""Confusion matrices and the scores derived from them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoseg.core.choices import Unanswered
from geoseg.core.types.json_value import UntypedDict

U8 = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.int64]

NONE: Final = 255
"""Code of a pixel without a class: unlabelled in the reference, unanswered in the prediction."""


def count(reference: U8, predicted: U8) -> Matrix:
    """Count pixels by (reference code, predicted code).

    Args:
        reference: any shape, codes 0-254, 255 where unlabelled.
        predicted: same shape, codes 0-254, 255 where unanswered.

    Returns:
        (256, 256) int64, rows reference, columns prediction; whole-mosaic matrices are sums of these.

    Examples:
        >>> count(np.array([1, 1], np.uint8), np.array([1, 2], np.uint8))[1, :3].tolist()
        [0, 1, 1]
    """
    pairs = reference.ravel().astype(np.uint16) << 8 | predicted.ravel()
    return np.bincount(pairs, minlength=65536).reshape(256, 256)


def iou(matrix: Matrix) -> npt.NDArray[np.float64]:
    """Compute intersection over union of each class; NaN for a class that occurs in neither map.

    Args:
        matrix: (class, class) int64, rows reference, columns prediction.

    Examples:
        >>> iou(np.array([[3, 1], [0, 0]])).tolist()
        [0.75, 0.0]
    """
    both = np.diag(matrix).astype(float)
    either = matrix.sum(axis=0) + matrix.sum(axis=1) - both
    shares: npt.NDArray[np.float64] = np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)
    return shares


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """One class; a ratio is NaN where its denominator is 0.

    Attributes:
        precision: TP / (TP + FP), the user's accuracy.
        recall: TP / (TP + FN), the producer's accuracy.
        f1: 2 TP / (2 TP + FP + FN), also called Dice.
        iou: TP / (TP + FP + FN), also called Jaccard.
        reference_px: TP + FN.
        predicted_px: TP + FP.
    """

    code: int
    name: str
    precision: float
    recall: float
    f1: float
    iou: float
    reference_px: int
    predicted_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores derived from a confusion matrix.

    Attributes:
        classes: scores per class, in the requested order.
        overall_accuracy: share of the scored pixels whose class is right.
        mean_f1: over the classes that occur in either map.
        mean_iou: same.
        kappa: Cohen's, agreement beyond chance.
        frequency_weighted_iou: IoU weighted by the classes' shares of the reference.
        scored_px: pixels counted.
        unanswered_px: labelled pixels without a prediction.
    """

    classes: tuple[ClassScore, ...]
    overall_accuracy: float
    mean_f1: float
    mean_iou: float
    kappa: float
    frequency_weighted_iou: float
    scored_px: int
    unanswered_px: int

    def as_json(self) -> UntypedDict:
        """Convert to JSON values; NaN becomes None."""
        values: UntypedDict = {
            name: jsonable(getattr(self, name))
            for name in (
                "overall_accuracy",
                "mean_f1",
                "mean_iou",
                "kappa",
                "frequency_weighted_iou",
                "scored_px",
                "unanswered_px",
            )
        }
        values["classes"] = [
            {name: jsonable(getattr(entry, name)) for name in ClassScore.__dataclass_fields__} for entry in self.classes
        ]
        return values


def jsonable(value: Any) -> Any:
    """Convert a number for JSON: NaN to None, numpy types to Python's."""
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def scores(
    matrix: Matrix,
    classes: Sequence[tuple[int, str]],
    *,
    mean_over: Collection[int] | None = None,
    unanswered: Unanswered = "ignore",
) -> Scores:
    """Derive all scores from a confusion matrix.

    Reference pixels of other classes and unlabelled ones are left out. A pixel predicted as anything else than
    ``classes`` is wrong.

    Args:
        matrix: (256, 256), see ``count``.
        classes: (code, name) of the classes scored.
        mean_over: codes that the means are taken over; None: all.
        unanswered: ``ignore`` leaves pixels without a prediction out, ``wrong`` counts them as errors.

    Source:
        Kappa: Cohen 1960. Frequency weighted IoU: Long, Shelhamer and Darrell 2015, section 5.
    """
    codes = [code for code, _ in classes]
    rows = matrix[codes].astype(np.float64)
    missing = rows[:, NONE].sum()
    if unanswered == "ignore":
        rows = rows.copy()
        rows[:, NONE] = 0
    both = rows[np.arange(len(codes)), codes]
    truth, answered = rows.sum(1), rows[:, codes].sum(0)
    total = truth.sum()
    f1, iou = _ratio(2 * both, truth + answered), _ratio(both, truth + answered - both)
    agreed, chance = _ratio(both.sum(), total), _ratio((truth * answered).sum(), total * total)
    averaged = [place for place, code in enumerate(codes) if mean_over is None or code in mean_over]
    seen = truth > 0
    entries = zip(classes, _ratio(both, answered), _ratio(both, truth), f1, iou, truth, answered, strict=True)
    return Scores(
        classes=tuple(
            ClassScore(
                code=code,
                name=name,
                precision=float(p),
                recall=float(r),
                f1=float(f),
                iou=float(i),
                reference_px=int(t),
                predicted_px=int(a),
            )
            for (code, name), p, r, f, i, t, a in entries
        ),
        overall_accuracy=float(agreed),
        mean_f1=mean(f1[averaged]),
        mean_iou=mean(iou[averaged]),
        kappa=float(_ratio(agreed - chance, 1 - chance)),
        frequency_weighted_iou=float((truth[seen] * iou[seen]).sum() / total) if total else float("nan"),
        scored_px=int(total),
        unanswered_px=int(missing),
    )


def mean(values: npt.ArrayLike) -> float:
    """Average the values that are not NaN; NaN where there is none."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    return float(known.mean()) if known.size else float("nan")


def ratio(part: float, whole: float) -> float:
    """Divide; NaN where the whole is 0."""
    return float(_ratio(part, whole))


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> npt.NDArray[np.float64]:
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    shares: npt.NDArray[np.float64] = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=shares, where=whole != 0)
    return shares
