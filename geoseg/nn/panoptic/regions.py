"""Panoptic networks that propose regions: Panoptic FPN, OANet and AUNet.

All share the pyramid and the heads of Mask R-CNN; they differ in the branch of the class maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.instance import mask_rcnn
from geoseg.nn.instance.contract import Detections, Losses, Target
from geoseg.nn.instance.mask_rcnn import RegionNetwork
from geoseg.nn.instance.region_pool import LEVELS
from geoseg.nn.instance.yolact_targets import split_crowd
from geoseg.nn.panoptic.attention import MaskAttention, ProposalAttention, roi_upsample
from geoseg.nn.panoptic.contract import (
    IGNORED,
    SEMANTIC,
    PanopticNetwork,
    checked_things,
    semantic_targets,
    spread_things,
)
from geoseg.nn.panoptic.merge import visible_masks
from geoseg.nn.panoptic.ranking import SpatialRanking, object_maps, ranking_loss, ranking_scores
from geoseg.nn.panoptic.semantic_head import SemanticHead

Form = Literal["fpn", "oanet", "aunet"]
_WIDTH, _INNER, _STRIDE = 256, 128, 4
_WEIGHTS: Mapping[Form, float] = {"fpn": 0.5, "oanet": 0.25, "aunet": 0.3}
"""Weight of the loss of the class maps beside those of the objects: 0.5 for COCO (Panoptic FPN, section 4.2), 0.25 and
0.3 in the other papers."""

_OVERLAP = 0.5


class RegionPanoptic(PanopticNetwork):
    """Mask R-CNN with a branch for class maps.

    Attributes:
        regions: the network of objects.
        semantic: branch of the class maps; its first class stands for all things, but in OANet, which knows each.
        ranking: OANet's spatial ranking module, None in others.
        by_proposals: AUNet's attention to proposals, one module a level; empty in others.
        by_masks: AUNet's attention to masks; None in others.
        semantic_weight: weight of the loss of the class maps; may be replaced.
        merge_score: objects of at least this score are laid over each other; may be replaced.
    """

    def __init__(self, regions: RegionNetwork, classes: int, things: tuple[int, ...], form: Form) -> None:
        super().__init__()
        self.regions, self.things, self.form, self.stride = regions, things, form, regions.stride
        self.classes = classes
        kinds = classes if form == "oanet" else classes - len(things) + 1
        self.semantic = SemanticHead(_WIDTH, _INNER, kinds)
        self.ranking = SpatialRanking(len(things)) if form == "oanet" else None
        attends = form == "aunet"
        self.by_proposals = nn.ModuleList(ProposalAttention(_WIDTH, _INNER) for _ in LEVELS if attends)
        self.by_masks = MaskAttention(_INNER) if attends else None
        self.semantic_weight, self.merge_score = _WEIGHTS[form], 0.0

    @property
    def encoder(self) -> nn.Module:
        """The backbone's ResNet."""
        return self.regions.encoder

    def nominal_pass(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run what an image costs: Mask R-CNN's nominal pass, and the class maps."""
        network: Any = self.regions.network
        levels = network.backbone(x)
        blank = x.new_zeros((x.shape[0], 1, x.shape[-2] // _STRIDE, x.shape[-1] // _STRIDE))
        ranked = () if self.ranking is None else (self.ranking(blank.expand(-1, len(self.things), -1, -1)),)
        return *self.regions.nominal_pass(x), self._class_maps(levels, blank), *ranked

    def forward(
        self, images: Tensor | Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> Losses | list[Detections]:
        """Losses in training with targets, things and class maps otherwise; see ``geoseg.nn.panoptic.contract``."""
        network: Any = self.regions.network
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        if self.training and targets is None:
            raise ModelError("a panoptic network in training mode needs targets; call eval() first")
        if self.training and targets is not None:
            return self._losses(list(images), targets)
        batch, _ = network.transform(list(images), None)
        levels = network.backbone(batch.tensors)
        proposals, _ = network.rpn(batch, levels, None)
        found, _ = network.roi_heads(levels, proposals, batch.image_sizes, None)
        logits = self._class_maps(levels, self._laid(levels, found))
        found = network.transform.postprocess(found, batch.image_sizes, sizes)
        full = functional.interpolate(logits, scale_factor=float(_STRIDE), mode="bilinear", align_corners=False)
        answers = []
        for one, maps, image, own in zip(found, full, batch.image_sizes, sizes, strict=True):
            cropped = maps[:, : image[0], : image[1]]
            if tuple(image) != own:
                cropped = functional.interpolate(cropped[None], own, mode="bilinear", align_corners=False)[0]
            answers.append(self._parted(one) | {SEMANTIC: self._all_classes(cropped)})
        return answers

    def _class_maps(self, levels: Mapping[str, Tensor], laid: Tensor | None) -> Tensor:
        """Logits of the semantic branch at stride 4."""
        if self.by_masks is None or laid is None:
            answer: Tensor = self.semantic(levels)
            return answer
        head: Any = self.regions.network.rpn.head
        raised = self.semantic.raised(levels)
        attended = []
        for module, level, features in zip(self.by_proposals, LEVELS, raised, strict=True):
            seen = functional.interpolate(
                head.conv(levels[level]), size=features.shape[-2:], mode="bilinear", align_corners=False
            )
            attended.append(module(features, seen))
        size = attended[0].shape[-2:]
        if laid.shape[-2:] != size:
            laid = functional.interpolate(laid, size=size)
        logits: Tensor = self.semantic.predictor(self.by_masks(torch.stack(attended).sum(0), laid))
        return logits

    def _laid(self, levels: Mapping[str, Tensor], found: Sequence[Mapping[str, Tensor]]) -> Tensor | None:
        """Lay the masks of detections onto the map of stride 4."""
        if self.by_masks is None:
            return None
        masks = torch.cat([one["masks"] for one in found])
        rois = torch.cat(
            [
                torch.cat([one["boxes"].new_full((len(one["boxes"]), 1), n), one["boxes"]], 1)
                for n, one in enumerate(found)
            ]
        )
        rows, cols = levels[LEVELS[0]].shape[-2:]
        return roi_upsample(masks, rois, 1 / _STRIDE, (len(found), rows, cols))

    def _all_classes(self, logits: Tensor) -> Tensor:
        if self.form == "oanet":
            return logits
        return spread_things(logits[1:], logits[:1], self.things)

    def _parted(self, one: Mapping[str, Tensor]) -> Detections:
        """Lay the objects of an image over each other, in the order of their scores or ranks."""
        masks, scores, labels = one["masks"][:, 0] >= 0.5, one["scores"], one["labels"]
        chosen = torch.nonzero(scores >= self.merge_score)[:, 0]
        rank = None
        if self.ranking is not None and len(chosen):
            maps = object_maps(masks[chosen], labels[chosen] - 1, len(self.things))
            logits = self.ranking(maps[None])[0]
            rank = ranking_scores(logits, masks[chosen], labels[chosen] - 1)
        kept, seen = visible_masks(masks[chosen], scores[chosen], _OVERLAP, rank)
        kept = chosen[kept]
        order = scores[kept].argsort(descending=True, stable=True)
        kept, seen = kept[order], seen[order]
        return {"boxes": one["boxes"][kept], "labels": labels[kept], "scores": scores[kept], "masks": seen.float()}

    def _losses(self, images: list[Tensor], targets: Sequence[Target]) -> Losses:
        network: Any = self.regions.network
        learnt = []
        for target in targets:
            boxes, labels, masks, _ = split_crowd(target)
            learnt.append({"boxes": boxes, "labels": labels, "masks": masks})
        batch, learnt = network.transform(images, learnt)
        levels = network.backbone(batch.tensors)
        proposals, losses = network.rpn(batch, levels, learnt)
        _, more = network.roi_heads(levels, proposals, batch.image_sizes, learnt)
        logits = self._class_maps(levels, self._taught_masks(levels, batch, learnt))
        size = (batch.tensors.shape[-2], batch.tensors.shape[-1])
        full = functional.interpolate(logits, size, mode="bilinear", align_corners=False)
        truth = self._merged_classes(semantic_targets(targets, size, batch.image_sizes))
        known = (truth != IGNORED).sum().clamp(min=1)
        loss = functional.cross_entropy(full.float(), truth, ignore_index=IGNORED, reduction="sum") / known
        found: Losses = {**losses, **more, "semantic": self.semantic_weight * loss}
        if self.ranking is not None:
            found["ranking"] = self._ranking_loss(learnt, size)
        return found

    def _merged_classes(self, truth: Tensor) -> Tensor:
        """Turn class indices into those of the semantic branch."""
        if self.form == "oanet":
            return truth
        table = torch.full((256,), IGNORED, dtype=torch.int64, device=truth.device)
        stuff = [index for index in range(self.classes) if index not in self.things]
        table[list(self.things)] = 0
        table[stuff] = torch.arange(1, 1 + len(stuff), device=truth.device)
        return table[truth]

    def _taught_masks(self, levels: Mapping[str, Tensor], batch: Any, learnt: Sequence[Target]) -> Tensor | None:
        """Masks that the network sees in the boxes of the labels; no loss of class maps changes the mask head."""
        if self.by_masks is None:
            return None
        heads: Any = self.regions.network.roi_heads
        boxes = [target["boxes"] for target in learnt]
        with torch.no_grad():
            if not sum(len(one) for one in boxes):
                found = [{"boxes": one, "masks": one.new_zeros((0, 1, 28, 28))} for one in boxes]
                return self._laid(levels, found)
            pooled = heads.mask_roi_pool(levels, boxes, batch.image_sizes)
            masks = heads.mask_predictor(heads.mask_head(pooled)).sigmoid()
            labels = torch.cat([target["labels"] for target in learnt])
            masks = masks[torch.arange(len(labels), device=labels.device), labels][:, None]
            parts = masks.split([len(one) for one in boxes])
            return self._laid(levels, [{"boxes": b, "masks": m} for b, m in zip(boxes, parts, strict=True)])

    def _ranking_loss(self, learnt: Sequence[Target], size: tuple[int, int]) -> Tensor:
        """Teach the ranks with the objects of the labels, each grown by up to the reach of the kernels.

        So they overlap as detections do, and what is visible is known.
        """
        assert self.ranking is not None  # noqa: S101 - only OANet has the loss
        maps, masks, labels = [], [], []
        for target in learnt:
            whole = functional.pad(
                target["masks"].float(),
                (0, size[1] - target["masks"].shape[-1], 0, size[0] - target["masks"].shape[-2]),
            )
            reach = 2 * int(torch.randint(0, 4, ())) + 1
            grown = functional.max_pool2d(whole[None], reach, 1, reach // 2)[0] if len(whole) else whole
            kinds = target["labels"] - 1
            maps.append(object_maps(grown, kinds, len(self.things)))
            masks.append(whole)
            labels.append(kinds)
        return ranking_loss(self.ranking(torch.stack(maps)), masks, labels)


def build(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    things: Sequence[int] = (),
    form: Form = "fpn",
    backbone: str = "resnet50",
    norm: mask_rcnn.Norm = "batch",
    caffe: bool = False,
    aligned: bool = True,
    sampling: int | None = None,
    exact_anchors: bool = True,
    anchor_px: Sequence[float] = (32, 64, 128, 256, 512),
    aspects: Sequence[float] = (0.5, 1.0, 2.0),
    min_score: float = 0.05,
    nms_iou: float = 0.5,
    max_objects: int = 100,
    proposals: int = 1000,
    resize: Sequence[int] | None = None,
) -> RegionPanoptic:
    """Build a Panoptic FPN, OANet or AUNet with random weights.

    Args:
        in_channels: input bands.
        classes: all classes, of stuff and things, at least 2.
        things: indices of the classes of things; all but the first unless given.
        form: ``fpn``, ``oanet`` or ``aunet``.
        backbone: a ResNet of torchvision.
        norm: ``frozen`` keeps the backbone's batch normalisation as it was loaded.
        caffe: the stride in the first 1x1 convolution of a block (weights that come from Caffe: detectron2's).
        aligned: RoIAlign with pixel centres at half pixels.
        sampling: points of RoIAlign a side of a bin; none: as many as the region has pixels.
        exact_anchors: anchors of fractions of a pixel in place of rounded ones.
        anchor_px: sides of the anchors at strides 4, 8, 16, 32 and 64.
        aspects: heights over widths of the anchors.
        min_score: least score of an object.
        nms_iou: boxes of one class that overlap more are taken for one object.
        max_objects: most objects of an image.
        proposals: most regions of an image that are looked at.
        resize: least and greatest side that images are resized to; not at all unless given.

    Raises:
        ModelError: options that do not go together.
    """
    if form not in get_args(Form):
        raise ModelError(f"a panoptic network of regions takes the forms {', '.join(get_args(Form))}, not {form!r}")
    chosen = checked_things("panoptic_fpn", classes, things)
    regions = mask_rcnn.build(
        in_channels,
        len(chosen) + 1,
        backbone=backbone,
        norm=norm,
        caffe=caffe,
        aligned=aligned,
        sampling=sampling,
        exact_anchors=exact_anchors,
        anchor_px=anchor_px,
        aspects=aspects,
        min_score=min_score,
        nms_iou=nms_iou,
        max_objects=max_objects,
        proposals=proposals,
        resize=resize,
    )
    return RegionPanoptic(regions, classes, chosen, form)
