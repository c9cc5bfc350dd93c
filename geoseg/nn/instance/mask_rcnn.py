"""Mask R-CNN (He et al. 2017, https://arxiv.org/abs/1703.06870) over torchvision's classes, and networks built on it.

``plain`` is torchvision's first form, ``v2`` its second (Li et al. 2021, https://arxiv.org/abs/2111.11429), ``scoring``
is Mask Scoring R-CNN, ``panet`` PANet and ``matterport`` that of matterport/Mask_RCNN, each in a file of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
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
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from geoseg.errors import ModelError
from geoseg.nn.instance.contract import Detections, InstanceNetwork, Losses, Target
from geoseg.nn.instance.mask_scoring import MaskScoringHeads
from geoseg.nn.instance.matterport import (
    ConvolvedBoxHead,
    EndPaddedPool,
    Heads,
    ImageTransform,
    ProposalHead,
    ProposalNetwork,
)
from geoseg.nn.instance.panet import PANetBackbone, PANetBoxHead, PANetMaskHead, PANetMaskPredictor
from geoseg.nn.instance.region_pool import CropPool, Pooling, RegionPool
from geoseg.nn.instance.yolact_targets import split_crowd

Form = Literal["plain", "v2", "scoring", "panet", "matterport"]
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
    norm_eps: float
    same_pool: bool
    pooling: Pooling
    nearest_level: bool
    closed_boxes: bool

    def norm_layer(self) -> Any:
        return partial(FrozenBatchNorm2d if self.norm == "frozen" else nn.BatchNorm2d, eps=self.norm_eps)

    def pool(self, size: int) -> RegionPool:
        if self.pooling == "crop" or self.nearest_level or self.closed_boxes:
            return CropPool(
                size,
                pooling=self.pooling,
                sampling=self.sampling,
                aligned=self.aligned,
                nearest_level=self.nearest_level,
                closed_boxes=self.closed_boxes,
            )
        return RegionPool(size, sampling=self.sampling, aligned=self.aligned, every_level=self.form == "panet")


def _resnet(in_channels: int, parts: _Parts) -> Any:
    body = getattr(resnet, parts.backbone)(weights=None, norm_layer=parts.norm_layer())
    if parts.same_pool:
        body.maxpool = EndPaddedPool()
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
    elif parts.form == "matterport":
        heads["rpn_head"] = ProposalHead(_WIDTH, anchors.num_anchors_per_location()[0])
        heads["box_head"] = ConvolvedBoxHead(_WIDTH, 7, parts.norm_layer())
        heads["mask_head"] = MaskRCNNHeads(_WIDTH, [_WIDTH] * 4, 1, norm_layer=parts.norm_layer())
    return heads


def _refuse_unknown(form: str, norm: str, backbone: str, pooling: str) -> None:
    known = (
        ("forms", get_args(Form), form),
        ("norms", get_args(Norm), norm),
        ("backbones", _BACKBONES, backbone),
        ("poolings", get_args(Pooling), pooling),
    )
    for kind, names, name in known:
        if name not in names:
            raise ModelError(f"Mask R-CNN takes the {kind} {', '.join(names)}, not {name!r}")


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
    norm_eps: float = 1e-5,
    same_pool: bool = False,
    pooling: Pooling = "align",
    nearest_level: bool = False,
    closed_boxes: bool = False,
    joint_levels: bool = False,
    candidates: int | None = None,
    rpn_std: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    clamp_deltas: bool = True,
    best_class: bool = False,
    whole_boxes: bool = False,
    multiple_px: int = 32,
) -> RegionNetwork:
    """Build a Mask R-CNN, Mask Scoring R-CNN or PANet with random weights.

    Args:
        in_channels: input bands.
        classes: the background counted, so at least 2.
        form: ``plain``, ``v2``, ``scoring``, ``panet`` or ``matterport`` (wider proposals, heads with normalisation).
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
        norm_eps: epsilon of the backbone's normalisation, and of that of ``matterport``'s heads; Keras has 0.001.
        same_pool: pad the stem's maximum at the end only, as TensorFlow's ``same`` does for even sides.
        pooling: ``align``, or ``crop``: TensorFlow's ``crop_and_resize``.
        nearest_level: regions are read from the level nearest to their size, in place of the next finer one.
        closed_boxes: boxes reach from the first pixel to the last one, and are divided by the image's sides less one.
        joint_levels: the best proposals are those of all levels together, and suppress each other across levels.
        candidates: proposals before suppression; as many as ``proposals`` unless given.
        rpn_std: scales of the proposals' offsets dx, dy, dw, dh.
        clamp_deltas: boxes grow to at most 62.5 times their anchor.
        best_class: a region is an object of its best class only.
        whole_boxes: objects have boxes of whole pixels, into which masks are resized.
        multiple_px: sides of a batch are multiples of it.

    Raises:
        ModelError: options that do not go together.
    """
    if classes < 2:
        raise ModelError(f"Mask R-CNN counts the background among its classes and needs 2, not {classes}")
    _refuse_unknown(form, norm, backbone, pooling)
    if len(rpn_std) != 4:
        raise ModelError(f"Mask R-CNN takes 4 numbers as rpn_std, not {list(rpn_std)}")
    if len(anchor_px) != 5 or not aspects:
        raise ModelError(f"Mask R-CNN has five levels, so anchor_px needs 5 entries, not {len(anchor_px)}")
    if resize is not None and len(resize) != 2:
        raise ModelError(f"Mask R-CNN: resize takes the least and the greatest side, not {list(resize)}")
    changed = pooling == "crop" or nearest_level or closed_boxes or best_class or not clamp_deltas
    if form in ("scoring", "panet") and changed:
        raise ModelError(
            "Mask R-CNN: pooling=crop, nearest_level, closed_boxes, best_class and clamp_deltas=false are not for "
            f"{form}"
        )
    parts = _Parts(
        form=form,
        backbone=backbone,
        norm=norm,
        zero_eps=zero_eps,
        caffe=caffe,
        sampling=sampling or 0,
        aligned=aligned,
        norm_eps=norm_eps,
        same_pool=same_pool,
        pooling=pooling,
        nearest_level=nearest_level,
        closed_boxes=closed_boxes,
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
        rpn_pre_nms_top_n_test=candidates or proposals,
        rpn_post_nms_top_n_test=proposals,
        box_score_thresh=min_score,
        box_nms_thresh=nms_iou,
        box_detections_per_img=max_objects,
        **_heads(classes, parts, anchors),
    )
    network.transform = ImageTransform(
        in_channels,
        None if resize is None else (least, greatest),
        multiple_px=multiple_px,
        closed=closed_boxes,
        whole=whole_boxes,
    )
    if joint_levels or closed_boxes or tuple(rpn_std) != (1.0,) * 4 or not clamp_deltas:
        network.rpn = ProposalNetwork(
            network.rpn, tuple(rpn_std), joint=joint_levels, closed=closed_boxes, clamp=clamp_deltas
        )
    if form == "panet":
        network.roi_heads.mask_predictor = PANetMaskPredictor(_WIDTH, classes)
    if form == "scoring":
        network.roi_heads = MaskScoringHeads(network.roi_heads, _WIDTH, classes)
    elif best_class or closed_boxes or not clamp_deltas:
        network.roi_heads = Heads(network.roi_heads, best_class=best_class, closed=closed_boxes, clamp=clamp_deltas)
    return RegionNetwork(network)
