"""Writers of the layers of panoptic maps: the raster of labels, and one coverage of stuff and things."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from geoseg.core.class_choice import object_codes
from geoseg.core.layer import CLASSES, CONFIDENCE, RasterLayer
from geoseg.core.segments import Segments
from geoseg.core.spec import ObjectChoice, PanopticChoice
from geoseg.core.types.json_value import UntypedMapping
from geoseg.core.window import Window
from geoseg.inference.panoptic.counted import CountedThings
from geoseg.inference.panoptic.scene import COLUMNS, PanopticRules, ScenePanoptic
from geoseg.io.labels.panoptic_raster import class_tags
from geoseg.io.polygons.geopackage import write_segments
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.io.raster.cog import write_value_cog
from geoseg.run.instances.polygons import one_each
from geoseg.run.layer_writers import LayerJob
from geoseg.run.lineage import about_layers
from geoseg.run.polygon_writers import StoredCodes
from geoseg.vector.objects.scene import BlockRun, SceneObjects
from geoseg.vector.objects.spec import ObjectSpec
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import Tracing, vectorise_labels


def write_panoptic(layer: LayerJob) -> UntypedMapping:
    """Write the raster of labels, with the names of the classes in its metadata, and count the things."""
    one, legend = layer.layer, layer.job.model.card.legend
    assert isinstance(one, RasterLayer)  # noqa: S101 - its role says so
    kinds = class_tags({entry.code: (entry.name, entry.countable) for entry in legend.classes})
    path = layer.job.work.building.file_of(one)
    with _scene(layer) as found:

        def blocks() -> Iterator[tuple[Window, npt.NDArray[np.generic]]]:
            for block in layer.blocks.blocks:
                yield block.window, found.plane(one, block.window)
                layer.tick(block.window.pixels)

        write_value_cog(path, layer.grid, blocks(), one, tags=layer.tags() | kinds)
        return {"things": len(found)}


def write_panoptic_segments(layer: LayerJob) -> UntypedMapping:
    """Draw stuff as regions and things as objects, with shared edges, and count them."""
    plan, legend, grid = layer.job.plan, layer.job.model.card.legend, layer.grid
    path = layer.job.work.building.file_of(layer.layer)
    schema = VectorSchema(crs_wkt=grid.crs_wkt, legend=legend, layer=layer.layer.name, multi=True, extra=COLUMNS)
    with _scene(layer) as found:

        def batches() -> Iterator[Segments]:
            spec, world = VectorSpec(simplify_m=plan.spec.simplify_m), grid.to_world if grid.gcps else None
            drawn = vectorise_labels(found, grid.geobox, found.table, Tracing(spec=spec, to_world=world))
            for batch in one_each(drawn, found.pixels, column="segment_id"):
                layer.tick(0)
                yield batch

        count = write_segments(path, batches(), schema, about=about_layers(layer.job))
    return {layer.layer.name: count}


@contextmanager
def _scene(layer: LayerJob) -> Iterator[ScenePanoptic]:
    """Return what the run detected, or the panoptic map that the class map is parted into."""
    if layer.instances is not None:
        found = layer.found()
        assert isinstance(found, ScenePanoptic)  # noqa: S101 - the layer's role says so
        yield found
        return
    plan, legend = layer.job.plan, layer.job.model.card.legend
    asked = plan.spec.panoptic or PanopticChoice()
    choice = plan.spec.objects or asked.objects or ObjectChoice(classes="countable")
    codes, confidence = plan.schema.raster(CLASSES), plan.schema.raster(CONFIDENCE)
    least_m2 = (plan.spec.min_area_m2 or 0.0) if choice.min_area_m2 is None else choice.min_area_m2
    spec = ObjectSpec(
        codes=object_codes(choice.classes, legend),
        split=choice.split or ("confidence" if confidence.published else "distance"),
        neck=choice.neck,
        min_area_m2=least_m2,
    )
    source = StoredCodes(layer.blocks, codes, confidence if confidence.published else None)
    run = BlockRun(nodata=legend.nodata, folder=layer.job.work.building.directory)
    with SceneObjects.find(source, layer.grid.geobox, spec, run) as objects:
        rules = PanopticRules(
            legend=legend,
            stuff_area_m2=max(least_m2, asked.stuff_area_m2),
            planes=(codes, confidence),
        )
        yield ScenePanoptic(CountedThings(objects), layer.blocks, layer.grid.geobox, rules)
