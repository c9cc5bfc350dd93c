"""Writers of the layers of panoptic maps: the raster of labels, and one coverage of stuff and things."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from geoseg.core.layer import RasterLayer
from geoseg.core.segments import Segments
from geoseg.inference.panoptic.scene import COLUMNS, ScenePanoptic
from geoseg.io.labels.panoptic_raster import class_tags
from geoseg.io.polygons.geopackage import write_segments
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.io.raster.cog import write_value_cog
from geoseg.run.instances.polygons import one_each
from geoseg.run.layer_writers import LayerJob
from geoseg.run.lineage import about_layers
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import Tracing, vectorise_labels


def write_panoptic(layer: LayerJob) -> Mapping[str, Any]:
    """Write the raster of labels, with the names of the classes in its metadata."""
    assert isinstance(layer.layer, RasterLayer)  # noqa: S101 - its role says so
    legend = layer.job.model.card.legend
    kinds = class_tags({entry.code: (entry.name, entry.countable) for entry in legend.classes})
    path = layer.job.work.building.file_of(layer.layer)
    write_value_cog(path, layer.grid, layer.plane(), layer.layer, tags=layer.tags() | kinds)
    return {}


def write_panoptic_segments(layer: LayerJob) -> Mapping[str, Any]:
    """Draw stuff as regions and things as objects, with shared edges, and count both."""
    found = layer.found()
    assert isinstance(found, ScenePanoptic)  # noqa: S101 - the layer's role says so
    plan, legend, grid = layer.job.plan, layer.job.model.card.legend, layer.grid

    def batches() -> Iterator[Segments]:
        how = Tracing(spec=VectorSpec(simplify_m=plan.spec.simplify_m), to_world=grid.to_world if grid.gcps else None)
        drawn = vectorise_labels(found, grid.geobox, found.table, how)
        for batch in one_each(drawn, found.pixels, column="segment_id"):
            layer.tick(0)
            yield batch

    path = layer.job.work.building.file_of(layer.layer)
    schema = VectorSchema(crs_wkt=grid.crs_wkt, legend=legend, layer=layer.layer.name, multi=True, extra=COLUMNS)
    count = write_segments(path, batches(), schema, about=about_layers(layer.job))
    return {layer.layer.name: count, "things": len(found)}
