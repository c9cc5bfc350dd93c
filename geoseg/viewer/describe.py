"""Answers in JSON about what is shown."""

from __future__ import annotations

from geoseg.core.text import printable
from geoseg.core.types.json_value import UntypedDict
from geoseg.io.tiles.polygons import TILE_LAYER, Polygon
from geoseg.viewer.layers import RasterView, SceneLayers, polygon_label
from geoseg.viewer.opened import MapView, Run

_POLYGON_ZOOMS = 5
"""Zooms below the scene's own at which polygons are drawn; farther off the class map shows the same."""


def view(shown: MapView) -> UntypedDict:
    """Describe what was opened."""
    scenes = [{"id": index, "name": entry.name, "state": entry.state} for index, entry in enumerate(shown.run.scenes)]
    return {
        "title": shown.run.title,
        "archive": shown.run.archive,
        "compare": None if shown.other is None else shown.other.title,
        "edit": shown.edit,
        "scenes": scenes,
    }


def footprints(run: Run) -> UntypedDict:
    """Describe the footprints of all scenes, GeoJSON."""
    features = [
        {
            "type": "Feature",
            "id": index,
            "geometry": entry.geometry,
            "properties": {"name": entry.name, "state": entry.state.partition(":")[0]},
        }
        for index, entry in enumerate(run.scenes)
        if entry.geometry is not None
    ]
    return {"type": "FeatureCollection", "features": features}


def scene(layers: SceneLayers) -> UntypedDict:
    """Describe the layers of a scene."""
    legend = layers.legend
    classes = [] if legend is None else legend.classes
    return {
        "name": layers.name,
        "bounds": layers.bounds,
        "facts": layers.facts,
        "notes": layers.notes,
        "version": layers.version,
        "legend": [
            {
                "code": entry.code,
                "name": entry.name,
                "colour": entry.colour,
                "background": legend is not None and entry.code == legend.background,
            }
            for entry in classes
        ],
        "rasters": [_raster(entry) for entry in layers.rasters.values()],
        "polygons": [
            {
                "id": name,
                "label": polygon_label(name),
                "source_layer": TILE_LAYER,
                "fields": table.fields,
                "count": table.count,
                "min_zoom": max(0, _zoom(layers) - _POLYGON_ZOOMS, table.zooms[0]),
                "max_zoom": min(_zoom(layers), 22, table.zooms[1]),
                "searched": table.searched,
            }
            for name, table in layers.polygons.items()
        ],
    }


def polygon(found: Polygon) -> UntypedDict:
    """Describe a polygon."""
    attributes = {
        name: printable(value) if isinstance(value, str) else value for name, value in found.attributes.items()
    }
    return {"row": found.id, "attributes": attributes, "bounds": found.bounds}


def _zoom(layers: SceneLayers) -> int:
    return max(entry.raster.native_zoom for entry in layers.rasters.values())


def _raster(entry: RasterView) -> UntypedDict:
    return {
        "id": entry.id,
        "label": entry.label,
        "kind": entry.kind,
        "opacity": entry.opacity,
        "visible": entry.visible,
        "ramp": entry.ramp,
        "min_zoom": entry.raster.least_zoom,
        "max_zoom": entry.raster.native_zoom,
        "bounds": entry.raster.bounds,
    }
