"""Parts of PANet (Liu et al. 2018, https://arxiv.org/abs/1803.01534), as its authors trained it: group normalisation.

A path from fine to coarse after the feature pyramid, regions pooled from all levels and joined by their maximum after
the first layer, and masks that a fully connected branch completes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models._utils import IntermediateLayerGetter

_GROUPS = 32
_LEVELS = 4


def _layer(
    before: int, after: int, kernel: int, *, relu: bool = True, stride: int = 1, bias: bool = False
) -> nn.Sequential:
    parts = [nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=bias), nn.GroupNorm(_GROUPS, after)]
    return nn.Sequential(*parts, nn.ReLU()) if relu else nn.Sequential(*parts)


class PANetBackbone(nn.Module):
    """ResNet, feature pyramid from coarse to fine, and the path back from fine to coarse."""

    def __init__(self, body: nn.Module, layers: Mapping[str, str], channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.out_channels = width
        self.body = IntermediateLayerGetter(body, return_layers=dict(layers))
        self.lateral = nn.ModuleList(_layer(c, width, 1, relu=False) for c in channels)
        self.smooth = nn.ModuleList(_layer(width, width, 3, relu=False) for _ in channels)
        self.halve = nn.ModuleList(_layer(width, width, 3, stride=2, bias=True) for _ in channels[1:])
        self.join = nn.ModuleList(_layer(width, width, 3, bias=True) for _ in channels[1:])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Map (B, C, H, W) to the levels at strides 4 to 64 by name, finest first."""
        maps = list(self.body(x).values())
        down: list[Tensor] = []
        for lateral, one in zip(reversed(self.lateral), reversed(maps), strict=True):
            added = lateral(one)
            if down:
                added = added + functional.interpolate(down[0], size=added.shape[-2:], mode="nearest")
            down.insert(0, added)
        finer = [smooth(one) for smooth, one in zip(self.smooth, down, strict=True)]
        up = [finer[0]]
        for halve, join, one in zip(self.halve, self.join, finer[1:], strict=True):
            up.append(join(halve(up[-1]) + one))
        up.append(functional.max_pool2d(up[-1], 1, 2))
        return OrderedDict(zip(("0", "1", "2", "3", "pool"), up, strict=True))


class PANetBoxHead(nn.Module):
    """Four convolutions, the first for each level alone, and one fully connected layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.ModuleList(_layer(width, width, 3) for _ in range(_LEVELS))
        self.rest = nn.Sequential(*(_layer(width, width, 3) for _ in range(3)))
        self.hidden = nn.Linear(width * 7 * 7, 1024)

    def forward(self, pooled: Tensor) -> Tensor:
        """Map (levels, n, C, 7, 7) to (n, 1024)."""
        joined = join_levels(self.first, pooled)
        return functional.relu(self.hidden(self.rest(joined).flatten(1)))


class PANetMaskHead(nn.Module):
    """The convolutional branch, and the fully connected one that separates object from background for any class."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.ModuleList(_layer(width, width, 3) for _ in range(_LEVELS))
        self.shared = nn.Sequential(*(_layer(width, width, 3) for _ in range(2)))
        self.last = _layer(width, width, 3)
        self.raise_ = nn.ConvTranspose2d(width, width, 2, 2)
        self.narrow = nn.Sequential(_layer(width, width, 3), _layer(width, width // 2, 3))
        self.full = nn.Linear(width // 2 * 14 * 14, 28 * 28)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Map (levels, n, C, 14, 14) to (n, C, 28, 28) features and (n, 1, 28, 28) logits of any class."""
        x = self.shared(join_levels(self.first, pooled))
        full = functional.relu(self.full(self.narrow(x).flatten(1)))
        return functional.relu(self.raise_(self.last(x))), full.reshape(-1, 1, 28, 28)


class PANetMaskPredictor(nn.Module):
    """Logits of the masks of each class."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.logits = nn.Conv2d(width, classes, 1)

    def forward(self, branches: tuple[Tensor, Tensor]) -> Tensor:
        """Map the head's branches to (n, classes, 28, 28)."""
        features, full = branches
        logits: Tensor = self.logits(features) + full
        return logits


def join_levels(layers: nn.ModuleList, pooled: Tensor) -> Tensor:
    """Adaptive feature pooling: the maximum over the levels, after a layer of each."""
    joined: Tensor = layers[0](pooled[0])
    for layer, one in zip(list(layers)[1:], pooled[1:], strict=True):
        joined = joined.maximum(layer(one))
    return joined
