"""Residual convolution units and chained residual pooling of RefineNet (Lin et al. 2017).

Source: https://arxiv.org/abs/1611.06612, section 3.2 and figure 3.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class RCU(nn.Module):
    """ReLU, 3x3 convolution, ReLU, 3x3 convolution, added to the input; no norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w) to the same shape."""
        inner = self.second(functional.relu(self.first(functional.relu(x))))
        added: Tensor = x + inner
        return added


class CRP(nn.Module):
    """Pools of 5x5 in a chain, each followed by a convolution, all added to the input after its ReLU."""

    def __init__(self, channels: int, length: int = 4, *, size: int = 3) -> None:
        super().__init__()
        self.links = nn.ModuleList(
            nn.Conv2d(channels, channels, size, padding=size // 2, bias=False) for _ in range(length)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w) to the same shape."""
        total = link = functional.relu(x)
        for convolution in self.links:
            link = convolution(functional.max_pool2d(link, 5, stride=1, padding=2))
            total = total + link
        return total
