"""The print layout of a QGIS project: an A4 page with map, legend, scale bar, north arrow and credits."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import CRSError, GeodError, ProjError

from geoseg.io.publish.about import About
from geoseg.io.publish.styles import xml_text
from geoseg.io.qgis.document import Bounds, Shown, tree_entry, with_margin
from geoseg.io.qgis.map_themes import RESULT_THEME

NAME = "Map"
"""Name of the layout."""

_ARROW = ":/images/north_arrows/layout_default_north_arrow.svg"
_MAP, _LEGEND, _SCALE_BAR, _LABEL, _PICTURE, _PAGE = 65639, 65642, 65646, 65641, 65640, 65638
"""Types of items, ``QgsLayoutItemRegistry::ItemType``."""
_FROM_KM_M = 5_000
"""Length of a segment of the scale bar, metres, from which it is counted in kilometres."""

Box = tuple[float, float, float, float]
"""Left, top, width and height on the page, mm."""


@dataclass(frozen=True, slots=True)
class _Page:
    """Places of the items, mm; the title's and the map's left edge is 10 mm from the page's."""

    size: tuple[float, float]
    title: Box
    map: Box
    legend: Box
    arrow: Box
    bar: Box
    credits: Box


_LANDSCAPE = _Page(
    size=(297, 210),
    title=(10, 7, 277, 12),
    map=(10, 21, 215, 165),
    legend=(230, 21, 57, 120),
    arrow=(250, 150, 16, 20),
    bar=(230, 174, 57, 13),
    credits=(10, 189, 277, 16),
)
_PORTRAIT = _Page(
    size=(210, 297),
    title=(10, 7, 190, 12),
    map=(10, 21, 190, 200),
    legend=(10, 224, 110, 50),
    arrow=(165, 226, 16, 20),
    bar=(140, 252, 57, 13),
    credits=(10, 276, 190, 16),
)


def print_layout(layers: Sequence[Shown], *, about: About, crs_wkt: str | None, bounds: Bounds) -> ET.Element:
    """Describe the layout "Map": the visible layers on an A4 page, upright or not as the map becomes larger.

    The legend lists the classes of the uppermost visible layer. Without a CRS there is no scale bar. There is no layout
    if the bounds are not finite.

    Args:
        layers: the layers of the project, the uppermost first.
        about: title and credits.
        crs_wkt: CRS of the map.
        bounds: what the map shows, in its CRS; a margin of a twentieth is added.

    Source:
        ``QgsPrintLayout::readXml`` and ``readPropertiesFromElement`` of its items, QGIS 3.22.
    """
    node = ET.Element("Layouts")
    west, south, east, north = with_margin(bounds)
    if not (0 < east - west < math.inf and 0 < north - south < math.inf):
        return node
    page = max((_LANDSCAPE, _PORTRAIT), key=lambda one: min(one.map[2] / (east - west), one.map[3] / (north - south)))
    layout = ET.SubElement(node, "Layout", name=NAME, printResolution="300", units="mm", worldFileMap=_ident("map"))
    pages = ET.SubElement(layout, "PageCollection")
    _item(pages, _PAGE, "page", (0, 0, *page.size))
    shown = _filled((west, south, east, north), page.map[2] / page.map[3])
    _add_map(layout, page, shown)
    legend = next((layer for layer in layers if layer.checked and layer.listed is not None), None)
    if legend is not None:
        _add_legend(layout, page, legend)
    metres = _metres_across(shown, crs_wkt)
    if metres is not None:
        _add_scale_bar(layout, page, metres)
        _item(layout, _PICTURE, "north arrow", page.arrow, file=_ARROW, mode="2", northMode="0", mapUuid=_ident("map"))
    _add_label(layout, "title", page.title, about.title, points=18)
    licence = f"Licence: {about.licence}." if about.licence else ""
    words = (about.abstract, licence, "Made with geoseg.")
    _add_label(layout, "credits", page.credits, " ".join(filter(None, words)), points=7)
    return node


def _ident(name: str) -> str:
    """Make the identifier of an item, the same in every project."""
    return f"{{{uuid.uuid5(uuid.NAMESPACE_OID, f'geoseg layout {name}')}}}"


def _item(parent: ET.Element, kind: int, name: str, box: Box, **facts: str) -> ET.Element:
    left, top, width, height = box
    item = ET.SubElement(parent, "LayoutItem", type=str(kind), uuid=_ident(name), templateUuid=_ident(name))
    item.attrib |= {
        "id": name,
        "position": f"{left:g},{top:g},mm",
        "positionOnPage": f"{left:g},{top:g},mm",
        "size": f"{width:g},{height:g},mm",
        "visibility": "1",
        "opacity": "1",
        "referencePoint": "0",
        "background": "true" if kind in {_PAGE, _MAP} else "false",
        "frame": "false",
        **facts,
    }
    ET.SubElement(item, "BackgroundColor", red="255", green="255", blue="255", alpha="255")
    return item


