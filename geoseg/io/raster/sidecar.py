"""Band metadata in the ``.aux.xml`` of a raster. Its georeference is not read here."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from geoseg.io.files.drivers import is_plain_file

_MAX_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class BandFacts:
    """Metadata of one band from a file or its sidecar; None where it is not given.

    Attributes:
        nodata: value for "no measurement".
        scale: physical value = stored value * scale + offset.
        offset: see scale.
        description: free text.
    """

    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None
    description: str | None = None


def read_sidecar(path: Path) -> tuple[Path | None, Mapping[int, BandFacts]]:
    """Read the bands of a raster's ``.aux.xml``.

    GDAL, QGIS and ArcGIS write metadata there if they cannot write into the raster itself, and GDAL gives it priority
    over that of the raster.

    Args:
        path: the raster.

    Returns:
        The sidecar, None if it has no band metadata or cannot be parsed, and its bands by number.

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
    stated = {number: band for number, band in bands.items() if band != BandFacts()}
    return (name if stated else None), stated


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
    """Decode the eight bytes in which GDAL stores a value that decimals do not represent exactly."""
    try:
        return None if text is None else float(struct.unpack("<d", bytes.fromhex(text))[0])
    except (ValueError, struct.error):
        return None
