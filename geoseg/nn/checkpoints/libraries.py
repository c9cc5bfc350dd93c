"""Networks that are their library's own: segmentation-models-pytorch and torchgeo, whose names ours keep."""

from __future__ import annotations

from geoseg.nn.checkpoints.layout import Layout
from geoseg.nn.zoo.registry import NETWORKS

SMP = Layout(
    source="segmentation-models-pytorch",
    networks={name: {} for name in NETWORKS if name.startswith("smp_")},
    required=(r"^encoder\.", r"^segmentation_head\.0\.weight$"),
    renames=((r"^", "body."),),
    classifier="segmentation_head.0.weight",
    unused=r"^classification_head\.",
    single=("segmentation_head.0.weight", "segmentation_head.0.bias"),
)
TORCHGEO_FCN = Layout(
    source="torchgeo",
    networks={"torchgeo_fcn": {}},
    required=(r"^backbone\.8\.weight$", r"^last\.weight$"),
    renames=((r"^", "body."),),
    classifier="last.weight",
    scaling="unit",
    single=("last.weight", "last.bias"),
)
TORCHGEO_FARSEG = Layout(
    source="torchgeo",
    networks={"torchgeo_farseg": {}},
    required=(r"^fsr\.", r"^fpn\."),
    renames=((r"^", "body."),),
    classifier="decoder.classifier.0.weight",
    scaling="unit",
)

LAYOUTS = (SMP, TORCHGEO_FCN, TORCHGEO_FARSEG)
