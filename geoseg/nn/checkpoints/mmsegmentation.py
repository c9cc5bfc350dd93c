"""mmsegmentation's networks, 0.x and 1.x: ``backbone``, ``neck``, ``decode_head``, ``auxiliary_head``.

Its blocks of a convolution and a norm are named ``conv`` and ``bn`` where ours are 0 and 1. The published models of
its ResNets have the stem of three convolutions and output stride 8 (``-d8``); for ``-d16`` pass the option
``output_stride``. https://mmsegmentation.readthedocs.io
"""

from __future__ import annotations

from geoseg.nn.checkpoints.layout import Blocks, Layout, Rename

_SOURCE = "mmsegmentation"
_R50, _R101 = {"backbone": "resnet50c"}, {"backbone": "resnet101c"}
_SIDES = r"^auxiliary_head\."

_SEG = "decode_head.conv_seg.weight"

_PAIRS: tuple[Rename, ...] = ((r"\.conv\.(?=weight$|bias$)", ".0."), (r"\.bn\.(?=\w+$)", ".1."))
_RESNET: tuple[Rename, ...] = (
    *_PAIRS,
    (r"^backbone\.stem\.7\.", "body.backbone.bn1."),
    (r"^backbone\.stem\.", "body.backbone.conv1."),
    (r"^backbone\.", "body.backbone."),
    (r"^auxiliary_head\.convs\.", "body.sides.0."),
    (r"^auxiliary_head\.conv_seg\.", "body.sides.0.2."),
)

