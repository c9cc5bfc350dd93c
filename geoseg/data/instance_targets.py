"""Targets of instance networks: boxes, labels and masks of the objects on a chip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from geoseg.core.legend import Legend
from geoseg.data.labelled_scene import UNLABELLED

Target = dict[str, Tensor]

LEAST_PX = 16
"""Objects with fewer pixels in a chip are ignored in training, as is the ground that they cover."""


def label_table(legend: Legend, things: Sequence[int] | None = None) -> Tensor:
    """Return the label of each class index, 0 for the background; (classes,) int64.

    Args:
        legend: the classes.
        things: codes of the classes that have labels; None: all but the background.
    """
    places = {code: place for place, code in enumerate(legend.things if things is None else things, start=1)}
    return torch.tensor([places.get(code, 0) for code in legend.codes], dtype=torch.int64)


def targets_of(class_indices: Tensor, objects: Tensor, table: Tensor) -> list[Target]:
    """Make the target of each chip.

    Args:
        class_indices: (chip, y, x) class indices; ``UNLABELLED`` where there is no label.
        objects: (chip, y, x) numbers of objects, 0 for none.
        table: label of each class index, see ``label_table``.

    Returns:
        Mappings of ``boxes`` (n, 4) float32 x0, y0, x1, y1 in pixels, the outer edges of the masks; ``labels`` (n,)
        int64; ``masks`` (n, y, x) uint8; ``cut`` (n,) bool, True if the object touches the edge of the chip, so that
        there may be more of it; ``iscrowd`` (n,) int64, 1 for regions about which nothing is known.
    """
    return [_target(one.numpy(), two.numpy(), table.numpy()) for one, two in zip(class_indices, objects, strict=True)]


def _target(
    class_indices: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    objects: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    table: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> Target:
    height, width = objects.shape
    masks, boxes, labels, cut, crowd = [], [], [], [], []
    unknown = class_indices == UNLABELLED
    for number, at in enumerate(ndimage.find_objects(objects.astype(np.int32)), start=1):
        if at is None:
            continue
        mask = objects[at] == number
        known = class_indices[at][mask & ~unknown[at]]
        label = int(table[np.bincount(known).argmax()]) if known.size else 0
        if label == 0 or known.size < LEAST_PX:
            unknown[at] |= mask
            continue
        rows, cols = at
        whole = np.zeros((height, width), np.uint8)
        whole[at] = mask
        masks.append(whole)
        boxes.append((cols.start, rows.start, cols.stop, rows.stop))
        labels.append(label)
        cut.append(rows.start == 0 or cols.start == 0 or rows.stop == height or cols.stop == width)
        crowd.append(0)
    regions, _ = ndimage.label(unknown)
    for number, at in enumerate(ndimage.find_objects(regions), start=1):
        rows, cols = at
        masks.append((regions == number).astype(np.uint8))
        boxes.append((cols.start, rows.start, cols.stop, rows.stop))
        labels.append(1)
        cut.append(False)
        crowd.append(1)
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "masks": torch.from_numpy(np.stack(masks)) if masks else torch.zeros((0, height, width), dtype=torch.uint8),
        "cut": torch.tensor(cut, dtype=torch.bool),
        "iscrowd": torch.tensor(crowd, dtype=torch.int64),
    }


def panoptic_targets_of(channels: Tensor, objects: Tensor, legend: Legend) -> list[Target]:
    """Make the target of each chip: things as of ``targets_of``, and ``semantic`` (y, x), the class indices.

    Args:
        channels: (chip, y, x) class indices; ``UNLABELLED`` where there is no label.
        objects: (chip, y, x) numbers of things, 0 for none.
        legend: the classes; the countable ones are things.
    """
    targets = targets_of(channels, objects, label_table(legend, legend.countable))
    return [{**target, "semantic": one} for target, one in zip(targets, channels, strict=True)]


def to_device(targets: Sequence[Target], device: torch.device) -> list[Target]:
    """Move targets to a device."""
    return [{name: value.to(device, non_blocking=True) for name, value in target.items()} for target in targets]
