"""Distances to the nearest and to the second nearest object of a label raster."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from geoseg.core.types.arrays import AnyIntegers

Distances = npt.NDArray[np.float32]


def two_nearest(objects: AnyIntegers, reach_px: float) -> tuple[Distances, Distances]:
    """Measure how far each pixel is from the two objects that are nearest to it.

    Args:
        objects: (y, x) numbers of objects; 0 where there is none, no number is negative. An object may have several
            parts.
        reach_px: distances above this are not measured.

    Returns:
        Two (y, x) float32 arrays: the distance to the nearest and to the second nearest object, pixels, between
        pixel centres; 0 inside an object, infinite above ``reach_px``.
    """
    nearest = np.full(objects.shape, np.inf, np.float32)
    second = np.full(objects.shape, np.inf, np.float32)
    margin = math.ceil(reach_px) + 1
    numbers, inverse = np.unique(objects, return_inverse=True)
    dense = inverse.reshape(objects.shape).astype(np.int32) + int(bool(numbers.size) and numbers[0] != 0)
    for place, box in enumerate(ndimage.find_objects(dense), start=1):
        if box is None:
            continue
        near = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in box)
        distance = ndimage.distance_transform_edt(dense[near] != place).astype(np.float32)
        distance[distance > reach_px] = np.inf
        second[near] = np.minimum(second[near], np.maximum(nearest[near], distance))
        nearest[near] = np.minimum(nearest[near], distance)
    return nearest, second
