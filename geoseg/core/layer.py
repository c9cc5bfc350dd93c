"""Layers: the outputs of a run, planned once and passed to all code that stores, writes or describes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from geoseg.core.legend import Legend
from geoseg.core.spec import PredictSpec
from geoseg.core.types.arrays import AnyArray

CLASSES: Final = "classes"
CONFIDENCE: Final = "confidence"
ENTROPY: Final = "entropy"
MUTUAL_INFORMATION: Final = "mutual_information"
SEGMENTS: Final = "segments"
OBJECTS: Final = "objects"
PANOPTIC: Final = "panoptic"
"""Names of layers."""

RASTER_SUFFIX: Final = ".tif"
VECTOR_SUFFIX: Final = ".gpkg"
NO_PERCENT: Final = 255
"""Nodata of layers in percent."""

_MUTUAL_INFORMATION_SHOWN = 40
"""Mutual information that gets the last colour: with n predictions it is at most log n / log classes."""


def raster_suffix(name: str) -> str:
    """Return the file suffix of a raster layer, which follows the scene's name.

    Examples:
        >>> raster_suffix(CLASSES)
        '_classes.tif'
    """
    return f"_{name}{RASTER_SUFFIX}"


def vector_suffix(name: str) -> str:
    """Return the file suffix of a vector layer, which follows the scene's name."""
    return f"_{name}{VECTOR_SUFFIX}"


