"""Layers of a run that detects objects: polygons of objects, and the rasters drawn from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from geoseg.core.layer import (
    OBJECTS,
    Layer,
    OutputSchema,
    RasterLayer,
    VectorLayer,
    class_layer,
    confidence_layer,
    object_id_layer,
)
from geoseg.core.legend import Legend
from geoseg.core.spec import PredictSpec

VALID: Final = "valid"
"""Name of the plane of pixels that were predicted."""

OBJECT_IDS: Final = "object_ids"
"""Name of the raster of ids."""

MOST_PIXELS: Final = 2**32 - 1
"""Pixels of a scene whose numbers fit the raster of ids, with its nodata."""


def valid_layer() -> RasterLayer:
    """The plane of pixels that were predicted: 1, else 0; it is not published."""
    return RasterLayer(
        name=VALID, role=VALID, nodata=0, label="Valid", title="Pixels that were predicted", published=False
    )


def instance_schema(spec: PredictSpec, legend: Legend) -> OutputSchema:
    """List the layers of a run that detects objects.

    All published layers are made from the objects when all blocks are finished.

    Args:
        spec: options that choose the layers.
        legend: classes of the objects, and the background.
    """
    drawn = [replace(class_layer(legend.nodata), source=OBJECTS, title="Class codes of the objects")]
    if spec.confidence:
        title = "Score of the object of each pixel, percent"
        drawn.append(replace(confidence_layer(), source=OBJECTS, title=title))
    if spec.instances is not None and spec.instances.object_ids:
        ids = object_id_layer((1, 1))
        drawn.append(replace(ids, name=OBJECT_IDS, role=OBJECT_IDS, source=OBJECTS, label="Object ids"))
    layers: list[Layer] = [valid_layer(), *drawn]
    if spec.vector:
        title = "Polygons of objects, with their scores"
        layers.append(VectorLayer(name=OBJECTS, role="instances", source=OBJECTS, label="Objects", title=title))
    return OutputSchema(tuple(layers))
