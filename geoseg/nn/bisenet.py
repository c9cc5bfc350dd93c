"""BiSeNet (Yu et al. 2018, https://arxiv.org/abs/1808.00897): a shallow spatial path and a deep context path."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.auxiliary import Auxiliary
from geoseg.nn.parts.backbones import ResNetForm, resnet, widths
from geoseg.nn.parts.convolution import convolve, resize
from geoseg.nn.parts.heads import fcn_head
from geoseg.nn.parts.xception39 import NAME as XCEPTION39
from geoseg.nn.parts.xception39 import Xception39

Form = Literal["authors", "mmseg"]


class _Refinement(nn.Module):
    """Attention refinement module: features weighed by what the whole tile shows."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.narrow = convolve(before, after, 3)
        self.attention = convolve(after, after, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.narrow(x)
        answer: Tensor = x * self.attention(functional.adaptive_avg_pool2d(x, 1)).sigmoid()
        return answer


class _Fusion(nn.Module):
    """Feature fusion module: both paths joined, and weighed likewise."""

    def __init__(self, channels: int, form: Form) -> None:
        super().__init__()
        self.join = convolve(channels, channels, 1)
        self.attention = (
            convolve(channels, channels, 1)
            if form == "mmseg"
            else nn.Sequential(
                nn.Conv2d(channels, channels, 1, bias=False),
                nn.ReLU(inplace=True),
                nn.Conv2d(channels, channels, 1, bias=False),
            )
        )

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        x = self.join(torch.cat([spatial, context], dim=1))
        answer: Tensor = x + x * self.attention(functional.adaptive_avg_pool2d(x, 1)).sigmoid()
        return answer


def _strided(before: int, after: int, size: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, size, stride=2, padding=size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


class _BiSeNet(nn.Module):
    def __init__(
        self, backbone: nn.Module, sizes: tuple[int, int, int, int | None], stages: tuple[int, int], form: Form
    ) -> None:
        super().__init__()
        self.form = form
        self.align_corners = form == "authors"
        self.backbone = backbone
        bands, classes, width, auxiliary_width = sizes
        half = width // 2
        self.spatial = nn.Sequential(
            _strided(bands, half, 7), _strided(half, half, 3), _strided(half, half, 3), convolve(half, width, 1)
        )
        self.whole = convolve(stages[-1], width, 1)
        self.refine = nn.ModuleList(_Refinement(stage, width) for stage in reversed(stages))
        self.smooth = nn.ModuleList(convolve(width, width, 3) for _ in stages)
        self.fuse = _Fusion(2 * width, form)
        hidden, auxiliary = (half, 2 * width) if form == "authors" else (2 * width, half)
        self.head = fcn_head(2 * width, hidden, classes)
        self.sides = nn.ModuleList(fcn_head(width, auxiliary_width or auxiliary, classes) for _ in stages)

    def _raise(self, x: Tensor, like: Tensor) -> Tensor:
        if self.form == "authors":
            return resize(x, like, align_corners=True)
        return functional.interpolate(x, size=like.shape[-2:], mode="nearest")

    def _features(self, x: Tensor) -> list[Tensor]:
        """Features of the context path at strides 16 and 8, and those that both paths make."""
        *_, eighth, sixteenth, last = self.backbone(x)
        above = self.whole(functional.adaptive_avg_pool2d(last, 1)).expand(-1, -1, *last.shape[-2:])
        found = []
        for stage, finer, refine, smooth in zip(
            (last, sixteenth), (sixteenth, eighth), self.refine, self.smooth, strict=True
        ):
            above = smooth(self._raise(refine(stage) + above, finer))
            found.append(above)
        return [*found, self.fuse(self.spatial(x), above)]

    def forward(self, x: Tensor) -> Tensor:
        return resize(self.head(self._features(x)[-1]), x, align_corners=self.align_corners)

    def forward_all(self, x: Tensor) -> tuple[Tensor, tuple[Auxiliary, ...]]:
        *context, last = self._features(x)
        pairs = zip(self.sides, context, strict=True)
        auxiliary = (resize(head(one), x, align_corners=self.align_corners) for head, one in pairs)
        logits = resize(self.head(last), x, align_corners=self.align_corners)
        return logits, tuple(Auxiliary(one, 1.0) for one in auxiliary)


def build(
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet18",
    form: Form = "authors",
    width: int = 128,
    auxiliary_width: int | None = None,
) -> Padded:
    """Build a BiSeNet.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet of the context path, or ``xception39_torchseg``.
        form: ``authors`` (ycszen/TorchSeg): features are raised bilinearly, and the fusion weighs by two convolutions;
            ``mmseg``: by nearest neighbour, and by one with a norm.
        width: channels of the context path.
        auxiliary_width: channels before the classifiers of the auxiliary heads; twice ``width`` unless given, and half
            of it in mmsegmentation's form.

    Raises:
        ModelError: no such backbone or form.
    """
    if form not in get_args(Form):
        raise ModelError(f"network 'bisenet' has the forms {' and '.join(get_args(Form))}, not {form!r}")
    if backbone == XCEPTION39:
        body: Any = Xception39(in_channels)
    else:
        body = resnet(backbone, in_channels, ResNetForm(output_stride=32))
    *_, third, fourth = widths(body)
    return Padded(_BiSeNet(body, (in_channels, classes, width, auxiliary_width), (third, fourth), form), stride=1)
