"""Writers of layers, by the role of the layer: each makes one file of a bundle from finished blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from geoseg.core.class_choice import object_codes
from geoseg.core.ground import pixel_sides_m
from geoseg.core.layer import CONFIDENCE, Layer, RasterLayer, VectorLayer
from geoseg.core.segments import Segments
from geoseg.core.window import Window
from geoseg.io.polygons.geopackage import write_segments
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.publish.layer_kinds import ramp_of
from geoseg.io.raster.cog import write_class_cog, write_percent_cog
from geoseg.run.finished_blocks import FinishedBlocks
from geoseg.run.lineage import about_layers
from geoseg.run.plan import Job
from geoseg.vector.objects.scene import COLUMNS, BlockRun, SceneObjects
from geoseg.vector.objects.spec import ObjectSpec
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import Tracing, vectorise_codes, vectorise_labels

Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerJob:
    """One layer to be written.

    Attributes:
        layer: the layer.
        job: the job of the run.
        blocks: finished blocks of the run.
        grid: grid of the scene.
        tick: called regularly with the number of pixels written since the last call; may raise, to stop the writing.
    """

    layer: Layer
    job: Job
    blocks: FinishedBlocks
    grid: LayerGrid
    tick: Callable[[int], None]

    def tags(self) -> dict[str, str]:
        """Facts for the metadata of a raster."""
        card = self.job.model.card
        return {"GEOSEG_MODEL": card.name, "GEOSEG_WEIGHTS_SHA256": card.weights_sha256} | about_layers(self.job).tags()

    def plane(self) -> Iterator[tuple[Window, npt.NDArray[Any]]]:
        """Read the layer's plane block by block, with progress."""
        assert isinstance(self.layer, RasterLayer)  # noqa: S101 - polygons have no plane
        for window, values in self.blocks.plane(self.layer):
            yield window, values
            self.tick(window.pixels)


Writer = Callable[[LayerJob], Mapping[str, Any]]
"""Writes the file of a layer and returns facts for the run record."""


def write_classes(layer: LayerJob) -> Mapping[str, Any]:
    """Write the class raster and count the pixels of each class."""
    legend = layer.job.model.card.legend
    pixels, area_m2 = np.zeros(256, np.int64), np.zeros(256)

    def counted() -> Iterator[tuple[Window, Codes]]:
        for window, codes in layer.plane():
            counts, each_m2 = _counts(codes), _area_of_pixels(layer.grid, window)
            pixels[:] += counts.sum(axis=0)
            area_m2[:] += each_m2 @ counts
            yield window, codes

    write_class_cog(layer.job.work.building.file_of(layer.layer), layer.grid, counted(), legend, tags=layer.tags())
    return {
        "classes": [
            {
                "code": entry.code,
                "name": entry.name,
                "pixels": int(pixels[entry.code]),
                "area_m2": round(float(area_m2[entry.code]), 3),
            }
            for entry in legend.classes
        ]
    }


def write_percentages(layer: LayerJob) -> Mapping[str, Any]:
    """Write a raster of percentages."""
    assert isinstance(layer.layer, RasterLayer)  # noqa: S101 - its role says so
    path = layer.job.work.building.file_of(layer.layer)
    ramp = ramp_of(layer.layer)
    write_percent_cog(path, layer.grid, layer.plane(), band=layer.layer.name, ramp=ramp, tags=layer.tags())
    return {}


