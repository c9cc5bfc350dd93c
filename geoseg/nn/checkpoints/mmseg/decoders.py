"""mmsegmentation's networks whose decoder reads several stages: U-Nets, FPN, UPerNet and BiSeNet."""

from __future__ import annotations

from geoseg.nn.checkpoints.layout import Layout, Rename
from geoseg.nn.checkpoints.mmseg.layouts import (
    ASPP,
    AUXILIARY,
    MERGED,
    PAIRS,
    PSP,
    RESNET,
    SEG,
    SIDE_SIZE,
    SINGLE,
    SOURCE,
    STEM,
)

_UNET: tuple[Rename, ...] = (
    *PAIRS,
    (r"^backbone\.encoder\.0\.0\.convs\.", "body.backbone.down.0."),
    (r"^backbone\.encoder\.(\d)\.1\.convs\.", r"body.backbone.down.\1."),
    (r"^backbone\.decoder\.(\d)\.conv_block\.convs\.", r"body.backbone.merge.\1."),
    (r"^backbone\.decoder\.(\d)\.upsample\.interp_upsample\.1\.", r"body.backbone.rise.\1.1."),
    (r"^auxiliary_head\.convs\.", "body.sides.0."),
    (r"^auxiliary_head\.conv_seg\.", "body.sides.0.2."),
)
_UNET_REQUIRED_NAME = r"^backbone\.decoder\.3\.upsample\.interp_upsample\.1\."
_UNET_SIZES = {"width": "backbone.encoder.0.0.convs.0.conv.weight", **SIDE_SIZE}


def _unet(head: str, mark: str, renames: tuple[Rename, ...], first: str) -> Layout:
    return Layout(
        source=SOURCE,
        networks={"unet_s5_d16": {"head": head}},
        required=(_UNET_REQUIRED_NAME, mark),
        renames=(*_UNET, *renames),
        classifier=SEG,
        auxiliary=AUXILIARY,
        single=SINGLE,
        sizes={**_UNET_SIZES, "head_width": first},
        undetectable=("align_corners",),
    )


_UNET_FCN: tuple[Rename, ...] = (
    (r"^decode_head\.convs\.", "body.head."),
    (r"^decode_head\.conv_seg\.", "body.head.2."),
)
UNETS = (
    _unet("fcn", r"^decode_head\.convs\.0\.", _UNET_FCN, "decode_head.convs.0.conv.weight"),
    _unet("psp", r"^decode_head\.psp_modules\.", PSP, MERGED),
    _unet("deeplabv3", r"^decode_head\.aspp_modules\.1\.conv\.", ASPP, MERGED),
)

FPN = Layout(
    source=SOURCE,
    networks={"fpn_r50": {}, "fpn_r101": {}},
    required=(STEM, r"^neck\.lateral_convs\.3\.", r"^decode_head\.scale_heads\.3\.4\."),
    renames=(
        (r"^neck\.lateral_convs\.(\d)\.conv\.", r"body.neck.0.narrow.\1."),
        (r"^neck\.fpn_convs\.(\d)\.conv\.", r"body.neck.0.smooth.\1."),
        *RESNET,
        (r"^decode_head\.scale_heads\.(\d)\.0\.", r"body.neck.1.paths.\1.0."),
        (r"^decode_head\.scale_heads\.(\d)\.2\.", r"body.neck.1.paths.\1.1."),
        (r"^decode_head\.scale_heads\.(\d)\.4\.", r"body.neck.1.paths.\1.2."),
        (r"^decode_head\.conv_seg\.", "body.head.1."),
    ),
    classifier=SEG,
    resnet="backbone.",
    single=SINGLE,
    sizes={"pyramid_width": "neck.fpn_convs.0.conv.weight", "width": "decode_head.scale_heads.0.0.conv.weight"},
    undetectable=("align_corners",),
)
UPERNET = Layout(
    source=SOURCE,
    networks={"upernet_r50": {}, "upernet_r101": {}},
    required=(STEM, r"^decode_head\.psp_modules\.", r"^decode_head\.fpn_bottleneck\."),
    renames=(
        *RESNET,
        (r"^decode_head\.psp_modules\.(\d)\.1\.", r"body.neck.top.0.levels.\1."),
        (r"^decode_head\.bottleneck\.", "body.neck.top.1."),
        (r"^decode_head\.lateral_convs\.", "body.neck.narrow."),
        (r"^decode_head\.fpn_convs\.", "body.neck.smooth."),
        (r"^decode_head\.fpn_bottleneck\.", "body.neck.fuse."),
        (r"^decode_head\.conv_seg\.", "body.head.1."),
    ),
    classifier=SEG,
    auxiliary=AUXILIARY,
    resnet="backbone.",
    single=SINGLE,
    sizes={"width": MERGED, **SIDE_SIZE},
    undetectable=("align_corners",),
)
BISENET = Layout(
    source=SOURCE,
    networks={"bisenet_r18": {"form": "mmseg"}, "bisenet_r50": {"form": "mmseg"}},
    required=(r"^backbone\.context_path\.arm32\.", r"^backbone\.spatial_path\.layer4\."),
    renames=(
        *PAIRS,
        (r"^backbone\.context_path\.backbone\.", "body.backbone."),
        (r"^backbone\.spatial_path\.layer(\d)\.", r"body.spatial.<\1-1>."),
        (r"^backbone\.context_path\.gap_conv\.1\.", "body.whole."),
        (r"\.conv_layer\.", ".narrow."),
        (r"\.atten_conv_layer\.1\.", ".attention."),
        (r"^backbone\.context_path\.arm32\.", "body.refine.0."),
        (r"^backbone\.context_path\.arm16\.", "body.refine.1."),
        (r"^backbone\.context_path\.conv_head32\.", "body.smooth.0."),
        (r"^backbone\.context_path\.conv_head16\.", "body.smooth.1."),
        (r"^backbone\.ffm\.conv1\.", "body.fuse.join."),
        (r"^backbone\.ffm\.conv_atten\.0\.", "body.fuse.attention."),
        (r"^decode_head\.convs\.0\.", "body.head.0."),
        (r"^decode_head\.conv_seg\.", "body.head.2."),
        (r"^auxiliary_head\.0\.convs\.0\.", "body.sides.1.0."),
        (r"^auxiliary_head\.0\.conv_seg\.", "body.sides.1.2."),
        (r"^auxiliary_head\.1\.convs\.0\.", "body.sides.0.0."),
        (r"^auxiliary_head\.1\.conv_seg\.", "body.sides.0.2."),
    ),
    classifier=SEG,
    single=SINGLE,
    sizes={"width": "backbone.context_path.conv_head16.conv.weight"},
    undetectable=("align_corners",),
)

LAYOUTS = (FPN, UPERNET, BISENET, *UNETS)
