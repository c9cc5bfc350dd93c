"""Context encoding: the whole image as a few learnt codewords, which weigh the channels of every pixel.

Source: Zhang et al. 2018, https://arxiv.org/abs/1803.08904, section 3.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn.parts.auxiliary import Auxiliary
from geoseg.nn.parts.convolution import convolve

_PRESENCE_WEIGHT = 0.2


class Encoding(nn.Module):
    """Sum the residuals of each pixel's features to each codeword, weighted by how near they are."""

    def __init__(self, channels: int, codes: int) -> None:
        super().__init__()
        bound = (channels * codes) ** -0.5
        self.codewords = nn.Parameter(torch.empty(codes, channels).uniform_(-bound, bound))
        self.smoothing = nn.Parameter(torch.empty(codes).uniform_(-1, 0))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w) to (B, codes, channels)."""
        pixels = x.flatten(2).transpose(1, 2)
        # |x - c|^2 and sum a (x - c) multiplied out: no tensor of pixels times codes times channels
        apart = (
            pixels.square().sum(2, keepdim=True)
            - 2 * torch.matmul(pixels, self.codewords.t())
            + self.codewords.square().sum(1)
        )
        shares = (self.smoothing * apart).softmax(dim=2)
        return torch.matmul(shares.transpose(1, 2), pixels) - shares.sum(1)[:, :, None] * self.codewords


class EncHead(nn.Module):
    """A narrowing, channels weighed by the image's code, the classifier; which classes there are, in training."""

    def __init__(self, channels: int, width: int, classes: int, codes: int = 32, *, narrow_px: int = 1) -> None:
        super().__init__()
        self.narrow = convolve(channels, width, narrow_px)
        self.prepare = convolve(width, width, 1)
        self.encoding = Encoding(width, codes)
        self.norm = nn.BatchNorm1d(codes)
        self.weigh = nn.Sequential(nn.Linear(width, width), nn.Sigmoid())
        self.presence = nn.Linear(width, classes)
        self.classify = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1))

    def _code(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.encoding(self.prepare(x)))).mean(1)

    def _logits(self, x: Tensor, code: Tensor) -> Tensor:
        weights = self.weigh(code)[:, :, None, None]
        logits: Tensor = self.classify(functional.relu(x + x * weights))
        return logits

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, channels, h, w) to logits (B, classes, h, w)."""
        x = self.narrow(features)
        return self._logits(x, self._code(x))

    def forward_all(self, features: Tensor) -> tuple[Tensor, tuple[Auxiliary, ...]]:
        """Return the logits, and the presence of each class in the image."""
        x = self.narrow(features)
        code = self._code(x)
        return self._logits(x, code), (Auxiliary(self.presence(code), _PRESENCE_WEIGHT, "presence"),)
