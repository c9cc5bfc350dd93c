"""The layer of objects of a corrected class map."""

from __future__ import annotations

from geoseg.core.layer import OBJECTS
from geoseg.edits.hand_objects import AllObjects, HandObjects, WithoutHand
from geoseg.edits.layers import BLOCK_PX, DrawnLayer, LayerTask, tracing, write_layer
from geoseg.vector.objects.scene import COLUMNS, BlockRun, SceneObjects, least_pixels
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import vectorise_labels


def write_objects(task: LayerTask) -> tuple[int, dict[str, int]]:
    """Find the objects in the edited class raster, put those by hand over them, and write all.

    Returns:
        See ``write_layer``.
    """
    finished, planes = task.finished, task.planes
    spec, nodata = finished.object_spec, finished.legend.nodata
    hand = HandObjects(planes, nodata, least_pixels(spec, finished.grid.geobox))
    source = WithoutHand(planes, spec.codes, nodata)
    run = BlockRun(block_px=BLOCK_PX, nodata=nodata, folder=task.folder)
    with SceneObjects.find(source, finished.grid.geobox, spec, run) as found:
        labels = AllObjects(found, hand, planes)
        how = tracing(finished, OBJECTS, VectorSpec(simplify_m=finished.options["simplify_m"]))
        batches = vectorise_labels(labels, finished.grid.geobox, labels.table, how)
        return write_layer(task, DrawnLayer(path=finished.objects, name=OBJECTS, batches=batches, columns=COLUMNS))
