"""Validity of pixels: nodata values, mask and alpha bands, NaN."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from geoseg.core.types.arrays import AnyArray, AnyDtype


def _equals(values: AnyArray, nodata: float) -> npt.NDArray[np.bool_]:
    """Compare with a nodata value as GDAL does: exactly for integers, within a few ulps for floats."""
    dtype = values.dtype
    if dtype.kind in "iu":
        if not float(nodata).is_integer() or not np.iinfo(dtype).min <= nodata <= np.iinfo(dtype).max:
            return np.zeros(values.shape, bool)
        return np.asarray(values == dtype.type(int(nodata)))
    if np.isnan(nodata):
        return np.asarray(np.isnan(values))
    near = 8 * float(np.finfo(dtype).eps) * abs(nodata)
    low, high = (np.float64(nodata) - near, np.float64(nodata) + near)
    return np.asarray((values >= low) & (values <= high))


_BRIGHTEST = 65535
"""Upper bound of plausible values in float images, which are usually converted from 8 or 16 bits."""


def is_measurement(nodata: float, dtype: AnyDtype) -> bool:
    """Return True if a nodata value can also be a valid measurement (0 is black as well as missing).

    Args:
        nodata: the nodata value.
        dtype: data type of the values.
    """
    return 0 <= nodata <= (_BRIGHTEST if dtype.kind == "f" else np.iinfo(dtype).max)


def valid_pixels(values: AnyArray, nodata: Sequence[float | None]) -> npt.NDArray[np.bool_]:
    """Compute the validity mask.

    A nodata value that may be a measurement makes a pixel invalid only where every band has it: a pure red roof in a
    scene with nodata 0 stays, in integers and in floats. Any other nodata value (NaN, negative, or larger in a float
    band than 16 bits hold) counts in each band alone.

    Args:
        values: (band, y, x).
        nodata: one value or None per band.

    Returns:
        (y, x) bool, True = valid.
    """
    absent_all = np.ones(values.shape[1:], bool)
    absent_any = np.zeros(values.shape[1:], bool)
    together = bool(values.shape[0])
    for band, value in zip(values, nodata, strict=True):
        if values.dtype.kind == "f":
            absent_any |= ~np.isfinite(band)
        if value is None:
            together = False
        elif is_measurement(value, values.dtype):
            absent_all &= _equals(band, value)
        else:
            absent_any |= _equals(band, value)
            together = False
    return ~(absent_any | absent_all) if together else ~absent_any
