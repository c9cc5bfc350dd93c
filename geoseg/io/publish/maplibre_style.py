"""MapLibre style of a PMTiles file of segments: classes in their colours on any web map."""

from __future__ import annotations

import json
from urllib.parse import quote

from geoseg.core.layer import SEGMENTS
from geoseg.core.legend import Legend
from geoseg.io.files.gdal_name import escaped
from geoseg.io.publish.segment_style import outline_rgb
from geoseg.io.publish.styles import LAND_COVER_OPACITY, OBJECT_OPACITY


def maplibre_style(tiles: str, legend: Legend, layer: str = SEGMENTS) -> str:
    """Write a style of one source and two layers, fills and outlines, as JSON.

    Args:
        tiles: name of the ``.pmtiles`` file. The source's address ``pmtiles://NAME`` is relative: the ``pmtiles``
            protocol of a page loads it from the page's own folder. Elsewhere, replace it by the file's full address.
        legend: names and colours. The background is left out.
        layer: the one of the tiles; also the name of the source.

    Source:
        https://maplibre.org/maplibre-style-spec, version 8; https://docs.protomaps.com/pmtiles/maplibre.
    """
    objects = legend.background is not None
    classes = [entry for entry in legend.classes if entry.code != legend.background]
    drawn: dict[str, object] = {"source": layer, "source-layer": layer}
    if objects:
        drawn["filter"] = ["!=", ["get", "class_code"], legend.background]
    fills = {entry.code: entry.colour.lower() for entry in classes}
    lines = {entry.code: _hex(outline_rgb(entry, objects=objects)) for entry in classes}
    fill = {
        "fill-color": _by_class(fills),
        "fill-opacity": OBJECT_OPACITY if objects else LAND_COVER_OPACITY,
        "fill-antialias": objects,  # land cover has a neighbour at every edge, which shines through a soft one
    }
    line = {
        "line-color": _by_class(lines),
        "line-width": ["interpolate", ["linear"], ["zoom"], 12, 0.5, 18, 1.5 if objects else 0.8],
    }
    style = {
        "version": 8,
        "name": f"{escaped(tiles.removesuffix('.pmtiles'))}: {', '.join(entry.name for entry in classes)}",
        "metadata": {"geoseg:classes": [entry.model_dump() for entry in classes]},
        "sources": {layer: {"type": "vector", "url": f"pmtiles://{quote(tiles, errors='surrogateescape')}"}},
        "layers": [
            {"id": f"{layer}-fill", "type": "fill", **drawn, "paint": fill},
            {"id": f"{layer}-outline", "type": "line", **drawn, "paint": line},
        ],
    }
    return json.dumps(style, indent=2) + "\n"


def _by_class(colours: dict[int, str]) -> object:
    """Return the expression for colours by class code; a constant for a legend of the background alone."""
    if not colours:
        return "#808080"
    pairs = [part for code, colour in colours.items() for part in (code, colour)]
    return ["match", ["get", "class_code"], *pairs, "#808080"]


def _hex(rgb: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{value:02x}" for value in rgb)