FCN = Layout(
    source=_SOURCE,
    networks={"fcn_r50": {**_R50, "head": "concat"}, "fcn_r101": {**_R101, "head": "concat"}},
    marks=(r"^backbone\.stem\.", r"^decode_head\.conv_cat\.", r"^decode_head\.convs\.1\."),
    strangers=(r"^neck\.",),
    renames=(
        *_RESNET,
        (r"^decode_head\.convs\.", "body.head.convolutions."),
        (r"^decode_head\.conv_cat\.", "body.head.merge."),
        (r"^decode_head\.conv_seg\.", "body.head.classify.1."),
    ),
    classifier=_SEG,
    sides=_SIDES,
)
_PSP: tuple[Rename, ...] = (
    (r"^decode_head\.psp_modules\.(\d)\.1\.", r"body.head.0.levels.\1."),
    (r"^decode_head\.bottleneck\.", "body.head.1.0."),
    (r"^decode_head\.conv_seg\.", "body.head.1.2."),
)
_PSP_OPTIONS = {"first_block": "prev", "align_corners": False}
PSPNET = Layout(
    source=_SOURCE,
    networks={"pspnet_r50": {**_R50, **_PSP_OPTIONS}, "pspnet_r101": {**_R101, **_PSP_OPTIONS}},
    marks=(r"^backbone\.stem\.", r"^decode_head\.psp_modules\."),
    strangers=(r"^neck\.",),
    renames=(*_RESNET, *_PSP),
    classifier=_SEG,
    sides=_SIDES,
)
_ASPP: tuple[Rename, ...] = (
    (r"^decode_head\.aspp_modules\.", "body.head.0.branches."),
    (r"^decode_head\.image_pool\.1\.", "body.head.0.image_pool."),
    (r"^decode_head\.bottleneck\.", "body.head.0.merge."),
    (r"^decode_head\.conv_seg\.", "body.head.2."),
)
DEEPLABV3 = Layout(
    source=_SOURCE,
    networks={"deeplabv3_r50": {**_R50, "form": "mmseg"}, "deeplabv3_r101": {**_R101, "form": "mmseg"}},
    marks=(r"^backbone\.stem\.", r"^decode_head\.aspp_modules\.1\.conv\."),
    strangers=(r"^neck\.",),
    renames=(*_RESNET, *_ASPP),
    classifier=_SEG,
    sides=_SIDES,
)
DEEPLABV3PLUS = Layout(
    source=_SOURCE,
    networks={"deeplabv3plus_r50": {"output_stride": 8}, "deeplabv3plus_r101": {"output_stride": 8}},
    marks=(r"^backbone\.stem\.", r"^decode_head\.aspp_modules\.1\.depthwise_conv\.", r"^decode_head\.c1_bottleneck\."),
    renames=(
        (r"^auxiliary_head\.convs\.0\.", "body.side.0."),
        (r"^auxiliary_head\.conv_seg\.", "body.side.2."),
        *_RESNET,
        (r"\.depthwise_conv\.", ".0."),
        (r"\.pointwise_conv\.", ".1."),
        (r"^decode_head\.aspp_modules\.", "body.aspp.branches."),
        (r"^decode_head\.image_pool\.1\.", "body.aspp.image_pool."),
        (r"^decode_head\.bottleneck\.", "body.aspp.merge."),
        (r"^decode_head\.c1_bottleneck\.", "body.low_level."),
        (r"^decode_head\.sep_bottleneck\.", "body.decoder."),
        (r"^decode_head\.conv_seg\.", "body.head.1."),
    ),
    classifier=_SEG,
    sides=_SIDES,
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
    source=_SOURCE,
    networks={"fastfcn_psp_r50": _FASTFCN[0], "fastfcn_psp_r101": _FASTFCN[1]},
    marks=(r"^backbone\.stem\.", r"^neck\.dilation_layers\.", r"^decode_head\.psp_modules\."),
    renames=(*_RESNET, *_JPU, *_PSP),
    blocks=_TURNED,
    classifier=_SEG,
    sides=_SIDES,
)
FASTFCN_DEEPLABV3 = Layout(
    source=_SOURCE,
    networks={"fastfcn_deeplabv3_r50": _FASTFCN[0], "fastfcn_deeplabv3_r101": _FASTFCN[1]},
    marks=(r"^backbone\.stem\.", r"^neck\.dilation_layers\.", r"^decode_head\.aspp_modules\."),
    renames=(*_RESNET, *_JPU, *_ASPP),
    blocks=_TURNED,
    classifier=_SEG,
    sides=_SIDES,
)
FASTFCN_ENCNET = Layout(
    source=_SOURCE,
    networks={"fastfcn_encnet_r50": _FASTFCN[0], "fastfcn_encnet_r101": _FASTFCN[1]},
    marks=(r"^backbone\.stem\.", r"^neck\.dilation_layers\.", r"^decode_head\.enc_module\."),
    renames=(
        *_RESNET,
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
    classifier=_SEG,
    sides=_SIDES,
)
HRNET = Layout(
    source=_SOURCE,
    networks={name: {} for name in ("hrnet_w18", "hrnet_w48", "hrnet_w18s_v1", "hrnet_w18s_v2", "hrnet_w32")},
    marks=(r"^backbone\.stage4\.", r"^decode_head\.convs\.0\.conv\.weight$"),
    renames=(
        *_PAIRS,
        (r"^backbone\.", "body.backbone."),
        (r"^decode_head\.convs\.0\.", "body.head."),
        (r"^decode_head\.conv_seg\.", "body.head.3."),
    ),
    zeros=r"^body\.head\.0\.bias$",
    classifier=_SEG,
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
OCR = Layout(
    source=_SOURCE,
    networks={"ocr_r101": {}},
    marks=(r"^backbone\.stem\.", r"^decode_head\.1\.object_context_block\."),
    renames=(
        *_RESNET,
        (r"^decode_head\.0\.convs\.0\.", "body.guess.0."),
        (r"^decode_head\.0\.conv_seg\.", "body.guess.2."),
        *_OCR,
    ),
    classifier=_OCR_SEG,
)
HRNET_OCR = Layout(
    source=_SOURCE,
    networks={name: {"align_corners": False} for name in ("hrnet_ocr_w18", "hrnet_ocr_w32", "hrnet_ocr_w48")},
    marks=(r"^backbone\.stage4\.", r"^decode_head\.1\.object_context_block\."),
    renames=(
        *_PAIRS,
        (r"^backbone\.", "body.backbone.0."),
        (r"^decode_head\.0\.convs\.0\.", "body.guess."),
        (r"^decode_head\.0\.conv_seg\.", "body.guess.3."),
        *_OCR,
    ),
    zeros=r"^body\.(guess\.0|head\.narrow\.0)\.bias$",
    classifier=_OCR_SEG,
)

LAYOUTS = (
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
