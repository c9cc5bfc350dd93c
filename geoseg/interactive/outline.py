"""Outline of a mask along the edges of its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely

if TYPE_CHECKING:
    from affine import Affine
    from shapely import MultiPolygon, Polygon


def outline(mask: npt.NDArray[np.bool_], transform: Affine) -> Polygon | MultiPolygon | None:
    """Draw the outline of a mask.

    Args:
        mask: (y, x).
        transform: from columns and rows to coordinates.

    Returns:
        A valid Polygon or MultiPolygon with vertices where the outline turns; None for an empty mask.
    """
    if not mask.any():
        return None
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, begins = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    pixels = shapely.union_all(shapely.box(begins, rows, ends, rows + 1)).simplify(0)
    a, b, c, d, e, f = transform[:6]
    moved = shapely.transform(pixels, lambda xy: xy @ np.array([[a, d], [b, e]]) + (c, f))
    valid: Any = shapely.normalize(shapely.make_valid(moved))
    return valid if valid.geom_type in {"Polygon", "MultiPolygon"} else None
