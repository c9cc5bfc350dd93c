"""UPerNet's decoder (Xiao et al. 2018, https://arxiv.org/abs/1807.10221), and the pyramid that a plain ViT lacks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from geoseg.nn.parts.convolution import convolve, resize
from geoseg.nn.parts.ppm import PPM


class Pyramid(nn.Module):
    """Four maps of one stride, raised fourfold, raised twofold, kept, and halved (Li et al. 2021, section 3.2).

    Args:
        channels: of each map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            (
                nn.Sequential(
                    nn.ConvTranspose2d(channels, channels, 2, stride=2),
                    nn.BatchNorm2d(channels),
                    nn.GELU(),
                    nn.ConvTranspose2d(channels, channels, 2, stride=2),
                ),
                nn.ConvTranspose2d(channels, channels, 2, stride=2),
                nn.Identity(),
                nn.MaxPool2d(2, ceil_mode=True),
            )
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Map four maps of one size to a pyramid, finest first."""
        return [step(x) for step, x in zip(self.steps, maps, strict=True)]


class UPerNeck(nn.Module):
    """Pyramid pooling of the coarsest map, joined to the finer ones from above, and all of them together.

    Args:
        channels: of the maps, finest first.
        width: of the decoder.
        bins: cells on each side of the pooling's levels.
        align_corners: how maps are resized.
    """

    def __init__(
        self, channels: Sequence[int], width: int, *, bins: Sequence[int] = (1, 2, 3, 6), align_corners: bool = False
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        pool = PPM(channels[-1], width, bins, align_corners=align_corners)
        self.top = nn.Sequential(pool, convolve(pool.channels, width, 3))
        self.narrow = nn.ModuleList(convolve(each, width, 1) for each in channels[:-1])
        self.smooth = nn.ModuleList(convolve(width, width, 3) for _ in channels[:-1])
        self.fuse = convolve(len(channels) * width, width, 3)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Map four maps, finest first, to themselves and the fused one."""
        above = self.top(maps[-1])
        found = [above]
        joined = []
        for narrow, x in zip(reversed(self.narrow), reversed(maps[:-1]), strict=True):
            side = narrow(x)
            above = side + self._resize(above, side)
            joined.append(above)
        found += [smooth(x) for smooth, x in zip(reversed(self.smooth), joined, strict=True)]
        finest = found[-1]
        return [*maps, self.fuse(torch.cat([self._resize(x, finest) for x in reversed(found)], dim=1))]

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        return resize(x, like, align_corners=self.align_corners)


class UNeck(nn.Module):
    """U-Net's way up: each map joined to the finer one by two convolutions.

    Args:
        channels: of the maps, finest first.
        widths: of the joins, from the coarsest to the finest.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        below = channels[-1]
        self.merge = nn.ModuleList()
        for skip, width in zip(reversed(channels[:-1]), widths, strict=True):
            self.merge.append(nn.Sequential(convolve(below + skip, width, 3), convolve(width, width, 3)))
            below = width

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Map four maps, finest first, to themselves and the finest join."""
        x = maps[-1]
        for merge, skip in zip(self.merge, reversed(maps[:-1]), strict=True):
            x = merge(torch.cat([resize(x, skip), skip], dim=1))
        return [*maps, x]
