"""Verdicts on objects: hits, misses and false alarms as a styled layer for QGIS, and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import geopandas
import numpy as np
import numpy.typing as npt
import pyogrio
import shapely
from PIL import Image, ImageDraw

from geoseg.io.checks.geopackage import check_geopackage
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.files.writing import whole_file
from geoseg.io.polygons.geopackage import add_style, settle
from geoseg.io.publish.styles import qml

HIT, MISS, FALSE_ALARM = "hit", "miss", "false alarm"
COLOURS: Final[Mapping[str, str]] = {HIT: "#1a9850", MISS: "#4575b4", FALSE_ALARM: "#d73027"}
"""Colours of the verdicts, which differ in lightness too."""
LAYER: Final = "verdicts"

_LONGEST_PX = 2048
_LEGEND_PX = 28


def write_verdicts(path: Path, frame: geopandas.GeoDataFrame) -> None:
    """Write verdicts as a GeoPackage with its style inside.

    Args:
        path: the final ``.gpkg``.
        frame: polygons with a column ``verdict``; other columns are kept.

    Raises:
        WriteError: the disk is full or fails; nothing is left at ``path``.
    """
    with whole_file(path, verify=check_geopackage) as part:
        with suppress_gdal_messages():
            pyogrio.write_dataframe(
                frame, part, layer=LAYER, driver="GPKG", dataset_options={"VERSION": "1.3"}, geometry_type="Unknown"
            )
        add_style(part, LAYER, _style(), "Verdicts by colour")
        settle(part)


def verdict_picture(shapes: npt.NDArray[np.object_], verdicts: npt.NDArray[np.object_]) -> Image.Image:
    """Draw verdicts: reference objects that were found or missed are filled, false alarms are outlined.

    Args:
        shapes: polygons in one plane, y up.
        verdicts: (polygon,) ``hit``, ``miss`` or ``false alarm``.
    """
    west, south, east, north = shapely.total_bounds(shapes) if len(shapes) else (0.0, 0.0, 1.0, 1.0)
    scale = _LONGEST_PX / max(east - west, north - south, 1e-9)
    size = max(1, round((east - west) * scale)), max(1, round((north - south) * scale))
    picture = Image.new("RGB", (max(size[0], 420), size[1] + _LEGEND_PX), "#ffffff")
    draw = ImageDraw.Draw(picture)
    for verdict, colour in COLOURS.items():
        for polygon in shapely.get_parts(shapes[verdicts == verdict]):
            for number, ring in enumerate([polygon.exterior, *polygon.interiors]):
                line = [((x - west) * scale, (north - y) * scale) for x, y in np.asarray(ring.coords)[:, :2]]
                if verdict == FALSE_ALARM:
                    draw.line(line, fill=colour, width=3)
                else:
                    draw.polygon(line, fill="#ffffff" if number else colour)
    for place, (verdict, colour) in enumerate(COLOURS.items()):
        left = 8 + place * 136
        draw.rectangle((left, size[1] + 8, left + 14, size[1] + 22), fill=colour)
        count = int((verdicts == verdict).sum())
        draw.text((left + 20, size[1] + 8), f"{verdict}: {count}", fill="#000000")
    return picture


def write_picture(path: Path, shapes: npt.NDArray[np.object_], verdicts: npt.NDArray[np.object_]) -> None:
    """Write the picture of verdicts as PNG.

    Raises:
        WriteError: the disk is full or fails; nothing is left at ``path``.
    """
    picture = verdict_picture(shapes, verdicts)
    with whole_file(path) as part:
        picture.save(part, "PNG")


def _style() -> str:
    renderer = ET.Element("renderer-v2", type="categorizedSymbol", attr="verdict", forceraster="0", enableorderby="0")
    categories, symbols = ET.SubElement(renderer, "categories"), ET.SubElement(renderer, "symbols")
    for number, (verdict, colour) in enumerate(COLOURS.items()):
        facts = {"value": verdict, "type": "string", "symbol": str(number), "label": verdict, "render": "true"}
        ET.SubElement(categories, "category", facts)
        symbol = ET.SubElement(symbols, "symbol", type="fill", name=str(number), alpha="1", clip_to_extent="1")
        layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
        rgb = ",".join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))
        options = ET.SubElement(layer, "Option", type="Map")
        values = {"color": f"{rgb},60", "outline_color": f"{rgb},255", "outline_width": "0.4", "style": "solid"}
        for key, value in values.items():
            ET.SubElement(options, "Option", type="QString", name=key, value=value)
    kind = ET.Element("layerGeometryType")
    kind.text = "2"
    return qml(renderer, kind)
