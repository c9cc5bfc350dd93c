"""Estimation from a sample: accuracies and bias-adjusted areas, with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import UsageError
from geoseg.score.matrix import jsonable

Z_95: Final = 1.96

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaEstimate:
    """Estimates by class, each with its standard error; the 95 % interval is 1.96 standard errors on either side.

    Attributes:
        codes: classes, of the map and of the reference.
        proportions: (map class, reference class), estimated shares of the ground; they sum to 1.
        overall: overall accuracy.
        overall_se: its standard error.
        users: user's accuracy of each class, NaN where the map has none of it.
        users_se: standard errors.
        producers: producer's accuracy of each class, NaN where the sample found none of it.
        producers_se: standard errors.
        mapped_m2: area of each class in the map.
        area_m2: area of each class on the ground.
        area_se_m2: standard errors.
    """

    codes: tuple[int, ...]
    proportions: Floats
    overall: float
    overall_se: float
    users: Floats
    users_se: Floats
    producers: Floats
    producers_se: Floats
    mapped_m2: Floats
    area_m2: Floats
    area_se_m2: Floats

    def as_json(self, names: Sequence[str]) -> UntypedDict:
        """Convert to JSON values; half-widths of 95 % intervals under ``..._ci95``."""
        columns = {
            "users_accuracy": self.users,
            "users_accuracy_ci95": Z_95 * self.users_se,
            "producers_accuracy": self.producers,
            "producers_accuracy_ci95": Z_95 * self.producers_se,
            "mapped_m2": self.mapped_m2,
            "area_m2": self.area_m2,
            "area_m2_ci95": Z_95 * self.area_se_m2,
        }
        return {
            "overall_accuracy": jsonable(self.overall),
            "overall_accuracy_ci95": jsonable(Z_95 * self.overall_se),
            "classes": [
                {"code": code, "name": name} | {key: jsonable(values[place]) for key, values in columns.items()}
                for place, (code, name) in enumerate(zip(self.codes, names, strict=True))
            ],
            "proportions": self.proportions.tolist(),
        }


def estimate(counts: npt.NDArray[np.int64], mapped_m2: Floats, codes: Sequence[int]) -> AreaEstimate:
    """Estimate accuracy and area from a stratified random sample whose strata are the classes of the map.

    Args:
        counts: (map class, reference class), points.
        mapped_m2: (class,), area of each class in the map, from all its pixels; any unit.
        codes: codes of the classes.

    Raises:
        UsageError: a class of the map has fewer than two points, so its variance is unknown.

    Source:
        Olofsson et al. 2014, Good practices for estimating area and assessing accuracy of land change, equations 4 to
        11.
    """
    counts, mapped = counts.astype(np.float64), mapped_m2.astype(np.float64)
    n = counts.sum(axis=1)
    thin = [code for code, points, area in zip(codes, n, mapped, strict=True) if area > 0 and points < 2]
    if thin:
        raise UsageError(f"class {thin[0]} of the map has fewer than two interpreted points. Interpret more of them.")
    weights = mapped / mapped.sum()
    sampled = np.maximum(n, 1)
    shares = counts / sampled[:, None]
    free = np.maximum(n - 1, 1)
    p = weights[:, None] * shares
    users = np.where(n > 0, np.diag(shares), np.nan)
    spread = np.where(n > 0, np.diag(shares) * (1 - np.diag(shares)), 0.0) / free
    truth = p.sum(axis=0)
    with np.errstate(invalid="ignore"):
        producers = np.diag(p) / np.where(truth > 0, truth, np.nan)
    return AreaEstimate(
        codes=tuple(codes),
        proportions=p,
        overall=float(np.trace(p)),
        overall_se=float(np.sqrt((weights**2 * spread).sum())),
        users=users,
        users_se=np.where(n > 0, np.sqrt(spread), np.nan),
        producers=producers,
        producers_se=_producers_se(shares, weights, free, producers, truth),
        mapped_m2=mapped,
        area_m2=mapped.sum() * truth,
        area_se_m2=mapped.sum() * np.sqrt(((weights[:, None] * p - p**2) / free[:, None]).sum(axis=0)),
    )


def _producers_se(shares: Floats, weights: Floats, free: Floats, producers: Floats, truth: Floats) -> Floats:
    """Equation 7, with areas as shares of the whole."""
    own = np.diag(shares)
    commission = weights**2 * (1 - producers) ** 2 * own * (1 - own) / free
    spread = weights[:, None] ** 2 * shares * (1 - shares) / free[:, None]
    omission = producers**2 * (spread.sum(axis=0) - np.diag(spread))
    return np.asarray(np.sqrt(commission + omission) / np.where(truth > 0, truth, np.nan))
