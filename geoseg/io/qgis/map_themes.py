"""Map themes and bookmarks of a QGIS project."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
from rasterio.enums import Resampling

from geoseg.core.layer import CONFIDENCE
from geoseg.io.files.gdal_name import gdal_name
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.publish.layer_kinds import IMAGERY
from geoseg.io.publish.lowest_cells import CELL_PX, lowest_cells
from geoseg.io.qgis.document import Bounds, Shown, add_crs

RESULT_THEME, CHECK_THEME, RAW_THEME = "Result", "Check", "Raw"
"""Names of the map themes."""

_UNCERTAINTY = ("entropy", "mutual_information")
_CELLS = 64
"""Cells along the longer side of a raster that is searched for low confidence."""
_MOST_PLACES = 20


def map_themes(layers: Sequence[Shown]) -> ET.Element:
    """Describe the map themes: the layers visible initially, the model's doubts, and the imagery alone.

    Doubts are the entropy or the mutual information of several answers where they were written, else the confidence.

    Themes without a layer of their own are left out.

    Args:
        layers: the layers of the project.

    Source:
        ``QgsMapThemeCollection::readXml`` of QGIS 3.22.
    """
    imagery = [layer for layer in layers if layer.group == IMAGERY]
    keys = {layer.key for layer in layers}
    quality = next((key for key in (*_UNCERTAINTY, CONFIDENCE) if key in keys), None)
    doubts = [layer for layer in layers if layer.key == quality]
    themes = {
        RESULT_THEME: [layer for layer in layers if layer.checked],
        CHECK_THEME: [*doubts, *imagery] if doubts else [],
        RAW_THEME: imagery,
    }
    node = ET.Element("visibility-presets")
    for name, visible in themes.items():
        if visible:
            node.append(_theme(name, visible, layers))
    return node


def _theme(name: str, visible: Sequence[Shown], layers: Sequence[Shown]) -> ET.Element:
    theme = ET.Element("visibility-preset", {"name": name, "has-expanded-info": "1", "has-checked-group-info": "1"})
    for layer in visible:
        ET.SubElement(
            theme, "layer", id=layer.ident, visible="1", style="default", expanded="1" if layer.expanded else "0"
        )
    groups = list(dict.fromkeys(layer.group for layer in layers if layer.group is not None))
    opened = {layer.group for layer in visible}
    checked, expanded = ET.SubElement(theme, "checked-group-nodes"), ET.SubElement(theme, "expanded-group-nodes")
    for group in groups:
        ET.SubElement(checked, "checked-group-node", id=group)
        if group in opened:
            ET.SubElement(expanded, "expanded-group-node", id=group)
    return theme


def bookmarks(places: Sequence[tuple[str, Bounds]], crs_wkt: str | None) -> ET.Element:
    """Describe bookmarks of the group "Least certain places".

    Args:
        places: names and bounds in the CRS.
        crs_wkt: the CRS.

    Source:
        ``QgsBookmark::fromXml`` of QGIS 3.22.
    """
    node = ET.Element("Bookmarks")
    for name, (west, south, east, north) in places:
        corners = ((west, south), (east, south), (east, north), (west, north), (west, south))
        bookmark = ET.SubElement(
            node,
            "Bookmark",
            id=f"{{{uuid.uuid5(uuid.NAMESPACE_OID, name)}}}",
            name=name,
            group="Least certain places",
            extent=f"POLYGON(({', '.join(f'{x!r} {y!r}' for x, y in corners)}))",
        )
        add_crs(bookmark, crs_wkt)
    return node


def least_certain_places(confidence: Path, grid: LayerGrid) -> list[tuple[str, Bounds]]:
    """Find the places where the model is least certain, the least certain first.

    They are squares that do not touch each other, of a 64th of the scene's longer side or of 8 pixels.

    Args:
        confidence: raster of percentages, 255 where there is none.
        grid: its grid.

    Returns:
        Names that say the mean confidence, and bounds in the grid's CRS, at most 20.
    """
    step = max(1, -(-max(grid.shape) // (_CELLS * CELL_PX)))
    reduced = tuple(-(-side // step) for side in grid.shape)
    with rasterio.open(gdal_name(confidence), driver="GTiff") as source:
        percent = source.read(1, out_shape=reduced, masked=True, resampling=Resampling.average)
    height, width = (side / part for side, part in zip(grid.shape, reduced, strict=True))
    places = []
    for number, cell in enumerate(lowest_cells(percent.data, ~np.ma.getmaskarray(percent), _MOST_PLACES, apart=1), 1):
        rows = np.array([cell.rows.start, cell.rows.start, cell.rows.stop, cell.rows.stop]) * height
        cols = np.array([cell.cols.start, cell.cols.stop, cell.cols.stop, cell.cols.start]) * width
        x, y = grid.to_world(cols, rows)
        bounds = (float(x.min()), float(y.min()), float(x.max()), float(y.max()))
        places.append((f"{number}: {cell.mean:.0f} % confidence", bounds))
    return places
