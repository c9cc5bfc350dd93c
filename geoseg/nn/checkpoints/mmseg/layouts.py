"""mmsegmentation's networks, 0.x and 1.x: ``backbone``, ``neck``, ``decode_head``, ``auxiliary_head``.

Its blocks of a convolution and a norm are named ``conv`` and ``bn`` where ours are 0 and 1. What the tensors do not
tell stands in the configuration that it writes into a checkpoint; see ``geoseg.nn.checkpoints.mmseg.options``.
https://mmsegmentation.readthedocs.io
"""

from __future__ import annotations

from dataclasses import replace

from geoseg.nn.checkpoints.layout import Blocks, Layout, Rename
from geoseg.nn.checkpoints.mobilenets import mmseg_names

SOURCE = "mmsegmentation"
_R50, _R101 = {"backbone": "resnet50c"}, {"backbone": "resnet101c"}
AUXILIARY = r"^auxiliary_head\."

SEG = "decode_head.conv_seg.weight"
SINGLE = (
    SEG,
    "decode_head.conv_seg.bias",
    *(f"{head}.{part}" for head in ("auxiliary_head.conv_seg", "decode_head.se_layer") for part in ("weight", "bias")),
)
_RESNETS = ("output_stride", "align_corners")
SIDE_SIZE = {"auxiliary_width": "auxiliary_head.convs.0.conv.weight"}
MERGED = "decode_head.bottleneck.conv.weight"

STEM = r"^backbone\.(stem\.|conv1\.weight$)"
PAIRS: tuple[Rename, ...] = ((r"\.conv\.(?=weight$|bias$)", ".0."), (r"\.bn\.(?=\w+$)", ".1."))
RESNET: tuple[Rename, ...] = (
    *PAIRS,
    (r"^backbone\.stem\.7\.", "body.backbone.bn1."),
    (r"^backbone\.stem\.", "body.backbone.conv1."),
    (r"^backbone\.", "body.backbone."),
    (r"^auxiliary_head\.convs\.", "body.sides.0."),
    (r"^auxiliary_head\.conv_seg\.", "body.sides.0.2."),
)

