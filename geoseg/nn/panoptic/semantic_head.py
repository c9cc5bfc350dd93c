"""Class maps from a feature pyramid: each level is brought to stride 4, their sum is classified.

Source: Kirillov et al. 2019, Panoptic Feature Pyramid Networks, https://arxiv.org/abs/1901.02446, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn.instance.region_pool import LEVELS


class SemanticHead(nn.Module):
    """Semantic branch of Panoptic FPN.

    Attributes:
        levels: for each level of stride 4 to 32, its convolutions, as many as it is doubled, at least one.
        predictor: classifier of the sum.
    """

    def __init__(self, width: int, inner: int, classes: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        for level in range(len(LEVELS)):
            before = [width] + [inner] * max(0, level - 1)
            self.levels.append(nn.ModuleList(_layer(channels, inner) for channels in before))
        self.predictor = nn.Conv2d(inner, classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def raised(self, maps: Mapping[str, Tensor]) -> list[Tensor]:
        """Bring each level to stride 4, (B, inner, H / 4, W / 4)."""
        found = []
        for level, layers in zip(LEVELS, self.levels, strict=True):
            x = maps[level]
            assert isinstance(layers, nn.ModuleList)  # noqa: S101 - as it was built
            for layer in layers:
                x = layer(x)
                if level != LEVELS[0]:
                    x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            found.append(x)
        return found

    def forward(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Map the levels of the pyramid to logits at stride 4."""
        logits: Tensor = self.predictor(torch.stack(self.raised(maps)).sum(0))
        return logits


def _layer(before: int, after: int) -> nn.Sequential:
    groups = 32 if after % 32 == 0 else 1
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.GroupNorm(groups, after), nn.ReLU())
