"""YOLACT (Bolya et al. 2019, https://arxiv.org/abs/1904.02689): prototype masks, combined for each object.

The published models were trained at 550 x 550 pixels; their anchors are the defaults here, in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.instance import darknet
from geoseg.nn.instance.boxes import Anchors, clip, decode
from geoseg.nn.instance.contract import Detections, InstanceNetwork, Losses, Target, grow_masks, stack
from geoseg.nn.instance.suppression import Selection, Suppression, select
from geoseg.nn.instance.yolact_body import Norm, RawOutputs, Widths, YolactBody
from geoseg.nn.instance.yolact_loss import LossRules, inside, losses
from geoseg.nn.parts.backbones import features, widths

_CHUNK = 64
"""Masks that are assembled at a time."""


class Yolact(InstanceNetwork):
    """YOLACT.

    Attributes:
        body: its convolutions, tensor to tensors; what a runtime exports.
        semantic: logits of the class maps, which only training needs.
        anchors: over an image.
        selection: which detections are kept; may be replaced.
        loss_rules: weights and sampling of the losses; may be replaced.
        stride: pixels of the image a cell of the coarsest level.
    """

    training_only = ("semantic",)
    selection: Selection
    loss_rules: LossRules

    def __init__(self, body: YolactBody, anchors: Anchors, classes: int, width: int) -> None:
        super().__init__()
        self.body = body
        self.semantic = nn.Conv2d(width, classes - 1, 1)
        nn.init.xavier_uniform_(self.semantic.weight)
        if self.semantic.bias is not None:
            nn.init.zeros_(self.semantic.bias)
        self.anchors = anchors
        self.selection = Selection()
        self.loss_rules = LossRules()
        self.stride = anchors.strides[-1]

    def forward(
        self, images: Tensor | Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> Losses | list[Detections]:
        """Losses in training with targets, objects otherwise; see ``geoseg.nn.instance.contract``."""
        batch, sizes = stack(images)
        if self.training and targets is not None:
            levels = self.body.levels(batch)
            size = (batch.shape[-2], batch.shape[-1])
            anchors = self.anchors.over(size, torch.empty((), device=batch.device))
            grown = grow_masks(targets, size)
            return losses(self.body.answers(levels), self.semantic(levels[0]), anchors, grown, self.loss_rules)
        return self.decode(self.body(batch), (batch.shape[-2], batch.shape[-1]), sizes)

    @property
    def encoder(self) -> nn.Module:
        """The backbone."""
        backbone: nn.Module = self.body.backbone
        return backbone

    def nominal_pass(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run what an image costs, whatever is on it."""
        return tuple(self.body(x))

    def decode(
        self, raw: Sequence[Tensor], size: tuple[int, int], sizes: Sequence[tuple[int, int]] | None = None
    ) -> list[Detections]:
        """Turn the body's outputs into objects.

        Args:
            raw: as ``RawOutputs``, from the body or from its export.
            size: rows and columns of the batch.
            sizes: of its images, where they are smaller.
        """
        outputs = RawOutputs(*(tensor.float() for tensor in raw))
        anchors = self.anchors.over(size, outputs.offsets)
        scores = outputs.logits.softmax(-1)[..., 1:]
        return [
            self._decode_one(RawOutputs(*(t[index] for t in outputs)), scores[index], anchors, (size, own))
            for index, own in enumerate(sizes or [size] * len(scores))
        ]

    def _decode_one(
        self, raw: RawOutputs, scores: Tensor, anchors: Tensor, sizes: tuple[tuple[int, int], tuple[int, int]]
    ) -> Detections:
        size, own = sizes
        likely = torch.nonzero(scores.amax(1) > self.selection.min_score)[:, 0]
        boxes = decode(raw.offsets[likely], anchors[likely])
        index, label, score = select(boxes, scores[likely], self.selection)
        chosen = boxes[index]
        masks = assemble_masks(raw.prototypes, raw.coefficients[likely[index]], chosen, size)
        return {
            "boxes": clip(chosen, own),
            "labels": label + 1,
            "scores": score,
            "masks": masks[:, : own[0], : own[1]],
        }