FCN = Layout(
    source=SOURCE,
    networks={"fcn_r18": {}, "fcn_r50": {**_R50, "head": "concat"}, "fcn_r101": {**_R101, "head": "concat"}},
    required=(STEM, r"^decode_head\.conv_cat\.", r"^decode_head\.convs\.1\."),
    forbidden=(r"^neck\.",),
    renames=(
        *RESNET,
        (r"^decode_head\.convs\.", "body.head.convolutions."),
        (r"^decode_head\.conv_cat\.", "body.head.merge."),
        (r"^decode_head\.conv_seg\.", "body.head.classify.1."),
    ),
    classifier=SEG,
    auxiliary=AUXILIARY,
    resnet="backbone.",
    single=SINGLE,
    sizes={"width": "decode_head.convs.0.conv.weight", **SIDE_SIZE},
    undetectable=_RESNETS,
)
PSP: tuple[Rename, ...] = (
    (r"^decode_head\.psp_modules\.(\d)\.1\.", r"body.head.0.levels.\1."),
    (r"^decode_head\.bottleneck\.", "body.head.1.0."),
    (r"^decode_head\.conv_seg\.", "body.head.1.2."),
)
_PSP_OPTIONS = {"first_block": "prev", "align_corners": False}
PSPNET = Layout(
    source=SOURCE,
    networks={"pspnet_r18": {}, "pspnet_r50": {**_R50, **_PSP_OPTIONS}, "pspnet_r101": {**_R101, **_PSP_OPTIONS}},
    required=(STEM, r"^decode_head\.psp_modules\."),
    forbidden=(r"^neck\.",),
    renames=(*RESNET, *PSP),
    classifier=SEG,
    auxiliary=AUXILIARY,
    resnet="backbone.",
    single=SINGLE,
    sizes={"width": MERGED, **SIDE_SIZE},
    undetectable=_RESNETS,
)
ASPP: tuple[Rename, ...] = (
    (r"^decode_head\.aspp_modules\.", "body.head.0.branches."),
    (r"^decode_head\.image_pool\.1\.", "body.head.0.image_pool."),
    (r"^decode_head\.bottleneck\.", "body.head.0.merge."),
    (r"^decode_head\.conv_seg\.", "body.head.2."),
)
DEEPLABV3 = Layout(
    source=SOURCE,
    networks={
        "deeplabv3_r18": {},
        "deeplabv3_r50": {**_R50, "form": "mmseg"},
        "deeplabv3_r101": {**_R101, "form": "mmseg"},
    },
    required=(STEM, r"^decode_head\.aspp_modules\.1\.conv\."),
    forbidden=(r"^neck\.",),
    renames=(*RESNET, *ASPP),
    classifier=SEG,
    auxiliary=AUXILIARY,
    resnet="backbone.",
    single=SINGLE,
    sizes={"width": MERGED, **SIDE_SIZE},
    undetectable=_RESNETS,
)
DEEPLABV3PLUS = Layout(
    source=SOURCE,
    networks={
        "deeplabv3plus_r18": {},
        "deeplabv3plus_r50": {"output_stride": 8},
        "deeplabv3plus_r101": {"output_stride": 8},
        "deeplabv3plus": {"output_stride": 8},
    },
    required=(STEM, r"^decode_head\.aspp_modules\.1\.depthwise_conv\.", r"^decode_head\.c1_bottleneck\."),
    renames=(
        (r"^auxiliary_head\.convs\.0\.", "body.side.0."),
        (r"^auxiliary_head\.conv_seg\.", "body.side.2."),
        *RESNET,
        (r"\.depthwise_conv\.", ".0."),
        (r"\.pointwise_conv\.", ".1."),
        (r"^decode_head\.aspp_modules\.", "body.aspp.branches."),
        (r"^decode_head\.image_pool\.1\.", "body.aspp.image_pool."),
        (r"^decode_head\.bottleneck\.", "body.aspp.merge."),
        (r"^decode_head\.c1_bottleneck\.", "body.low_level."),
        (r"^decode_head\.sep_bottleneck\.", "body.decoder."),
        (r"^decode_head\.conv_seg\.", "body.head.1."),
    ),
    classifier=SEG,
    auxiliary=AUXILIARY,
    resnet="backbone.",
    single=SINGLE,
    sizes={"width": MERGED, "low_width": "decode_head.c1_bottleneck.conv.weight", **SIDE_SIZE},
    undetectable=_RESNETS,
)
_JPU: tuple[Rename, ...] = (
    (r"\.depthwise_conv\.", ".0."),
    (r"\.pointwise_conv\.", ".1."),
    (r"^neck\.conv_layers\.(\d)\.0\.", r"body.neck.narrow.<2-\1>."),
    (r"^neck\.dilation_layers\.(\d)\.0\.", r"body.neck.dilated.\1."),
)
# the finest map comes first here and last in ours, in the channels too
_TURNED = (
    Blocks(pattern=r"^body\.neck\.dilated\.\d\.0\.0\.weight$", dim=0, order=(2, 1, 0)),
    Blocks(pattern=r"^body\.neck\.dilated\.\d\.0\.1\.(weight|bias|running_mean|running_var)$", dim=0, order=(2, 1, 0)),
    Blocks(pattern=r"^body\.neck\.dilated\.\d\.1\.0\.weight$", dim=1, order=(2, 1, 0)),
)
_FASTFCN = {"backbone": "resnet50c", "form": "mmseg"}, {"backbone": "resnet101c", "form": "mmseg"}
FASTFCN_PSP = Layout(
    source=SOURCE,
    networks={"fastfcn_psp_r50": _FASTFCN[0], "fastfcn_psp_r101": _FASTFCN[1]},
    required=(STEM, r"^neck\.dilation_layers\.", r"^decode_head\.psp_modules\."),
    renames=(*RESNET, *_JPU, *PSP),
    blocks=_TURNED,
    classifier=SEG,
    auxiliary=AUXILIARY,
    resnet="backbone.",
    single=SINGLE,
    sizes={"width": "neck.conv_layers.0.0.conv.weight", "head_width": MERGED, **SIDE_SIZE},
    undetectable=("align_corners",),
)
FASTFCN_DEEPLABV3 = Layout(
    source=SOURCE,
    networks={"fastfcn_deeplabv3_r50": _FASTFCN[0], "fastfcn_deeplabv3_r101": _FASTFCN[1]},
    required=(STEM, r"^neck\.dilation_layers\.", r"^decode_head\.aspp_modules\."),
    renames=(*RESNET, *_JPU, *ASPP),
    blocks=_TURNED,
    classifier=SEG,
    auxiliary=AUXILIARY,
    resnet="backbone.",
    single=SINGLE,
    sizes={"width": "neck.conv_layers.0.0.conv.weight", "head_width": MERGED, **SIDE_SIZE},
    undetectable=("align_corners",),
)
FASTFCN_ENCNET = Layout(
    source=SOURCE,
    networks={"fastfcn_encnet_r50": _FASTFCN[0], "fastfcn_encnet_r101": _FASTFCN[1]},
    required=(STEM, r"^neck\.dilation_layers\.", r"^decode_head\.enc_module\."),
    renames=(
        *RESNET,
        *_JPU,
        (r"^decode_head\.bottleneck\.", "body.head.narrow."),
        (r"^decode_head\.enc_module\.encoding_project\.", "body.head.prepare."),
        (r"^decode_head\.enc_module\.encoding\.0\.codewords$", "body.head.encoding.codewords"),
        (r"^decode_head\.enc_module\.encoding\.0\.scale$", "body.head.encoding.smoothing"),
        (r"^decode_head\.enc_module\.encoding\.1\.", "body.head.norm."),
        (r"^decode_head\.enc_module\.fc\.0\.", "body.head.weigh.0."),
        (r"^decode_head\.se_layer\.", "body.head.presence."),
        (r"^decode_head\.conv_seg\.", "body.head.classify.1."),
    ),
    blocks=_TURNED,
    classifier=SEG,
    auxiliary=AUXILIARY,
    resnet="backbone.",
    single=SINGLE,
    sizes={"width": "neck.conv_layers.0.0.conv.weight", "head_width": MERGED, **SIDE_SIZE},
    undetectable=("align_corners",),
)
HRNET = Layout(
    source=SOURCE,
    networks={
        name: {"form": "mmseg"}
        for name in ("hrnet_w18", "hrnet_w48", "hrnet_w18s_v1", "hrnet_w18s_v2", "hrnet_w32", "hrnet")
    },
    required=(r"^backbone\.stage4\.", r"^decode_head\.convs\.0\.conv\.weight$"),
    renames=(
        *PAIRS,
        (r"^backbone\.", "body.backbone."),
        (r"^decode_head\.convs\.0\.", "body.head."),
        (r"^decode_head\.conv_seg\.", "body.head.3."),
    ),
    zeros=r"^body\.head\.0\.bias$",
    classifier=SEG,
    single=SINGLE,
    undetectable=("align_corners",),
)
_OCR: tuple[Rename, ...] = (
    (r"^decode_head\.1\.bottleneck\.", "body.head.narrow."),
    (r"^decode_head\.1\.object_context_block\.bottleneck\.", "body.head.merge."),
    (r"^decode_head\.1\.object_context_block\.query_project\.", "body.head.attention.pixel."),
    (r"^decode_head\.1\.object_context_block\.key_project\.", "body.head.attention.region."),
    (r"^decode_head\.1\.object_context_block\.value_project\.", "body.head.attention.down."),
    (r"^decode_head\.1\.object_context_block\.out_project\.", "body.head.attention.up."),
    (r"^decode_head\.1\.conv_seg\.", "body.head.classify.1."),
)
_OCR_SEG = "decode_head.1.conv_seg.weight"
_OCR_SINGLE = (_OCR_SEG, "decode_head.1.conv_seg.bias", "decode_head.0.conv_seg.weight", "decode_head.0.conv_seg.bias")
_OCR_SIZES = {
    "channels": "decode_head.1.bottleneck.conv.weight",
    "keys": "decode_head.1.object_context_block.query_project.0.conv.weight",
}
OCR = Layout(
    source=SOURCE,
    networks={"ocr_r101": {}},
    required=(STEM, r"^decode_head\.1\.object_context_block\."),
    renames=(
        *RESNET,
        (r"^decode_head\.0\.convs\.0\.", "body.guess.0."),
        (r"^decode_head\.0\.conv_seg\.", "body.guess.2."),
        *_OCR,
    ),
    classifier=_OCR_SEG,
    resnet="backbone.",
    single=_OCR_SINGLE,
    sizes={"guess_width": "decode_head.0.convs.0.conv.weight", **_OCR_SIZES},
    undetectable=_RESNETS,
)
HRNET_OCR = Layout(
    source=SOURCE,
    networks={
        name: {"align_corners": False, "form": "mmseg"} for name in ("hrnet_ocr_w18", "hrnet_ocr_w32", "hrnet_ocr_w48")
    },
    required=(r"^backbone\.stage4\.", r"^decode_head\.1\.object_context_block\."),
    renames=(
        *PAIRS,
        (r"^backbone\.", "body.backbone.0."),
        (r"^decode_head\.0\.convs\.0\.", "body.guess."),
        (r"^decode_head\.0\.conv_seg\.", "body.guess.3."),
        *_OCR,
    ),
    zeros=r"^body\.(guess\.0|head\.narrow\.0)\.bias$",
    classifier=_OCR_SEG,
    single=_OCR_SINGLE,
    sizes=_OCR_SIZES,
    undetectable=("align_corners",),
)

