"""How layers look in QGIS: QML for classes, confidence and segments, and a legend for GDAL."""

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

_MAGMA = ("#000004", "#3b0f70", "#8c2981", "#de4968", "#fe9f6d", "#fcfdbf")


def uncertainty_ramp(top: int) -> Ramp:
    """Colour 0 to ``top`` percent from black to pale yellow: what is uncertain stands out."""
    return tuple((round(top * step / (len(_MAGMA) - 1)), colour) for step, colour in enumerate(_MAGMA))


def xml_text(text: str) -> str:
    """Replace what XML 1.0 cannot hold (control characters, lone surrogates) by U+FFFD."""
    return _ILLEGAL.sub("\ufffd", text)


def class_pipe(legend: Legend) -> ET.Element:
    """Render codes by the legend's colours: the ``pipe`` of a raster style."""
    pipe = ET.Element("pipe")
    renderer = ET.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1", nodataColor=""
    )
    palette = ET.SubElement(renderer, "colorPalette")
    for entry in legend.classes:
        colour = entry.colour.lower()
        ET.SubElement(
            palette, "paletteEntry", value=str(entry.code), label=xml_text(entry.name), color=colour, alpha="255"
        )
    return pipe


def percent_pipe(ramp: Ramp = CONFIDENCE_RAMP) -> ET.Element:
    """Render percentages by a ramp, the confidence's from violet to yellow: the ``pipe`` of a raster style."""
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


def segments_renderer(legend: Legend) -> ET.Element:
    """Fill polygons by class: the ``renderer-v2`` of a vector style."""
    renderer = ET.Element(
        "renderer-v2", type="categorizedSymbol", attr="class_code", forceraster="0", enableorderby="0"
    )
    categories = ET.SubElement(renderer, "categories")
    symbols = ET.SubElement(renderer, "symbols")
    for number, entry in enumerate(legend.classes):
        name = str(number)
        ET.SubElement(
            categories,
            "category",
            value=str(entry.code),
            type="integer",
            symbol=name,
            label=xml_text(entry.name),
            render="true",
        )
        symbol = ET.SubElement(symbols, "symbol", type="fill", name=name, alpha="1", clip_to_extent="1", force_rhr="0")
        layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
        properties = _fill(entry.rgb)
        options = ET.SubElement(layer, "Option", type="Map")
        for key, value in properties.items():
            ET.SubElement(options, "Option", type="QString", name=key, value=value)
        for key, value in properties.items():
            ET.SubElement(layer, "prop", k=key, v=value)
    return renderer


def class_raster_qml(legend: Legend) -> str:
    """Write the style of a class raster."""
    return _qml(class_pipe(legend))


def percent_qml(ramp: Ramp = CONFIDENCE_RAMP) -> str:
    """Write the style of a raster of percentages."""
    return _qml(percent_pipe(ramp))


def segments_qml(legend: Legend) -> str:
    """Write the style of a polygon layer, categorised by ``class_code``, labelled by name."""
    return _qml(segments_renderer(legend), ET.Element("layerGeometryType"))


def gdal_metadata(legend: Legend | None, crs_wkt: str | None = None) -> str:
    """Write what a TIFF cannot hold as GDAL reads it beside a raster (``NAME.aux.xml``).

    Args:
        legend: category names and attribute table; None for a raster that is no class map.
        crs_wkt: a CRS that has no GeoTIFF keys, such as a rotated pole.

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


def _fill(rgb: tuple[int, int, int]) -> dict[str, str]:
    colour, edge = ",".join(map(str, rgb)), ",".join(str(value * 6 // 10) for value in rgb)
    return {
        "color": f"{colour},255",
        "style": "solid",
        "outline_color": f"{edge},255",
        "outline_style": "solid",
        "outline_width": "0.1",
        "outline_width_unit": "MM",
        "joinstyle": "miter",
        "offset": "0,0",
    }


def _qml(*parts: ET.Element) -> str:
    root = ET.Element("qgis", version="3.22.0", styleCategories="Symbology")
    for part in parts:
        if part.tag == "layerGeometryType":
            part.text = "2"
        root.append(part)
    ET.indent(root)
    doctype = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    return doctype + ET.tostring(root, encoding="unicode") + "\n"
