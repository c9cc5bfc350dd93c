"""Inputs and outputs that all instance networks share (torchvision's detection convention).

A network is called as ``network(images, targets)``:

- ``images``: (N, C, H, W), or a list of (C, H, W) of different sizes, already normalised. Nothing is resized.
- ``targets``, for training: one mapping an image with ``boxes`` (n, 4) float32 pixels x0, y0, x1, y1; ``labels`` (n,)
  int64 in 1 .. classes - 1 (0 is the background, and ``classes`` counts it); ``masks`` (n, H, W) of 0 and 1; optionally
  ``iscrowd`` (n,) of 0 and 1, regions that do not count as background in training.
- in training with targets it returns named losses; otherwise one dict an image: ``boxes`` (n, 4), ``labels`` (n,),
  ``scores`` (n,) falling, ``masks`` (n, H, W) float32 probabilities over the whole image. A network whose objects share
  no pixel may answer ``numbers`` (H, W) int32 instead of masks: k + 1 where object k is, 0 where none is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError

NUMBERS: Final = "numbers"
"""Name of the numbered pixels that may stand for masks."""

Target = Mapping[str, Tensor]
Detections = dict[str, Tensor]
Losses = dict[str, Tensor]


class InstanceNetwork(nn.Module, ABC):
    """A network that answers with objects.

    Attributes:
        training_only: names of its parts that no prediction uses.
        disjoint: whether it numbers pixels instead of answering masks, so that many tiles at a time take little memory.
        stride: pixels of the image a cell of its coarsest features.
    """

    training_only: ClassVar[tuple[str, ...]] = ()
    disjoint: ClassVar[bool] = False
    stride: int

    @abstractmethod
    def forward(
        self, images: Tensor | Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> Losses | list[Detections]:
        """Losses in training with targets, objects otherwise; see the module."""

    @property
    @abstractmethod
    def encoder(self) -> nn.Module:
        """The part that reads the image, which weights of a classifier fit."""

    @abstractmethod
    def nominal_pass(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run what an image costs, whatever is on it; the cost of a network is measured so.

        Args:
            x: (B, C, H, W).

        Returns:
            Answers of the convolutions.
        """


def stack(images: Tensor | Sequence[Tensor]) -> tuple[Tensor, list[tuple[int, int]]]:
    """Put images of different sizes into one batch, with zeros to the right and below.

    Args:
        images: (N, C, H, W), or (C, H, W) each.

    Returns:
        (N, C, H, W), and the rows and columns of each image.

    Raises:
        ModelError: there is no image.
    """
    if isinstance(images, Tensor):
        height, width = images.shape[-2:]
        return images, [(height, width)] * images.shape[0]
    if not images:
        raise ModelError("an instance network needs at least one image")
    sizes = [(image.shape[-2], image.shape[-1]) for image in images]
    rows, cols = (max(side) for side in zip(*sizes, strict=True))
    padded = [
        functional.pad(image, (0, cols - width, 0, rows - height))
        for image, (height, width) in zip(images, sizes, strict=True)
    ]
    return torch.stack(padded), sizes


def grow_masks(targets: Sequence[Target], size: tuple[int, int]) -> list[Target]:
    """Extend the masks of targets to the size of the batch, with zeros to the right and below."""
    grown: list[Target] = []
    for target in targets:
        rows, cols = (size[0] - target["masks"].shape[-2], size[1] - target["masks"].shape[-1])
        masks = functional.pad(target["masks"], (0, cols, 0, rows)) if rows or cols else target["masks"]
        grown.append({**target, "masks": masks})
    return grown
