"""TensorMask (Chen et al. 2019, https://arxiv.org/abs/1903.12174): a mask for every place of every level.

The tensor bipyramid: masks of coarser levels have as many more cells as their places are fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import FrozenBatchNorm2d, batched_nms

from geoseg.errors import ModelError
from geoseg.nn.instance.boxes import clip
from geoseg.nn.instance.contract import Detections, InstanceNetwork, Losses, Target, grow_masks, stack
from geoseg.nn.instance.swap_align import swap_align_to_natural
from geoseg.nn.instance.tensor_mask_loss import Places, losses
from geoseg.nn.parts.backbones import ResNetForm, resnet, widths

Norm = Literal["batch", "frozen"]
BOX_WEIGHTS = (1.5, 1.5, 0.75, 0.75)
_LEVELS = 6
_LARGEST = log(1000 / 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorMaskSelection:
    """Rules by which objects are kept.

    Attributes:
        min_score: least score, exclusive.
        nms_iou: boxes of one class that overlap more are taken for one object.
        top_k: candidates of an image.
        max_objects: most objects of an image.
    """

    min_score: float = 0.05
    nms_iou: float = 0.5
    top_k: int = 6000
    max_objects: int = 100


def _tower(before: int, after: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for index in range(4):
        parts += [nn.Conv2d(before if index == 0 else after, after, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*parts)


class TensorMaskBody(nn.Module):
    """Backbone, pyramid with levels at strides 4 to 128, and the heads."""

    def __init__(self, backbone: Any, classes: int, sides: Sequence[int], width: int) -> None:
        super().__init__()
        self.backbone = backbone
        channels = widths(backbone)
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)
        self.halve = nn.ModuleList((nn.Conv2d(channels[-1], width, 3, 2, 1), nn.Conv2d(width, width, 3, 2, 1)))
        self.class_tower = _tower(width, width)
        self.scores = nn.Conv2d(width, len(sides) * (classes - 1), 3, padding=1)
        self.box_tower = _tower(width, width // 2)
        self.offsets = nn.Conv2d(width // 2, len(sides) * 4, 3, padding=1)
        self.mask_tower = _tower(width, width // 2)
        self.fuse = nn.Sequential(nn.Conv2d(width // 2, width // 2, 3, padding=1), nn.ReLU())
        self.masks = nn.ModuleList(nn.Conv2d(width // 2, side**2, 1) for side in sides)
        heads = (self.class_tower, self.scores, self.box_tower, self.offsets, self.mask_tower, self.fuse, self.masks)
        for part in heads:
            for module in part.modules():
                if isinstance(module, nn.Conv2d) and module.bias is not None:
                    nn.init.normal_(module.weight, std=0.01)
                    nn.init.zeros_(module.bias)
        if self.scores.bias is not None:
            nn.init.constant_(self.scores.bias, -log(99))  # a hundredth of the places begin as objects

    def levels(self, x: Tensor) -> list[Tensor]:
        """Map (B, C, H, W) to the six levels, finest first; a level is the mean of its own and the coarser one."""
        maps = self.backbone(x)
        merged: list[Tensor] = []
        for lateral, one in zip(reversed(self.lateral), reversed(maps), strict=True):
            own = lateral(one)
            if merged:
                own = (own + functional.interpolate(merged[0], size=own.shape[-2:], mode="nearest")) / 2
            merged.insert(0, own)
        levels = [smooth(one) for smooth, one in zip(self.smooth, merged, strict=True)]
        sixth = self.halve[0](maps[-1])
        return [*levels, sixth, self.halve[1](sixth.relu())]

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], list[list[Tensor]]]:
        """Map (B, C, H, W) to logits, offsets and masks of each level; masks also of each size of anchor."""
        levels = self.levels(x)
        scores = [self.scores(self.class_tower(level)) for level in levels]
        offsets = [self.offsets(self.box_tower(level)) for level in levels]
        features = [self.mask_tower(level) for level in levels]
        finest = features[0]
        masks = []
        for index, one in enumerate(features):
            raised = one
            if index:
                raised = functional.interpolate(one, scale_factor=2.0**index, mode="bilinear", align_corners=False)
            fused = self.fuse(raised[..., : finest.shape[-2], : finest.shape[-1]] + finest)
            masks.append([swap_align_to_natural(layer(fused), 2**index) for layer in self.masks])
        return scores, offsets, masks


class TensorMask(InstanceNetwork):
    """TensorMask.

    Attributes:
        body: its convolutions.
        selection: which objects are kept; may be replaced.
        anchor_px: sides of the anchors at the finest level.
    """

    selection: TensorMaskSelection

    def __init__(self, body: TensorMaskBody, classes: int, anchor_px: Sequence[int]) -> None:
        super().__init__()
        self.body = body
        self.classes = classes
        self.anchor_px = tuple(anchor_px)
        self.selection = TensorMaskSelection()
        self.stride = 4 * 2 ** (_LEVELS - 1)

    @property
    def encoder(self) -> nn.Module:
        """The backbone."""
        backbone: nn.Module = self.body.backbone
        return backbone

    def nominal_pass(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run what an image costs, whatever is on it."""
        scores, offsets, masks = self.body(x)
        return (*scores, *offsets, *(mask for level in masks for mask in level))

    def forward(
        self, images: Tensor | Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> Losses | list[Detections]:
        """Losses in training with targets, objects otherwise; see ``geoseg.nn.instance.contract``."""
        batch, sizes = stack(images)
        rows, cols = batch.shape[-2:]
        padded = functional.pad(batch, (0, -cols % 32, 0, -rows % 32))
        scores, offsets, masks = self.body(padded)
        places = Places.over([(one.shape[-2], one.shape[-1]) for one in scores], self.anchor_px, batch)
        logits = torch.cat([_rows(one, self.classes - 1) for one in scores], dim=1)
        moves = torch.cat([_rows(one, 4) for one in offsets], dim=1)
        if self.training and targets is not None:
            grown = grow_masks(targets, (padded.shape[-2], padded.shape[-1]))
            return losses((logits, moves, masks), places, grown, BOX_WEIGHTS)
        return [
            self._decode((logits[i], moves[i], [[m[i] for m in level] for level in masks]), places, size)
            for i, size in enumerate(sizes)
        ]

    def _decode(
        self, raw: tuple[Tensor, Tensor, list[list[Tensor]]], places: Places, size: tuple[int, int]
    ) -> Detections:
        logits, moves, masks = raw
        rules = self.selection
        scores = logits.float().sigmoid().flatten()
        index = torch.nonzero(scores > rules.min_score)[:, 0]
        index = index[scores[index].argsort(descending=True, stable=True)[: rules.top_k]]
        kind, place, score = index % (self.classes - 1), index // (self.classes - 1), scores[index]
        boxes = clip(move(places.boxes[place], moves[place].float()), size)
        kept = batched_nms(boxes, score, kind, rules.nms_iou)[: rules.max_objects]
        kept = kept[(boxes[kept, 2:] > boxes[kept, :2]).all(1)]
        pasted = logits.new_zeros((len(kept), *size), dtype=torch.float32)
        for row, chosen in enumerate(place[kept].tolist()):
            level, y, x, anchor = places.rows[chosen].tolist()
            cells = masks[level][anchor][:, y, x].float().sigmoid()
            side = round(len(cells) ** 0.5)
            pasted[row] = paste(cells.reshape(side, side), places.boxes[chosen], size)
        return {"boxes": boxes[kept], "labels": kind[kept] + 1, "scores": score[kept], "masks": pasted}


def _rows(x: Tensor, values: int) -> Tensor:
    """(B, anchors * values, H, W) to (B, H * W * anchors, values)."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)


def move(anchors: Tensor, moves: Tensor) -> Tensor:
    """Move and stretch anchors (n, 4), x0, y0, x1, y1, by a network's answers (n, 4)."""
    weights = moves.new_tensor(BOX_WEIGHTS)
    size = anchors[:, 2:] - anchors[:, :2]
    centre = anchors[:, :2] + size / 2 + moves[:, :2] / weights[:2] * size
    half = torch.exp((moves[:, 2:] / weights[2:]).clamp(max=_LARGEST)) * size / 2
    return torch.cat([centre - half, centre + half], dim=1)


def paste(mask: Tensor, box: Tensor, size: tuple[int, int]) -> Tensor:
    """Lay a mask of a box over an image: bilinear between its cells' centres, 0 outside of the box.

    Args:
        mask: (m, m) probabilities.
        box: (4,) x0, y0, x1, y1 in pixels.
        size: rows and columns of the image.

    Returns:
        (H, W).
    """
    y, x = (torch.arange(side, device=mask.device, dtype=mask.dtype) + 0.5 for side in size)
    across = (x - box[0]) / (box[2] - box[0]) * 2 - 1
    down = (y - box[1]) / (box[3] - box[1]) * 2 - 1
    grid = torch.stack(torch.meshgrid(down, across, indexing="ij")[::-1], dim=-1)
    return functional.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0]


