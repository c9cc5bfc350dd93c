"""matterport/Mask_RCNN: weights of Keras, by the names of its layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from geoseg.errors import ModelError
from geoseg.nn.checkpoints.layout import Layout, Rename

_SOURCE = "matterport/Mask_RCNN"
_NORMS = (
    (r"^conv1$", "bn_conv1"),
    (r"^res(\d[a-z]_branch\w+)$", r"bn\1"),
    (r"^mrcnn_(class|mask)_conv(\d)$", r"mrcnn_\1_bn\2"),
)
"""Convolutions with a bias, and the normalisation that follows."""
_OFFSETS = ("rpn_bbox_pred", "mrcnn_bbox_fc")
_XY_FIRST = (1, 0, 3, 2)
_LISTED = 4


def _prepare(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Change tensors of Keras to torch's forms.

    Kernels get their axes in torch's order; biases before a normalisation become part of its mean; the two logits of
    an anchor, whose softmax is all that the source takes of them, become the sigmoid's one; offsets dy, dx, dh, dw
    become dx, dy, dw, dh.
    """
    changed = {name: _turned(name, tensor) for name, tensor in tensors.items()}
    _fold_biases(changed)
    for kind in ("kernel", "bias"):
        logits = changed.get(f"rpn_class_raw/{kind}")
        if logits is not None and logits.ndim and len(logits) % 2 == 0:
            changed[f"rpn_class_raw/{kind}"] = logits[1::2] - logits[::2]  # object less background
        for layer in _OFFSETS:
            offsets = changed.get(f"{layer}/{kind}")
            if offsets is not None and offsets.ndim and len(offsets) % 4 == 0:
                by_box = offsets.reshape(-1, 4, *offsets.shape[1:])
                changed[f"{layer}/{kind}"] = by_box[:, list(_XY_FIRST)].reshape(offsets.shape)
    return changed


def _turned(name: str, tensor: Tensor) -> Tensor:
    """Kernels of convolutions, (row, column, in, out), transposed ones, (row, column, out, in), and dense layers."""
    if not name.endswith("/kernel"):
        return tensor
    return tensor.permute(*range(tensor.ndim - 1, 1, -1), *range(min(2, tensor.ndim))) if tensor.ndim > 2 else tensor.T


def _fold_biases(tensors: dict[str, Tensor]) -> None:
    missing = []
    for layer in dict.fromkeys(name.rpartition("/")[0] for name in list(tensors)):
        norm = next((re.sub(conv, norm, layer) for conv, norm in _NORMS if re.search(conv, layer)), None)
        if norm is None:
            continue
        bias = tensors.pop(f"{layer}/bias", None)
        mean = tensors.get(f"{norm}/moving_mean")
        if bias is None:
            missing.append(f"{layer}/bias")
        elif mean is not None:
            if mean.shape != bias.shape:
                raise ModelError(
                    f"is of {_SOURCE}, but its {layer}/bias {tuple(bias.shape)} does not fit {norm}/moving_mean "
                    f"{tuple(mean.shape)}"
                )
            tensors[f"{norm}/moving_mean"] = mean - bias
    if missing:
        more = "" if len(missing) <= _LISTED else ", …"
        raise ModelError(f"is of {_SOURCE}, but {len(missing)} are missing: {', '.join(missing[:_LISTED])}{more}")


