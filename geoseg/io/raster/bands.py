"""Names of bands, from the file's own descriptions or its colour interpretation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

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
_TRANSPARENCY = frozenset(
    {"a", "alpha", "alpha band", "alpha channel", "band alpha", "mask", "data mask", "valid", "validity", "nodata"}
    | {"transparency", "opacity", "coverage", "undefined"}
)
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


def _sensor(words: str) -> str | None:
    """Find the satellite that a description or a hint names, which defines the band numbers."""
    if re.search(r"\b(s2[abc]?|sentinel ?2[abc]?|msil[12][ac])\b", words):
        return "sentinel-2"
    if re.search(r"\b(lc0?[89]|l[89]|landsat ?[89])\b", words):
        return "landsat-8"
    # LM04 and LM05 are of another instrument, which numbers otherwise
    if re.search(r"\b(le0?7|lt0?[45]|l[57]|landsat ?[457])\b", words):
        return "landsat-7"
    return None


def named(description: str | None, hint: str = "") -> str | None:
    """Convert a band description to a common name, or None.

    Args:
        description: description from the file.
        hint: the file's name and metadata, which may name the satellite. Band 4 is red on one satellite and near
            infrared on another, so a number alone is ambiguous.

    Examples:
        >>> named("Near Infrared"), named("B8", "S2A_MSIL2A"), named("B8", "LC08_L1TP_224078"), named("B8")
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
    if numbered:
        # only Sentinel-2 has a band between two numbers
        sensor = "sentinel-2" if numbered["number"] == "8a" else _sensor(f"{numbered['prefix'] or ''} {_words(hint)}")
        return _SENSORS[sensor].get(numbered["number"]) if sensor else None
    inner = re.match(r"^(?:b\w{1,3} )?\(?([a-z0-9 ]+?)\)?(?: \(?\d.*)?$", words)
    if inner and inner[1] != words:
        return named(inner[1])
    return None


def says_nothing(description: str | None) -> bool:
    """Return True for a default description without information: empty, or such as ``Band 3``."""
    return re.fullmatch(r"(band ?\d+)?", _words(description or "")) is not None


def alpha_bands(
    colours: Sequence[str], descriptions: Sequence[str | None], choice: Literal["auto", "yes", "no"] = "auto"
) -> tuple[int, ...]:
    """List the alpha bands (1-based), which mask pixels.

    Writers tag the fourth band of 8 bits as alpha by default, whatever it holds: a description has priority.

    Args:
        colours: colour interpretation of each band, lower case, as rasterio names it.
        descriptions: the description of each band or None.
        choice: see ``OpenOptions.alpha``.
    """
    tagged = tuple(index for index, colour in enumerate(colours, start=1) if colour == "alpha")
    if choice == "no":
        return ()
    if choice == "yes":
        return tagged or ((len(colours),) if len(colours) > 1 else ())
    return tuple(
        index
        for index in tagged
        if says_nothing(descriptions[index - 1]) or _words(descriptions[index - 1] or "") in _TRANSPARENCY
    )


def band_names(colours: Sequence[str], descriptions: Sequence[str | None], hint: str = "") -> tuple[str, ...]:
    """Name the bands of a file, each once.

    Args:
        colours: colour interpretation of each band, lower case, as rasterio names it.
        descriptions: the description of each band or None.
        hint: the file's name and metadata; see ``named``.

    Returns:
        Common names where known and not used yet, otherwise ``band_N`` (1-based).
    """
    if any(re.search(r"\bb(and)? ?8a\b", _words(description or "")) for description in descriptions):
        hint = f"sentinel 2 {hint}"
    names: list[str] = []
    for index, (colour, description) in enumerate(zip(colours, descriptions, strict=True), start=1):
        name = named(description, hint) or (colour if colour in COMMON else None)
        names.append(name if name is not None and name not in names else f"band_{index}")
    return tuple(names)
