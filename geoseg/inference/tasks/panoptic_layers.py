"""Layers of a run that makes panoptic maps: labels and polygons of stuff and things, and the class map they imply."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from geoseg.core.class_choice import object_codes
from geoseg.core.layer import (
    CLASSES,
    CONFIDENCE,
    NO_PERCENT,
    OBJECTS,
    PANOPTIC,
    SEGMENTS,
    Layer,
    OutputSchema,
    RasterLayer,
    VectorLayer,
    class_layer,
    confidence_layer,
)
from geoseg.core.legend import Legend
from geoseg.core.spec import PredictSpec
from geoseg.inference.tasks.instance_layers import valid_layer

STUFF: Final = "stuff"
STUFF_CONFIDENCE: Final = "stuff_confidence"
"""Names of the planes of the best class of stuff of each pixel, and of its probability."""


def stuff_layers(nodata: int) -> tuple[RasterLayer, RasterLayer]:
    """The planes of each pixel's best class of stuff, whatever thing lies on it; they are not published."""
    return (
        RasterLayer(name=STUFF, role=STUFF, nodata=nodata, label="Stuff", title="Best class of stuff", published=False),
        RasterLayer(
            name=STUFF_CONFIDENCE,
            role=STUFF,
            nodata=NO_PERCENT,
            label="Stuff (%)",
            title="Probability of the best class of stuff, percent",
            published=False,
        ),
    )


def panoptic_layer() -> RasterLayer:
    """The raster of labels; see ``geoseg.io.labels.panoptic_raster``."""
    return RasterLayer(
        name=PANOPTIC,
        role=PANOPTIC,
        dtype="int32",
        nodata=-1,
        label="Panoptic labels",
        title="Class code plus 256 times the number of the thing, 0 for stuff",
        overview="nearest",
        source=OBJECTS,
    )


def panoptic_schema(spec: PredictSpec, legend: Legend) -> OutputSchema:
    """List the layers of a run that makes panoptic maps.

    All published layers are made when all blocks are finished.

    Args:
        spec: options that choose the layers.
        legend: classes of stuff and things.
    """
    drawn: list[Layer] = [replace(class_layer(legend.nodata), source=OBJECTS)]
    if spec.confidence:
        title = "Score of the thing, or probability of the class of stuff, percent"
        drawn.append(replace(confidence_layer(), source=OBJECTS, title=title))
    drawn.append(panoptic_layer())
    if spec.vector:
        title = "Regions of stuff and things, which cover the map without gap or overlap"
        drawn.append(
            VectorLayer(name=SEGMENTS, role="panoptic_segments", source=OBJECTS, label="Segments", title=title)
        )
    return OutputSchema((valid_layer(), *stuff_layers(legend.nodata), *drawn))


def counted_panoptic_schema(schema: OutputSchema) -> OutputSchema:
    """Add the labels to the layers of a class map, and make its polygons those of a panoptic map."""
    title = "Regions of stuff and things, which cover the map without gap or overlap"
    vectors = tuple(
        replace(layer, role="panoptic_segments", title=title) if layer.name == SEGMENTS else layer
        for layer in schema.vectors
    )
    return OutputSchema((*schema.rasters, replace(panoptic_layer(), source=CLASSES), *vectors))


def map_legend(schema: OutputSchema, spec: PredictSpec, legend: Legend) -> Legend:
    """Return the legend of a run's map.

    On the panoptic map of a class map the countable classes are those whose objects are its things; else they are those
    of the model.

    Args:
        schema: layers of the run.
        spec: options of the run.
        legend: that of the model.
    """
    if schema.detects or PANOPTIC not in schema:
        return legend
    return legend.counting(object_codes(spec.counted.classes, legend))


def inner_schema(legend: Legend) -> OutputSchema:
    """List the planes by which the class map of stuff is assembled."""
    return OutputSchema((class_layer(legend.nodata), confidence_layer()))


INNER: Final = {STUFF: CLASSES, STUFF_CONFIDENCE: CONFIDENCE}
"""Name of each plane in ``inner_schema``."""
