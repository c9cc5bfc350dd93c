"""What labels mean: from whole numbers of any file to the codes that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.label_layer import LabelLayer
from geoseg.score.matrix import NONE, U8


@dataclass(frozen=True, slots=True, kw_only=True)
class AsTheyAre:
    """Labels 0-254 are codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recoded:
    """Labels become codes by a table; other labels are refused.

    Attributes:
        table: from label to code; ``NONE`` for a label that means no class.
    """

    table: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Positive:
    """Labels become 1 or 0.

    Attributes:
        labels: those that become 1; empty: all but 0.
    """

    labels: frozenset[int] = field(default_factory=frozenset)


Meaning = AsTheyAre | Recoded | Positive

AS_THEY_ARE: Final = AsTheyAre()


def read_codes(layer: LabelLayer, window: Window, meaning: Meaning) -> U8:
    """Read the codes of a window.

    Returns:
        (y, x) uint8, 255 where there is no class.

    Raises:
        SceneError: a label has no meaning; file and label are named.
    """
    labels, valid = layer.read(window)
    if isinstance(meaning, Positive):
        positive = np.isin(labels, list(meaning.labels)) if meaning.labels else labels != 0
        return np.where(valid, positive, NONE).astype(np.uint8)
    known = valid & (labels >= 0) & (labels <= 254)
    if isinstance(meaning, AsTheyAre):
        _refuse(layer, labels, valid & ~known, "classes are whole numbers from 0 to 254")
        return np.where(known, labels, NONE).astype(np.uint8)
    table = np.full(256, -1, np.int64)
    for label, code in meaning.table.items():
        table[label] = code
    codes = np.where(known, table[np.where(known, labels, 0)], NONE)
    words = ", ".join(str(label) for label in sorted(meaning.table))
    _refuse(layer, labels, (valid & ~known) | (codes < 0), f"the labels known here are {words}")
    return codes.astype(np.uint8)


def _refuse(layer: LabelLayer, labels: npt.NDArray[np.int64], wrong: npt.NDArray[np.bool_], known: str) -> None:
    if wrong.any():
        raise SceneError(
            layer.name,
            f"it holds the label {labels[wrong][0]}; {known}.",
            "If it means no class, make it the file's nodata, or pass --nodata for a reference.",
        )
