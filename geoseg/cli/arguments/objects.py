"""``--objects CLASS,...``: classes that become objects, the splitting of touching ones, and a raster of their ids."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.core.choices import SplitMethod

if TYPE_CHECKING:
    import numpy as np
    from odc.geo.geobox import GeoBox

    from geoseg.core.legend import Legend
    from geoseg.io.publish.grid import LayerGrid
    from geoseg.vector.objects.scene import BlockRun
    from geoseg.vector.objects.spec import ObjectSpec
    from geoseg.vector.source import CodeSource, LabelSource, LabelTable
    from geoseg.vector.spec import VectorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectOptions:
    """Object options of the command line.

    Attributes:
        classes: names or codes separated by commas, or ``countable``; None: no objects, but segments.
        split: criterion for splitting; None: by confidence if there is one, else by distance.
        neck: see ``ObjectSpec``.
        ids: raster of ids to write, or None.
        confidence: raster of confidence, or None.
    """

    classes: str | None
    split: SplitMethod | None
    neck: float | None
    ids: Path | None
    confidence: Path | None

    @property
    def layer(self) -> str:
        """Name of the layer of polygons."""
        from geoseg.core.layer import OBJECTS, SEGMENTS

        return SEGMENTS if self.classes is None else OBJECTS

    def check(self, scheduler: str | None) -> None:
        """Refuse conflicting options, before any file is opened.

        Raises:
            UsageError: options conflict.
        """
        from geoseg.errors import UsageError

        if self.classes is None:
            if (self.split, self.neck, self.ids) != (None, None, None):
                raise UsageError("--split, --neck and --object-ids are about objects; name classes with --objects.")
            return
        if scheduler is not None:
            raise UsageError("--objects are found on this machine; leave out --scheduler.")
        if self.split == "confidence" and self.confidence is None:
            raise UsageError("--split confidence follows the confidence of each pixel; give it with --confidence.")
        if self.ids is not None and self.ids.suffix.lower() not in {".tif", ".tiff"}:
            raise UsageError(f"--object-ids {self.ids}: ids are written as GeoTIFF; choose a name that ends in .tif.")

    def spec(self, legend: Legend, limits: VectorSpec) -> ObjectSpec:
        """Make the specification of objects.

        Args:
            legend: the map's classes.
            limits: smallest area and connectivity.

        Raises:
            UsageError: there is no such class, or a number makes no sense.
        """
        from geoseg.core.class_choice import object_codes
        from geoseg.vector.objects.spec import ObjectSpec

        best: SplitMethod = "distance" if self.confidence is None else "confidence"
        return ObjectSpec(
            codes=object_codes(self.classes or "", legend),
            split=self.split or best,
            neck=self.neck,
            min_area_m2=limits.min_area_m2,
            connectivity=limits.connectivity,
        )

    def columns(self, others: np.dtype[np.void]) -> np.dtype[np.void]:
        """List the columns of the layer besides those of all segments, ``others`` included."""
        import numpy as np

        from geoseg.vector.objects.scene import COLUMNS

        if self.classes is None:
            return others
        return np.dtype([*COLUMNS.descr, *((name, others[name].str) for name in others.names or ())])

    @contextmanager
    def labels(
        self, source: CodeSource, geobox: GeoBox, spec: ObjectSpec | None, run: BlockRun
    ) -> Iterator[tuple[LabelSource, LabelTable]]:
        """Return the labels to trace: those of objects if requested, else the classes.

        Raises:
            UsageError: the grid has another size.
        """
        from geoseg.vector.objects.scene import SceneObjects
        from geoseg.vector.source import LabelTable

        if spec is None:
            yield source, LabelTable.of_codes(run.nodata)
            return
        with SceneObjects.find(source, geobox, spec, run) as found:
            yield found, found.table

    def write_ids(self, found: Any, grid: LayerGrid, block_px: int) -> None:
        """Write the ids of objects as a cloud-optimised GeoTIFF, if requested.

        Raises:
            WriteError: the disk is full or fails; nothing is left at the path.
        """
        from geoseg.core.layer import object_id_layer
        from geoseg.io.raster.cog import write_value_cog

        if self.ids is None:
            return
        layer = object_id_layer(found.shape)
        blocks = (
            (window, found.ids(window, int(layer.nodata)).astype(layer.dtype)) for window in found.blocks(block_px)
        )
        write_value_cog(self.ids, grid, blocks, layer, tags={})
