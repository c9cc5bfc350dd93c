"""PerfectDetector: a network that is right about every object of a scene whose bands are drawn from known objects."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PerfectDetector(nn.Module):
    """Reads objects off its input: each band holds numbers of objects, 0 for none.

    Objects that overlap are in different bands. A tile is answered with all pixels of each object that it shows, under
    torchvision's convention. Made for cards whose bands have mean 0 and standard deviation 1 / 255.

    Args:
        classes: classes of objects; the label of object ``n`` is ``1 + n % classes``.
        scores: score of object ``n`` is ``0.9 - n % scores / (2 * scores)``; 1: all have 0.9.
    """

    def __init__(self, classes: int = 1, scores: int = 1) -> None:
        super().__init__()
        self.classes, self.scores = classes, scores
        self.register_buffer("none", torch.zeros(1))

    def forward(self, tiles: Tensor) -> list[dict[str, Tensor]]:
        """Run tiles (tile, band, y, x)."""
        return [self._found(tile.round().to(torch.int64)) for tile in tiles]

    def _found(self, numbers: Tensor) -> dict[str, Tensor]:
        masks, labels, scores = [], [], []
        for band, plane in enumerate(numbers):
            for value in plane.unique().tolist():
                if value > 0:
                    number = value + 1000 * band
                    masks.append(plane == value)
                    labels.append(1 + number % self.classes)
                    scores.append(0.9 - number % self.scores / (2 * self.scores))
        size = numbers.shape[-2:]
        return {
            "boxes": torch.zeros(len(masks), 4),
            "labels": torch.tensor(labels, dtype=torch.int64),
            "scores": torch.tensor(scores, dtype=torch.float32),
            "masks": torch.stack(masks).float() if masks else torch.zeros(0, *size),
        }
