"""DUC-HDC and PSPNet of https://github.com/zijundeng/pytorch-semantic-segmentation.

Its plain DUC has the tensors of its DUC-HDC at other rates: ``third_rates=(2,)``, ``fourth_rates=(4,)``.
"""

from __future__ import annotations

from geoseg.nn.checkpoints.layout import Layout, Rename

_BODY: tuple[Rename, ...] = (
    (r"^layer0\.0\.", "body.backbone.conv1."),
    (r"^layer0\.1\.", "body.backbone.bn1."),
    (r"^layer", "body.backbone.layer"),
)
DUC_HDC = Layout(
    source="zijundeng/pytorch-semantic-segmentation",
    networks={"duc_hdc_r101": {}, "duc_hdc_r152": {}},
    required=(r"^layer4\.2\.", r"^duc\.conv\.weight$", r"^duc\.bn\.running_mean$"),
    renames=(*_BODY, (r"^duc\.conv\.", "body.head.0.0."), (r"^duc\.bn\.", "body.head.0.1.")),
    classifier="duc.bn.weight",
    cells=64,
    resnet="",
    undetectable=("third_rates", "fourth_rates"),
)
PSPNET = Layout(
    source="zijundeng/pytorch-semantic-segmentation",
    networks={
        name: {"first_block": "same", "align_corners": False, "auxiliary": False}
        for name in ("pspnet_r50", "pspnet_r101")
    },
    required=(r"^layer0\.1\.running_mean$", r"^ppm\.features\.3\.1\.weight$", r"^final\.4\.weight$"),
    renames=(
        *_BODY,
        (r"^ppm\.features\.(\d)\.1\.", r"body.head.0.levels.\1.0."),
        (r"^ppm\.features\.(\d)\.2\.", r"body.head.0.levels.\1.1."),
        (r"^final\.([01])\.", r"body.head.1.0.\1."),
        (r"^final\.4\.", "body.head.1.2."),
    ),
    classifier="final.4.weight",
    unused=r"^aux_logits\.",
    resnet="",
    undetectable=("align_corners",),
)

LAYOUTS = (DUC_HDC, PSPNET)
