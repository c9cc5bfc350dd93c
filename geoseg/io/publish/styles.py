"""QGIS styles of class and percentage rasters, and a legend for GDAL."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from geoseg.core.legend import Legend

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Ramp = tuple[tuple[int, str], ...]
"""Colours by percent, rising."""

# viridis at 0, 20 ... 100 %: even steps of lightness, readable without colour vision (van der Walt and Smith, 2015)
CONFIDENCE_RAMP: Ramp = (
    (0, "#440154"),
    (20, "#414487"),
    (40, "#2a788e"),
    (60, "#22a884"),
    (80, "#7ad151"),
    (100, "#fde725"),
)

OBJECT_OPACITY = 0.35
"""Opacity of the fills of objects, which shows the imagery below."""

LAND_COVER_OPACITY = 0.6
"""Opacity of maps whose classes cover all ground."""

_MAGMA = ("#000004", "#3b0f70", "#8c2981", "#de4968", "#fe9f6d", "#fcfdbf")


def uncertainty_ramp(top: int) -> Ramp:
    """Return a ramp over 0 to ``top`` percent from black to pale yellow, which highlights uncertain pixels."""
    return tuple((round(top * step / (len(_MAGMA) - 1)), colour) for step, colour in enumerate(_MAGMA))


def xml_text(text: str) -> str:
    """Replace characters that XML 1.0 cannot contain (control characters, lone surrogates) by U+FFFD."""
    return _ILLEGAL.sub("\ufffd", text)


def class_pipe(legend: Legend) -> ET.Element:
    """Make the ``pipe`` of a raster style for codes: the legend's colours, translucent, background transparent."""
    pipe = ET.Element("pipe")
    opacity = LAND_COVER_OPACITY if legend.background is None else OBJECT_OPACITY
    renderer = ET.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity=repr(opacity), alphaBand="-1", nodataColor=""
    )
    palette = ET.SubElement(renderer, "colorPalette")
    for entry in legend.classes:
        facts = {"value": str(entry.code), "label": xml_text(entry.name), "color": entry.colour.lower()}
        ET.SubElement(palette, "paletteEntry", facts, alpha="0" if entry.code == legend.background else "255")
    return pipe


def percent_pipe(ramp: Ramp = CONFIDENCE_RAMP) -> ET.Element:
    """Make the ``pipe`` of a raster style for percentages with a colour ramp; default from violet to yellow."""
    top = str(ramp[-1][0])
    pipe = ET.Element("pipe")
    renderer = ET.SubElement(
        pipe,
        "rasterrenderer",
        type="singlebandpseudocolor",
        band="1",
        opacity="1",
        alphaBand="-1",
        nodataColor="",
        classificationMin="0",
        classificationMax=top,
    )
    shader = ET.SubElement(
        ET.SubElement(renderer, "rastershader"),
        "colorrampshader",
        colorRampType="INTERPOLATED",
        classificationMode="1",
        clip="0",
        minimumValue="0",
        maximumValue=top,
    )
    for percent, colour in ramp:
        ET.SubElement(shader, "item", value=str(percent), label=f"{percent} %", color=colour, alpha="255")
    return pipe


def number_pipe() -> ET.Element:
    """Make the ``pipe`` of a raster style for numbers such as ids: grey, stretched over the values in view."""
    pipe = ET.Element("pipe")
    facts = {"opacity": "1", "alphaBand": "-1", "nodataColor": "", "gradient": "BlackToWhite", "grayBand": "1"}
    renderer = ET.SubElement(pipe, "rasterrenderer", {"type": "singlebandgray", **facts})
    limits = ET.SubElement(renderer, "minMaxOrigin")
    for name, value in (("limits", "MinMax"), ("extent", "UpdatedCanvas"), ("statAccuracy", "Estimated")):
        ET.SubElement(limits, name).text = value
    return pipe


def class_raster_qml(legend: Legend) -> str:
    """Write the style of a class raster."""
    return qml(class_pipe(legend))


def percent_qml(ramp: Ramp = CONFIDENCE_RAMP) -> str:
    """Write the style of a raster of percentages."""
    return qml(percent_pipe(ramp))


def gdal_metadata(legend: Legend | None, crs_wkt: str | None = None) -> str:
    """Write metadata that a TIFF cannot contain as GDAL's sidecar (``NAME.aux.xml``).

    Args:
        legend: category names and attribute table; None for a raster other than a class map.
        crs_wkt: a CRS without GeoTIFF keys, such as a rotated pole.

    Source:
        GDAL's Persistent Auxiliary Metadata, https://gdal.org/en/stable/drivers/raster/gtiff.html#metadata.
    """
    root = ET.Element("PAMDataset")
    if crs_wkt is not None:
        ET.SubElement(root, "SRS", dataAxisToSRSAxisMapping="1,2").text = xml_text(crs_wkt)
    if legend is not None:
        _add_categories(root, legend)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _add_categories(root: ET.Element, legend: Legend) -> None:
    band = ET.SubElement(root, "PAMRasterBand", band="1")
    names = {entry.code: entry.name for entry in legend.classes}
    category_names = ET.SubElement(band, "CategoryNames")
    for code in range(max(names) + 1):
        ET.SubElement(category_names, "Category").text = xml_text(names.get(code, ""))
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    # type 0 integer, 2 string; usage 5 exact value, 2 class name, 6-8 red, green and blue
    columns = (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8))
    for index, (name, kind, usage) in enumerate(columns):
        field = ET.SubElement(table, "FieldDefn", index=str(index))
        for tag, text in (("Name", name), ("Type", str(kind)), ("Usage", str(usage))):
            ET.SubElement(field, tag).text = text
    for index, entry in enumerate(legend.classes):
        row = ET.SubElement(table, "Row", index=str(index))
        for value in (entry.code, entry.name, *entry.rgb):
            ET.SubElement(row, "F").text = xml_text(str(value))


def qml(*parts: ET.Element) -> str:
    """Write parts of a layer's style as a QML file."""
    root = ET.Element("qgis", version="3.22.0", styleCategories="AllStyleCategories")
    root.extend(parts)
    ET.indent(root)
    doctype = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    return doctype + ET.tostring(root, encoding="unicode") + "\n"