def write_polygons(layer: LayerJob) -> Mapping[str, Any]:
    """Draw the polygons of a class raster and count them."""
    assert isinstance(layer.layer, VectorLayer)  # noqa: S101 - its role says so
    plan, legend, grid = layer.job.plan, layer.job.model.card.legend, layer.grid
    spec = VectorSpec(simplify_m=plan.spec.simplify_m, min_area_m2=plan.spec.min_area_m2 or 0.0)
    codes = plan.schema.raster(layer.layer.source)
    confidence = plan.schema.raster(CONFIDENCE) if CONFIDENCE in plan.schema else None
    source = _StoredCodes(layer.blocks, codes, confidence if confidence and confidence.published else None)
    world = grid.to_world if grid.gcps else None

    def batches() -> Iterator[Segments]:
        for batch in vectorise_codes(source, grid.geobox, nodata=legend.nodata, spec=spec, to_world=world):
            layer.tick(0)
            yield batch

    facts: dict[str, Any] = {"crs_wkt": grid.crs_wkt, "legend": legend, "about": about_layers(layer.job)}
    count = write_segments(layer.job.work.building.file_of(layer.layer), batches(), **facts)
    return {layer.layer.name: count}


def write_objects(layer: LayerJob) -> Mapping[str, Any]:
    """Find the objects of the classes that are counted, draw them and count them."""
    assert isinstance(layer.layer, VectorLayer)  # noqa: S101 - its role says so
    plan, legend, grid = layer.job.plan, layer.job.model.card.legend, layer.grid
    choice = plan.spec.objects
    assert choice is not None  # noqa: S101 - the schema has the layer
    confidence = plan.schema.raster(CONFIDENCE)
    source = _StoredCodes(
        layer.blocks, plan.schema.raster(layer.layer.source), confidence if confidence.published else None
    )
    spec = ObjectSpec(
        codes=object_codes(choice.classes, legend),
        split=choice.split or ("confidence" if confidence.published else "distance"),
        neck=choice.neck,
        min_area_m2=plan.spec.min_area_m2 or 0.0,
    )
    path = layer.job.work.building.file_of(layer.layer)
    with SceneObjects.find(source, grid.geobox, spec, BlockRun(nodata=legend.nodata, folder=path.parent)) as found:

        def batches() -> Iterator[Segments]:
            layer.tick(0)
            how = Tracing(
                spec=VectorSpec(simplify_m=plan.spec.simplify_m), to_world=grid.to_world if grid.gcps else None
            )
            for batch in vectorise_labels(found, grid.geobox, found.table, how):
                layer.tick(0)
                yield batch

        facts: dict[str, Any] = {"crs_wkt": grid.crs_wkt, "legend": legend, "about": about_layers(layer.job)}
        count = write_segments(path, batches(), **facts, layer=layer.layer.name, extra=COLUMNS)
    return {layer.layer.name: count}


WRITERS: dict[str, Writer] = {
    "classes": write_classes,
    "confidence": write_percentages,
    "probability": write_percentages,
    "uncertainty": write_percentages,
    "segments": write_polygons,
    "objects": write_objects,
}
"""Writers by the role of the layer. Other packages may add entries; see docs/adr/0012."""


class _StoredCodes:
    """Codes and confidence of finished blocks over any window, as input of the vectoriser. Thread-safe."""

    def __init__(self, blocks: FinishedBlocks, codes: RasterLayer, confidence: RasterLayer | None) -> None:
        self._blocks = blocks
        self._layers = (codes,) if confidence is None else (codes, confidence)
        self.shape = blocks.shape

    def read(self, window: Window) -> tuple[Codes, Codes | None]:
        """Read codes and confidence of a window."""
        found = self._blocks.read_window(window, self._layers)
        return found[0], found[1] if len(found) > 1 else None


def _counts(codes: Codes) -> npt.NDArray[np.int64]:
    """Count the pixels of each code per row: (row, 256)."""
    return np.stack([np.bincount(line, minlength=256) for line in codes])


def _area_of_pixels(grid: LayerGrid, window: Window) -> npt.NDArray[np.float64]:
    """Return the ground area of a pixel in each row, m²: in degrees and EPSG:3857 it differs from row to row."""
    middles = np.arange(window.row_start, window.row_stop) + 0.5
    area = pixel_sides_m(grid.geobox, middles, (window.col_start + window.col_stop) / 2)[2]
    return np.where(np.isfinite(area), area, 0.0)  # past the edge of a full disk there is no ground