_MOBILENET: tuple[Rename, ...] = (*mmseg_names("body.backbone"), *PAIRS)
_MOBILENET_REQUIRED_NAME = r"^backbone\.layer7\.0\.conv\.2\.conv\.weight$"


def _on_mobilenet(layout: Layout, name: str, **options: object) -> Layout:
    """Make the layout of the same head on a MobileNetV2."""
    return replace(
        layout,
        networks={name: {"backbone": "mobilenet_v2_mmseg", **options}},
        required=(_MOBILENET_REQUIRED_NAME, *(mark for mark in layout.required if mark != STEM)),
        renames=(*_MOBILENET, *layout.renames),
        resnet=None,
    )


MOBILENETS = (
    _on_mobilenet(FCN, "fcn_mobilenetv2", head="concat"),
    _on_mobilenet(PSPNET, "pspnet_mobilenetv2", **_PSP_OPTIONS),
    _on_mobilenet(DEEPLABV3, "deeplabv3_mobilenetv2", form="mmseg"),
    _on_mobilenet(DEEPLABV3PLUS, "deeplabv3plus_mobilenetv2", form="mmseg", output_stride=8),
)

LAYOUTS = (
    *MOBILENETS,
    FCN,
    PSPNET,
    DEEPLABV3,
    DEEPLABV3PLUS,
    FASTFCN_PSP,
    FASTFCN_DEEPLABV3,
    FASTFCN_ENCNET,
    HRNET,
    OCR,
    HRNET_OCR,
)