def _filled(bounds: Bounds, ratio: float) -> Bounds:
    """Widen bounds about their centre to a ratio of width to height."""
    west, south, east, north = bounds
    width, height = max(east - west, (north - south) * ratio), max(north - south, (east - west) / ratio)
    x, y = (west + east) / 2, (south + north) / 2
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _add_map(layout: ET.Element, page: _Page, shown: Bounds) -> None:
    item = _item(
        layout,
        _MAP,
        "map",
        page.map,
        frame="true",
        followPreset="true",
        followPresetName=RESULT_THEME,
        keepLayerSet="false",
        mapRotation="0",
        drawCanvasItems="true",
    )
    names = ("xmin", "ymin", "xmax", "ymax")
    ET.SubElement(item, "Extent", {name: repr(value) for name, value in zip(names, shown, strict=True)})


def _add_legend(layout: ET.Element, page: _Page, layer: Shown) -> None:
    item = _item(
        layout,
        _LEGEND,
        "legend",
        page.legend,
        title="Classes",
        map_uuid=_ident("map"),
        resizeToContents="1",
        columnCount="1" if page is _LANDSCAPE else "2",
        splitLayer="1",
        equalColumnWidth="1",
        symbolWidth="6",
        symbolHeight="4",
        boxSpace="0",
        columnSpace="4",
        lineSpacing="1",
        wrapChar="",
        fontColor="#000000",
    )
    styles = ET.SubElement(item, "styles")
    spaces = (
        ("title", 12, "0"),
        ("group", 10, "3"),
        ("subgroup", 10, "3"),
        ("symbol", 9, "1.5"),
        ("symbolLabel", 9, "1.5"),
    )
    for name, points, above in spaces:
        style = ET.SubElement(styles, "style", name=name, alignment="1", marginTop=above)
        style.attrib |= {"marginBottom": "2"} if name == "title" else {"marginLeft": "2"}
        ET.SubElement(style, "styleFont", description=_font(points), style="")
    tree = ET.SubElement(item, "layer-tree-group")
    entry = tree_entry(layer)
    wishes = {"legend/title-style": "hidden"}
    if layer.listed is not None:
        wishes["legend/node-order"] = ",".join(map(str, layer.listed))
    options = ET.SubElement(ET.SubElement(entry, "customproperties"), "Option", type="Map")
    for name, value in wishes.items():
        ET.SubElement(options, "Option", name=name, type="QString", value=value)
    tree.append(entry)


def _add_scale_bar(layout: ET.Element, page: _Page, metres: float) -> None:
    """Add a scale bar of two segments of a round length, each 25 mm or less."""
    longest = metres / page.map[2] * min(25, page.bar[2] / 2 - 4)
    power = 10.0 ** math.floor(math.log10(longest))
    segment = max((step * power for step in (1, 2, 5) if step * power <= longest), default=power)
    km = segment >= _FROM_KM_M
    item = _item(
        layout,
        _SCALE_BAR,
        "scale bar",
        page.bar,
        style="Single Box",
        mapUuid=_ident("map"),
        unitType="km" if km else "meters",
        unitLabel="km" if km else "m",
        numMapUnitsPerScaleBarUnit="1",
        numUnitsPerSegment=repr(segment / 1000 if km else segment),
        numSegments="2",
        numSegmentsLeft="0",
        segmentSizeMode="0",
        height="2.5",
        labelBarSpace="2",
        boxContentSpace="1",
        outlineWidth="0.3",
    )
    _add_text_style(item, 8)


def _add_label(layout: ET.Element, name: str, box: Box, words: str, *, points: int) -> None:
    words = words.replace("[%", "[ %")  # or QGIS takes it for an expression, which the name of a scene may not be
    item = _item(layout, _LABEL, name, box, labelText=xml_text(words), htmlState="0", halign="1", valign="32")
    ET.SubElement(item, "LabelFont", description=_font(points), style="")
    ET.SubElement(item, "FontColor", red="0", green="0", blue="0", alpha="255")


def _add_text_style(item: ET.Element, points: int) -> None:
    ET.SubElement(
        item,
        "text-style",
        fontFamily="Sans Serif",
        fontSize=str(points),
        fontSizeUnit="Point",
        namedStyle="Regular",
        textColor="0,0,0,255",
        textOpacity="1",
    )


def _font(points: int) -> str:
    """Describe a font as ``QFont::toString`` does."""
    return f"Sans Serif,{points},-1,5,50,0,0,0,0,0"


def _metres_across(bounds: Bounds, crs_wkt: str | None) -> float | None:
    """Measure the lower edge of a map on the ground, as QGIS does for the scale bar.

    It is None if the CRS is unknown, or the edge so long that the shortest way between its ends is another one.

    Source:
        ``QgsLayoutItemScaleBar::mapWidth`` of QGIS 3.22.
    """
    if crs_wkt is None:
        return None
    west, south, east, _ = bounds
    try:
        degrees = Transformer.from_crs(CRS.from_wkt(crs_wkt), 4326, always_xy=True)
        lons, lats = degrees.transform([west, (west + east) / 2, east], [south] * 3)
        whole, left, right = (
            float(Geod(ellps="WGS84").inv(lons[a], lats[a], lons[b], lats[b])[2]) for a, b in ((0, 2), (0, 1), (1, 2))
        )
    except (CRSError, ProjError, GeodError):
        return None
    straight = math.isfinite(whole) and whole > 0.9 * (left + right)  # a wide map's edge is no shortest way
    return whole if straight and whole > 0 else None
