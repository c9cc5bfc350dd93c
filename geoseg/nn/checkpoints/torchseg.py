"""The DFN of ycszen/TorchSeg, whose checkpoints hold ``{'model': ...}``."""

from __future__ import annotations

from geoseg.nn.checkpoints.layout import Layout

DFN = Layout(
    source="ycszen/TorchSeg",
    networks={"dfn_r101": {}},
    marks=(r"^smooth_pre_rrbs\.3\.conv_1x1\.weight$", r"^border_heads\.3\.conv\.weight$"),
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

LAYOUTS = (DFN,)
