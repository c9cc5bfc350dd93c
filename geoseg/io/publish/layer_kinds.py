"""Registry of layer kinds: grouping and style in QGIS, and description in STAC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree import ElementTree as ET

from geoseg.core.layer import Layer, RasterLayer
from geoseg.core.legend import Legend
from geoseg.core.types.json_value import UntypedMapping
from geoseg.io.publish.classification import classification
from geoseg.io.publish.segment_style import INSTANCE_ALIASES, OBJECT_ALIASES, PANOPTIC_ALIASES, segments_style
from geoseg.io.publish.styles import CONFIDENCE_RAMP, Ramp, class_pipe, number_pipe, percent_pipe, uncertainty_ramp

RESULT, QUALITY, IMAGERY = "Result", "Quality", "Imagery"
"""Groups of QGIS's layer tree, the uppermost first."""

COG: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
GEOPACKAGE: Final = "application/geopackage+sqlite3"
"""Media types."""

Style = Callable[[Any, Legend], Sequence[ET.Element]]
Fields = Callable[[Any, Legend], UntypedMapping]


def _no_fields(_layer: Layer, _legend: Legend) -> UntypedMapping:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerKind:
    """Presentation of a kind of layer.

    Attributes:
        group: group in QGIS's layer tree. Of the results the uppermost is visible initially, of the others none.
        media_type: media type of its file.
        stac_roles: roles of its STAC asset.
        style: makes its QGIS style from the layer and the legend.
        stac_fields: makes further fields of its STAC asset from the layer and the legend.
    """

    group: str
    media_type: str
    stac_roles: tuple[str, ...]
    style: Style
    stac_fields: Fields = field(default=_no_fields)


def ramp_of(layer: RasterLayer) -> Ramp:
    """Return the colour ramp of a layer in percent: uncertainty from black to pale yellow, else violet to yellow."""
    return uncertainty_ramp(round(layer.shown_to or 100)) if layer.role == "uncertainty" else CONFIDENCE_RAMP


def _percentages(role: str) -> LayerKind:
    return LayerKind(
        group=QUALITY,
        media_type=COG,
        stac_roles=("data", role),
        style=lambda layer, _: [percent_pipe(ramp_of(layer))],
        stac_fields=lambda _layer, _legend: {"raster:scale": 0.01},
    )


KINDS: dict[str, LayerKind] = {
    "classes": LayerKind(
        group=RESULT,
        media_type=COG,
        stac_roles=("data", "labels", "labels-raster"),
        style=lambda _, legend: [class_pipe(legend)],
        stac_fields=lambda _, legend: {"classification:classes": classification(legend)},
    ),
    "confidence": _percentages("confidence"),
    "probability": _percentages("probability"),
    "uncertainty": _percentages("uncertainty"),
    "segments": LayerKind(
        group=RESULT,
        media_type=GEOPACKAGE,
        stac_roles=("data", "labels", "labels-vector"),
        style=lambda _, legend: segments_style(legend),
    ),
    "objects": LayerKind(
        group=RESULT,
        media_type=GEOPACKAGE,
        stac_roles=("data", "labels", "labels-vector"),
        style=lambda _, legend: segments_style(legend, tuple(OBJECT_ALIASES)),
    ),
    "instances": LayerKind(
        group=RESULT,
        media_type=GEOPACKAGE,
        stac_roles=("data", "labels", "labels-vector"),
        style=lambda _, legend: segments_style(legend, tuple(OBJECT_ALIASES | INSTANCE_ALIASES)),
    ),
    "object_ids": LayerKind(
        group=QUALITY,
        media_type=COG,
        stac_roles=("data", "labels", "labels-raster"),
        style=lambda *_: [number_pipe()],
    ),
    "panoptic": LayerKind(
        group=QUALITY,
        media_type=COG,
        stac_roles=("data", "labels", "labels-raster"),
        style=lambda *_: [number_pipe()],
    ),
    "panoptic_segments": LayerKind(
        group=RESULT,
        media_type=GEOPACKAGE,
        stac_roles=("data", "labels", "labels-vector"),
        style=lambda _, legend: segments_style(legend, tuple(PANOPTIC_ALIASES)),
    ),
}
"""Kinds by the role of the layer. Other packages may add entries; see docs/adr/0012."""


def kind_of(layer: Layer) -> LayerKind:
    """Find the kind of a layer.

    Raises:
        KeyError: its role is not registered.
    """
    return KINDS[layer.role]
