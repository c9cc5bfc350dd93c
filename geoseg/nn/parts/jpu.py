"""Joint pyramid upsampling: what dilation would have given, from three stages of an undilated backbone.

Source: Wu et al. 2019, FastFCN, https://arxiv.org/abs/1903.11816, section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from geoseg.nn.parts.convolution import convolve, resize

RATES = (1, 2, 4, 8)


def _separable(before: int, after: int, rate: int) -> nn.Sequential:
    """Build a depthwise convolution with a norm but no ReLU, and a 1x1 convolution with both."""
    return nn.Sequential(
        convolve(before, before, 3, dilation=rate, groups=before, relu=False), convolve(before, after, 1)
    )


class JPU(nn.Module):
    """Neck that replaces the coarsest of the feature maps by one at the size of the third last.

    Attributes:
        channels: of that map.
    """

    def __init__(
        self, stages: Sequence[int], width: int = 512, rates: Sequence[int] = RATES, *, align_corners: bool = True
    ) -> None:
        """Make the layers.

        Args:
            stages: channels of the three coarsest maps, finest first.
            width: channels of each branch.
            rates: of the branches.
            align_corners: how the coarser maps are resized.
        """
        super().__init__()
        self.align_corners = align_corners
        self.channels = len(rates) * width
        # coarsest first, as the authors concatenate; mmsegmentation has them the other way round
        self.narrow = nn.ModuleList(convolve(stage, width, 3) for stage in reversed(stages))
        self.dilated = nn.ModuleList(_separable(len(stages) * width, width, rate) for rate in rates)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Replace the last of the maps."""
        coarsest_first = features[-1], features[-2], features[-3]
        narrow = [layer(x) for layer, x in zip(self.narrow, coarsest_first, strict=True)]
        joined = torch.cat([resize(x, narrow[-1], align_corners=self.align_corners) for x in narrow], dim=1)
        return [*features[:-1], torch.cat([branch(joined) for branch in self.dilated], dim=1)]
