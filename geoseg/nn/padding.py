"""Mirror padding for inputs of any size, so that a body with a stride never sees a ragged edge."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def _mirrored(size: int, before: int, after: int) -> list[int]:
    if size == 1:
        return [0] * (before + 1 + after)
    period = 2 * (size - 1)
    return [min(i % period, period - i % period) for i in range(-before, size + after)]


def mirror(x: Tensor, rows: tuple[int, int], cols: tuple[int, int]) -> Tensor:
    """Extend an image by its own mirror image, as ``numpy.pad(mode="reflect")`` does for any width.

    Args:
        x: (B, C, H, W).
        rows: pixels added above and below.
        cols: pixels added left and right.
    """
    if not any((*rows, *cols)):
        return x
    height, width = x.shape[-2:]
    if max(rows) < height and max(cols) < width:
        return functional.pad(x, (*cols, *rows), mode="reflect")
    y_index = torch.tensor(_mirrored(height, *rows), device=x.device)
    x_index = torch.tensor(_mirrored(width, *cols), device=x.device)
    return x.index_select(2, y_index).index_select(3, x_index)


class Padded(nn.Module):
    """Run a body at the next multiple of its stride and crop the answer to the input's size.

    Attributes:
        stride: the multiple of pixels that the body works in.
    """

    stride: int

    def __init__(self, body: nn.Module, stride: int) -> None:
        super().__init__()
        self.body = body
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to logits (B, classes, H, W)."""
        height, width = x.shape[-2:]
        padded = mirror(x, (0, -height % self.stride), (0, -width % self.stride))
        logits: Tensor = self.body(padded)
        return logits[..., :height, :width]
