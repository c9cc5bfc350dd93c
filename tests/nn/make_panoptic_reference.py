"""Write panoptic/references/panoptic_fpn_r50.npz from detectron2's code: ``python make_panoptic_reference.py FOLDER``.

FOLDER holds a clone of facebookresearch/detectron2; its compiled part is not needed, but fvcore, iopath, omegaconf and
yacs are. What is written are the names and shapes of its tensors, and samples of its answers to drawn weights.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from published_weights import drawn, pixels  # noqa: E402
from reference_inputs import REGIONS, noise, sample  # noqa: E402

SETTINGS: dict[str, Any] = {
    "META_ARCHITECTURE": "PanopticFPN",
    "DEVICE": "cpu",
    "MASK_ON": True,
    "BACKBONE.NAME": "build_resnet_fpn_backbone",
    "RESNETS.OUT_FEATURES": ["res2", "res3", "res4", "res5"],
    "FPN.IN_FEATURES": ["res2", "res3", "res4", "res5"],
    "ANCHOR_GENERATOR.SIZES": [[32], [64], [128], [256], [512]],
    "ANCHOR_GENERATOR.ASPECT_RATIOS": [[0.5, 1.0, 2.0]],
    "RPN.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    "ROI_HEADS.NAME": "StandardROIHeads",
    "ROI_HEADS.IN_FEATURES": ["p2", "p3", "p4", "p5"],
    "ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "ROI_BOX_HEAD.NUM_FC": 2,
    "ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
    "ROI_MASK_HEAD.NAME": "MaskRCNNConvUpsampleHead",
    "ROI_MASK_HEAD.NUM_CONV": 4,
    "ROI_MASK_HEAD.POOLER_RESOLUTION": 14,
}
"""Those of configs/COCO-PanopticSegmentation/panoptic_fpn_R_50_1x.yaml that differ from the defaults."""


def model(folder: Path) -> Any:
    """Build detectron2's network with random weights."""
    for name, value in (("LINEAR", 2), ("NEAREST", 0)):  # names that Pillow has no more
        if not hasattr(PIL.Image, name):
            setattr(PIL.Image, name, value)
    sys.path.insert(0, str(folder / "detectron2"))
    config = importlib.import_module("detectron2.config").get_cfg()
    config.merge_from_list([part for key, value in SETTINGS.items() for part in (f"MODEL.{key}", value)])
    return importlib.import_module("detectron2.modeling").build_model(config).eval()


def answers(network: Any) -> list[Tensor]:
    """What the pyramid, the class maps and the heads answer."""
    levels = network.backbone(pixels(64, 96))
    semantic, _ = network.sem_seg_head(levels)
    objectness, _ = network.proposal_generator.rpn_head([levels["p2"]])
    scores, boxes = network.roi_heads.box_predictor(network.roi_heads.box_head(noise(REGIONS, 256, 7, 7, seed=7)))
    masks = network.roi_heads.mask_head.layers(noise(REGIONS, 256, 14, 14, seed=8))
    return [*(levels[f"p{level}"] for level in range(2, 7)), semantic, objectness[0], scores, boxes, masks]


if __name__ == "__main__":
    network = model(Path(sys.argv[1]))
    kept = {key: tuple(t.shape) for key, t in network.state_dict().items() if not key.startswith("pixel_")}
    network.load_state_dict(drawn(kept), strict=False)
    with torch.no_grad():
        found = sample(answers(network))
    lines = "\n".join(" ".join([key, *map(str, shape)]) for key, shape in kept.items())
    np.savez_compressed(
        HERE / "panoptic" / "references" / "panoptic_fpn_r50.npz", tensors=np.array(lines), answers=found
    )
