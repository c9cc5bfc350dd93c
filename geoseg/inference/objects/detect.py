"""Objects that a network detects in a labelled image, as a run detects them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox
from torch import nn

from geoseg.core.block_result import BlockResult
from geoseg.core.card import ModelCard
from geoseg.core.layer import RasterLayer, class_layer
from geoseg.core.raster import Raster
from geoseg.core.spec import InstanceChoice, PredictSpec
from geoseg.core.tiling import Blocks, Tiling
from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window
from geoseg.data.labelled_scene import LabelledScene, unit
from geoseg.inference.match import ReadPlan, plan_in_memory
from geoseg.inference.objects.scene import ObjectRules, SceneInstances
from geoseg.inference.objects.views import BlockReader
from geoseg.inference.passes import InferencePass, block_pixels, window_read
from geoseg.inference.predict import predict_block
from geoseg.inference.tasks.instance import InstanceTask
from geoseg.inference.tasks.task import Assembly, Task
from geoseg.io.raster.georeference import crop
from geoseg.models.heads import head_of
from geoseg.runtimes.torch_runtime import TorchRuntime


def detect(network: nn.Module, image: LabelledScene, card: ModelCard, *, min_score: float) -> SceneInstances:
    """Detect the objects of a whole image, resampled into the card's range of ground sample distances.

    Args:
        network: a detector in evaluation mode.
        image: the image.
        card: tile, halo, normalisation and legend.
        min_score: least score of an object.
    """
    run = run_image(InstanceTask(), network, image, card, min_score)
    rules = ObjectRules(legend=card.legend, choice=InstanceChoice(), min_score=min_score, min_area_m2=card.min_area_m2)
    return SceneInstances.of_run(run.blocks, run.read, run.geobox, rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRun:
    """Finished blocks of a labelled image, in memory.

    Attributes:
        blocks: reads the blocks.
        read: plan of reading the image.
        geobox: grid of the image, without a CRS.
    """

    blocks: BlockReader
    read: ReadPlan
    geobox: GeoBox


def run_image(task: Task, network: nn.Module, image: LabelledScene, card: ModelCard, min_score: float) -> ImageRun:
    """Run a task over a whole image; see ``detect``.

    Args:
        task: of the card.
        network: in evaluation mode.
        image: the image.
        card: tile, halo, normalisation and legend.
        min_score: least score of an object.
    """
    shape, side = image.shape, image.gsd_m
    geobox = GeoBox(shape, Affine(side, 0, 0, 0, -side, 0), None)
    read = _plan(image, card)
    tiling = Tiling(shape, read.work_shape, tile_px=card.tile_px, halo_px=card.halo_px)
    blocks, spec = Blocks(tiling, max(read.work_shape)), PredictSpec(instances=InstanceChoice(min_score=min_score))
    assembly = Assembly(legend=card.legend, spec=spec, schema=task.schema(spec, card.legend, 1))
    head = head_of(card)
    runtime = TorchRuntime(head.attach(network, card), precision="fp32", answers=head.answers)
    passes = (InferencePass(member=0, scale=1.0, read=read, tiling=tiling),)
    results = {}
    for block in blocks:
        window = window_read(passes, block)
        sample = image.read(window)
        raster = Raster(values=unit(sample.values), valid=sample.valid, geobox=crop(geobox, window))
        pixels = block_pixels(passes, block, raster)
        results[block.row, block.col] = predict_block(task, [(runtime, 1.0)], assembly, pixels)
    return ImageRun(blocks=_InMemory(blocks, results), read=read, geobox=geobox)


def detected_class_indices(found: SceneInstances, card: ModelCard) -> npt.NDArray[np.uint8]:
    """Return the class indices of the map that objects imply, (y, x)."""
    codes = found.plane(class_layer(card.legend.nodata), Window.whole(found.shape))
    table = np.full(256, card.legend.codes.index(card.legend.background or 0), np.uint8)
    table[list(card.legend.codes)] = range(len(card.legend))
    return np.asarray(table[codes], np.uint8)


def _plan(image: LabelledScene, card: ModelCard) -> ReadPlan:
    rows, cols = image.shape
    factor = image.gsd_m / float(np.clip(image.gsd_m, card.gsd_m.min, card.gsd_m.max))
    work_shape = max(1, round(rows * factor)), max(1, round(cols * factor))
    return plan_in_memory(card, image.shape, image.gsd_m, work_shape)


class _InMemory:
    """Results of blocks in memory; see ``geoseg.inference.objects.views.BlockReader``."""

    def __init__(self, blocks: Blocks, results: dict[tuple[int, int], BlockResult]) -> None:
        self.blocks, self._results = blocks, results

    def read(self, row: int, col: int) -> BlockResult:
        """Return the result of a block."""
        return self._results[row, col]

    def read_window(self, window: Window, layers: tuple[RasterLayer, ...]) -> tuple[AnyArray, ...]:
        """Put planes together over a window."""
        planes = tuple(layer.empty(window.shape) for layer in layers)
        for result in self._results.values():
            part = result.block.window.intersection(window)
            for plane, layer in zip(planes, layers, strict=True):
                plane[part.within(window)] = result.planes[layer.name][part.within(result.block.window)]
        return planes