def assemble_masks(prototypes: Tensor, coefficients: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks of objects: sigmoids of combined prototypes, cut at the boxes, then resized.

    Args:
        prototypes: (k, rows, cols).
        coefficients: (n, k).
        boxes: (n, 4) in pixels of the image.
        size: rows and columns of the image.

    Returns:
        (n, H, W) float32 probabilities.
    """
    rows, cols = prototypes.shape[-2:]
    scaled = boxes * boxes.new_tensor([cols / size[1], rows / size[0]] * 2)
    masks = prototypes.new_zeros((len(boxes), *size))
    for first in range(0, len(boxes), _CHUNK):
        part = slice(first, first + _CHUNK)
        small = torch.einsum("nk,kyx->nyx", coefficients[part], prototypes).sigmoid() * inside(
            scaled[part], (rows, cols)
        )
        masks[part] = functional.interpolate(small[None], size, mode="bilinear", align_corners=False)[0]
    return masks


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """The pyramid: its finest and coarsest stride, and its anchors."""

    finest: int
    coarsest: int
    sizes_px: Sequence[float | Sequence[float]]
    aspects: Sequence[float]
    square: bool

    def anchors(self) -> Anchors:
        strides = [2**level for level in range(2, 12) if self.finest <= 2**level <= self.coarsest]
        if len(self.sizes_px) != len(strides):
            raise ModelError(
                f"network 'yolact' has levels of strides {', '.join(map(str, strides))}, so anchor_px needs "
                f"{len(strides)} entries, not {len(self.sizes_px)}"
            )
        each = tuple(tuple(s) if isinstance(s, Sequence) else (s,) for s in self.sizes_px)
        if len({len(s) for s in each}) != 1 or not each[0] or min(min(s) for s in each) <= 0:
            raise ModelError("network 'yolact': every level of anchor_px needs as many positive sizes as the others")
        if not self.aspects or min(self.aspects) <= 0:
            raise ModelError(f"network 'yolact' needs positive aspects, not {list(self.aspects)}")
        return Anchors(strides=tuple(strides), sizes_px=each, aspects=tuple(self.aspects), square=self.square)


def build(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50",
    width: int = 256,
    prototypes: int = 32,
    finest: int = 8,
    coarsest: int = 128,
    anchor_px: Sequence[float | Sequence[float]] = (24, 48, 96, 192, 384),
    aspects: Sequence[float] = (1, 0.5, 2),
    square: bool = True,
    norm: Norm = "none",
    least_negatives: int | None = None,
    min_score: float = 0.05,
    nms_iou: float = 0.5,
    top_k: int = 200,
    max_objects: int = 100,
    suppression: Suppression = "fast",
) -> Yolact:
    """Build a YOLACT with random weights.

    Args:
        in_channels: input bands.
        classes: the background counted, so at least 2.
        backbone: ``darknet53``, or a timm model with features at the strides from ``finest`` to 32.
        width: channels of the pyramid and of the heads.
        prototypes: number of prototype masks.
        finest: stride of the finest level, 4 or 8; the prototypes are twice as fine. 4 suits objects of 10 to 60 px.
        coarsest: stride of the coarsest level, 32, 64, 128 and so on.
        anchor_px: sides of the anchors in pixels, one or several numbers a level.
        aspects: widths over heights of the anchors.
        square: anchors as wide as an aspect asks and as high as wide, as in the published models.
        norm: ``batch`` puts batch normalisation into pyramid and heads, which helps short trainings.
        least_negatives: background anchors that an image teaches at least, so that images without
            objects teach too; none unless given.
        min_score: least score of an object.
        nms_iou: boxes of one class that overlap more are taken for one object.
        top_k: candidates of a class that are compared at all.
        max_objects: most objects of an image.
        suppression: ``fast`` or ``greedy``; see ``geoseg.nn.instance.suppression``.

    Raises:
        ModelError: no such backbone, or options that do not go together.
    """
    if classes < 2:
        raise ModelError(f"network 'yolact' counts the background among its classes and needs 2, not {classes}")
    if finest not in (4, 8) or coarsest not in (32, 64, 128, 256, 512) or norm not in get_args(Norm):
        raise ModelError(
            f"network 'yolact' takes finest 4 or 8, coarsest 32, 64, 128, 256 or 512 and the norms "
            f"{', '.join(get_args(Norm))}, not {finest}, {coarsest}, {norm!r}"
        )
    shape = _Shape(finest=finest, coarsest=coarsest, sizes_px=anchor_px, aspects=aspects, square=square)
    anchors = shape.anchors()
    body, channels = _backbone(backbone, in_channels, finest)
    sizes = Widths(
        features=width,
        prototypes=prototypes,
        classes=classes,
        anchors=anchors.per_cell,
        extra_levels=sum(stride > 32 for stride in anchors.strides),
        norm=norm,
    )
    network = Yolact(YolactBody(body, channels, sizes), anchors, classes, width)
    network.selection = Selection(
        min_score=min_score, nms_iou=nms_iou, top_k=top_k, max_objects=max_objects, suppression=suppression
    )
    network.loss_rules = replace(network.loss_rules, least_negatives=least_negatives or 0)
    return network


def _backbone(name: str, in_channels: int, finest: int) -> tuple[Any, list[int]]:
    stages = [level for level in range(1, 5) if 2 ** (level + 1) >= finest]
    if name == "darknet53":
        return darknet.DarkNet53(in_channels, stages), [darknet.CHANNELS[stage] for stage in stages]
    body = features(name, in_channels)
    reductions = body.feature_info.reduction()
    strides = [2 ** (stage + 1) for stage in stages]
    if not set(strides) <= set(reductions):
        raise ModelError(f"network 'yolact': {name!r} has features at strides {reductions}, not at all of {strides}")
    body = features(name, in_channels, out_indices=tuple(reductions.index(stride) for stride in strides))
    return body, widths(body)
