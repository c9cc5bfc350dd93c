"""CountedObjects: the objects that a run's class map is parted into, found once for all layers that need them."""

from __future__ import annotations

import threading

from geoseg.core.class_choice import object_codes
from geoseg.core.closing import Closing
from geoseg.core.layer import CLASSES, CONFIDENCE
from geoseg.core.spec import PanopticChoice
from geoseg.inference.panoptic.counted import CountedThings
from geoseg.inference.panoptic.scene import PanopticRules, ScenePanoptic
from geoseg.inference.tasks.panoptic_layers import map_legend
from geoseg.io.publish.grid import LayerGrid
from geoseg.run.finished_blocks import FinishedBlocks, StoredCodes
from geoseg.run.plan import Job
from geoseg.vector.objects.scene import BlockRun, SceneObjects
from geoseg.vector.objects.spec import ObjectSpec


class CountedObjects(Closing):
    """Objects of a run's class map, and the panoptic map of which they are the things. Thread-safe.

    They are found when they are first asked for.

    Args:
        job: the job of the run.
        blocks: finished blocks of the run.
        grid: grid of the scene.
    """

    def __init__(self, job: Job, blocks: FinishedBlocks, grid: LayerGrid) -> None:
        self._job, self._blocks, self._grid = job, blocks, grid
        self._finding = threading.RLock()
        self._objects: SceneObjects | None = None
        self._panoptic: ScenePanoptic | None = None

    def objects(self) -> SceneObjects:
        """Return the objects of the classes that are counted."""
        with self._finding:
            if self._objects is None:
                self._objects = self._find()
            return self._objects

    def panoptic(self) -> ScenePanoptic:
        """Return the panoptic map."""
        with self._finding:
            if self._panoptic is None:
                schema, spec = self._job.plan.schema, self._job.plan.spec
                asked = spec.panoptic or PanopticChoice()
                rules = PanopticRules(
                    legend=map_legend(schema, spec, self._job.model.card.legend),
                    stuff_area_m2=max(self._least_m2, asked.stuff_area_m2),
                    planes=(schema.raster(CLASSES), schema.raster(CONFIDENCE)),
                )
                things = CountedThings(self.objects())
                self._panoptic = ScenePanoptic(things, self._blocks, self._grid.geobox, rules)
            return self._panoptic

    def close(self) -> None:
        """Remove the masks of the objects."""
        with self._finding:
            if self._objects is not None:
                self._objects.close()

    @property
    def _least_m2(self) -> float:
        spec = self._job.plan.spec
        least_m2 = spec.counted.min_area_m2
        return (spec.min_area_m2 or 0.0) if least_m2 is None else least_m2

    def _find(self) -> SceneObjects:
        plan, legend, choice = self._job.plan, self._job.model.card.legend, self._job.plan.spec.counted
        codes, confidence = plan.schema.raster(CLASSES), plan.schema.raster(CONFIDENCE)
        spec = ObjectSpec(
            codes=object_codes(choice.classes, legend),
            split=choice.split or ("confidence" if confidence.published else "distance"),
            neck=choice.neck,
            min_area_m2=self._least_m2,
        )
        source = StoredCodes(self._blocks, codes, confidence if confidence.published else None)
        run = BlockRun(nodata=legend.nodata, folder=self._job.work.building.directory)
        return SceneObjects.find(source, self._grid.geobox, spec, run)