Overview = Literal["mode", "mean", "nearest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterLayer:
    """A raster on the scene's grid.

    Attributes:
        name: name of the plane, the STAC asset and, after the scene's name, the file.
        role: kind of layer; ``geoseg.io.publish.layer_kinds`` defines how each kind is written and shown.
        dtype: data type of its pixels.
        nodata: value of pixels without a result.
        label: display name, such as ``Confidence (%)``.
        title: meaning of its values.
        unit: unit of its values; None: they have none.
        shown_to: value that gets the last colour where colours follow values.
        overview: resampling of its overviews.
        source: name of the layer that it is made from when all blocks are finished; None: it is a plane of each block's
            result.
        published: True if a file is written; other planes only serve further layers.
    """

    name: str
    role: str
    dtype: str = "uint8"
    nodata: float
    label: str
    title: str
    unit: str | None = None
    shown_to: float | None = None
    overview: Overview = "mean"
    source: str | None = None
    published: bool = True

    @property
    def suffix(self) -> str:
        """End of the file's name, after the scene's."""
        return raster_suffix(self.name)

    def empty(self, shape: tuple[int, int]) -> AnyArray:
        """Make a plane (y, x) filled with nodata."""
        return np.full(shape, self.nodata, self.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorLayer:
    """Polygons drawn from a raster layer.

    Attributes:
        name: name of the layer, the STAC asset and, after the scene's name, the file.
        role: kind of layer; see ``RasterLayer``.
        source: name of the raster layer that the polygons are drawn from.
        label: display name.
        title: meaning of a polygon.
        published: True if a file is written.
    """

    name: str
    role: str
    source: str
    label: str
    title: str
    published: bool = True

    @property
    def suffix(self) -> str:
        """End of the file's name, after the scene's."""
        return vector_suffix(self.name)


Layer = RasterLayer | VectorLayer


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """All layers of a run, in the order in which they are listed: rasters, then polygons.

    Attributes:
        layers: names are unique.

    Examples:
        >>> legend = Legend(classes=[dict(code=1, name="water", colour="#0000ff")])
        >>> schema = class_map_schema(PredictSpec(vector=False), legend)
        >>> [layer.name for layer in schema.published]
        ['classes', 'confidence']
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise ValueError(f"layer names repeat: {names}")

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __contains__(self, name: str) -> bool:
        return any(layer.name == name for layer in self.layers)

    @property
    def rasters(self) -> tuple[RasterLayer, ...]:
        """The layers of pixels, published or not."""
        return tuple(layer for layer in self.layers if isinstance(layer, RasterLayer))

    @property
    def planes(self) -> tuple[RasterLayer, ...]:
        """The rasters that each block's result holds, published or not."""
        return tuple(layer for layer in self.rasters if layer.source is None)

    @property
    def vectors(self) -> tuple[VectorLayer, ...]:
        """The layers of polygons."""
        return tuple(layer for layer in self.layers if isinstance(layer, VectorLayer))

    @property
    def detects(self) -> bool:
        """True if layers are drawn from objects that the run detects; these are in the results of blocks alone."""
        return any(layer.source == OBJECTS for layer in self.layers)

    @property
    def published(self) -> tuple[Layer, ...]:
        """The layers that become files."""
        return tuple(layer for layer in self.layers if layer.published)

    def raster(self, name: str) -> RasterLayer:
        """Find a raster layer.

        Raises:
            KeyError: there is none of this name.
        """
        for layer in self.rasters:
            if layer.name == name:
                return layer
        raise KeyError(name)


def class_layer(nodata: int) -> RasterLayer:
    """The layer of class codes.

    Args:
        nodata: the legend's.
    """
    return RasterLayer(
        name=CLASSES, role="classes", nodata=nodata, label="Classes", title="Class codes", overview="mode"
    )


def confidence_layer(*, published: bool = True) -> RasterLayer:
    """The layer of the probability of each pixel's class."""
    return _percent(
        CONFIDENCE, "confidence", "Confidence (%)", "Probability of the chosen class, percent", published=published
    )


def segment_layer() -> VectorLayer:
    """The layer of polygons of one class each."""
    return VectorLayer(name=SEGMENTS, role="segments", source=CLASSES, label="Segments", title="Polygons of classes")


def object_layer() -> VectorLayer:
    """The layer of polygons of one object each."""
    return VectorLayer(name=OBJECTS, role="objects", source=CLASSES, label="Objects", title="Polygons of objects")


def object_id_layer(shape: tuple[int, int]) -> RasterLayer:
    """The layer of the ids of objects, which are numbers of pixels.

    Args:
        shape: (rows, columns) of the scene.
    """
    most = int(np.iinfo(np.uint32).max)
    small = shape[0] * shape[1] <= most
    return RasterLayer(
        name=OBJECTS,
        role="objects",
        dtype="uint32" if small else "int64",
        nodata=most if small else -1,
        label="Objects",
        title="Ids of objects",
        overview="nearest",
    )


def class_map_schema(spec: PredictSpec, legend: Legend, members: int = 1) -> OutputSchema:
    """List the layers of a class map.

    Args:
        spec: options that choose the layers.
        legend: classes of the map.
        members: number of networks; several have mutual information.
    """
    layers: list[Layer] = [class_layer(legend.nodata), confidence_layer(published=spec.confidence)]
    if spec.uncertainty:
        layers.append(_entropy())
        layers += [_mutual_information()] if spec.answers(members) > 1 else []
    if spec.probabilities:
        layers += _probabilities(legend)
    return OutputSchema((*layers, *_polygons(spec)))


def usual_schema(spec: PredictSpec) -> OutputSchema:
    """List the layers of a class map that do not depend on the model: codes, confidence and polygons."""
    layers = (class_layer(nodata=255), confidence_layer(published=spec.confidence))
    return OutputSchema((*layers, *_polygons(spec)))


def _polygons(spec: PredictSpec) -> tuple[VectorLayer, ...]:
    objects = () if spec.objects is None else (object_layer(),)
    return (*objects, segment_layer()) if spec.vector else objects


def whole_class_map_schema(legend: Legend) -> OutputSchema:
    """List every layer that a class map can have; most runs make some of them."""
    percentages = (confidence_layer(), _entropy(), _mutual_information(), *_probabilities(legend))
    return OutputSchema((class_layer(legend.nodata), *percentages, object_layer(), segment_layer()))


def probability_name(code: int) -> str:
    """Name the layer of the probability of a class."""
    return f"probability_{code}"


def _probabilities(legend: Legend) -> list[RasterLayer]:
    return [
        _percent(
            probability_name(entry.code),
            "probability",
            f"Probability of {entry.name} (%)",
            f"Probability of class {entry.code}, {entry.name}, percent",
        )
        for entry in legend.classes
    ]


def _entropy() -> RasterLayer:
    title = "Entropy of the class probabilities, percent of that of equal probabilities"
    return _percent(ENTROPY, "uncertainty", "Uncertainty: entropy (%)", title)


def _mutual_information() -> RasterLayer:
    return RasterLayer(
        name=MUTUAL_INFORMATION,
        role="uncertainty",
        nodata=NO_PERCENT,
        label="Disagreement: mutual information (%)",
        title="Mutual information between class and answer: how far the averaged answers contradict each other, "
        "percent of the entropy of equal probabilities",
        unit="%",
        shown_to=_MUTUAL_INFORMATION_SHOWN,
    )


def _percent(name: str, role: str, label: str, title: str, *, published: bool = True) -> RasterLayer:
    return RasterLayer(
        name=name, role=role, nodata=NO_PERCENT, label=label, title=title, unit="%", shown_to=100, published=published
    )
