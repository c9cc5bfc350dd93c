"""Names of bands: colour interpretation first, then what the file's own descriptions say."""

from __future__ import annotations

import re
from collections.abc import Sequence

COMMON = frozenset(
    "pan coastal blue green green05 yellow red rededge rededge071 rededge075 rededge078 nir nir08 nir09 cirrus "
    "swir16 swir22 lwir lwir11 lwir12 vv vh hh hv".split()
)
"""Common names of the STAC electro-optical extension, and the four polarisations."""

_SAME = {
    "r": "red",
    "g": "green",
    "b": "blue",
    "n": "nir",
    "ir": "nir",
    "near infrared": "nir",
    "nearinfrared": "nir",
    "near ir": "nir",
    "nir1": "nir",
    "red edge": "rededge",
    "panchromatic": "pan",
    "coastal aerosol": "coastal",
    "swir1": "swir16",
    "swir 1": "swir16",
    "swir2": "swir22",
    "swir 2": "swir22",
}


def named(text: str | None) -> str | None:
    """Read a band description as a common name, or None.

    Example:
        >>> named("Near Infrared"), named("B8"), named("something")
        ('nir', 'nir', None)
    """
    if not text:
        return None
    key = re.sub(r"[\s_\-]+", " ", text.strip().lower())
    return key if key in COMMON else _SAME.get(key)


def band_names(colours: Sequence[str], descriptions: Sequence[str | None]) -> tuple[str, ...]:
    """Name the bands of a file, each once.

    Args:
        colours: colour interpretation of each band, lower case, as rasterio names it.
        descriptions: the description of each band or None.

    Returns:
        Common names where they are known and not taken, ``band_N`` (1-based) elsewhere.
    """
    names: list[str] = []
    for index, (colour, description) in enumerate(zip(colours, descriptions, strict=True), start=1):
        name = named(description) or (colour if colour in COMMON else None)
        names.append(name if name is not None and name not in names else f"band_{index}")
    return tuple(names)
