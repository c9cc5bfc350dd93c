"""Writers of the layers of detected objects."""

from __future__ import annotations

from collections.abc import Iterator

from geoseg.core.layer import RasterLayer
from geoseg.core.segments import Segments
from geoseg.core.spec import InstanceChoice
from geoseg.core.types.json_value import JsonObject
from geoseg.inference.objects.polygons import one_each, regular_layer
from geoseg.inference.objects.scene import COLUMNS, SceneInstances
from geoseg.io.polygons.derived_layer import DerivedLayer
from geoseg.io.polygons.geopackage import write_segments
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.io.raster.cog import write_value_cog
from geoseg.run.layer_writers import LayerJob
from geoseg.run.lineage import about_layers
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import Tracing, vectorise_labels


def write_ids(layer: LayerJob) -> JsonObject:
    """Write the raster of ids."""
    assert isinstance(layer.layer, RasterLayer)  # noqa: S101 - its role says so
    path = layer.job.work.building.file_of(layer.layer)
    write_value_cog(path, layer.grid, layer.plane(), layer.layer, tags=layer.tags())
    return {}


def write_instances(layer: LayerJob) -> JsonObject:
    """Draw the polygons of objects and count them."""
    found = layer.found()
    assert isinstance(found, SceneInstances)  # noqa: S101 - the layer's role says so
    plan, legend, grid = layer.job.plan, layer.job.model.card.legend, layer.grid
    pixels = dict(zip(found.ids.tolist(), found.pixels[1:].tolist(), strict=True))

    def batches() -> Iterator[Segments]:
        how = Tracing(spec=VectorSpec(simplify_m=plan.spec.simplify_m), to_world=grid.to_world if grid.gcps else None)
        for number in range(found.layers):
            drawn = vectorise_labels(found.of_layer(number), grid.geobox, found.table, how)
            for batch in one_each(drawn, pixels):
                layer.tick(0)
                yield batch

    second = _regular(layer, found)
    path = layer.job.work.building.file_of(layer.layer)
    schema = VectorSchema(crs_wkt=grid.crs_wkt, legend=legend, layer=layer.layer.name, multi=True, extra=COLUMNS)
    count = write_segments(path, batches(), schema, second=second, about=about_layers(layer.job))
    return {layer.layer.name: count}


def _regular(layer: LayerJob, found: SceneInstances) -> DerivedLayer | None:
    """Define the layer of objects with right angles, if one is asked for."""
    choice = layer.job.plan.spec.instances or InstanceChoice()
    if choice.regularise is None or found.layers > 1:
        return None
    return regular_layer(layer.layer.name, choice.regularise, layer.grid, layer.job.model.card.legend)
