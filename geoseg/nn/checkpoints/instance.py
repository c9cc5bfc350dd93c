"""Networks that answer with objects: YOLACT, torchvision, detectron2, mmdetection, maskrcnn-benchmark, PANet."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from geoseg.nn.checkpoints.layout import Layout, Prepare, Rename

_YOLACT: tuple[Rename, ...] = (
    (r"^fpn\.lat_layers\.(\d)\.", r"body.pyramid.lateral.<2-\1>."),
    (r"^fpn\.pred_layers\.(\d)\.", r"body.pyramid.smooth.<2-\1>.0."),
    (r"^fpn\.downsample_layers\.", "body.pyramid.halve."),
    (r"^proto_net\.8\.", "proto_net.7."),
    (r"^proto_net\.10\.", "proto_net.9."),
    (r"^proto_net\.", "body.prototypes."),
    (r"^prediction_layers\.0\.upfeature\.0\.", "body.head.trunk.0."),
    (r"^prediction_layers\.0\.bbox_layer\.", "body.head.offsets."),
    (r"^prediction_layers\.0\.conf_layer\.", "body.head.logits."),
    (r"^prediction_layers\.0\.mask_layer\.", "body.head.coefficients."),
    (r"^semantic_seg_conv\.", "semantic."),
    (r"^backbone\._preconv\.", "body.backbone.stem."),
)
_YOLACT_UNUSED = r"^fpn\.downsample_layers\.[2-9]\.|^backbone\.layer\d"
_YOLACT_HEAD = r"^prediction_layers\.0\.mask_layer\.weight$"
_YOLACT_CLASSES = "prediction_layers.0.conf_layer.weight"
YOLACT = Layout(
    source="dbolya/yolact",
    networks={"yolact_r50": {}, "yolact_r101": {}},
    required=(r"^backbone\.layers\.3\.0\.conv3\.weight$", _YOLACT_HEAD),
    forbidden=(r"conv_offset_mask", r"^maskiou_net"),
    renames=(
        *_YOLACT,
        *((rf"^backbone\.layers\.{i}\.", f"backbone.layer{i + 1}.") for i in range(4)),
        (r"^backbone\.", "body.backbone."),
    ),
    classifier=_YOLACT_CLASSES,
    unused=_YOLACT_UNUSED,
    cells=3,
)
YOLACT_DARKNET = Layout(
    source="dbolya/yolact",
    networks={"yolact_darknet53": {}},
    required=(r"^backbone\._preconv\.0\.weight$", _YOLACT_HEAD),
    renames=(*_YOLACT, (r"^backbone\.layers\.", "body.backbone.stages.")),
    classifier=_YOLACT_CLASSES,
    unused=_YOLACT_UNUSED,
    scaling="unit",
    cells=3,
)

_OLD_TORCHVISION: tuple[Rename, ...] = (
    (r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)$", r"\1.0.\2"),
    (r"^rpn\.head\.conv\.(weight|bias)$", r"rpn.head.conv.0.0.\1"),
    (r"^roi_heads\.mask_head\.mask_fcn(\d)\.", r"roi_heads.mask_head.<\1-1>.0."),
)
_BOX_HEAD = r"^roi_heads\.box_predictor\.cls_score\.weight$"
_BOX_CLASSES = "roi_heads.box_predictor.cls_score.weight"
_INTO: Rename = (r"^", "network.")
TORCHVISION = Layout(
    source="torchvision",
    networks={
        "maskrcnn_r50_fpn": {"zero_eps": True},
        "maskrcnn_r101_fpn": {},
    },
    required=(r"^backbone\.body\.layer4\.0\.conv3\.weight$", r"^roi_heads\.mask_predictor\.", _BOX_HEAD),
    forbidden=(r"^rpn\.head\.conv\.1\.", r"^roi_heads\.mask_iou"),
    renames=(*_OLD_TORCHVISION, _INTO),
    classifier=_BOX_CLASSES,
    unused=r"num_batches_tracked$",
    undetectable=("zero_eps",),
)
TORCHVISION_V2 = Layout(
    source="torchvision",
    networks={"maskrcnn_r50_fpn_v2": {}},
    required=(r"^backbone\.body\.layer4\.0\.conv3\.weight$", r"^roi_heads\.mask_predictor\.", r"^rpn\.head\.conv\.1\."),
    renames=(_INTO,),
    classifier=_BOX_CLASSES,
)


def background_first(scores: str, boxes: str, masks: str) -> Prepare:
    """Turn the order of classes: the background, that detectron2 has last, first; boxes and masks have none of it."""

    def prepare(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        turned = dict(tensors)
        for name, tensor in tensors.items():
            if not tensor.ndim:
                continue
            if name.startswith(scores):
                turned[name] = torch.cat([tensor[-1:], tensor[:-1]])
            elif name.startswith(boxes):
                turned[name] = torch.cat([tensor.new_zeros(4, *tensor.shape[1:]), tensor])
            elif name.startswith(masks):
                turned[name] = torch.cat([tensor.new_zeros(1, *tensor.shape[1:]), tensor])
        return turned

    return prepare


_DETECTRON2_STEM: tuple[Rename, ...] = (
    (r"^backbone\.bottom_up\.stem\.conv1\.norm\.", "backbone.body.bn1."),
    (r"^backbone\.bottom_up\.stem\.conv1\.", "backbone.body.conv1."),
    (r"^backbone\.bottom_up\.res(\d)\.", r"backbone.body.layer<\1-1>."),
    (r"(backbone\.body\.layer.*)\.conv(\d)\.norm\.", r"\1.bn\2."),
    (r"\.shortcut\.norm\.", ".downsample.1."),
    (r"\.shortcut\.", ".downsample.0."),
    (r"^backbone\.fpn_lateral(\d)\.", r"backbone.fpn.inner_blocks.<\1-2>.0."),
    (r"^backbone\.fpn_output(\d)\.", r"backbone.fpn.layer_blocks.<\1-2>.0."),
)
_LAST: Mapping[str, object] = {"aligned": True, "sampling": None, "exact_anchors": True}
_MSRA: Mapping[str, object] = {**_LAST, "caffe": True}
DETECTRON2 = Layout(
    source="detectron2",
    networks={"maskrcnn_r50_fpn": _MSRA, "maskrcnn_r101_fpn": _MSRA},
    required=(
        r"^backbone\.bottom_up\.res5\.0\.conv3\.weight$",
        r"^backbone\.fpn_lateral2\.",
        r"^roi_heads\.mask_head\.mask_fcn1\.",
    ),
    forbidden=(r"^sem_seg_head\.",),
    renames=(
        *_DETECTRON2_STEM,
        (r"^proposal_generator\.rpn_head\.conv\.", "rpn.head.conv.0.0."),
        (r"^proposal_generator\.rpn_head\.objectness_logits\.", "rpn.head.cls_logits."),
        (r"^proposal_generator\.rpn_head\.anchor_deltas\.", "rpn.head.bbox_pred."),
        (r"^roi_heads\.box_head\.fc1\.", "roi_heads.box_head.fc6."),
        (r"^roi_heads\.box_head\.fc2\.", "roi_heads.box_head.fc7."),
        (r"^roi_heads\.mask_head\.mask_fcn(\d)\.", r"roi_heads.mask_head.<\1-1>.0."),
        (r"^roi_heads\.mask_head\.deconv\.", "roi_heads.mask_predictor.conv5_mask."),
        (r"^roi_heads\.mask_head\.predictor\.", "roi_heads.mask_predictor.mask_fcn_logits."),
        _INTO,
    ),
    classifier=_BOX_CLASSES,
    unused=r"^pixel_(mean|std)$|anchor_generator|num_batches_tracked$",
    scaling="caffe",
    bgr=True,
    undetectable=("caffe",),
    prepare=background_first(
        "roi_heads.box_predictor.cls_score.", "roi_heads.box_predictor.bbox_pred.", "roi_heads.mask_head.predictor."
    ),
)
MMDETECTION = Layout(
    source="mmdetection",
    networks={"maskrcnn_r50_fpn": _LAST, "maskrcnn_r101_fpn": _LAST},
    required=(
        r"^backbone\.layer4\.0\.conv3\.weight$",
        r"^neck\.lateral_convs\.",
        r"^roi_head\.mask_head\.conv_logits\.",
    ),
    forbidden=(r"^roi_head\.mask_iou_head\.", r"^roi_head\.bbox_head\.0\.", r"conv_offset", r"^semantic_head\."),
    renames=(
        (r"^backbone\.", "backbone.body."),
        (r"^neck\.lateral_convs\.(\d)\.conv\.", r"backbone.fpn.inner_blocks.\1.0."),
        (r"^neck\.fpn_convs\.(\d)\.conv\.", r"backbone.fpn.layer_blocks.\1.0."),
        (r"^rpn_head\.rpn_conv\.", "rpn.head.conv.0.0."),
        (r"^rpn_head\.rpn_cls\.", "rpn.head.cls_logits."),
        (r"^rpn_head\.rpn_reg\.", "rpn.head.bbox_pred."),
        (r"^roi_head\.bbox_head\.shared_fcs\.0\.", "roi_heads.box_head.fc6."),
        (r"^roi_head\.bbox_head\.shared_fcs\.1\.", "roi_heads.box_head.fc7."),
        (r"^roi_head\.bbox_head\.fc_cls\.", "roi_heads.box_predictor.cls_score."),
        (r"^roi_head\.bbox_head\.fc_reg\.", "roi_heads.box_predictor.bbox_pred."),
        (r"^roi_head\.mask_head\.convs\.(\d)\.conv\.", r"roi_heads.mask_head.\1.0."),
        (r"^roi_head\.mask_head\.upsample\.", "roi_heads.mask_predictor.conv5_mask."),
        (r"^roi_head\.mask_head\.conv_logits\.", "roi_heads.mask_predictor.mask_fcn_logits."),
        _INTO,
    ),
    classifier="roi_head.bbox_head.fc_cls.weight",
    unused=r"num_batches_tracked$",
    prepare=background_first(
        "roi_head.bbox_head.fc_cls.", "roi_head.bbox_head.fc_reg.", "roi_head.mask_head.conv_logits."
    ),
    undetectable=("caffe",),
)
_BENCHMARK: tuple[Rename, ...] = (
    (r"^backbone\.body\.stem\.", "backbone.body."),
    (r"^backbone\.fpn\.fpn_inner(\d)\.", r"backbone.fpn.inner_blocks.<\1-1>.0."),
    (r"^backbone\.fpn\.fpn_layer(\d)\.", r"backbone.fpn.layer_blocks.<\1-1>.0."),
    (r"^rpn\.head\.conv\.", "rpn.head.conv.0.0."),
    (r"^roi_heads\.box\.feature_extractor\.", "roi_heads.box_head."),
    (r"^roi_heads\.box\.predictor\.", "roi_heads.box_predictor."),
    (r"^roi_heads\.mask\.feature_extractor\.mask_fcn(\d)\.", r"roi_heads.mask_head.<\1-1>.0."),
    (r"^roi_heads\.mask\.predictor\.", "roi_heads.mask_predictor."),
    *(
        (rf"^roi_heads\.maskiou\.feature_extractor\.maskiou_fcn{i + 1}\.", f"roi_heads.mask_iou.convolutions.{2 * i}.")
        for i in range(4)
    ),
    *(
        (rf"^roi_heads\.maskiou\.feature_extractor\.maskiou_fc{i + 1}\.", f"roi_heads.mask_iou.hidden.{2 * i}.")
        for i in range(2)
    ),
    (r"^roi_heads\.maskiou\.predictor\.maskiou\.", "roi_heads.mask_iou.iou."),
    _INTO,
)
_NO_EPS: Mapping[str, object] = {"caffe": True, "zero_eps": True}
_BENCHMARK_REQUIRED = (r"^backbone\.body\.stem\.conv1\.weight$", r"^roi_heads\.mask\.predictor\.mask_fcn_logits\.")
_BENCHMARK_UNUSED = r"anchor_generator|num_batches_tracked$"
BENCHMARK = Layout(
    source="maskrcnn-benchmark",
    networks={"maskrcnn_r50_fpn": _NO_EPS, "maskrcnn_r101_fpn": _NO_EPS},
    required=_BENCHMARK_REQUIRED,
    forbidden=(r"^roi_heads\.maskiou\.",),
    renames=_BENCHMARK,
    classifier="roi_heads.box.predictor.cls_score.weight",
    unused=_BENCHMARK_UNUSED,
    scaling="caffe",
    bgr=True,
)
MASK_SCORING = Layout(
    source="zjhuang22/maskscoring_rcnn",
    networks={"maskscoring_r50": _NO_EPS, "maskscoring_r101": _NO_EPS},
    required=(*_BENCHMARK_REQUIRED, r"^roi_heads\.maskiou\.predictor\."),
    renames=_BENCHMARK,
    classifier="roi_heads.box.predictor.cls_score.weight",
    unused=_BENCHMARK_UNUSED,
    scaling="caffe",
    bgr=True,
)


def _with_statistics(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add the statistics by which a normalisation does nothing but scale and shift, as the source's layers do."""
    added = dict(tensors)
    for name, tensor in tensors.items():
        norm = re.match(r"(Conv_Body\.conv_body\.res.*(?:bn\d|downsample\.1))\.weight$", name)
        if norm:
            added[f"{norm[1]}.running_mean"] = torch.zeros_like(tensor)
            added[f"{norm[1]}.running_var"] = torch.full_like(tensor, 1 - 1e-5)  # to which torch adds its 1e-5
    return added


