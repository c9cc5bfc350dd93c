"""DarkNet-53, the backbone of YOLOv3 (Redmon, Farhadi 2018, https://arxiv.org/abs/1804.02767)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

CHANNELS = (64, 128, 256, 512, 1024)
_BLOCKS = (1, 2, 8, 8, 4)


def _layer(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.LeakyReLU(0.1, inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _layer(width, width // 2, 1)
        self.conv2 = _layer(width // 2, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.conv1(x)) + x
        return out


class DarkNet53(nn.Module):
    """Feature maps of chosen stages, finest first; stage i has stride 2 ** (i + 1) and ``CHANNELS[i]`` channels."""

    def __init__(self, in_channels: int, stages: Sequence[int]) -> None:
        super().__init__()
        self.stem = _layer(in_channels, 32, 3)
        before = 32
        self.stages = nn.ModuleList()
        for width, blocks in zip(CHANNELS, _BLOCKS, strict=True):
            self.stages.append(
                nn.Sequential(_layer(before, width, 3, stride=2), *(_Residual(width) for _ in range(blocks)))
            )
            before = width
        self.chosen = tuple(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (B, C, H, W) to the feature maps of the chosen stages."""
        x = self.stem(x)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self.chosen:
                maps.append(x)
        return maps
