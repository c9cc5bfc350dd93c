"""Networks that answer clicks: f-BRS of Samsung's saic-vul, on DeepLabV3+ and on HRNet with OCR."""

from __future__ import annotations

from geoseg.nn.checkpoints.hrnet import HRNET_OCR
from geoseg.nn.checkpoints.layout import Layout, Rename

_SOURCE = "saic-vul/fbrs_interactive_segmentation"
_FUSE: Rename = (r"^rgb_conv\.", "fuse.layers.")
DEEPLAB = Layout(
    source=_SOURCE,
    networks={"fbrs_r34": {}, "fbrs_r50": {}, "fbrs_r101": {}},
    required=(
        r"^rgb_conv\.0\.weight$",
        r"^feature_extractor\.aspp\.concurent\.0\.0\.weight$",
        r"^head\.layers\.2\.weight$",
    ),
    renames=(
        _FUSE,
        (r"^head\.layers\.([01])\.body\.", r"out.\1."),
        (r"^head\.layers\.2\.", "out.2."),
        (r"^feature_extractor\.aspp\.concurent\.4\.gap\.1\.", "aspp.image_pool.0."),
        (r"^feature_extractor\.aspp\.concurent\.4\.gap\.2\.", "aspp.image_pool.1."),
        (r"^feature_extractor\.aspp\.concurent\.", "aspp.branches."),
        (r"^feature_extractor\.aspp\.project\.", "aspp.merge."),
        (r"^feature_extractor\.skip_project\.skip_project\.", "low."),
        (r"^feature_extractor\.head\.block\.([01])\.body\.", r"decoder.\1."),
        (r"^feature_extractor\.head\.block\.2\.", "decoder.2."),
        (r"^feature_extractor\.backbone\.", "backbone."),
        (r"^out\.", "head."),
    ),
    classifier="head.layers.2.weight",
    resnet="feature_extractor.backbone.",
    sizes={"width": "feature_extractor.aspp.project.0.weight"},
)
HRNET = Layout(
    source=_SOURCE,
    networks={"fbrs_hrnet18": {}, "fbrs_hrnet32": {}},
    required=(r"^rgb_conv\.0\.weight$", r"^feature_extractor\.stage4\.", r"^feature_extractor\.cls_head\.weight$"),
    renames=(
        _FUSE,
        (r"^fuse", "body.fuse"),  # the names of the rest are those of HRNet with OCR
        (r"^feature_extractor\.", ""),
        *HRNET_OCR.renames,
        (r"^body\.", ""),
    ),
    classifier="feature_extractor.cls_head.weight",
    sizes={"keys": "feature_extractor.ocr_distri_head.object_context_block.f_pixel.0.weight"},
)

LAYOUTS = (DEEPLAB, HRNET)
