"""DFN, PSPNet, FCN and BiSeNet of ycszen/TorchSeg, whose checkpoints hold ``{'model': ...}``."""

from __future__ import annotations

from dataclasses import replace

from geoseg.nn.checkpoints.layout import Layout, Rename

DFN = Layout(
    source="ycszen/TorchSeg",
    networks={"dfn_r101": {}},
    required=(r"^smooth_pre_rrbs\.3\.conv_1x1\.weight$", r"^border_heads\.3\.conv\.weight$"),
    renames=(
        (r"^backbone\.", "body.backbone."),
        (r"^global_context\.1\.conv\.", "body.whole.0."),
        (r"^global_context\.1\.bn\.", "body.whole.1."),
        (r"^cabs\.(\d)\.channel_attention\.fc\.", r"body.choose.\1.choose."),
        (r"^smooth_pre_rrbs\.", "body.before."),
        (r"^smooth_aft_rrbs\.", "body.after."),
        (r"^smooth_heads\.", "body.heads."),
        (r"^border_pre_rrbs\.", "body.border_before."),
        (r"^border_aft_rrbs\.", "body.border_after."),
        (r"^border_heads\.", "body.border_heads."),
        (r"heads\.(\d)\.conv\.", r"heads.\1.1."),
        (r"heads\.(\d)\.rrb\.", r"heads.\1.0."),
        (r"\.conv_1x1\.", ".narrow."),
        (r"\.cbr\.conv\.", ".refine.0.0."),
        (r"\.cbr\.bn\.", ".refine.0.1."),
        (r"\.conv_refine\.", ".refine.1."),
    ),
    classifier="smooth_heads.3.conv.weight",
)

_NORMED: tuple[Rename, ...] = ((r"\.conv\.(?=weight$|bias$)", ".0."), (r"\.bn\.(?=\w+$)", ".1."))
PSPNET = Layout(
    source="ycszen/TorchSeg",
    networks={"pspnet_r50": {"first_block": "prev"}, "pspnet_r101": {"first_block": "prev"}},
    required=(r"^psp_layer\.ppm\.3\.psp/cbr\.conv\.weight$", r"^psp_layer\.conv6\.2\.weight$"),
    renames=(
        *_NORMED,
        (r"^backbone\.", "body.backbone."),
        (r"^psp_layer\.ppm\.(\d)\.psp/cbr\.", r"body.head.0.levels.\1."),
        (r"^psp_layer\.conv6\.", "body.head.1."),
        (r"^aux_layer\.", "body.sides.0."),
    ),
    classifier="psp_layer.conv6.2.weight",
    auxiliary=r"^aux_layer\.",
    resnet="backbone.",
    sizes={"auxiliary_width": "aux_layer.0.conv.weight"},
)
FCN = Layout(
    source="ycszen/TorchSeg",
    networks={name: {"output_stride": 32, "align_corners": True} for name in ("fcn_r50", "fcn_r101")},
    required=(r"^backbone\.layer4\.", r"^head\.cbr\.conv\.weight$", r"^head\.conv1x1\.weight$"),
    renames=(
        *_NORMED,
        (r"^backbone\.", "body.backbone."),
        (r"^head\.cbr\.", "body.head.0."),
        (r"^head\.conv1x1\.", "body.head.2."),
        (r"^aux_head\.cbr\.", "body.sides.0.0."),
        (r"^aux_head\.conv1x1\.", "body.sides.0.2."),
    ),
    classifier="head.conv1x1.weight",
    auxiliary=r"^aux_head\.",
    resnet="backbone.",
)
BISENET = Layout(
    source="ycszen/TorchSeg",
    networks={"bisenet_r18": {}},
    required=(r"^context_path\.layer4\.", r"^ffm\.channel_attention\.1\.conv\.weight$", r"^spatial_path\.conv_7x7\."),
    renames=(
        (r"^ffm\.channel_attention\.1\.conv\.", "body.fuse.attention.0."),
        (r"^ffm\.channel_attention\.2\.conv\.", "body.fuse.attention.2."),
        *_NORMED,
        (r"^context_path\.", "body.backbone."),
        (r"^spatial_path\.conv_7x7\.", "body.spatial.0."),
        (r"^spatial_path\.conv_3x3_1\.", "body.spatial.1."),
        (r"^spatial_path\.conv_3x3_2\.", "body.spatial.2."),
        (r"^spatial_path\.conv_1x1\.", "body.spatial.3."),
        (r"^global_context\.1\.", "body.whole."),
        (r"^arms\.(\d)\.conv_3x3\.", r"body.refine.\1.narrow."),
        (r"^arms\.(\d)\.channel_attention\.1\.", r"body.refine.\1.attention."),
        (r"^refines\.", "body.smooth."),
        (r"^ffm\.conv_1x1\.", "body.fuse.join."),
        (r"^heads\.2\.conv_3x3\.", "body.head.0."),
        (r"^heads\.2\.conv_1x1\.", "body.head.2."),
        (r"^heads\.(\d)\.conv_3x3\.", r"body.sides.\1.0."),
        (r"^heads\.(\d)\.conv_1x1\.", r"body.sides.\1.2."),
    ),
    classifier="heads.2.conv_1x1.weight",
)
BISENET_X39 = replace(
    BISENET,
    networks={"bisenet_x39": {}},
    required=(r"^context_path\.layer3\.0\.proj\.conv1\.weight$", *BISENET.required[1:]),
    renames=(
        (r"\.proj\.conv1\.", ".shortcut.depthwise."),
        (r"\.proj\.point_wise_cbr\.", ".shortcut.pointwise."),
        (r"\.residual_branch\.(\d)\.conv1\.", r".residual.\1.depthwise."),
        (r"\.residual_branch\.(\d)\.point_wise_cbr\.", r".residual.\1.pointwise."),
        (r"^context_path\.layer(\d)\.", r"body.backbone.stages.<\1-1>."),
        (r"^context_path\.conv1\.", "body.backbone.stem."),
        *BISENET.renames,
    ),
)

LAYOUTS = (DFN, PSPNET, FCN, BISENET, BISENET_X39)
