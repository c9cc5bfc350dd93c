"""Layers of a corrected map: rasters and polygons are written from the edited planes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from geoseg.core.digest import sha256_of_json
from geoseg.core.layer import SEGMENTS
from geoseg.core.segments import Segments
from geoseg.core.types.json_value import UntypedDict
from geoseg.core.window import Window
from geoseg.edits.feature_ids import FID, FeatureIds
from geoseg.edits.finished_map import FinishedMap
from geoseg.edits.planes import EditedPlanes
from geoseg.io.edits.edit import EditLog
from geoseg.io.edits.layer_tables import is_geopackage
from geoseg.io.edits.written_facts import about_of, tags_of
from geoseg.io.polygons.derived_layer import DerivedLayer
from geoseg.io.polygons.geopackage import write_segments
from geoseg.io.polygons.vector_schema import NO_COLUMNS, VectorSchema
from geoseg.io.publish.class_totals import ClassTotals
from geoseg.io.raster.cog import write_class_cog, write_percent_cog
from geoseg.vector.kept.blocks import KeptBlocks
from geoseg.vector.source import LabelTable
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import Tracing, vectorise_labels

BLOCK_PX: Final = 1024
"""Side of the blocks that are traced again when a pixel in them changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTask:
    """Layers that are to be written.

    Attributes:
        finished: the map.
        planes: its planes with the edits.
        folder: where the files are written.
        log: the edits, with the next free feature ids.
    """

    finished: FinishedMap
    planes: EditedPlanes
    folder: Path
    log: EditLog

    def target(self, path: Path) -> Path:
        """Return the place of a new file."""
        return self.folder / path.name

    def tags(self, path: Path) -> dict[str, str]:
        """Return the tags of a raster of the run, and the number of edits."""
        return tags_of(self.finished.original(path)) | {"GEOSEG_EDITS": str(len(self.log.active))}


def write_rasters(task: LayerTask) -> UntypedDict:
    """Write class raster and confidence.

    Returns:
        For the run record: totals of the classes, and pixels and area that were edited by hand.
    """
    finished, planes = task.finished, task.planes
    totals, painted = ClassTotals(finished.grid), ClassTotals(finished.grid)

    def codes() -> Iterator[tuple[Window, Any]]:
        for window in planes.blocks():
            edited = planes.edited(window)
            if edited.by_hand.any():
                painted.add(window, edited.by_hand.astype(np.uint8))
            yield window, edited.codes

    def percent() -> Iterator[tuple[Window, Any]]:
        for window in planes.blocks():
            yield window, planes.edited(window).confidence

    path = finished.bundle.classes
    write_class_cog(task.target(path), finished.grid, totals.counted(codes()), finished.legend, tags=task.tags(path))
    path = finished.bundle.confidence
    if finished.has(path):
        write_percent_cog(task.target(path), finished.grid, percent(), band="confidence", tags=task.tags(path))
    return {"classes": totals.entries(finished.legend), "by_hand": painted.of_code(1)}


def write_polygons(task: LayerTask) -> tuple[int, dict[str, int]]:
    """Write the polygons of the classes; only blocks whose pixels changed since the last time are traced.

    Returns:
        See ``write_layer``.
    """
    finished, path = task.finished, task.finished.bundle.segments
    spec = VectorSpec(simplify_m=finished.options["simplify_m"], min_area_m2=finished.options["min_area_m2"] or 0.0)
    table = LabelTable.of_codes(finished.legend.nodata)
    batches = vectorise_labels(task.planes, finished.grid.geobox, table, tracing(finished, SEGMENTS, spec))
    return write_layer(task, DrawnLayer(path=path, name=SEGMENTS, batches=batches))


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnLayer:
    """A layer of polygons that is to be written.

    Attributes:
        path: its file, as it is now.
        name: its name.
        batches: its polygons.
        columns: columns that they have besides those of all polygons.
        multi: the polygons are multipolygons.
        second: a layer made from them, in the same file.
    """

    path: Path
    name: str
    batches: Iterator[Segments]
    columns: np.dtype[np.void] = NO_COLUMNS
    multi: bool = False
    second: DerivedLayer | None = None


def write_layer(task: LayerTask, drawn: DrawnLayer) -> tuple[int, dict[str, int]]:
    """Write a layer of polygons; those that the earlier file has keep their feature ids.

    Returns:
        Number of polygons, and the next free feature id of each layer of the file.
    """
    finished, columns, second = task.finished, drawn.columns, drawn.second
    original = finished.original(drawn.path)
    earlier = [original] if original == drawn.path or not is_geopackage(drawn.path) else [drawn.path, original]
    ids = {
        name: FeatureIds(earlier, name, dict(task.log.next_fid).get(name, 0))
        for name in (drawn.name, *(() if second is None else (second.name,)))
    }
    if second is not None:
        make, own_ids = second.make, ids[second.name]
        second = replace(second, make=lambda kept: own_ids.numbered(make(kept)))
    extra = np.dtype([(FID, "i8"), *((name, columns[name].str) for name in columns.names or ())])
    schema = VectorSchema(
        crs_wkt=finished.grid.crs_wkt, legend=finished.map_legend, layer=drawn.name, multi=drawn.multi, extra=extra
    )
    numbered = ids[drawn.name].numbered(drawn.batches)
    about = about_of(original, drawn.name)
    count = write_segments(task.target(drawn.path), numbered, schema, second=second, about=about)
    return count, {name: one.next_fid for name, one in ids.items()}


def tracing(finished: FinishedMap, layer: str, spec: VectorSpec) -> Tracing:
    """Return how a layer is traced, with the blocks that were traced before."""
    grid = finished.grid
    points = [(point.row, point.col, point.x, point.y, point.z) for point in grid.gcps]
    key = [layer, str(grid.crs_wkt), list(grid.geobox.transform)[:6], list(grid.shape), points, repr(spec), BLOCK_PX]
    return Tracing(
        spec=spec,
        block_px=BLOCK_PX,
        to_world=grid.to_world if grid.gcps else None,
        kept=KeptBlocks(finished.work.traces / layer, sha256_of_json(key)),
    )
