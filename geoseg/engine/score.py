"""Scores: a network's answers over whole labelled images, counted in one confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from geoseg.core.card import ModelCard, Score
from geoseg.core.tiling import Tiling
from geoseg.core.window import Window
from geoseg.data.labelled import UNLABELLED, LabelledImage

Confusion = npt.NDArray[np.int64]


def predict_channels(network: nn.Module, image: LabelledImage, card: ModelCard) -> npt.NDArray[np.uint8]:
    """Predict a whole image by tiles with a halo, as a run does, without test-time augmentation.

    Args:
        network: in evaluation mode, on the CPU.
        image: at its own ground sample distance.
        card: tile, halo and normalisation.

    Returns:
        Channels (y, x) uint8, the most probable class of every pixel.
    """
    shape = image.channels.shape
    tiling = Tiling(shape, shape, tile_px=card.tile_px, halo_px=card.halo_px)
    mean = np.array([band.mean for band in card.bands], np.float32)[:, None, None]
    std = np.array([band.std for band in card.bands], np.float32)[:, None, None]
    answer = np.zeros(shape, np.uint8)
    with torch.inference_mode():
        for tile in tiling:
            read = tile.read.intersection(Window.whole(shape))
            values = (image.values[:, *read.slices].astype(np.float32) / 255 - mean) / std
            values = np.where(image.valid[read.slices], values, 0).astype(np.float32)
            logits = network(torch.from_numpy(values)[None].contiguous(memory_format=torch.channels_last))
            best = logits[0].float().argmax(0).numpy().astype(np.uint8)
            answer[tile.core.slices] = best[tile.core.within(read)]
    return answer


def confusion(truth: npt.NDArray[np.uint8], answer: npt.NDArray[np.uint8], classes: int) -> Confusion:
    """Count pixels by (true channel, answered channel); unlabelled ones are left out."""
    known = truth != UNLABELLED
    pairs = truth[known].astype(np.int64) * classes + answer[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def iou(counts: Confusion) -> npt.NDArray[np.float64]:
    """Compute intersection over union of each class; NaN for one that neither occurs nor is answered."""
    both = np.diag(counts).astype(float)
    either = counts.sum(0) + counts.sum(1) - both
    shares: npt.NDArray[np.float64] = np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)
    return shares


def score(network: nn.Module, images: Sequence[LabelledImage], card: ModelCard) -> list[Score]:
    """Score a network on each image: IoU of a single foreground class, or of each class and their mean."""
    scores = []
    for image in images:
        counts = confusion(image.channels, predict_channels(network, image, card), len(card.legend))
        values = dict(zip(card.legend.names, iou(counts), strict=True))
        if len(values) == 2:
            values = dict([list(values.items())[1]])
        scores += [
            Score(on=image.name, metric=f"IoU {name}", value=round(float(value), 4))
            for name, value in values.items()
            if np.isfinite(value)
        ]
        if len(values) > 1:
            mean = float(np.nanmean(list(values.values())))
            scores.append(Score(on=image.name, metric="mean IoU", value=round(mean, 4)))
        accuracy = float(np.diag(counts).sum() / max(1, counts.sum()))
        scores.append(Score(on=image.name, metric="pixel accuracy", value=round(accuracy, 4)))
    return scores