PANET = Layout(
    source="ShuLiu1993/PANet",
    networks={"panet_r50": {"caffe": True}},
    required=(r"^Conv_Body\.panet_buttomup_conv1_modules\.0\.0\.weight$", r"^Mask_Head\.mask_conv5_fc\."),
    renames=(
        (r"^Conv_Body\.conv_body\.res1\.", "backbone.body."),
        (r"^Conv_Body\.conv_body\.res(\d)\.", r"backbone.body.layer<\1-1>."),
        (r"^Conv_Body\.conv_top\.", "backbone.lateral.3."),
        (r"^Conv_Body\.topdown_lateral_modules\.(\d)\.conv_lateral\.", r"backbone.lateral.<2-\1>."),
        (r"^Conv_Body\.posthoc_modules\.(\d)\.", r"backbone.smooth.<3-\1>."),
        (r"^Conv_Body\.panet_buttomup_conv1_modules\.", "backbone.halve."),
        (r"^Conv_Body\.panet_buttomup_conv2_modules\.", "backbone.join."),
        (r"^RPN\.FPN_RPN_conv\.", "rpn.head.conv.0.0."),
        (r"^RPN\.FPN_RPN_cls_score\.", "rpn.head.cls_logits."),
        (r"^RPN\.FPN_RPN_bbox_pred\.", "rpn.head.bbox_pred."),
        (r"^Box_Head\.conv1_head\.", "roi_heads.box_head.first."),
        *(
            (rf"^Box_Head\.convs\.{3 * i + j}\.", f"roi_heads.box_head.rest.{i}.{j}.")
            for i in range(3)
            for j in range(2)
        ),
        (r"^Box_Head\.fc\.", "roi_heads.box_head.hidden."),
        (r"^Box_Outs\.", "roi_heads.box_predictor."),
        (r"^Mask_Head\.mask_conv1\.", "roi_heads.mask_head.first."),
        *(
            (rf"^Mask_Head\.conv_fcn\.{3 * i + j}\.", f"roi_heads.mask_head.shared.{i}.{j}.")
            for i in range(2)
            for j in range(2)
        ),
        (r"^Mask_Head\.mask_conv4\.", "roi_heads.mask_head.last."),
        (r"^Mask_Head\.mask_conv4_fc\.", "roi_heads.mask_head.narrow.0."),
        (r"^Mask_Head\.mask_conv5_fc\.", "roi_heads.mask_head.narrow.1."),
        (r"^Mask_Head\.mask_fc\.0\.", "roi_heads.mask_head.full."),
        (r"^Mask_Head\.upconv\.", "roi_heads.mask_head.raise_."),
        (r"^Mask_Outs\.classify\.", "roi_heads.mask_predictor.logits."),
        _INTO,
    ),
    classifier="Box_Outs.cls_score.weight",
    scaling="caffe",
    bgr=True,
    prepare=_with_statistics,
)

LAYOUTS = (
    YOLACT,
    YOLACT_DARKNET,
    TORCHVISION,
    TORCHVISION_V2,
    DETECTRON2,
    MMDETECTION,
    BENCHMARK,
    MASK_SCORING,
    PANET,
)
