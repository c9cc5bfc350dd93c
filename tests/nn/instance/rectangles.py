"""Images of bright rectangles on a dark ground, with their boxes, classes and masks."""

from __future__ import annotations

import torch
from torch import Tensor


def draw(count: int, size: tuple[int, int], *, seed: int, bands: int = 3) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """Draw images with one to four rectangles each; class 1 is bright in the first band, class 2 in the last."""
    random = torch.Generator().manual_seed(seed)
    height, width = size
    images = 0.1 * torch.randn(count, bands, height, width, generator=random)
    targets = []
    for image in images:
        number = int(torch.randint(1, 5, (), generator=random))
        masks, labels, boxes = [], [], []
        free = torch.ones(height, width, dtype=torch.bool)
        while len(boxes) < number:
            rows, cols = (int(torch.randint(10, 25, (), generator=random)) for _ in range(2))
            y = int(torch.randint(0, height - rows, (), generator=random))
            x = int(torch.randint(0, width - cols, (), generator=random))
            mask = torch.zeros(height, width, dtype=torch.uint8)
            mask[y : y + rows, x : x + cols] = 1
            if not free[mask.bool()].all():
                number -= 1
                continue
            free[mask.bool()] = False
            label = int(torch.randint(1, 3, (), generator=random))
            image[0 if label == 1 else -1][mask.bool()] += 2.0
            masks.append(mask)
            labels.append(label)
            boxes.append([x, y, x + cols, y + rows])
        targets.append(
            {
                "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
                "labels": torch.tensor(labels, dtype=torch.int64),
                "masks": torch.stack(masks) if masks else torch.zeros(0, height, width, dtype=torch.uint8),
            }
        )
    return images, targets
