"""Removal of class borders from a reference, as in the ISPRS benchmark."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from geoseg.score.matrix import NONE, U8

ISPRS_RADIUS_PX: Final = 3
"""Radius of the disc by which the benchmark erodes every class."""


def without_borders(codes: U8, radius_px: int = ISPRS_RADIUS_PX) -> U8:
    """Unlabel every pixel with another class within ``radius_px``, measured centre to centre.

    This is the erosion of each class by a disc. The edge of the image and unlabelled pixels are no borders.

    Args:
        codes: (y, x), 255 where unlabelled. A window needs a halo of ``radius_px``.
        radius_px: radius of the disc.

    Returns:
        (y, x), 255 also along the borders.

    Source:
        ISPRS 2D Semantic Labeling Contest: borders are eroded by a circular disc of 3 pixels radius.
    """
    reach = np.arange(-radius_px, radius_px + 1)
    disc = reach[:, None] ** 2 + reach**2 <= radius_px**2
    # another class near means that the classes near, unlabelled pixels aside, are not all one
    lowest = ndimage.minimum_filter(codes, footprint=disc, mode="nearest")
    highest = ndimage.maximum_filter(
        np.where(codes == NONE, 0, codes + 1).astype(np.uint8), footprint=disc, mode="nearest"
    )
    alone = lowest.astype(np.int16) + 1 == highest
    return np.where(alone, codes, NONE).astype(np.uint8)
