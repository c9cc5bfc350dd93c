"""DrSleep's RefineNet and light-weight RefineNet, whose names are those of the authors' Matlab code."""

from __future__ import annotations

from geoseg.nn.checkpoints.layout import Layout

REFINENET = Layout(
    source="DrSleep/refinenet-pytorch",
    networks={"refinenet_r101": {}, "refinenet_r152": {}},
    required=(
        r"^adapt_stage1_b\.",
        r"^p_ims1d2_outl4_dimred\.weight$",
        r"^mflow_conv_g4_pool\.0\.",
        r"^clf_conv\.weight$",
    ),
    renames=(
        (r"^(?=conv1\.|bn1\.|layer\d\.)", "body.backbone."),
        (r"^p_ims1d2_outl(\d)_dimred\.", r"body.neck.levels.<\1-1>.narrow.1."),
        (r"^adapt_stage(\d)_b\.0\.(\d)_", r"body.neck.levels.<\1-1>.adapt.<\2-1>._"),
        (r"^adapt_stage(\d)_b2_joint_varout_dimred\.", r"body.neck.levels.<\1-1>.join."),
        (r"^mflow_conv_g(\d)_pool\.0\.(\d)_outvar_dimred\.", r"body.neck.levels.<\1-1>.pool.links.<\2-1>."),
        (r"^mflow_conv_g(\d)_b\.0\.(\d)_", r"body.neck.levels.<\1-1>.refine.<\2-1>._"),
        (r"^mflow_conv_g(\d)_b3_joint_varout_dimred\.", r"body.neck.levels.<\1-1>.hand_on."),
        (r"\._conv\.", ".first."),
        (r"\._conv_relu_varout_dimred\.", ".second."),
        (r"^clf_conv\.", "body.head.1."),
    ),
    classifier="clf_conv.weight",
)

LIGHT = Layout(
    source="DrSleep/light-weight-refinenet",
    networks={"refinenet_lw_r50": {}, "refinenet_lw_r101": {}, "refinenet_lw_r152": {}},
    required=(r"^p_ims1d2_outl4_dimred\.", r"^mflow_conv_g4_pool\.0\.", r"^layer4\.", r"^clf_conv\.weight$"),
    forbidden=(r"^adapt_stage1_b\.",),
    renames=REFINENET.renames,
    classifier="clf_conv.weight",
    resnet="",
)

LAYOUTS = (REFINENET, LIGHT)
