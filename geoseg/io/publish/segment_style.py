"""QGIS style of polygons of classes: translucent fills, outlines, aliases and map tips."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from geoseg.core.legend import Legend, LegendClass
from geoseg.io.publish.styles import LAND_COVER_OPACITY, OBJECT_OPACITY, qml, xml_text

ALIASES = {
    "class_code": "Class code",
    "class_name": "Class",
    "area_m2": "Area (m²)",
    "perimeter_m": "Perimeter (m)",
    "confidence": "Confidence, mean (0-1)",
    "confidence_min": "Confidence, lowest (0-1)",
    "pixels": "Pixels",
}
"""Display names of columns."""

OBJECT_ALIASES = {"object_id": "Object", "touches_edge": "Cut by the edge (0 or 1)"}
"""Display names of the columns that only objects have."""

INSTANCE_ALIASES = {
    "score": "Score (0-1)",
    "major_axis_m": "Length of the major axis (m)",
    "minor_axis_m": "Length of the minor axis (m)",
    "orientation_deg": "Direction of the major axis (degrees from north)",
}
"""Display names of the columns that only detected objects have."""

PANOPTIC_ALIASES = {
    "kind": "Thing or stuff",
    "segment_id": "Label in the raster",
    "score": INSTANCE_ALIASES["score"],
    "touches_edge": OBJECT_ALIASES["touches_edge"],
}
"""Display names of the columns that panoptic segments have."""

MAP_TIP = """<div style="font-family: sans-serif">
<b>[% coalesce("class_name", 'class ' || "class_code") %]</b><br/>
[% CASE WHEN "area_m2" >= 1000000 THEN format_number("area_m2" / 1000000, 2) || ' km²'
 WHEN "area_m2" >= 10000 THEN format_number("area_m2" / 10000, 2) || ' ha'
 ELSE format_number("area_m2", 1) || ' m²' END %]<br/>
[% coalesce('confidence ' || round("confidence" * 100) || ' %', 'confidence unknown') %]
</div>"""
"""HTML that QGIS shows over a polygon."""


def segments_style(legend: Legend, columns: Sequence[str] = ()) -> list[ET.Element]:
    """Describe a layer of segments: renderer, opacity, aliases, map tip and display name.

    If the legend has a background, the other classes are objects on it: lightly filled, with outlines in full colour;
    polygons of the background are not drawn (their class can be ticked). Otherwise classes are land cover: filled, with
    the opacity of 60 % applied to the whole layer, so that edges of neighbours do not overlap visibly. Of panoptic
    segments, which have a column ``kind``, things are outlined and stuff is not.

    Args:
        legend: names and colours.
        columns: its columns besides those of all segments.
    """
    opacity = ET.Element("layerOpacity")
    panoptic = "kind" in columns
    opacity.text = "1" if legend.background is not None and not panoptic else repr(LAND_COVER_OPACITY)
    aliases = ET.Element("aliases")
    further = PANOPTIC_ALIASES | OBJECT_ALIASES | INSTANCE_ALIASES
    words = ALIASES | {name: further[name] for name in columns if name in further}
    for index, (field, alias) in enumerate(words.items()):
        ET.SubElement(aliases, "alias", index=str(index), field=field, name=alias)
    tip, display = ET.Element("mapTip"), ET.Element("previewExpression")
    tip.text, display.text = MAP_TIP, '"class_name"'
    return [segments_renderer(legend, panoptic=panoptic), opacity, aliases, tip, display]


def segments_renderer(legend: Legend, *, panoptic: bool = False) -> ET.Element:
    """Make the ``renderer-v2`` of a vector style that fills polygons by class.

    Args:
        legend: names and colours.
        panoptic: every class is drawn; those of things are outlined, those of stuff are not.
    """
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
            render=str(panoptic or entry.code != legend.background).lower(),
        )
        symbol = ET.SubElement(symbols, "symbol", type="fill", name=name, alpha="1", clip_to_extent="1", force_rhr="0")
        layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
        properties = _fill(entry, objects=legend.background is not None and not panoptic)
        if panoptic:
            properties |= _OUTLINED if entry.countable else _PLAIN
        options = ET.SubElement(layer, "Option", type="Map")
        for key, value in properties.items():
            ET.SubElement(options, "Option", type="QString", name=key, value=value)
        for key, value in properties.items():
            ET.SubElement(layer, "prop", k=key, v=value)
    return renderer


_OUTLINED = {"outline_color": "0,0,0,255", "outline_width": "0.3"}
_PLAIN = {"outline_style": "no"}
"""Outlines of things and of stuff on a panoptic map."""


def segments_qml(legend: Legend, columns: Sequence[str] = ()) -> str:
    """Write the style of a polygon layer as QML: stored inside GeoPackages, next to files of other formats."""
    kind = ET.Element("layerGeometryType")
    kind.text = "2"
    return qml(*segments_style(legend, columns), kind)


def outline_rgb(entry: LegendClass, *, objects: bool) -> tuple[int, int, int]:
    """Return the colour of a class's outlines: its own on a background, else darker than its fill."""
    red, green, blue = entry.rgb
    return (red, green, blue) if objects else (red * 6 // 10, green * 6 // 10, blue * 6 // 10)


def _fill(entry: LegendClass, *, objects: bool) -> dict[str, str]:
    alpha = round(255 * OBJECT_OPACITY) if objects else 255
    return {
        "color": f"{','.join(map(str, entry.rgb))},{alpha}",
        "style": "solid",
        "outline_color": f"{','.join(map(str, outline_rgb(entry, objects=objects)))},255",
        "outline_style": "solid",
        "outline_width": "0.4" if objects else "0.2",
        "outline_width_unit": "MM",
        "joinstyle": "miter",
        "offset": "0,0",
    }