_RENAMES: tuple[Rename, ...] = (
    (r"^(?!bn|mrcnn_\w+_bn)(\w+)/kernel$", r"\1/weight"),
    (r"^(bn\w+|mrcnn_\w+_bn\d)/gamma$", r"\1/weight"),
    (r"^(bn\w+|mrcnn_\w+_bn\d)/beta$", r"\1/bias"),
    (r"/moving_mean$", "/running_mean"),
    (r"/moving_variance$", "/running_var"),
    *((rf"^(res|bn)(\d){letter}_", rf"\1\2.{i}._") for i, letter in enumerate("abcdefghijklmnopqrstuvw")),
    (r"^res(\d)\.(\d+)\._branch1/", r"backbone.body.layer<\1-1>.\2.downsample.0."),
    (r"^bn(\d)\.(\d+)\._branch1/", r"backbone.body.layer<\1-1>.\2.downsample.1."),
    *(
        (rf"^{ours}(\d)\.(\d+)\._branch2{letter}/", rf"backbone.body.layer<\1-1>.\2.{theirs}{i + 1}.")
        for i, letter in enumerate("abc")
        for ours, theirs in (("res", "conv"), ("bn", "bn"))
    ),
    (r"^conv1/", "backbone.body.conv1."),
    (r"^bn_conv1/", "backbone.body.bn1."),
    *((rf"^fpn_c{i + 2}p{i + 2}/", f"backbone.fpn.inner_blocks.{i}.0.") for i in range(4)),
    *((rf"^fpn_p{i + 2}/", f"backbone.fpn.layer_blocks.{i}.0.") for i in range(4)),
    (r"^rpn_conv_shared/", "rpn.head.conv."),
    (r"^rpn_class_raw/", "rpn.head.cls_logits."),
    (r"^rpn_bbox_pred/", "rpn.head.bbox_pred."),
    (r"^mrcnn_class_conv(\d)/", r"roi_heads.box_head.conv\1."),
    (r"^mrcnn_class_bn(\d)/", r"roi_heads.box_head.bn\1."),
    (r"^mrcnn_class_logits/", "roi_heads.box_predictor.cls_score."),
    (r"^mrcnn_bbox_fc/", "roi_heads.box_predictor.bbox_pred."),
    (r"^mrcnn_mask_conv(\d)/", r"roi_heads.mask_head.<\1-1>.0."),
    (r"^mrcnn_mask_bn(\d)/", r"roi_heads.mask_head.<\1-1>.1."),
    (r"^mrcnn_mask_deconv/", "roi_heads.mask_predictor.conv5_mask."),
    (r"^mrcnn_mask/", "roi_heads.mask_predictor.mask_fcn_logits."),
    (r"^(backbone|rpn|roi_heads)\.", r"network.\1."),
)
_OPTIONS: Mapping[str, object] = {
    "form": "matterport",
    "caffe": True,
    "norm_eps": 1e-3,
    "same_pool": True,
    "pooling": "crop",
    "nearest_level": True,
    "closed_boxes": True,
    "joint_levels": True,
    "candidates": 6000,
    "rpn_std": (0.1, 0.1, 0.2, 0.2),
    "clamp_deltas": False,
    "best_class": True,
    "whole_boxes": True,
    "multiple_px": 64,
    "exact_anchors": True,
    "aspects": (2.0, 1.0, 0.5),  # heights over widths; the source's are widths over heights, in this order
    "min_score": 0.7,
    "nms_iou": 0.3,
}
_DEEPER = r"^res4[g-w]_branch2a/"
MATTERPORT = Layout(
    source=_SOURCE,
    networks={"maskrcnn_r50_fpn": _OPTIONS},
    required=(r"^rpn_class_raw/kernel$", r"^mrcnn_class_logits/kernel$", r"^fpn_c5p5/kernel$", r"^res5a_branch2a/"),
    forbidden=(_DEEPER,),
    renames=_RENAMES,
    classifier="mrcnn_class_logits/kernel",
    scaling="matterport",
    undetectable=("anchor_px", "aspects", "min_score", "nms_iou"),
    prepare=_prepare,
)
MATTERPORT_DEEPER = replace(
    MATTERPORT,
    networks={"maskrcnn_r101_fpn": _OPTIONS},
    required=(*MATTERPORT.required, _DEEPER),
    forbidden=(),
)
LAYOUTS = (MATTERPORT, MATTERPORT_DEEPER)
