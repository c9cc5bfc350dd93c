"""The mask-IoU head of Mask Scoring R-CNN (Huang et al. 2019, https://arxiv.org/abs/1903.00241).

A mask's score is its box's score times the intersection over union that the head expects of the mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss, maskrcnn_loss, project_masks_on_boxes

from geoseg.nn.instance.contract import Losses


class MaskIoUHead(nn.Module):
    """Expected intersection over union of a mask with its object, for each class."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(width + 1, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 2, padding=1),
            nn.ReLU(),
        )
        self.hidden = nn.Sequential(nn.Linear(width * 7 * 7, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU())
        self.iou = nn.Linear(1024, classes)
        for module in self.convolutions:
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.iou.weight, std=0.01)
        nn.init.zeros_(self.iou.bias)

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """Map (n, C, 14, 14) features and (n, 1, 28, 28) masks to (n, classes)."""
        joined = torch.cat([features, functional.max_pool2d(masks, 2)], dim=1)
        expected: Tensor = self.iou(self.hidden(self.convolutions(joined).flatten(1)))
        return expected


class MaskScoringHeads(RoIHeads):  # type: ignore[misc] # torchvision has no types
    """torchvision's heads with the mask-IoU head; ``scores`` are the masks', ``box_scores`` the boxes'."""

    def __init__(self, heads: Any, width: int, classes: int) -> None:
        nn.Module.__init__(self)
        self.__dict__.update({key: value for key, value in vars(heads).items() if key != "training"})
        self.mask_iou = MaskIoUHead(width, classes)

    def forward(
        self,
        features: Mapping[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], Losses]:
        """Find objects in proposed regions, or the losses of training; as torchvision's heads."""
        if self.training and targets is not None:
            return [], self._losses(features, proposals, image_shapes, targets)
        pooled = self.box_roi_pool(features, proposals, image_shapes)
        logits, offsets = self.box_predictor(self.box_head(pooled))
        boxes, scores, labels = self.postprocess_detections(logits, offsets, proposals, image_shapes)
        pooled = self.mask_roi_pool(features, boxes, image_shapes)
        logits = self.mask_predictor(self.mask_head(pooled))
        kind = torch.cat(labels)
        rows = torch.arange(len(kind), device=kind.device)
        masks = logits[rows, kind][:, None].sigmoid()
        expected = self.mask_iou(pooled, masks)[rows, kind] if len(kind) else masks.new_zeros(0)
        sizes = [len(one) for one in boxes]
        found = []
        parts = (boxes, scores, labels, masks.split(sizes), expected.split(sizes))
        for box, score, label, mask, iou in zip(*parts, strict=True):
            order = (score * iou).argsort(descending=True, stable=True)
            one = {"boxes": box, "labels": label, "scores": score * iou, "box_scores": score, "masks": mask}
            found.append({key: value[order] for key, value in one.items()})
        return found, {}

    def _losses(
        self,
        features: Mapping[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]],
    ) -> Losses:
        proposals, matched, labels, aims = self.select_training_samples(proposals, targets)
        pooled = self.box_roi_pool(features, proposals, image_shapes)
        loss_class, loss_box = fastrcnn_loss(*self.box_predictor(self.box_head(pooled)), labels, aims)
        positive = [torch.nonzero(one > 0)[:, 0] for one in labels]
        regions = [boxes[rows] for boxes, rows in zip(proposals, positive, strict=True)]
        objects = [index[rows] for index, rows in zip(matched, positive, strict=True)]
        kinds = torch.cat([one[rows] for one, rows in zip(labels, positive, strict=True)])
        pooled = self.mask_roi_pool(features, regions, image_shapes)
        logits = self.mask_predictor(self.mask_head(pooled))
        masks, truths = [t["masks"] for t in targets], [t["labels"] for t in targets]
        losses = {
            "loss_classifier": loss_class,
            "loss_box_reg": loss_box,
            "loss_mask": maskrcnn_loss(logits, regions, masks, truths, objects),
        }
        if not len(kinds):
            return {**losses, "loss_mask_iou": logits.sum() * 0.0}
        own = logits[torch.arange(len(kinds), device=kinds.device), kinds]
        expected = self.mask_iou(pooled, own.detach().sigmoid()[:, None])
        with torch.no_grad():
            iou = torch.cat(
                [
                    mask_iou_targets(part > 0, boxes, mask[rows])
                    for part, boxes, mask, rows in zip(
                        own.split([len(rows) for rows in objects]), regions, masks, objects, strict=True
                    )
                ]
            )
        chosen = expected[torch.arange(len(kinds), device=kinds.device), kinds]
        return {**losses, "loss_mask_iou": _half_squares(chosen, iou)}


def _half_squares(found: Tensor, aim: Tensor) -> Tensor:
    """Mean of half the squared differences where the aim is above 0."""
    counted = aim > 0
    return 0.5 * ((found - aim) ** 2)[counted].sum() / counted.sum().clamp(min=1)


def mask_iou_targets(predicted: Tensor, boxes: Tensor, masks: Tensor) -> Tensor:
    """Intersection over union of predicted masks with their whole objects, also with what lies outside of the boxes.

    Args:
        predicted: (n, m, m) bool, inside of the boxes.
        boxes: (n, 4).
        masks: (n, H, W) of the objects.

    Returns:
        (n,).
    """
    if not len(boxes):
        return boxes.new_zeros(0)
    side = predicted.shape[-1]
    index = torch.arange(len(boxes), device=boxes.device)
    inside: Tensor = project_masks_on_boxes(masks, boxes, index, side)
    cell = (boxes[:, 2:] - boxes[:, :2]).prod(1) / side**2
    whole = masks.flatten(1).sum(1, dtype=boxes.dtype) / cell.clamp(min=1e-6)
    shared = (predicted * inside).sum((1, 2))
    union = predicted.sum((1, 2)) + torch.maximum(whole, inside.sum((1, 2))) - shared
    ratio: Tensor = shared / union.clamp(min=1)
    return ratio
