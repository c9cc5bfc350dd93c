"""Panoptic FPN with detectron2's weights answers as detectron2; weights of mmdetection find their places."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from published_weights import drawn, pixels
from reference_inputs import REGIONS, noise, sample
from torch import Tensor
from torch.nn import functional

from geoseg.nn import build
from geoseg.nn.checkpoints import fit, strip_wrapper

REFERENCE = Path(__file__).parent / "panoptic" / "references" / "panoptic_fpn_r50.npz"
"""Written by ``make_panoptic_reference.py``."""


def test_it_answers_as_detectron2() -> None:
    with np.load(REFERENCE) as file:
        lines = [line.split() for line in str(file["tensors"]).splitlines()]
        expected = file["answers"]
    fitted = fit("panoptic_fpn_r50", strip_wrapper({"model": drawn({key: tuple(map(int, s)) for key, *s in lines})}))
    network: Any = fitted.network
    regions = network.regions.network
    heads = regions.roi_heads
    with torch.no_grad():
        levels = regions.backbone(pixels(64, 96).flip(1))  # detectron2's bands are blue, green, red
        semantic = functional.interpolate(
            network.semantic(levels), scale_factor=4.0, mode="bilinear", align_corners=False
        )
        objectness, _ = regions.rpn.head([levels["0"]])
        scores, boxes = heads.box_predictor(heads.box_head(noise(REGIONS, 256, 7, 7, seed=7)))
        masks = heads.mask_predictor(heads.mask_head(noise(REGIONS, 256, 14, 14, seed=8)))
    # there the background comes last, and has no box and no mask
    scores, boxes, masks = torch.cat([scores[:, 1:], scores[:, :1]], 1), boxes[:, 4:], masks[:, 1:]
    found = sample([*levels.values(), semantic, objectness[0], scores, boxes, masks])
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * float(np.abs(expected).max()))
    assert (fitted.classes, fitted.options["things"], fitted.bgr) == (133, list(range(80)), True)
    assert heads.box_roi_pool.aligned


MMDETECTION = (
    (r"^regions\.network\.", ""),
    (r"^backbone\.body\.", "backbone."),
    (r"^backbone\.fpn\.inner_blocks\.(\d)\.0", r"neck.lateral_convs.\1.conv"),
    (r"^backbone\.fpn\.layer_blocks\.(\d)\.0", r"neck.fpn_convs.\1.conv"),
    (r"^rpn\.head\.conv\.0\.0", "rpn_head.rpn_conv"),
    (r"^rpn\.head\.cls_logits", "rpn_head.rpn_cls"),
    (r"^rpn\.head\.bbox_pred", "rpn_head.rpn_reg"),
    (r"^roi_heads\.box_head\.fc(\d)", lambda m: f"roi_head.bbox_head.shared_fcs.{int(m[1]) - 6}"),
    (r"^roi_heads\.box_predictor\.cls_score", "roi_head.bbox_head.fc_cls"),
    (r"^roi_heads\.box_predictor\.bbox_pred", "roi_head.bbox_head.fc_reg"),
    (r"^roi_heads\.mask_head\.(\d)\.0", r"roi_head.mask_head.convs.\1.conv"),
    (r"^roi_heads\.mask_predictor\.conv5_mask", "roi_head.mask_head.upsample"),
    (r"^roi_heads\.mask_predictor\.mask_fcn_logits", "roi_head.mask_head.conv_logits"),
    (r"^semantic\.levels\.(\d)\.(\d)\.0", r"semantic_head.conv_upsample_layers.\1.conv.\2.conv"),
    (r"^semantic\.levels\.(\d)\.(\d)\.1", r"semantic_head.conv_upsample_layers.\1.conv.\2.gn"),
    (r"^semantic\.predictor", "semantic_head.conv_logits"),
)


def theirs(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    """A tensor as mmdetection names and orders it: the background, and the class of all things, last."""
    if "cls_score" in name or "semantic.predictor" in name:
        tensor = torch.cat([tensor[1:], tensor[:1]])
    elif "box_predictor.bbox_pred" in name:
        tensor = tensor[4:]
    elif "mask_fcn_logits" in name:
        tensor = tensor[1:]
    for pattern, replacement in MMDETECTION:
        name = re.sub(pattern, replacement, name)
    return name, tensor


def test_weights_of_mmdetection_find_their_places() -> None:
    with torch.device("meta"):
        shapes = build("panoptic_fpn_r50", 3, 7, things=[0, 1, 2]).state_dict()
    state = drawn({key: tuple(tensor.shape) for key, tensor in shapes.items()})
    fitted = fit("panoptic_fpn_r50", strip_wrapper({"state_dict": dict(theirs(*entry) for entry in state.items())}))
    assert (fitted.classes, fitted.options["things"], fitted.bgr) == (7, [0, 1, 2], False)
    found = fitted.network.state_dict()
    background = re.compile(r"bbox_pred\.(weight|bias)$|mask_fcn_logits")
    for key, tensor in state.items():
        if background.search(key) and "roi_heads" in key:
            count = 4 if "bbox_pred" in key else 1
            assert torch.equal(found[key][count:], tensor[count:])
        else:
            assert torch.equal(found[key], tensor), key


def test_mask_r_cnn_is_not_taken_for_it() -> None:
    with torch.device("meta"):
        shapes = build("panoptic_fpn_r50", 3, 7, things=[0, 1, 2]).state_dict()
    state = drawn({key: tuple(t.shape) for key, t in shapes.items() if not key.startswith("semantic.")})
    fitted = fit("maskrcnn_r50_fpn", strip_wrapper({"state_dict": dict(theirs(*entry) for entry in state.items())}))
    assert fitted.classes == 4