def _freeze(module: nn.Module) -> None:
    """Replace batch normalisation by fixed scales and shifts."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d(child.num_features, eps=child.eps))
        else:
            _freeze(child)


def build(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50",
    norm: Norm = "frozen",
    width: int = 256,
    caffe: bool = False,
    anchor_px: Sequence[int] = (44, 60),
    min_score: float = 0.05,
    nms_iou: float = 0.5,
    max_objects: int = 100,
) -> TensorMask:
    """Build a TensorMask with random weights.

    Args:
        in_channels: input bands.
        classes: the background counted, so at least 2.
        backbone: a ResNet of timm.
        norm: ``frozen`` keeps the backbone's batch normalisation as it was loaded, ``batch`` trains it.
        width: channels of the pyramid; boxes and masks have half as many.
        caffe: the stride in the first 1x1 convolution of a block, as the published weights have it.
        anchor_px: sides of the square anchors at stride 4, multiples of 4; a mask has a cell for each 4 pixels.
        min_score: least score of an object.
        nms_iou: boxes of one class that overlap more are taken for one object.
        max_objects: most objects of an image.

    Raises:
        ModelError: options that do not go together.
    """
    if classes < 2:
        raise ModelError(f"network 'tensormask' counts the background among its classes and needs 2, not {classes}")
    if not anchor_px or any(side % 4 or side < 8 for side in anchor_px) or width % 2:
        raise ModelError(
            f"network 'tensormask' takes an even width and anchor_px in multiples of 4 from 8 on, "
            f"not {width} and {list(anchor_px)}"
        )
    if norm not in get_args(Norm):
        raise ModelError(f"network 'tensormask' takes the norms {', '.join(get_args(Norm))}, not {norm!r}")
    body = resnet(backbone, in_channels, ResNetForm(output_stride=32))
    if norm == "frozen":
        _freeze(body)
    if caffe:
        for block in body.modules():
            if hasattr(block, "conv3") and hasattr(block, "downsample"):
                block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    network = TensorMask(TensorMaskBody(body, classes, [side // 4 for side in anchor_px], width), classes, anchor_px)
    network.selection = TensorMaskSelection(min_score=min_score, nms_iou=nms_iou, max_objects=max_objects)
    return network
