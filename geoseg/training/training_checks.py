"""Checks of a finished training: detects a network whose predictions do not depend on the image."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from geoseg.core.legend import Legend
from geoseg.data.chips import ChipMaker
from geoseg.training.score import Confusion, confusion

LEAST_KAPPA = 0.05
"""Cohen's kappa below which the agreement with the labels is hardly better than chance."""

_BATCHES = 8


def training_warnings(counts: Confusion, legend: Legend, *, on: str) -> tuple[str, ...]:
    """List the reasons not to trust a network, by its confusion matrix.

    Args:
        counts: (true class, predicted class) pixels.
        legend: its classes, in the order of the matrix.
        on: name of the counted data, for the sentences ("the validation data").

    Returns:
        One sentence per reason; empty if there is none, or if nothing was counted.

    Source:
        Cohen 1960, https://doi.org/10.1177/001316446002000104 (kappa).
    """
    total = int(counts.sum())
    if not total:
        return ()
    present, predicted = counts.sum(1), counts.sum(0)
    if np.count_nonzero(present) == 1:
        name = legend.names[int(present.argmax())]
        return (f"all labels of {on} are {name!r}: the scores say nothing about the other classes",)
    if np.count_nonzero(predicted) == 1:
        name = legend.names[int(predicted.argmax())]
        return (f"the network predicts {name!r} for every pixel of {on}",)
    warnings = []
    kappa = _kappa(counts)
    if kappa < LEAST_KAPPA:
        warnings.append(
            f"the predictions agree with the labels of {on} hardly better than chance (Cohen's kappa {kappa:.3f})"
        )
    missed = [name for name, n, found in zip(legend.names, present, predicted, strict=True) if n and not found]
    if missed:
        warnings.append(f"the network never predicts {', '.join(map(repr, missed))} on {on}, where the labels have it")
    return tuple(warnings)


def count_on_chips(network: nn.Module, chips: ChipMaker, classes: int) -> Confusion:
    """Count (true class, predicted class) pixels of a few batches of training chips.

    Args:
        network: in evaluation mode, on the CPU.
        chips: chips of the training.
        classes: number of classes.
    """
    counts = np.zeros((classes, classes), np.int64)
    for number in range(_BATCHES):
        batch = chips.batch(number)
        with torch.inference_mode():
            answer = network(batch.inputs).argmax(1)
        counts += confusion(batch.class_indices.numpy().astype(np.uint8), answer.numpy().astype(np.uint8), classes)
    return counts


def _kappa(counts: Confusion) -> float:
    total = float(counts.sum())
    observed = float(np.trace(counts)) / total
    expected = float((counts.sum(0) / total) @ (counts.sum(1) / total))
    return (observed - expected) / (1 - expected) if expected < 1 else 0.0
