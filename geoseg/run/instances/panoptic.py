"""Writers of the layers of panoptic maps: the raster of labels, and one coverage of stuff and things."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from geoseg.core.layer import RasterLayer
from geoseg.core.legend import Legend
from geoseg.core.segments import Segments
from geoseg.core.types.json_value import UntypedMapping
from geoseg.core.window import Window
from geoseg.inference.objects.polygons import one_each
from geoseg.inference.panoptic.scene import COLUMNS, ScenePanoptic
from geoseg.inference.tasks.panoptic_layers import map_legend
from geoseg.io.labels.panoptic_raster import class_tags
from geoseg.io.polygons.geopackage import write_segments
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.io.raster.cog import write_value_cog
from geoseg.run.layer_writers import LayerJob
from geoseg.run.lineage import about_layers
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import Tracing, vectorise_labels


def write_panoptic(layer: LayerJob) -> UntypedMapping:
    """Write the raster of labels, with the names of the classes in its metadata, and count the things."""
    one = layer.layer
    assert isinstance(one, RasterLayer)  # noqa: S101 - its role says so
    kinds = class_tags({entry.code: (entry.name, entry.countable) for entry in _legend(layer).classes})
    path = layer.job.work.building.file_of(one)
    found = _scene(layer)

    def blocks() -> Iterator[tuple[Window, npt.NDArray[np.generic]]]:
        for block in layer.blocks.blocks:
            yield block.window, found.plane(one, block.window)
            layer.tick(block.window.pixels)

    write_value_cog(path, layer.grid, blocks(), one, tags=layer.tags() | kinds)
    return {"things": len(found)}


def write_panoptic_segments(layer: LayerJob) -> UntypedMapping:
    """Draw stuff as regions and things as objects, with shared edges, and count them."""
    plan, legend, grid = layer.job.plan, _legend(layer), layer.grid
    path = layer.job.work.building.file_of(layer.layer)
    schema = VectorSchema(crs_wkt=grid.crs_wkt, legend=legend, layer=layer.layer.name, multi=True, extra=COLUMNS)
    found = _scene(layer)

    def batches() -> Iterator[Segments]:
        spec, world = VectorSpec(simplify_m=plan.spec.simplify_m), grid.to_world if grid.gcps else None
        drawn = vectorise_labels(found, grid.geobox, found.table, Tracing(spec=spec, to_world=world))
        for batch in one_each(drawn, found.pixels, column="segment_id"):
            layer.tick(0)
            yield batch

    count = write_segments(path, batches(), schema, about=about_layers(layer.job))
    return {layer.layer.name: count}


def _scene(layer: LayerJob) -> ScenePanoptic:
    """Return what the run detected, or the panoptic map that the class map is parted into."""
    if layer.instances is None:
        return layer.counted_objects().panoptic()
    found = layer.found()
    assert isinstance(found, ScenePanoptic)  # noqa: S101 - the layer's role says so
    return found


def _legend(layer: LayerJob) -> Legend:
    """Return the legend whose countable classes are the things of the map."""
    return map_legend(layer.job.plan.schema, layer.job.plan.spec, layer.job.model.card.legend)
