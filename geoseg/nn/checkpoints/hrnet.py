"""The authors' HRNet and HRNet-OCR: bare names, or behind ``model.``, with the loss, where they were saved in training.

https://github.com/HRNet/HRNet-Semantic-Segmentation. Whether corners are aligned stands in a checkpoint's YAML file,
not in it: pass the option ``align_corners`` where it differs from the network's own.
"""

from __future__ import annotations

from geoseg.nn.checkpoints.layout import Layout

_SOURCE = "HRNet"
_CLASSIFICATION = r"^(incre_modules|downsamp_modules|final_layer|classifier)\."

HRNET = Layout(
    source=_SOURCE,
    networks={name: {} for name in ("hrnet_w18", "hrnet_w32", "hrnet_w48", "hrnet_w18s_v1", "hrnet_w18s_v2", "hrnet")},
    required=(r"^stage4\.", r"^last_layer\.3\.weight$"),
    renames=((r"^last_layer\.", "body.head."), (r"^(?!body)", "body.backbone.")),
    unused=_CLASSIFICATION,
    classifier="last_layer.3.weight",
    undetectable=("align_corners",),
)
HRNET_OCR = Layout(
    source=_SOURCE,
    networks={"hrnet_ocr_w18": {}, "hrnet_ocr_w32": {}, "hrnet_ocr_w48": {}},
    required=(r"^stage4\.", r"^ocr_distri_head\.", r"^cls_head\.weight$"),
    renames=(
        (r"^conv3x3_ocr\.", "body.head.narrow."),
        # a norm and a ReLU are one module of their own
        (r"^ocr_distri_head\.conv_bn_dropout\.1\.0\.", "ocr_distri_head.conv_bn_dropout.1."),
        (
            r"^ocr_distri_head\.object_context_block\.f_(pixel|object|down|up)\.([13])\.0\.",
            r"ocr_distri_head.object_context_block.f_\1.\2.",
        ),
        (r"^ocr_distri_head\.object_context_block\.f_(pixel|object)\.([01])\.", r"f_\1.0.\2."),
        (r"^ocr_distri_head\.object_context_block\.f_(pixel|object)\.2\.", r"f_\1.1.0."),
        (r"^ocr_distri_head\.object_context_block\.f_(pixel|object)\.3\.", r"f_\1.1.1."),
        (r"^f_pixel\.", "body.head.attention.pixel."),
        (r"^f_object\.", "body.head.attention.region."),
        (r"^ocr_distri_head\.object_context_block\.f_(down|up)\.", r"body.head.attention.\1."),
        (r"^ocr_distri_head\.conv_bn_dropout\.", "body.head.merge."),
        (r"^cls_head\.", "body.head.classify.1."),
        (r"^aux_head\.", "body.guess."),
        (r"^(?!body)", "body.backbone.0."),
    ),
    unused=_CLASSIFICATION,
    classifier="cls_head.weight",
    sizes={
        "channels": "conv3x3_ocr.0.weight",
        "keys": "ocr_distri_head.object_context_block.f_pixel.0.weight",
    },
    undetectable=("align_corners",),
)

LAYOUTS = (HRNET, HRNET_OCR)
