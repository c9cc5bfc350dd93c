"""Names of bands: what the file's own descriptions say, then its colour interpretation."""

from __future__ import annotations

import re
from collections.abc import Sequence

COMMON = frozenset(
    {"pan", "coastal", "blue", "green", "green05", "yellow", "red", "rededge", "rededge071", "rededge075", "rededge078"}
    | {"nir", "nir08", "nir09", "cirrus", "swir16", "swir22", "lwir", "lwir11", "lwir12", "vv", "vh", "hh", "hv"}
)
"""Common names of the STAC electro-optical extension, and the four polarisations of radar."""

_SAME = {
    **dict.fromkeys(("r", "red band", "band red"), "red"),
    **dict.fromkeys(("g", "green band", "band green"), "green"),
    **dict.fromkeys(("b", "blue band", "band blue"), "blue"),
    **dict.fromkeys(
        ("n", "ir", "nir band", "near infrared", "nearinfrared", "near infra red", "near ir", "nir1", "infrared"), "nir"
    ),
    **dict.fromkeys(("nir narrow", "narrow nir", "nir2"), "nir08"),
    **dict.fromkeys(("red edge", "re"), "rededge"),
    **dict.fromkeys(("red edge 1", "rededge1", "re1"), "rededge071"),
    **dict.fromkeys(("red edge 2", "rededge2", "re2"), "rededge075"),
    **dict.fromkeys(("red edge 3", "rededge3", "re3"), "rededge078"),
    **dict.fromkeys(("panchromatic",), "pan"),
    **dict.fromkeys(("coastal aerosol", "coastal blue", "ultra blue"), "coastal"),
    **dict.fromkeys(("swir1", "swir 1", "shortwave infrared 1"), "swir16"),
    **dict.fromkeys(("swir2", "swir 2", "shortwave infrared 2"), "swir22"),
    **dict.fromkeys(("water vapour", "water vapor"), "nir09"),
}
_SENSORS = {
    "sentinel-2": dict(
        zip(
            ("1", "2", "3", "4", "5", "6", "7", "8", "8a", "9", "10", "11", "12"),
            (
                *("coastal", "blue", "green", "red", "rededge071", "rededge075", "rededge078"),
                *("nir", "nir08", "nir09", "cirrus", "swir16", "swir22"),
            ),
            strict=True,
        )
    ),
    "landsat-8": dict(
        zip(
            ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"),
            (
                *("coastal", "blue", "green", "red", "nir", "swir16", "swir22", "pan", "cirrus"),
                *("lwir11", "lwir12"),
            ),
            strict=True,
        )
    ),
    "landsat-7": {
        "1": "blue",
        "2": "green",
        "3": "red",
        "4": "nir",
        "5": "swir16",
        "6": "lwir",
        "7": "swir22",
        "8": "pan",
    },
}
_NUMBERED = re.compile(
    r"^(?:(?P<prefix>s2|sentinel 2[abc]?|sr|toa|landsat [4-9]|l[cetm]0?[4-9]) ?)?b(?:and)? ?0?(?P<number>\d{1,2}|8a)$"
)


def _words(text: str) -> str:
    return re.sub(r"[\s_\-.]+", " ", text.strip().lower())


def _sensor(prefix: str, hint: str) -> str | None:
    """Decide whose band numbers these are, from the description's own prefix and the file's name."""
    said = f"{prefix} {_words(hint)}"
    if re.search(r"\b(s2[abc]?|sentinel ?2[abc]?|msil[12][ac])\b", said):
        return "sentinel-2"
    if re.search(r"\b(lc0?[89]|l[89]|landsat ?[89])\b", said):
        return "landsat-8"
    if re.search(r"\b(le0?7|l[tm]0?[45]|l[57]|landsat ?[457])\b", said):
        return "landsat-7"
    # A bare B8 is Sentinel-2's habit; "SR_B4" is Landsat's, whose numbering depends on a number not given here.
    return "sentinel-2" if not prefix else None


def named(description: str | None, hint: str = "") -> str | None:
    """Read a band description as a common name, or None.

    Args:
        description: the file's words.
        hint: the file's name, which may name the satellite that numbered the bands.

    Example:
        >>> named("Near Infrared"), named("B8"), named("B8", "LC08_L1TP_224078"), named("something")
        ('nir', 'nir', 'pan', None)
    """
    if not description:
        return None
    words = _words(description)
    if words in COMMON:
        return words
    if words in _SAME:
        return _SAME[words]
    numbered = _NUMBERED.match(words)
    # "Band 3" alone is what software writes when it knows nothing.
    if numbered and not (words.startswith("band") and not hint_names_sensor(hint)):
        sensor = _sensor(numbered["prefix"] or "", hint)
        return _SENSORS[sensor].get(numbered["number"]) if sensor else None
    inner = re.match(r"^(?:b\w{1,3} )?\(?([a-z0-9 ]+?)\)?(?: \(?\d.*)?$", words)
    if inner and inner[1] != words:
        return named(inner[1])
    return None


def hint_names_sensor(hint: str) -> bool:
    """Whether a file's name says which satellite it comes from."""
    return _sensor("?", hint) is not None


def band_names(colours: Sequence[str], descriptions: Sequence[str | None], hint: str = "") -> tuple[str, ...]:
    """Name the bands of a file, each once.

    Args:
        colours: colour interpretation of each band, lower case, as rasterio names it.
        descriptions: the description of each band or None.
        hint: the file's name.

    Returns:
        Common names where they are known and not taken, ``band_N`` (1-based) elsewhere.
    """
    names: list[str] = []
    for index, (colour, description) in enumerate(zip(colours, descriptions, strict=True), start=1):
        name = named(description, hint) or (colour if colour in COMMON else None)
        names.append(name if name is not None and name not in names else f"band_{index}")
    return tuple(names)
