"""What a ``.aux.xml`` beside a raster says of its bands. It says nothing here of where the raster lies."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from geoseg.io.files.formats import is_plain_file

_MAX_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class BandFacts:
    """What a file or its sidecar says of one band; None where it says nothing.

    Attributes:
        nodata: value for "no measurement".
        scale: physical value = stored value * scale + offset.
        offset: see scale.
        description: words.
    """

    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None
    description: str | None = None


def read_sidecar(path: Path) -> tuple[Path | None, Mapping[int, BandFacts]]:
    """Read the bands of a raster's ``.aux.xml``.

    GDAL, QGIS and ArcGIS write there what they may not write into the raster itself, and GDAL takes it for truer than
    what stands in the raster.

    Args:
        path: the raster.

    Returns:
        The sidecar, None where it says nothing of bands or cannot be understood, and its bands by number.

    Source:
        https://gdal.org/en/stable/user/raster_data_model.html, Persistent Auxiliary Metadata.
    """
    name = path.with_name(path.name + ".aux.xml")
    if not is_plain_file(name):
        return None, {}
    try:
        with name.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES or b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            return None, {}
        root = ET.fromstring(text)  # noqa: S314 - no entities, bounded
    except (OSError, ET.ParseError):
        return None, {}
    bands = {int(band.get("band", "")): _band(band) for band in root.iter("PAMRasterBand") if _is_count(band)}
    said = {number: band for number, band in bands.items() if band != BandFacts()}
    return (name if said else None), said


def _is_count(band: ET.Element) -> bool:
    number = band.get("band", "")
    return number.isdecimal() and len(number) < 6


def _band(band: ET.Element) -> BandFacts:
    nodata = band.find("NoDataValue")
    return BandFacts(
        nodata=None if nodata is None else _exact(nodata.get("le_hex_equiv")) or _number(nodata.text),
        scale=_number(band.findtext("Scale")),
        offset=_number(band.findtext("Offset")),
        description=(band.findtext("Description") or "").strip() or None,
    )


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _exact(text: str | None) -> float | None:
    """Read the eight bytes in which GDAL keeps a value that decimals do not hold exactly."""
    try:
        return None if text is None else float(struct.unpack("<d", bytes.fromhex(text))[0])
    except (ValueError, struct.error):
        return None
