"""Writers of polygons: regions and objects of a class raster, drawn from finished blocks."""

from __future__ import annotations

from collections.abc import Iterator

from geoseg.core.layer import CONFIDENCE, VectorLayer
from geoseg.core.segments import Segments
from geoseg.core.types.json_value import JsonObject
from geoseg.io.polygons.geopackage import write_segments
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.run.finished_blocks import StoredCodes
from geoseg.run.layer_writers import LayerJob
from geoseg.run.lineage import about_layers
from geoseg.vector.objects.scene import COLUMNS
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import Tracing, vectorise_codes, vectorise_labels


def write_polygons(layer: LayerJob) -> JsonObject:
    """Draw the polygons of a class raster and count them."""
    assert isinstance(layer.layer, VectorLayer)  # noqa: S101 - its role says so
    plan, legend, grid = layer.job.plan, layer.job.model.card.legend, layer.grid
    spec = VectorSpec(simplify_m=plan.spec.simplify_m, min_area_m2=plan.spec.min_area_m2 or 0.0)
    codes = plan.schema.raster(layer.layer.source)
    confidence = plan.schema.raster(CONFIDENCE) if CONFIDENCE in plan.schema else None
    source = StoredCodes(layer.blocks, codes, confidence if confidence and confidence.published else None)
    world = grid.to_world if grid.gcps else None

    def batches() -> Iterator[Segments]:
        for batch in vectorise_codes(source, grid.geobox, nodata=legend.nodata, spec=spec, to_world=world):
            layer.tick(0)
            yield batch

    schema = VectorSchema(crs_wkt=grid.crs_wkt, legend=legend)
    path = layer.job.work.building.file_of(layer.layer)
    count = write_segments(path, batches(), schema, about=about_layers(layer.job))
    return {layer.layer.name: count}


def write_objects(layer: LayerJob) -> JsonObject:
    """Find the objects of the classes that are counted, draw them and count them."""
    assert isinstance(layer.layer, VectorLayer)  # noqa: S101 - its role says so
    plan, legend, grid = layer.job.plan, layer.job.model.card.legend, layer.grid
    found, path = layer.counted_objects().objects(), layer.job.work.building.file_of(layer.layer)

    def batches() -> Iterator[Segments]:
        layer.tick(0)
        how = Tracing(spec=VectorSpec(simplify_m=plan.spec.simplify_m), to_world=grid.to_world if grid.gcps else None)
        for batch in vectorise_labels(found, grid.geobox, found.table, how):
            layer.tick(0)
            yield batch

    schema = VectorSchema(crs_wkt=grid.crs_wkt, legend=legend, layer=layer.layer.name, extra=COLUMNS)
    count = write_segments(path, batches(), schema, about=about_layers(layer.job))
    return {layer.layer.name: count}
