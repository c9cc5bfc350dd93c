"""Parts of matterport/Mask_RCNN, a Mask R-CNN in Keras, where they differ from torchvision's; each is an option.

Boxes run from the first pixel to the last one (``closed``) there and are divided by the image's sides less one; all
arithmetic of boxes but that of ``crop_and_resize`` is the same in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import batched_nms, clip_boxes_to_image

from geoseg.nn.instance.contract import Losses

_PROPOSAL_WIDTH, _HIDDEN = 512, 1024
_LEAST_SIDE_PX = 0.5


class EndPaddedPool(nn.Module):
    """The maximum of 3 x 3 pixels at every second one, padded as TensorFlow's ``same``: at the end of even sides."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to half the sides, rounded up."""
        rows, cols = (1 if side % 2 else 0 for side in x.shape[-2:])
        return functional.max_pool2d(functional.pad(x, (cols, 1, rows, 1), value=float("-inf")), 3, 2)


class ProposalHead(nn.Module):
    """Logits and offsets of the anchors of each cell, after a convolution of 512 channels."""

    def __init__(self, width: int, anchors: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, _PROPOSAL_WIDTH, 3, padding=1)
        self.cls_logits = nn.Conv2d(_PROPOSAL_WIDTH, anchors, 1)
        self.bbox_pred = nn.Conv2d(_PROPOSAL_WIDTH, 4 * anchors, 1)
        for layer in (self.conv, self.cls_logits, self.bbox_pred):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type] # they have one

    def forward(self, levels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Map levels (B, C, H, W) to logits (B, anchors, H, W) and offsets (B, 4 anchors, H, W) of each."""
        features = [functional.relu(self.conv(level)) for level in levels]
        return [self.cls_logits(one) for one in features], [self.bbox_pred(one) for one in features]


class ConvolvedBoxHead(nn.Module):
    """Two fully connected layers, written as convolutions, with batch normalisation."""

    def __init__(self, width: int, size: int, norm: Any) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, _HIDDEN, size, bias=False), norm(_HIDDEN)
        self.conv2, self.bn2 = nn.Conv2d(_HIDDEN, _HIDDEN, 1, bias=False), norm(_HIDDEN)

    def forward(self, pooled: Tensor) -> Tensor:
        """Map (n, C, size, size) to (n, 1024)."""
        x = functional.relu(self.bn1(self.conv1(pooled)))
        return functional.relu(self.bn2(self.conv2(x))).flatten(1)


class ClosedAnchorCoder(BoxCoder):  # type: ignore[misc] # torchvision has no types
    """Decodes offsets of closed anchors; targets are offsets of open ones, as the source trains."""

    def decode(self, rel_codes: Tensor, boxes: list[Tensor]) -> Tensor:
        """Boxes of offsets from anchors, both in pixels."""
        decoded: Tensor = super().decode(rel_codes, [box - box.new_tensor([0, 0, 1, 1]) for box in boxes])
        return decoded


class ProposalNetwork(RegionProposalNetwork):  # type: ignore[misc] # torchvision has no types
    """torchvision's, with the ways of matterport/Mask_RCNN.

    Args:
        given: torchvision's network, whose parts are taken over.
        std: scales of offsets dx, dy, dw, dh.
        joint: choose the best and suppress others across all levels; in each level alone otherwise.
        closed: boxes end at their last pixel.
        clamp: limit the growth of an anchor, as torchvision does.
    """

    def __init__(self, given: Any, std: tuple[float, ...], *, joint: bool, closed: bool, clamp: bool) -> None:
        nn.Module.__init__(self)
        self.__dict__.update({key: value for key, value in vars(given).items() if key != "training"})
        self.joint, self.closed = joint, closed
        self.box_coder = (ClosedAnchorCoder if closed else BoxCoder)(tuple(1 / scale for scale in std))
        if not clamp:
            self.box_coder.bbox_xform_clip = float("inf")
        if joint:
            self.min_size = 0.0

    def forward(
        self, images: Any, features: Mapping[str, Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> tuple[list[Tensor], Losses]:
        """Propose regions over the whole batch's size, its padding included; see torchvision's."""
        size = tuple(images.tensors.shape[-2:])
        proposals, losses = super().forward(
            ImageList(images.tensors, [size] * len(images.image_sizes)), features, targets
        )
        return proposals, losses

    def filter_proposals(
        self,
        proposals: Tensor,
        objectness: Tensor,
        image_shapes: list[tuple[int, int]],
        num_anchors_per_level: list[int],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Choose proposals; see torchvision's."""
        counts = [sum(num_anchors_per_level)] if self.joint else num_anchors_per_level
        boxes, scores = super().filter_proposals(proposals, objectness, _last_pixels(image_shapes, self.closed), counts)
        return boxes, scores


class Heads(RoIHeads):  # type: ignore[misc] # torchvision has no types
    """torchvision's, with the ways of matterport/Mask_RCNN.

    Args:
        given: torchvision's heads, whose parts are taken over.
        best_class: a region is of its best class, with at least the least score; otherwise it is one object of each
            class whose score is greater.
        closed: boxes end at their last pixel.
        clamp: limit the growth of a region, as torchvision does.
    """

    def __init__(self, given: Any, *, best_class: bool, closed: bool, clamp: bool) -> None:
        nn.Module.__init__(self)
        self.__dict__.update({key: value for key, value in vars(given).items() if key != "training"})
        self.best_class, self.closed = best_class, closed
        if not clamp:
            self.box_coder.bbox_xform_clip = float("inf")

    def select_training_samples(
        self, proposals: list[Tensor], targets: list[dict[str, Tensor]] | None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], Tensor]:
        """Choose regions to learn from; see torchvision's."""
        if self.closed and targets is not None:
            targets = [{**target, "boxes": _closed(target["boxes"])} for target in targets]
        selected: tuple[list[Tensor], list[Tensor], list[Tensor], Tensor] = super().select_training_samples(
            proposals, targets
        )
        return selected

    def postprocess_detections(
        self,
        class_logits: Tensor,
        box_regression: Tensor,
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Choose objects; see torchvision's."""
        shapes = _last_pixels(image_shapes, self.closed)
        if not self.best_class:
            found: tuple[list[Tensor], list[Tensor], list[Tensor]] = super().postprocess_detections(
                class_logits, box_regression, proposals, shapes
            )
            return found
        sizes = [len(one) for one in proposals]
        score, label = class_logits.softmax(1).max(1)
        rows = torch.arange(len(label), device=label.device)
        boxes = self.box_coder.decode(box_regression, proposals)[rows, label]
        chosen = [
            self._chosen(clip_boxes_to_image(box, shape), values, kinds)
            for box, values, kinds, shape in zip(
                *(torch.split(one, sizes) for one in (boxes, score, label)), shapes, strict=True
            )
        ]
        return [one[0] for one in chosen], [one[1] for one in chosen], [one[2] for one in chosen]

    def _chosen(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = torch.nonzero((labels > 0) & (scores >= self.score_thresh))[:, 0]
        boxes, scores, labels = boxes[rows], scores[rows], labels[rows]
        kept = batched_nms(boxes, scores, labels, self.nms_thresh)[: self.detections_per_img]
        return boxes[kept], scores[kept], labels[kept]


def _last_pixels(shapes: list[tuple[int, int]], closed: bool) -> list[tuple[int, int]]:
    """Greatest coordinates of boxes in images of these rows and columns."""
    return [(rows - 1, cols - 1) for rows, cols in shapes] if closed else shapes


def _closed(boxes: Tensor) -> Tensor:
    """Boxes that end at their last pixel; those of one pixel keep a side, since offsets are logarithms."""
    return torch.cat([boxes[:, :2], torch.maximum(boxes[:, 2:] - 1, boxes[:, :2] + _LEAST_SIDE_PX)], dim=1)


class ImageTransform(GeneralizedRCNNTransform):  # type: ignore[misc] # torchvision has no types
    """Batches images, resized or as they are, and brings objects back to their pixels.

    torchvision's option to leave images as they are holds in training only.

    Args:
        in_channels: bands.
        resize: least and greatest side of the images; None: as they are.
        multiple_px: sides of a batch are multiples of it, with zeros to the right and below.
        closed: boxes end at their last pixel.
        whole: boxes are rounded to whole pixels and masks resized into them, as matterport/Mask_RCNN does; otherwise
            masks lie over boxes of fractions of a pixel.
    """

    def __init__(
        self, in_channels: int, resize: tuple[int, int] | None, *, multiple_px: int, closed: bool, whole: bool
    ) -> None:
        least, greatest = resize or (1, 1)
        zeros, ones = [0.0] * in_channels, [1.0] * in_channels
        super().__init__(least, greatest, zeros, ones, size_divisible=multiple_px)
        self.unresized = resize is None
        self.closed, self.whole = closed, whole

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Resize an image and its objects, if this is asked for."""
        if self.unresized:
            return image, target
        resized: tuple[Tensor, dict[str, Tensor] | None] = super().resize(image, target)
        return resized

    def postprocess(
        self,
        result: list[dict[str, Tensor]],
        image_shapes: list[tuple[int, int]],
        original_image_sizes: list[tuple[int, int]],
    ) -> list[dict[str, Tensor]]:
        """Bring boxes and masks to the images as they were given; boxes are open then."""
        if not self.training and self.whole:
            return [
                self._whole(one, shape, size)
                for one, shape, size in zip(result, image_shapes, original_image_sizes, strict=True)
            ]
        if not self.training and self.closed:
            for one in result:
                one["boxes"] = one["boxes"] + one["boxes"].new_tensor([0, 0, 1, 1])
        finished: list[dict[str, Tensor]] = super().postprocess(result, image_shapes, original_image_sizes)
        return finished

    def _whole(self, found: dict[str, Tensor], shape: tuple[int, int], size: tuple[int, int]) -> dict[str, Tensor]:
        last = int(self.closed)
        scale = [(after - last) / (before - last) for before, after in zip(shape, size, strict=True)][::-1]
        boxes = (found["boxes"] * found["boxes"].new_tensor(scale * 2)).round()
        boxes[:, 2:] += last
        kept = torch.nonzero((boxes[:, 2:] > boxes[:, :2]).all(1))[:, 0]
        found = {key: value[kept] for key, value in {**found, "boxes": boxes}.items()}
        return {**found, "masks": paste_whole(found["masks"], found["boxes"], size)}


def paste_whole(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize masks into boxes of whole pixels, bilinearly, with zeros around them, within the range of each mask.

    Args:
        masks: (n, 1, m, m).
        boxes: (n, 4) x0, y0, x1, y1, whole numbers inside of the image.
        size: rows and columns of the image.

    Returns:
        (n, 1, rows, cols).
    """
    pasted = masks.new_zeros((len(masks), 1, *size))
    for mask, canvas, (x0, y0, x1, y1) in zip(masks, pasted, boxes.to(torch.int64).tolist(), strict=True):
        centres = [(torch.arange(n, device=masks.device) + 0.5) * 2 / n - 1 for n in (y1 - y0, x1 - x0)]
        grid = torch.stack(torch.meshgrid(*centres, indexing="ij")[::-1], dim=-1)[None].to(masks.dtype)
        resized = functional.grid_sample(mask[None], grid, align_corners=False)[0]
        canvas[:, y0:y1, x0:x1] = torch.minimum(torch.maximum(resized, mask.min()), mask.max())
    return pasted
