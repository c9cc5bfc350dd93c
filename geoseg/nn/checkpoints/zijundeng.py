"""DUC-HDC and PSPNet of zijundeng/pytorch-semantic-segmentation, and DUC-HDC and SegNet of guanfuchen/semseg.

https://github.com/zijundeng/pytorch-semantic-segmentation, https://github.com/guanfuchen/semseg. The two name a DUC-HDC
alike. Its plain DUC has the same tensors at other rates: ``third_rates=(2,)``, ``fourth_rates=(4,)``.
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
_LAYERS = tuple((layer, part) for layer in range(3) for part in range(2))
SEGNET = Layout(
    source="guanfuchen/semseg",
    networks={"segnet": {"last": "norm"}},
    required=(r"^down5\.conv3\.cbr_seq\.0\.weight$", r"^up5\.conv3\.cbr_seq\.0\.weight$", r"^up1\.conv2\.cbr_seq\.1\."),
    forbidden=(r"\.conv4\.",),
    renames=(
        (r"^up1\.conv1\.cbr_seq\.", "body.up.4.0."),
        (r"^up1\.conv2\.cbr_seq\.", "body.up.4.1."),
        *(
            (rf"^down(\d)\.conv{layer + 1}\.cbr_seq\.{part}\.", rf"body.down.<\1-1>.{3 * layer + part}.")
            for layer, part in _LAYERS
        ),
        *(
            (rf"^up(\d)\.conv{layer + 1}\.cbr_seq\.{part}\.", rf"body.up.<5-\1>.{3 * layer + part}.")
            for layer, part in _LAYERS
        ),
    ),
    classifier="up1.conv2.cbr_seq.0.weight",
)

LAYOUTS = (DUC_HDC, PSPNET, SEGNET)
