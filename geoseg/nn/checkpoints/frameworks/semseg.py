"""The PSPNet of its authors' PyTorch code, https://github.com/hszhao/semseg."""

from __future__ import annotations

from geoseg.nn.checkpoints.layout import Layout

PSPNET = Layout(
    source="hszhao/semseg",
    networks={"pspnet_r50": {}, "pspnet_r101": {}},
    required=(r"^layer0\.6\.weight$", r"^ppm\.features\.3\.1\.weight$", r"^cls\.4\.weight$"),
    renames=(
        (r"^layer0\.7\.", "body.backbone.bn1."),
        (r"^layer0\.", "body.backbone.conv1."),
        (r"^layer", "body.backbone.layer"),
        (r"^ppm\.features\.(\d)\.1\.", r"body.head.0.levels.\1.0."),
        (r"^ppm\.features\.(\d)\.2\.", r"body.head.0.levels.\1.1."),
        (r"^cls\.([01])\.", r"body.head.1.0.\1."),
        (r"^cls\.4\.", "body.head.1.2."),
        (r"^aux\.([01])\.", r"body.sides.0.0.\1."),
        (r"^aux\.4\.", "body.sides.0.2."),
    ),
    classifier="cls.4.weight",
    auxiliary=r"^aux\.",
)

LAYOUTS = (PSPNET,)
