"""Scores of a network over whole labelled images, from one confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from affine import Affine
from odc.geo.geobox import GeoBox
from torch import nn

from geoseg.core.card import ModelCard, Score
from geoseg.core.legend import Legend
from geoseg.core.raster import Raster
from geoseg.core.tiling import Blocks, Tile, Tiling
from geoseg.core.window import Window
from geoseg.data.labelled_scene import LabelledScene, unit
from geoseg.inference.match import plan_in_memory
from geoseg.inference.objects.detect import detect, detected_class_indices
from geoseg.inference.panoptic.labelled import panoptic_class_indices, panoptic_map
from geoseg.inference.predict import tile_answers
from geoseg.inference.prepare import prepare, scene_window
from geoseg.runtimes.runtime import Answer, Runtime, RuntimeInfo
from geoseg.score.matrix import count, iou

Confusion = npt.NDArray[np.int64]
_LOGITS = "logits"


def predict_class_indices(network: nn.Module, image: LabelledScene, card: ModelCard) -> npt.NDArray[np.uint8]:
    """Predict a whole image by tiles with a halo, as a run does, without test-time augmentation.

    Args:
        network: in evaluation mode.
        image: at its own ground sample distance.
        card: tile, halo and normalisation.

    Returns:
        Class indices (y, x) uint8, the most probable class of every pixel.
    """
    if card.task == "instance":
        return detected_class_indices(detect(network, image, card, min_score=card.min_score), card)
    if card.task == "panoptic":
        return panoptic_class_indices(panoptic_map(network, image, card), card)
    answer = np.zeros(image.shape, np.uint8)
    for core, logits in core_logits(network, image, card):
        answer[core.slices] = logits.argmax(0).astype(np.uint8)
    return answer


def core_logits(
    network: nn.Module, image: LabelledScene, card: ModelCard
) -> Iterator[tuple[Window, npt.NDArray[np.float32]]]:
    """Run a network over a whole image, block by block and tile by tile, as a run does.

    Args:
        network: in evaluation mode.
        image: at its own ground sample distance.
        card: tile, halo and normalisation.

    Yields:
        Windows with their logits (class, y, x) float32. They partition the image, but for tiles without a valid pixel.
    """
    for tile, answer in image_answers(_LogitsRuntime(network), image, card):
        rows, cols = tile.core.within(tile.read)
        yield tile.core, answer[_LOGITS][:, rows, cols]


def image_answers(runtime: Runtime, image: LabelledScene, card: ModelCard) -> Iterator[tuple[Tile, Answer]]:
    """Run a runtime over a whole image, block by block and tile by tile, as a run does.

    Args:
        runtime: runs the network.
        image: at its own ground sample distance.
        card: tile, halo and normalisation.

    Yields:
        Tiles with a valid pixel, and their outputs over ``tile.read``.
    """
    plan = plan_in_memory(card, image.shape, image.gsd_m, image.shape)
    tiling = Tiling(image.shape, image.shape, tile_px=card.tile_px, halo_px=card.halo_px)
    for block in Blocks(tiling, card.tile_px):
        window = scene_window(plan, tiling, block)
        sample = image.read(window)
        grid = GeoBox(window.shape, Affine.translation(window.col_start, window.row_start), None)
        raster = Raster(values=unit(sample.values), valid=sample.valid, geobox=grid)
        yield from tile_answers(runtime, tiling, prepare(plan, tiling, block, raster))


class _LogitsRuntime:
    """Runtime of a network that is still being trained: where it is, as it is, without its head.

    Args:
        network: in evaluation mode; returns logits (tile, class, y, x).
    """

    batch = 1

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._device = next((p.device for p in network.parameters()), torch.device("cpu"))
        version = f"torch {torch.__version__}"
        self.info = RuntimeInfo(name="torch", device=str(self._device), precision="fp32", version=version)

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        """See ``geoseg.runtimes.runtime.Runtime``."""
        inputs = torch.from_numpy(np.ascontiguousarray(tiles)).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            logits = self._network(inputs.to(self._device))
        return {_LOGITS: logits.float().cpu().numpy()}


def confusion(truth: npt.NDArray[np.uint8], answer: npt.NDArray[np.uint8], classes: int) -> Confusion:
    """Count pixels by (true class, predicted class); unlabelled ones are left out."""
    return count(truth, answer)[:classes, :classes]


def headline(counts: Confusion) -> float:
    """Summarise a confusion matrix as one number: the IoU of a single foreground class, or the mean over classes."""
    shares = iou(counts)
    if len(shares) == 2:
        return float(shares[1])
    return float(np.nanmean(shares)) if np.isfinite(shares).any() else float("nan")


def score(network: nn.Module, images: Sequence[LabelledScene], card: ModelCard) -> list[Score]:
    """Score a network on images: IoU of a single foreground class, or of each class and their mean.

    Images that are scored under one name are counted in one confusion matrix.

    Args:
        network: in evaluation mode.
        images: labelled images.
        card: tile, halo, normalisation and legend.
    """
    counted: dict[str, Confusion] = {}
    for image in images:
        counts = confusion(image.class_indices, predict_class_indices(network, image, card), len(card.legend))
        counted[image.scored_as] = counted.get(image.scored_as, 0) + counts
    return [score for on, counts in counted.items() for score in image_scores(on, counts, card.legend)]


def image_scores(on: str, counts: Confusion, legend: Legend) -> list[Score]:
    """Convert the confusion matrix of one or more images to scores for a card.

    Args:
        on: name of the images.
        counts: (true class, predicted class) pixels.
        legend: the classes.
    """
    values = dict(zip(legend.names, iou(counts), strict=True))
    if len(values) == 2:
        values = dict([list(values.items())[1]])
    scores = [
        Score(on=on, metric=f"IoU {class_name}", value=round(float(value), 4))
        for class_name, value in values.items()
        if np.isfinite(value)
    ]
    if len(values) > 1:
        mean = float(np.nanmean(list(values.values())))
        scores.append(Score(on=on, metric="mean IoU", value=round(mean, 4)))
    accuracy = float(np.diag(counts).sum() / max(1, counts.sum()))
    return [*scores, Score(on=on, metric="pixel accuracy", value=round(accuracy, 4))]
