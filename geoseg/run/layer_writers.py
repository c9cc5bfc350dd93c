"""Writers of layers, by the role of the layer: each makes one file of a bundle from finished blocks."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from geoseg.core.layer import Layer, RasterLayer
from geoseg.core.types.arrays import AnyArray
from geoseg.core.types.json_value import JsonObject, UntypedMapping
from geoseg.core.window import Window
from geoseg.io.publish.class_totals import ClassTotals
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.publish.layer_kinds import ramp_of
from geoseg.io.raster.cog import write_class_cog, write_percent_cog
from geoseg.run.finished_blocks import FinishedBlocks
from geoseg.run.lineage import about_layers
from geoseg.run.plan import Job

if TYPE_CHECKING:
    from geoseg.inference.objects.scene import SceneInstances  # numba
    from geoseg.inference.panoptic.scene import ScenePanoptic
    from geoseg.run.instances.counted import CountedObjects

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
        instances: objects or panoptic segments that the run detected, which layers without a plane of their own are
            drawn from.
        counted: objects that the class map is parted into.
        counted: objects that the class map is parted into.
    """

    layer: Layer
    job: Job
    blocks: FinishedBlocks
    grid: LayerGrid
    tick: Callable[[int], None]
    instances: SceneInstances | ScenePanoptic | None = None
    counted: CountedObjects | None = None

    def tags(self) -> dict[str, str]:
        """Facts for the metadata of a raster."""
        card = self.job.model.card
        return {"GEOSEG_MODEL": card.name, "GEOSEG_WEIGHTS_SHA256": card.weights_sha256} | about_layers(self.job).tags()

    def plane(self) -> Iterator[tuple[Window, AnyArray]]:
        """Read the layer's plane block by block, with progress."""
        assert isinstance(self.layer, RasterLayer)  # noqa: S101 - polygons have no plane
        for window, values in self._drawn() if self.layer.source else self.blocks.plane(self.layer):
            yield window, values
            self.tick(window.pixels)

    def found(self) -> SceneInstances | ScenePanoptic:
        """Return the objects or panoptic segments that the run detected."""
        assert self.instances is not None  # noqa: S101 - the schema has layers drawn from them
        return self.instances

    def counted_objects(self) -> CountedObjects:
        """Return the objects that the class map is parted into."""
        assert self.counted is not None  # noqa: S101 - the schema has layers of them
        return self.counted

    def _drawn(self) -> Iterator[tuple[Window, AnyArray]]:
        assert isinstance(self.layer, RasterLayer)  # noqa: S101 - as in ``plane``
        for block in self.blocks.blocks:
            yield block.window, self.found().plane(self.layer, block.window)


Writer = Callable[[LayerJob], JsonObject]
"""Writes the file of a layer and returns facts for the run record."""


def write_classes(layer: LayerJob) -> JsonObject:
    """Write the class raster and count the pixels of each class."""
    legend = layer.job.model.card.legend
    totals = ClassTotals(layer.grid)
    path = layer.job.work.building.file_of(layer.layer)
    write_class_cog(path, layer.grid, totals.counted(layer.plane()), legend, tags=layer.tags())
    return {"classes": totals.entries(legend)}


def write_percentages(layer: LayerJob) -> JsonObject:
    """Write a raster of percentages."""
    assert isinstance(layer.layer, RasterLayer)  # noqa: S101 - its role says so
    path = layer.job.work.building.file_of(layer.layer)
    ramp = ramp_of(layer.layer)
    write_percent_cog(path, layer.grid, layer.plane(), band=layer.layer.name, ramp=ramp, tags=layer.tags())
    return {}


def import_vectoriser() -> None:
    """Import the modules of polygons in a thread, so that numba and pandas are loaded before the network has finished.

    pyogrio itself is left to the thread that writes: it catches GDAL's warnings only in the one that imported it.
    """

    def load() -> None:
        for module in ("geoseg.vector.vectorise", "geoseg.vector.objects.scene", "geopandas"):
            importlib.import_module(module)

    threading.Thread(target=load, daemon=True).start()


def _imported_later(name: str, module: str = "geoseg.run.polygon_writers") -> Writer:
    """Make a writer that imports its module when it is called: numba and pandas take a second."""

    def write(layer: LayerJob) -> UntypedMapping:
        writer: Writer = getattr(importlib.import_module(module), name)
        return writer(layer)

    return write


WRITERS: dict[str, Writer] = {
    "classes": write_classes,
    "confidence": write_percentages,
    "probability": write_percentages,
    "uncertainty": write_percentages,
    "segments": _imported_later("write_polygons"),
    "objects": _imported_later("write_objects"),
    "instances": _imported_later("write_instances", "geoseg.run.instances.writers"),
    "object_ids": _imported_later("write_ids", "geoseg.run.instances.writers"),
    "panoptic": _imported_later("write_panoptic", "geoseg.run.instances.panoptic"),
    "panoptic_segments": _imported_later("write_panoptic_segments", "geoseg.run.instances.panoptic"),
}
"""Writers by the role of the layer. Other packages may add entries; see docs/adr/0012."""
