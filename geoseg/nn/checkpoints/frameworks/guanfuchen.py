"""FCN on VGG16 and on ResNets, U-Net, SegNet, DeepLab and DUC-HDC of https://github.com/guanfuchen/semseg.

Its data sets give blue, green, red, ImageNet's mean taken off, divided by 255. What it calls DeepLab V3 is version 2 at
one scale. Its DUC-HDC has the names of zijundeng's, whose form it takes. Its FCN on ResNets may hold transposed
convolutions, which its FCN-16s alone applies: its FCN-8s with them cannot run.
"""

from __future__ import annotations

from dataclasses import replace

from geoseg.nn.checkpoints.frameworks.zijundeng import DUC_HDC as ZIJUNDENG_DUC_HDC
from geoseg.nn.checkpoints.layout import Layout, Rename

_SOURCE = "guanfuchen/semseg"
_POOL3, _POOL4 = r"^score_pool3\.", r"^score_pool4\."
_RISE = r"^upsample_1\.weight$"
_SKIPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "32": ((), (_POOL4,)),
    "16": ((_POOL4,), (_POOL3,)),
    "8": ((_POOL3, _POOL4), ()),
}
"""Stride of an FCN to the marks of its skips: those that it has, those that it has not."""

_VGG: tuple[Rename, ...] = (
    (r"^conv(\d)_block\.", r"body.blocks.<\1-1>."),
    (r"^classifier\.0\.", "body.fc6."),
    (r"^classifier\.3\.", "body.fc7."),
    (r"^classifier\.6\.", "body.score."),
    (r"^(?=score_pool)", "body."),
)
FCNS = tuple(
    Layout(
        source=_SOURCE,
        networks={f"fcn{stride}s": {"rise": "bilinear"}},
        required=(r"^conv5_block\.4\.weight$", r"^classifier\.6\.weight$", *present),
        forbidden=absent,
        renames=_VGG,
        classifier="classifier.6.weight",
        scaling="centred",
        bgr=True,
    )
    for stride, (present, absent) in _SKIPS.items()
)
_SCORES: tuple[Rename, ...] = (
    (r"^classifier\.", "body.neck.stages.0."),
    (r"^score_pool4\.", "body.neck.stages.1."),
    (r"^score_pool3\.", "body.neck.stages.2."),
    (r"^upsample_1\.", "body.neck.rise.0."),
    (r"^(?=layer|conv1|bn1)", "body.backbone."),
)
_SCORED = {"head": "scores", "output_stride": 32, "auxiliary": False, "align_corners": True}
FCN_RESNETS = tuple(
    Layout(
        source=_SOURCE,
        networks={
            name: {**_SCORED, "backbone": f"resnet{name[5:]}", "scored_stages": stages}
            for name in ("fcn_r18", "fcn_r50", "fcn_r101")
        },
        required=(r"^conv1\.weight$", r"^layer4\.1\.conv2\.", r"^classifier\.weight$", *present),
        forbidden=absent if stages == 1 else (*absent, _RISE),
        renames=_SCORES,
        classifier="classifier.weight",
        unused=r"^upsample_" if stages == 1 else None,
        resnet="",
        scaling="centred",
        bgr=True,
    )
    for stages, (present, absent) in enumerate(_SKIPS.values(), start=1)
)
FCN_RESNET_16S_TRANSPOSED = replace(
    FCN_RESNETS[1],
    networks={name: {**options, "rise": "transpose"} for name, options in FCN_RESNETS[1].networks.items()},
    required=(*FCN_RESNETS[1].required, _RISE),
    forbidden=(_POOL3,),
    unused=r"^upsample_2\.",
)
_CONVOLUTIONS: tuple[Rename, ...] = (
    (r"^center\.", "down5."),
    (r"^down(\d)\.conv1\.", r"down.<\1-1>."),
    (r"^down(\d)\.conv2\.0\.", r"down.<\1-1>.3."),
    (r"^down(\d)\.conv2\.1\.", r"down.<\1-1>.4."),
    (r"^up(\d)\.upConv\.", r"rise.<4-\1>."),
    (r"^up(\d)\.conv1\.0\.", r"merge.<4-\1>.0."),
    (r"^up(\d)\.conv2\.0\.", r"merge.<4-\1>.2."),
    (r"^classifier\.", "head."),
)
UNET = Layout(
    source=_SOURCE,
    networks={"unet": {"convolution": "valid", "norm": "down", "ragged": "stretch"}},
    required=(r"^down4\.conv2\.1\.running_mean$", r"^center\.conv2\.0\.weight$", r"^up4\.upConv\.weight$"),
    renames=_CONVOLUTIONS,
    classifier="classifier.weight",
    scaling="centred",
    bgr=True,
)
_LAYERS = tuple((layer, part) for layer in range(3) for part in range(2))


def segnet(source: str, unit: str) -> Layout:
    """Describe a SegNet whose convolutions, norms and activations are sequences of one name."""
    return Layout(
        source=source,
        networks={"segnet": {"last": "norm"}},
        required=(
            rf"^down5\.conv3\.{unit}\.0\.weight$",
            rf"^up5\.conv3\.{unit}\.0\.weight$",
            rf"^up1\.conv2\.{unit}\.1\.",
        ),
        forbidden=(r"\.conv4\.",),
        renames=(
            (rf"^up1\.conv1\.{unit}\.", "body.up.4.0."),
            (rf"^up1\.conv2\.{unit}\.", "body.up.4.1."),
            *(
                (rf"^down(\d)\.conv{layer + 1}\.{unit}\.{part}\.", rf"body.down.<\1-1>.{3 * layer + part}.")
                for layer, part in _LAYERS
            ),
            *(
                (rf"^up(\d)\.conv{layer + 1}\.{unit}\.{part}\.", rf"body.up.<5-\1>.{3 * layer + part}.")
                for layer, part in _LAYERS
            ),
        ),
        classifier=f"up1.conv2.{unit}.0.weight",
        scaling="centred",
        bgr=True,
    )


SEGNET = segnet(_SOURCE, "cbr_seq")
DEEPLAB = Layout(
    source=_SOURCE,
    networks={"deeplabv2_r101": {"scales": (), "align_corners": True}},
    required=(r"^conv1\.weight$", r"^layer4\.2\.conv3\.", r"^layer5\.conv2d_list\.3\.weight$"),
    renames=(
        (r"^layer5\.conv2d_list\.", "body.head.branches."),
        (r"^(?=layer|conv1|bn1)", "body.backbone."),
    ),
    classifier="layer5.conv2d_list.0.weight",
    resnet="",
    scaling="centred",
    bgr=True,
)
DUC_HDC = replace(ZIJUNDENG_DUC_HDC, source=_SOURCE)

LAYOUTS = (*FCNS, *FCN_RESNETS, FCN_RESNET_16S_TRANSPOSED, UNET, SEGNET, DEEPLAB, DUC_HDC)
