"""Mirror padding for inputs of any size, so that a body with a stride never sees a ragged edge."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn.parts.auxiliary import Auxiliary, forward_all


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
        stride: the multiple of pixels that the body works in; 1 where it takes any size.
        least: the smallest side that the body takes.
    """

    stride: int
    least: int

    def __init__(self, body: nn.Module, stride: int, *, least: int = 1) -> None:
        super().__init__()
        self.body = body
        self.stride = stride
        self.least = least

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to logits (B, classes, H, W)."""
        height, width = x.shape[-2:]
        logits: Tensor = self.body(self._padded(x))
        return logits[..., :height, :width]

    def forward_all(self, x: Tensor) -> tuple[Tensor, tuple[Auxiliary, ...]]:
        """Map (B, C, H, W) to the logits and to what the auxiliary heads answer, for training."""
        height, width = x.shape[-2:]
        logits, auxiliary = forward_all(self.body, self._padded(x))
        cropped = (a if a.logits.ndim < 4 else a._replace(logits=a.logits[..., :height, :width]) for a in auxiliary)
        return logits[..., :height, :width], tuple(cropped)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade time for memory in training: keep fewer activations of the backbone, compute them again."""
        for module in self.body.modules():
            switch = getattr(module, "set_grad_checkpointing", None)
            if callable(switch):
                switch(enable)

    def _padded(self, x: Tensor) -> Tensor:
        sizes = [-(-max(side, self.least) // self.stride) * self.stride for side in x.shape[-2:]]
        return mirror(x, (0, sizes[0] - x.shape[-2]), (0, sizes[1] - x.shape[-1]))
