"""Colours of the states of an archive's scenes, for QGIS and reports."""

from __future__ import annotations

from types import MappingProxyType
from xml.etree import ElementTree as ET

from geoseg.io.publish.styles import qml

STATE_COLOURS: MappingProxyType[str, str] = MappingProxyType(
    {"done": "#2a9d6f", "failed": "#d1495b", "running": "#3f7fc1", "waiting": "#9aa5b1"}
)
"""Colours by state, ``#rrggbb``; distinguishable by lightness for colour-blind readers."""


def states_renderer() -> ET.Element:
    """Make the ``renderer-v2`` of a vector style that draws footprints by state."""
    renderer = ET.Element("renderer-v2", type="categorizedSymbol", attr="state", forceraster="0", enableorderby="0")
    categories = ET.SubElement(renderer, "categories")
    symbols = ET.SubElement(renderer, "symbols")
    for number, (state, colour) in enumerate(STATE_COLOURS.items()):
        key = str(number)
        facts = {"value": state, "type": "string", "symbol": key, "label": state, "render": "true"}
        ET.SubElement(categories, "category", facts)
        symbol = ET.SubElement(symbols, "symbol", type="fill", name=key, alpha="1", clip_to_extent="1", force_rhr="0")
        layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
        properties = _outline(colour, filled=state != "done")
        options = ET.SubElement(layer, "Option", type="Map")
        for name, value in properties.items():
            ET.SubElement(options, "Option", type="QString", name=name, value=value)
        for name, value in properties.items():
            ET.SubElement(layer, "prop", k=name, v=value)
    return renderer


def states_qml() -> str:
    """Write the style of a footprint layer."""
    kind = ET.Element("layerGeometryType")
    kind.text = "2"
    return qml(states_renderer(), kind)


def _outline(colour: str, *, filled: bool) -> dict[str, str]:
    """Make a symbol: lightly filled for scenes without a map yet, outline only for scenes with one."""
    rgb = ",".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    return {
        "color": f"{rgb},{90 if filled else 0}",
        "style": "solid",
        "outline_color": f"{rgb},255",
        "outline_style": "solid",
        "outline_width": "0.5",
        "outline_width_unit": "MM",
        "joinstyle": "miter",
        "offset": "0,0",
    }
