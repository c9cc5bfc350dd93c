"""QGIS style of the layer of edits: outlines in the colour of their state, without fill."""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree as ET

from geoseg.io.publish.styles import qml

_STATES: Final = {
    "active": ("Edited by hand", "216,27,96,255", "solid"),
    "undone": ("Undone", "117,117,117,255", "dash"),
    "dropped": ("Undone for good", "189,189,189,255", "dot"),
}
_ALIASES: Final = {
    "edit_id": "Edit",
    "kind": "Kind",
    "class_code": "Class code",
    "class_name": "Class",
    "author": "Author",
    "time": "Time",
    "answer": "Run that was corrected",
    "state": "State",
    "saved": "In the layers (0 or 1)",
    "request": "Request",
}
_TIP = """<div style="font-family: sans-serif">
<b>[% "kind" %]</b> [% coalesce("class_name", '') %]<br/>[% "author" %], [% "time" %]<br/>[% "state" %]</div>"""


def edits_style() -> list[ET.Element]:
    """Describe the layer of edits: renderer, aliases, map tip and display name."""
    aliases = ET.Element("aliases")
    for index, (name, alias) in enumerate(_ALIASES.items()):
        ET.SubElement(aliases, "alias", index=str(index), field=name, name=alias)
    tip, display = ET.Element("mapTip"), ET.Element("previewExpression")
    tip.text, display.text = _TIP, '"kind"'
    return [_renderer(), aliases, tip, display]


def edits_qml() -> str:
    """Write the style as QML, stored inside the GeoPackage."""
    kind = ET.Element("layerGeometryType")
    kind.text = "2"
    return qml(*edits_style(), kind)


def _renderer() -> ET.Element:
    renderer = ET.Element("renderer-v2", type="categorizedSymbol", attr="state", forceraster="0", enableorderby="0")
    categories = ET.SubElement(renderer, "categories")
    symbols = ET.SubElement(renderer, "symbols")
    for number, (state, (label, colour, line)) in enumerate(_STATES.items()):
        name = str(number)
        shown = str(state == "active").lower()
        ET.SubElement(categories, "category", value=state, type="string", symbol=name, label=label, render=shown)
        symbol = ET.SubElement(symbols, "symbol", type="fill", name=name, alpha="1", clip_to_extent="1", force_rhr="0")
        layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
        properties = {
            "color": "216,27,96,0",
            "style": "no",
            "outline_color": colour,
            "outline_style": line,
            "outline_width": "0.6",
            "outline_width_unit": "MM",
            "joinstyle": "miter",
            "offset": "0,0",
        }
        options = ET.SubElement(layer, "Option", type="Map")
        for key, value in properties.items():
            ET.SubElement(options, "Option", type="QString", name=key, value=value)
            ET.SubElement(layer, "prop", k=key, v=value)
    return renderer
