"""Names and colours of the classes of a raster: colour table, category names and raster attribute table."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

import rasterio
from rasterio.errors import RasterioError

from geoseg.core.legend import Legend, LegendClass
from geoseg.io.files.drivers import driver_of, gdal_settings, is_plain_file
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.files.gdal_name import gdal_name
from geoseg.io.files.safe_xml import parse_xml
from geoseg.io.raster.tiff_metadata import gdal_metadata

_MOST_BYTES = 32 * 2**20
_NAME, _MIN, _MAX, _MIN_MAX, _RED, _GREEN, _BLUE = "2", "3", "4", "5", "6", "7", "8"
"""GDALRATFieldUsage, https://gdal.org/en/stable/api/raster_c_api.html."""
_VALUE_FIELDS = ("value", "code", "gridcode")
_NAME_FIELDS = ("class_name", "class_names", "classname", "name", "label", "class", "category")


@dataclass(slots=True, kw_only=True)
class _Named:
    """Names and colours (``#rrggbb``) by code."""

    names: dict[int, str] = field(default_factory=dict)
    colours: dict[int, str] = field(default_factory=dict)

    def fill(self, other: _Named) -> None:
        """Fill in missing names and colours from another one."""
        self.names = other.names | self.names
        self.colours = other.colours | self.colours


def legend_of(path: Path, codes: list[int]) -> Legend:
    """Read names and colours of codes; missing ones are generated.

    The file's own colour table and attribute table have priority over those of ``NAME.aux.xml``, and an attribute table
    over category names.

    Args:
        path: the raster.
        codes: the codes that occur.
    """
    named = _Named(colours=_colour_table(path))
    for root in _documents(path):
        for table in root.iter("GDALRasterAttributeTable"):
            named.fill(_of_table(table))
        named.fill(_Named(names=_category_names(root)))
    taken: set[str] = set()
    classes = []
    for place, code in enumerate(codes or [0]):
        name = named.names.get(code, "").strip()[:80]
        if not name.isprintable() or not name or name in taken:
            name = f"class {code}"
        taken.add(name)
        classes.append(LegendClass(code=code, name=name, colour=named.colours.get(code) or made_up_colour(place)))
    return Legend(classes=tuple(classes))


def made_up_colour(place: int) -> str:
    """Return a colour for the class at a place of a list, ``#rrggbb``; neighbours in the list differ clearly."""
    # steps of the golden angle keep neighbours in the list far apart on the colour wheel
    rgb = colorsys.hsv_to_rgb(place * 0.618034 % 1.0, 0.55, 0.85)
    return "#" + "".join(f"{round(255 * value):02x}" for value in rgb)


def _colour_table(path: Path) -> dict[int, str]:
    try:
        with (
            suppress_gdal_messages(),
            gdal_settings(sidecars=True),
            rasterio.open(gdal_name(path), driver=driver_of(str(path), path)) as file,
        ):
            table = file.colormap(1)
    except (RasterioError, ValueError):  # ValueError: there is no colour table
        return {}
    return {int(code): f"#{r:02x}{g:02x}{b:02x}" for code, (r, g, b, alpha) in table.items() if alpha}


def _documents(path: Path) -> Iterator[ET.Element]:
    """Yield the metadata of the file itself, then that of its sidecar's first band."""
    root = parse_xml(gdal_metadata(path))
    if root is not None:
        # other samples than the first are other bands
        yield _first(root, [item for item in root if item.get("sample", "0") == "0"])
    sidecar = path.with_name(path.name + ".aux.xml")
    if not is_plain_file(sidecar):
        return
    try:
        with sidecar.open("rb") as file:
            root = parse_xml(file.read(_MOST_BYTES))
    except OSError:
        return
    if root is not None:
        yield _first(root, [band for band in root.findall("PAMRasterBand") if band.get("band", "1") == "1"])


def _first(root: ET.Element, children: list[ET.Element]) -> ET.Element:
    kept = ET.Element(root.tag)
    kept.extend(children)
    return kept


def _category_names(root: ET.Element) -> dict[int, str]:
    return {code: entry.text or "" for code, entry in enumerate(root.findall(".//CategoryNames/Category"))}


def _of_table(table: ET.Element) -> _Named:
    """Read a raster attribute table; rows of several values count for each of them."""
    usages = [field.findtext("Usage", "") for field in table.findall("FieldDefn")]
    titles = [field.findtext("Name", "").strip().lower() for field in table.findall("FieldDefn")]
    low = _column(usages, titles, (_MIN_MAX, _MIN), _VALUE_FIELDS)
    high = _column(usages, titles, (_MIN_MAX, _MAX), _VALUE_FIELDS)
    name = _column(usages, titles, (_NAME,), _NAME_FIELDS)
    channels = [
        _column(usages, titles, (usage,), (title,))
        for usage, title in ((_RED, "red"), (_GREEN, "green"), (_BLUE, "blue"))
    ]
    found = _Named()
    if low is None or high is None:
        return found
    for row in table.findall("Row"):
        cells = [cell.text or "" for cell in row.findall("F")]
        for code in _codes(cells, low, high):
            if name is not None and name < len(cells):
                found.names.setdefault(code, cells[name])
            colour = _colour(cells, channels)
            if colour is not None:
                found.colours.setdefault(code, colour)
    return found


def _column(usages: list[str], titles: list[str], usages_sought: tuple[str, ...], named: tuple[str, ...]) -> int | None:
    """Find a column by its usage, else by its name: ArcGIS and others do not set the usage."""
    for usage in usages_sought:
        if usage in usages:
            return usages.index(usage)
    return next((titles.index(title) for title in named if title in titles), None)


def _codes(cells: list[str], low: int, high: int) -> range:
    """List the integers from 0 to 255 that a row covers."""
    try:
        first, last = float(cells[low]), float(cells[high])
    except (ValueError, IndexError):
        return range(0)
    if not first <= last:  # also NaN
        return range(0)
    return range(int(max(0.0, -(-first // 1))), int(min(255.0, last // 1)) + 1)


def _colour(cells: list[str], channels: list[int | None]) -> str | None:
    try:
        values = [float(cells[channel]) for channel in channels if channel is not None]
        if len(values) != 3 or not all(0 <= value <= 255 for value in values):
            return None
    except (ValueError, IndexError):
        return None
    return "#" + "".join(f"{round(value):02x}" for value in values)
