"""Scores of a network over whole labelled images, from one confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from geoseg.core.card import ModelCard, Score
from geoseg.core.legend import Legend
from geoseg.core.tiling import Tiling
from geoseg.core.window import Window
from geoseg.data.labelled_scene import LabelledScene, unit
from geoseg.inference.objects.detect import detect, detected_channels
from geoseg.score.matrix import count, iou

Confusion = npt.NDArray[np.int64]


def predict_channels(network: nn.Module, image: LabelledScene, card: ModelCard) -> npt.NDArray[np.uint8]:
    """Predict a whole image by tiles with a halo, as a run does, without test-time augmentation.

    Args:
        network: in evaluation mode.
        image: at its own ground sample distance.
        card: tile, halo and normalisation.

    Returns:
        Class indices (y, x) uint8, the most probable class of every pixel.
    """
    if card.task == "instance":
        return detected_channels(detect(network, image, card, min_score=card.min_score), card)
    answer = np.zeros(image.shape, np.uint8)
    for core, logits in core_logits(network, image, card):
        answer[core.slices] = logits.argmax(0).astype(np.uint8)
    return answer


def core_logits(
    network: nn.Module, image: LabelledScene, card: ModelCard
) -> Iterator[tuple[Window, npt.NDArray[np.float32]]]:
    """Run a network over a whole image, tile by tile.

    Args:
        network: in evaluation mode.
        image: at its own ground sample distance.
        card: tile, halo and normalisation.

    Yields:
        Windows that partition the image, with their logits (class, y, x) float32.
    """
    shape = image.shape
    tiling = Tiling(shape, shape, tile_px=card.tile_px, halo_px=card.halo_px)
    mean = np.array([band.mean for band in card.bands], np.float32)[:, None, None]
    std = np.array([band.std for band in card.bands], np.float32)[:, None, None]
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    for tile in tiling:
        read = tile.read.intersection(Window.whole(shape))
        sample = image.read(read)
        values = np.where(sample.valid, (unit(sample.values) - mean) / std, 0).astype(np.float32)
        with torch.inference_mode():
            inputs = torch.from_numpy(values)[None].contiguous(memory_format=torch.channels_last)
            logits = network(inputs.to(device))
        rows, cols = tile.core.within(read)
        yield tile.core, logits[0, :, rows, cols].float().cpu().numpy()


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
        counts = confusion(image.channels, predict_channels(network, image, card), len(card.legend))
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
