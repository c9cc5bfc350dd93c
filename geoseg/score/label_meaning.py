"""Conversion of the labels of any file to the codes that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from geoseg.core.window import Window
from geoseg.io.labels.label_layer import LabelLayer, read_codes
from geoseg.score.matrix import NONE, U8


@dataclass(frozen=True, slots=True, kw_only=True)
class Recoded:
    """Conversion of labels to codes by a table; other labels are refused.

    Attributes:
        table: map from label to code; ``NONE`` for a label that means no class.
    """

    table: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Positive:
    """Conversion of labels to 1 or 0.

    Attributes:
        labels: those that become 1; empty: all but 0.
    """

    labels: frozenset[int] = field(default_factory=frozenset)


Meaning = Recoded | Positive | None
"""Meaning of labels; None: labels from 0 to 254 are codes."""


def read_meaning(layer: LabelLayer, window: Window, meaning: Meaning) -> U8:
    """Read the codes of a window.

    Args:
        layer: the labels.
        window: window inside the layer.
        meaning: conversion of labels to codes.

    Returns:
        (y, x) uint8, 255 where there is no class.

    Raises:
        SceneError: a label has no defined meaning; the message names file and label.
    """
    if isinstance(meaning, Positive):
        labels, valid = layer.read(window)
        positive = np.isin(labels, list(meaning.labels)) if meaning.labels else labels != 0
        return np.where(valid, positive, NONE).astype(np.uint8)
    return read_codes(layer, window, None if meaning is None else meaning.table)


def classes_of(meaning: Meaning) -> frozenset[int]:
    """List the labels that have a class."""
    if isinstance(meaning, Positive):
        return frozenset({0}) | meaning.labels
    if meaning is None:
        return frozenset(range(NONE))
    return frozenset(label for label, code in meaning.table.items() if code != NONE)
