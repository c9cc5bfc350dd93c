"""Recoding: conversion of the labels of any file to class indices of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from geoseg.core.legend import Legend
from geoseg.data.labelled_scene import U8, UNLABELLED
from geoseg.errors import SceneError, UsageError

Others = int | Literal["refuse", "ignore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recoding:
    """Meaning of labels.

    Attributes:
        legend: classes, in the order of the class indices; its nodata means no class.
        table: from label to a code of the legend, None for no class; None: labels are codes.
        others: code of labels that are not in the table.
        nonzero: labels are object numbers: all but 0 become 1.
    """

    legend: Legend
    table: Mapping[int, int | None] | None = None
    others: Others = "refuse"
    nonzero: bool = False

    def class_indices(self, labels: npt.NDArray[np.integer], valid: npt.NDArray[np.bool_] | None, where: str) -> U8:
        """Convert labels to class indices, both (y, x).

        Args:
            labels: whole numbers.
            valid: False where there is no label; None: everywhere.
            where: the file, for the message.

        Raises:
            UsageError: a label has no defined meaning.
        """
        codes = self._numbers(labels, valid, where) if self.nonzero else labels
        if self.table is None:
            return class_indices_of(
                codes if valid is None else np.where(valid, codes, self.legend.nodata), self.legend, where
            )
        found, place = np.unique(codes if valid is None else codes[valid], return_inverse=True)
        meant = np.array([self._code(int(label), where) for label in found], np.int64)
        if valid is None:
            return class_indices_of(meant[place].reshape(codes.shape), self.legend, where)
        spread = np.full(codes.shape, self.legend.nodata, np.int64)
        spread[valid] = meant[place]
        return class_indices_of(spread, self.legend, where)

    def refuse_hidden(self, label: int | None, where: str) -> None:
        """Refuse labels whose file excludes a class by its nodata value, before training starts.

        Args:
            label: meaning of the nodata value, see ``LabelLayer.hidden``; None: none.
            where: the file, for the message.

        Raises:
            SceneError: the label has a class here.
        """
        if label is None or label not in self._classes():
            return
        raise SceneError(
            where,
            f"its nodata value is {label}, which is also a class here, so pixels of {label} would have no class.",
            f"In the recipe, say labels_nodata: none where {label} is the class, or labels_nodata: {label} else.",
        )

    def _classes(self) -> frozenset[int]:
        """List the labels that have a class."""
        if self.nonzero:
            return frozenset({0})
        if self.table is None:
            return frozenset(self.legend.codes)
        return frozenset(label for label, code in self.table.items() if code not in {None, self.legend.nodata})

    def _numbers(
        self, labels: npt.NDArray[np.integer], valid: npt.NDArray[np.bool_] | None, where: str
    ) -> npt.NDArray[np.int64]:
        negative = labels < 0 if valid is None else valid & (labels < 0)
        if negative.any():
            number = int(labels[negative][0])
            raise SceneError(
                where,
                f"{number} is no number of an object.",
                f"Say labels_nodata: {number} in the recipe if it means no class.",
            )
        return (labels > 0).astype(np.int64)

    def _code(self, label: int, where: str) -> int:
        assert self.table is not None  # noqa: S101 - asked only where there is one
        if label in self.table:
            code = self.table[label]
            return self.legend.nodata if code is None else code
        if self.others == "refuse":
            known = ", ".join(str(known) for known in sorted(self.table))
            raise UsageError(
                f"{where}: label {label} is none of {known}. Add it to classes, or give others: a code or ignore."
            )
        return self.legend.nodata if self.others == "ignore" else self.others


def class_indices_of(codes: npt.NDArray[np.integer], legend: Legend, where: str) -> U8:
    """Convert codes of a legend to class indices; its nodata becomes ``UNLABELLED``.

    Args:
        codes: (y, x) codes.
        legend: classes, in the order of the class indices.
        where: the file, for the message.

    Returns:
        (y, x) uint8.

    Raises:
        UsageError: a code is not in the legend.
    """
    class_indices = np.full(codes.shape, UNLABELLED, np.uint8)
    known = codes == legend.nodata
    for class_index, code in enumerate(legend.codes):
        here = codes == code
        class_indices[here] = class_index
        known |= here
    if not known.all():
        unknown_codes = np.unique(codes[~known])[:5].tolist()
        raise UsageError(f"{where}: labels {unknown_codes} are no codes of the legend {legend.codes}")
    return class_indices
