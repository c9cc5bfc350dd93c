"""UNet++ (Zhou et al. 2018, https://arxiv.org/abs/1807.10165): the skips of a U-Net filled with nodes of their own.

Node (i, j) sees all nodes of its level before it and the raised node of the level below. With deep supervision every
node of the first level classifies, and all of them are trained. ``norm="batch", up="bilinear"`` is the usual port.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.auxiliary import Auxiliary
from geoseg.nn.parts.vgg import kaiming


def _node(before: int, width: int, norm: str | None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, width):
        layer = nn.Conv2d(channels, width, 3, padding=1)
        kaiming(layer)
        layers.append(layer)
        if norm == "batch":
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class _UNetPlusPlus(nn.Module):
    def __init__(self, in_channels: int, classes: int, widths: Sequence[int], form: tuple[str | None, str]) -> None:
        super().__init__()
        norm, up = form
        self.depth = len(widths) - 1
        self.nodes = nn.ModuleDict()
        self.rises = nn.ModuleDict()
        for level, width in enumerate(widths):
            self.nodes[f"{level}_0"] = _node(widths[level - 1] if level else in_channels, width, norm)
        for column in range(1, self.depth + 1):
            for level in range(self.depth + 1 - column):
                width, below = widths[level], widths[level + 1]
                if up == "transpose":
                    self.rises[f"{level}_{column}"] = nn.ConvTranspose2d(below, width, 2, stride=2)
                else:
                    self.rises[f"{level}_{column}"] = nn.Upsample(scale_factor=2, mode=up, align_corners=True)
                raised = width if up == "transpose" else below
                self.nodes[f"{level}_{column}"] = _node(column * width + raised, width, norm)
        self.heads = nn.ModuleList()

    def _columns(self, x: Tensor) -> list[Tensor]:
        """Answers of the first level, from the shallowest network to the deepest."""
        column = [self.nodes["0_0"](x)]
        for level in range(1, self.depth + 1):
            column.append(self.nodes[f"{level}_0"](functional.max_pool2d(column[-1], 2)))
        rows = [[value] for value in column]
        for index in range(1, self.depth + 1):
            for level in range(self.depth + 1 - index):
                name = f"{level}_{index}"
                raised = self.rises[name](rows[level + 1][index - 1])
                rows[level].append(self.nodes[name](torch.cat([*rows[level], raised], dim=1)))
        return rows[0][1:]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.heads[-1](self._columns(x)[-1])
        return logits

    def forward_all(self, x: Tensor) -> tuple[Tensor, tuple[Auxiliary, ...]]:
        answers = self._columns(x)[-len(self.heads) :]
        *auxiliary, logits = [head(answer) for head, answer in zip(self.heads, answers, strict=True)]
        return logits, tuple(Auxiliary(one, 1.0) for one in auxiliary)


def build(
    in_channels: int,
    classes: int,
    *,
    widths: Sequence[int] = (32, 64, 128, 256, 512),
    norm: Literal["batch"] | None = None,
    up: Literal["transpose", "bilinear"] = "transpose",
    deep_supervision: bool = True,
) -> Padded:
    """Build a UNet++.

    Args:
        in_channels: input bands.
        classes: output channels.
        widths: channels of each level.
        norm: ``batch``, or None as in the paper.
        up: ``transpose`` as in the paper, or ``bilinear``.
        deep_supervision: a classifier on every node of the first level rather than on the last only; in training
            each weighs as much as the last, whose logits are the answer.

    Raises:
        ModelError: no such norm or upsampling, or fewer than two levels.
    """
    if norm not in ("batch", None) or up not in ("transpose", "bilinear") or len(widths) < 2:
        raise ModelError(
            f"network 'unetplusplus' has norm batch or none, up transpose or bilinear and two or more widths, "
            f"not {norm!r}, {up!r}, {list(widths)}"
        )
    body = _UNetPlusPlus(in_channels, classes, widths, (norm, up))
    for _ in range(body.depth if deep_supervision else 1):
        head = nn.Conv2d(widths[0], classes, 1)
        nn.init.normal_(head.weight, std=0.01)
        body.heads.append(head)
    return Padded(body, stride=2**body.depth)
