"""NumberReader: a network that reads objects off an image of their numbers, exactly or with faults of a real one."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d


class NumberReader(nn.Module):
    """Answers tiles in torchvision's convention: boxes, labels, scores, masks.

    The first two bands are the low and the high byte of the number of each pixel's object, 0 for none. Inputs are
    bytes divided by 255.

    Args:
        areas: (number + 1,) pixels of each object.
        faults: each mask is shifted by up to a pixel and grown or shrunk by one or neither, scores vary, an object of
            which less than a quarter is seen is missed, and so is one in twenty. Faults differ from tile to tile and
            depend on nothing but the tile's pixels.
    """

    def __init__(self, areas: Tensor, *, faults: bool = False) -> None:
        super().__init__()
        self.register_buffer("areas", areas.float())
        self.faults = faults

    def forward(self, tiles: list[Tensor] | Tensor) -> list[dict[str, Tensor]]:
        """Run tiles (band, y, x)."""
        return [self._found((tile[:2] * 255).round().to(torch.int64)) for tile in tiles]

    def _found(self, bands: Tensor) -> dict[str, Tensor]:
        numbers = bands[0] + 256 * bands[1]
        numbers = torch.where((numbers > 0) & (numbers < len(self.areas)), numbers, 0)
        random = torch.Generator().manual_seed(zlib.crc32(numbers.to(torch.int32).numpy().tobytes()))
        masks, boxes, scores = [], [], []
        for number in numbers.unique().tolist():
            if number == 0:
                continue
            mask, score = numbers == number, 0.9
            if self.faults:
                share = float(mask.sum() / self.areas[number])
                chance = torch.rand(3, generator=random)
                moved = torch.randint(-1, 2, (2,), generator=random).tolist()
                if share < 0.25 or chance[0] < 0.05:
                    continue
                mask = _changed(mask, moved, int(3 * chance[1]) - 1)
                score = (0.95 - 0.25 * float(chance[2])) * (0.7 + 0.3 * min(1.0, share))
                if not mask.any():
                    continue
            rows, cols = torch.nonzero(mask, as_tuple=True)
            boxes.append([int(cols.min()), int(rows.min()), int(cols.max()) + 1, int(rows.max()) + 1])
            masks.append(mask)
            scores.append(score)
        return {
            "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            "labels": torch.ones(len(masks), dtype=torch.int64),
            "scores": torch.tensor(scores, dtype=torch.float32),
            "masks": torch.stack(masks)[:, None].float() if masks else torch.zeros(0, 1, *numbers.shape),
        }


def _changed(mask: Tensor, moved: list[int], grown: int) -> Tensor:
    """Shift a mask without wrapping and grow (1), leave (0) or shrink (-1) it by a pixel."""
    shifted = torch.zeros_like(mask)
    (down, right), (rows, cols) = moved, mask.shape
    shifted[max(0, down) : rows + min(0, down), max(0, right) : cols + min(0, right)] = mask[
        max(0, -down) : rows + min(0, -down), max(0, -right) : cols + min(0, -right)
    ]
    if grown == 0:
        return shifted
    plane = shifted.float()[None]
    changed = max_pool2d(plane, 3, 1, 1) if grown > 0 else -max_pool2d(-plane, 3, 1, 1)
    return changed[0] > 0.5
