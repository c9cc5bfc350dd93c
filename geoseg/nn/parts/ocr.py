"""Object-contextual representations: each pixel's features with those of the object regions it may belong to.

Source: Yuan, Chen, Wang 2020, https://arxiv.org/abs/1909.11065, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from geoseg.nn.parts.convolution import convolve


def gather(features: Tensor, guess: Tensor) -> Tensor:
    """Average features over each class's region, as far as the guess says a pixel belongs to it (equation 2).

    Args:
        features: (B, C, h, w).
        guess: (B, classes, h, w) logits; normalised over the pixels, not over the classes.

    Returns:
        (B, C, classes, 1).
    """
    shares = guess.flatten(2).softmax(dim=2)
    regions = torch.matmul(shares, features.flatten(2).transpose(1, 2))
    return regions.transpose(1, 2).unsqueeze(3)


class ObjectAttention(nn.Module):
    """Answer each pixel with a mixture of the regions, by how alike pixel and region are (equations 3 and 4)."""

    def __init__(self, channels: int, keys: int) -> None:
        super().__init__()
        self.pixel = nn.Sequential(convolve(channels, keys, 1), convolve(keys, keys, 1))
        self.region = nn.Sequential(convolve(channels, keys, 1), convolve(keys, keys, 1))
        self.down = convolve(channels, keys, 1)
        self.up = convolve(keys, channels, 1)
        self.scale = keys**-0.5

    def forward(self, features: Tensor, regions: Tensor) -> Tensor:
        """Map (B, C, h, w) and (B, C, classes, 1) to (B, C, h, w)."""
        query = self.pixel(features).flatten(2).transpose(1, 2)
        key = self.region(regions).flatten(2)
        value = self.down(regions).flatten(2).transpose(1, 2)
        alike = (torch.matmul(query, key) * self.scale).softmax(dim=-1)
        context = torch.matmul(alike, value).transpose(1, 2)
        raised: Tensor = self.up(context.reshape(*context.shape[:2], *features.shape[-2:]))
        return raised


class OCRHead(nn.Module):
    """A 3x3 convolution, the regions of a guess, the attention to them, and the classifier."""

    def __init__(self, channels: int, classes: int, *, width: int, keys: int, bias: bool) -> None:
        """Make the layers.

        Args:
            channels: input channels.
            classes: output channels.
            width: after the first convolution.
            keys: of the attention.
            bias: whether the first convolution has one, as the authors' code has.
        """
        super().__init__()
        self.narrow = convolve(channels, width, 3, bias=bias)
        self.attention = ObjectAttention(width, keys)
        self.merge = convolve(2 * width, width, 1)
        self.classify = nn.Sequential(nn.Dropout2d(0.05), nn.Conv2d(width, classes, 1))

    def forward(self, features: Tensor, guess: Tensor) -> Tensor:
        """Map features (B, channels, h, w) and a guess (B, classes, h, w) to logits (B, classes, h, w)."""
        logits: Tensor = self.classify(self.represent(features, guess))
        return logits

    def represent(self, features: Tensor, guess: Tensor) -> Tensor:
        """Map features and a guess to what the classifier sees, (B, width, h, w)."""
        narrow = self.narrow(features)
        context = self.attention(narrow, gather(narrow, guess))
        merged: Tensor = self.merge(torch.cat([context, narrow], dim=1))
        return merged
