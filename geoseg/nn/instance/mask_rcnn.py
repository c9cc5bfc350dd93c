"""Mask R-CNN (He et al. 2017, https://arxiv.org/abs/1703.06870) over torchvision's classes, and networks built on it.

``plain`` is torchvision's first form, ``v2`` its second (Li et al. 2021, https://arxiv.org/abs/2111.11429), ``scoring``
is Mask Scoring R-CNN and ``panet`` PANet, each in a file of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torchvision.models import resnet
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from geoseg.errors import ModelError
from geoseg.nn.instance.contract import Detections, InstanceNetwork, Losses, Target
from geoseg.nn.instance.mask_scoring import MaskScoringHeads
from geoseg.nn.instance.panet import PANetBackbone, PANetBoxHead, PANetMaskHead, PANetMaskPredictor
from geoseg.nn.instance.region_pool import RegionPool
from geoseg.nn.instance.yolact_targets import split_crowd

Form = Literal["plain", "v2", "scoring", "panet"]
Norm = Literal["batch", "frozen"]
_BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_WIDTH = 256
_PROPOSALS, _OBJECTS = 1000, 100
"""Regions of an image by which the cost is measured."""


class RegionNetwork(InstanceNetwork):
    """A network of torchvision's that proposes regions, then finds boxes, classes and masks in them.

    Attributes:
        network: torchvision's, without resizing and normalisation.
    """

    def __init__(self, network: MaskRCNN) -> None:
        super().__init__()
        self.network = network
        self.stride = 32

    @property
    def encoder(self) -> nn.Module:
        """The backbone's ResNet."""
        encoder: nn.Module = self.network.backbone.body
        return encoder

    def forward(
        self, images: Tensor | Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> Losses | list[Detections]:
        """Losses in training with targets, objects otherwise; see ``geoseg.nn.instance.contract``.

        Crowds are left out: their objects count as background.
        """
        network: Any = self.network
        if self.training and targets is not None:
            learnt = []
            for target in targets:
                boxes, labels, masks, _ = split_crowd(target)
                learnt.append({"boxes": boxes, "labels": labels, "masks": masks})
            losses: Losses = network(list(images), learnt)
            return losses
        if self.training:
            raise ModelError("an instance network in training mode needs targets; call eval() first to find objects")
        found: list[Detections] = network(list(images))
        return [{**one, "masks": one["masks"][:, 0]} for one in found]

    def nominal_pass(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run the backbone, the proposals' head and the heads of 1,000 proposals and 100 objects."""
        network: Any = self.network
        levels = network.backbone(x)
        objectness, _ = network.rpn.head(list(levels.values()))
        heads = network.roi_heads
        scores, boxes = heads.box_predictor(heads.box_head(heads.box_roi_pool.blank(_PROPOSALS, levels["0"])))
        pooled = heads.mask_roi_pool.blank(_OBJECTS, levels["0"])
        masks = heads.mask_predictor(heads.mask_head(pooled))
        if isinstance(heads, MaskScoringHeads):
            heads.mask_iou(pooled, masks[:, :1])
        return (*objectness, scores, boxes, masks)


class _ExactAnchors(AnchorGenerator):  # type: ignore[misc] # torchvision has no types
    """Anchors that are not rounded to whole pixels."""

    def generate_anchors(
        self,
        scales: Sequence[float],
        aspect_ratios: Sequence[float],
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> Tensor:
        half = [(side / ratio**0.5 / 2, side * ratio**0.5 / 2) for ratio in aspect_ratios for side in scales]
        return torch.tensor([(-w, -h, w, h) for w, h in half], dtype=dtype, device=device)


class _Unresized(GeneralizedRCNNTransform):  # type: ignore[misc] # torchvision has no types
    """Batches images as they are; torchvision's option to leave them so holds in training only."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(1, 1, [0.0] * in_channels, [1.0] * in_channels)

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        return image, target


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Options that shape the modules; see ``build``."""

    form: Form
    backbone: str
    norm: Norm
    zero_eps: bool
    caffe: bool
    sampling: int
    aligned: bool

    def pool(self, size: int) -> RegionPool:
        return RegionPool(size, sampling=self.sampling, aligned=self.aligned, every_level=self.form == "panet")


def _resnet(in_channels: int, parts: _Parts) -> Any:
    norm = FrozenBatchNorm2d if parts.norm == "frozen" else nn.BatchNorm2d
    body = getattr(resnet, parts.backbone)(weights=None, norm_layer=norm)
    if in_channels != 3:
        body.conv1 = nn.Conv2d(in_channels, 64, 7, 2, padding=3, bias=False)
    for module in body.modules():
        if parts.caffe and isinstance(module, resnet.Bottleneck):
            module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
        if parts.zero_eps and isinstance(module, (nn.BatchNorm2d, FrozenBatchNorm2d)):
            module.eps = 0.0
    return body


def _backbone(in_channels: int, parts: _Parts) -> nn.Module:
    body = _resnet(in_channels, parts)
    layers = {f"layer{stage}": str(stage - 1) for stage in range(1, 5)}
    widths = [body.inplanes // 8 * 2**stage for stage in range(4)]
    if parts.form == "panet":
        return PANetBackbone(body, layers, widths)
    pyramid: nn.Module = BackboneWithFPN(
        body,
        layers,
        widths,
        _WIDTH,
        extra_blocks=LastLevelMaxPool(),
        norm_layer=nn.BatchNorm2d if parts.form == "v2" else None,
    )
    return pyramid


def _heads(classes: int, parts: _Parts, anchors: AnchorGenerator) -> dict[str, object]:
    """Modules of the heads by torchvision's names; those that are left out are its own."""
    heads: dict[str, object] = {"box_roi_pool": parts.pool(7), "mask_roi_pool": parts.pool(14), "num_classes": classes}
    if parts.form == "v2":
        heads["rpn_head"] = RPNHead(_WIDTH, anchors.num_anchors_per_location()[0], conv_depth=2)
        heads["box_head"] = FastRCNNConvFCHead((_WIDTH, 7, 7), [_WIDTH] * 4, [1024], norm_layer=nn.BatchNorm2d)
        heads["mask_head"] = MaskRCNNHeads(_WIDTH, [_WIDTH] * 4, 1, norm_layer=nn.BatchNorm2d)
    elif parts.form == "panet":
        heads["box_head"] = PANetBoxHead(_WIDTH)
        heads["mask_head"] = PANetMaskHead(_WIDTH)
    return heads


def build(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    form: Form = "plain",
    backbone: str = "resnet50",
    norm: Norm = "batch",
    zero_eps: bool = False,
    caffe: bool = False,
    aligned: bool = False,
    sampling: int | None = 2,
    exact_anchors: bool = False,
    anchor_px: Sequence[float] = (32, 64, 128, 256, 512),
    aspects: Sequence[float] = (0.5, 1.0, 2.0),
    min_score: float = 0.05,
    nms_iou: float = 0.5,
    max_objects: int = 100,
    proposals: int = 1000,
    resize: Sequence[int] | None = None,
) -> RegionNetwork:
    """Build a Mask R-CNN, Mask Scoring R-CNN or PANet with random weights.

    Args:
        in_channels: input bands.
        classes: the background counted, so at least 2.
        form: ``plain``, ``v2``, ``scoring`` or ``panet``.
        backbone: a ResNet of torchvision.
        norm: ``frozen`` keeps the backbone's batch normalisation as it was loaded.
        zero_eps: no epsilon in the backbone's normalisation, as torchvision's published weights of 2019 have it.
        caffe: the stride in the first 1x1 convolution of a block (weights that come from Caffe: detectron2's from
            MSRA, maskrcnn-benchmark, PANet).
        aligned: RoIAlign with pixel centres at half pixels, as detectron2 and mmdetection have it.
        sampling: points of RoIAlign a side of a bin; none: as many as the region has pixels (detectron2, mmdetection).
        exact_anchors: anchors of fractions of a pixel (detectron2, mmdetection) in place of rounded ones.
        anchor_px: sides of the anchors at strides 4, 8, 16, 32 and 64.
        aspects: heights over widths of the anchors.
        min_score: least score of an object.
        nms_iou: boxes of one class that overlap more are taken for one object.
        max_objects: most objects of an image.
        proposals: most regions of an image that are looked at.
        resize: least and greatest side that images are resized to, as the authors do (800, 1333); not at all unless
            given.

    Raises:
        ModelError: options that do not go together.
    """
    if classes < 2:
        raise ModelError(f"Mask R-CNN counts the background among its classes and needs 2, not {classes}")
    if form not in get_args(Form) or norm not in get_args(Norm) or backbone not in _BACKBONES:
        raise ModelError(
            f"Mask R-CNN takes the forms {', '.join(get_args(Form))}, the norms {', '.join(get_args(Norm))} and the "
            f"backbones {', '.join(_BACKBONES)}, not {form!r}, {norm!r}, {backbone!r}"
        )
    if len(anchor_px) != 5 or not aspects:
        raise ModelError(f"Mask R-CNN has five levels, so anchor_px needs 5 entries, not {len(anchor_px)}")
    if resize is not None and len(resize) != 2:
        raise ModelError(f"Mask R-CNN: resize takes the least and the greatest side, not {list(resize)}")
    parts = _Parts(
        form=form,
        backbone=backbone,
        norm=norm,
        zero_eps=zero_eps,
        caffe=caffe,
        sampling=sampling or 0,
        aligned=aligned,
    )
    anchors = (_ExactAnchors if exact_anchors else AnchorGenerator)(
        tuple((side,) for side in anchor_px), (tuple(aspects),) * 5
    )
    least, greatest = resize or (800, 1333)
    network = MaskRCNN(
        _backbone(in_channels, parts),
        rpn_anchor_generator=anchors,
        image_mean=[0.0] * in_channels,
        image_std=[1.0] * in_channels,
        min_size=least,
        max_size=greatest,
        rpn_pre_nms_top_n_test=proposals,
        rpn_post_nms_top_n_test=proposals,
        box_score_thresh=min_score,
        box_nms_thresh=nms_iou,
        box_detections_per_img=max_objects,
        **_heads(classes, parts, anchors),
    )
    if resize is None:
        network.transform = _Unresized(in_channels)
    if form == "panet":
        network.roi_heads.mask_predictor = PANetMaskPredictor(_WIDTH, classes)
    if form == "scoring":
        network.roi_heads = MaskScoringHeads(network.roi_heads, _WIDTH, classes)
    return RegionNetwork(network)
