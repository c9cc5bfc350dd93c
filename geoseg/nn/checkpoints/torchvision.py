"""torchvision's segmentation networks: ``backbone``, ``classifier``, ``aux_classifier``."""

from __future__ import annotations

from geoseg.nn.checkpoints.layout import Layout, Rename

_SOURCE = "torchvision"
_ASIDE: tuple[Rename, ...] = (
    (r"^backbone\.", "body.backbone."),
    (r"^aux_classifier\.([01])\.", r"body.sides.0.0.\1."),
    (r"^aux_classifier\.4\.", "body.sides.0.2."),
)
_SIDES = r"^aux_classifier\."

FCN = Layout(
    source=_SOURCE,
    networks={"fcn_r50": {}, "fcn_r101": {}},
    marks=(r"^backbone\.layer4\.", r"^classifier\.0\.weight$", r"^classifier\.4\.weight$"),
    renames=(*_ASIDE, (r"^classifier\.([01])\.", r"body.head.0.\1."), (r"^classifier\.4\.", "body.head.2.")),
    classifier="classifier.4.weight",
    sides=_SIDES,
)
DEEPLABV3 = Layout(
    source=_SOURCE,
    networks={"deeplabv3_r50": {}, "deeplabv3_r101": {}},
    marks=(r"^backbone\.layer4\.", r"^classifier\.0\.convs\.4\.1\.weight$"),
    renames=(
        *_ASIDE,
        (r"^classifier\.0\.convs\.4\.1\.", "body.head.0.image_pool.0."),
        (r"^classifier\.0\.convs\.4\.2\.", "body.head.0.image_pool.1."),
        (r"^classifier\.0\.convs\.", "body.head.0.branches."),
        (r"^classifier\.0\.project\.", "body.head.0.merge."),
        (r"^classifier\.1\.", "body.head.2.0."),
        (r"^classifier\.2\.", "body.head.2.1."),
        (r"^classifier\.4\.", "body.head.3."),
    ),
    classifier="classifier.4.weight",
    sides=_SIDES,
)
_OWN: tuple[Rename, ...] = ((r"^", "body.network."),)
OWN_FCN = Layout(
    source=_SOURCE,
    networks={"torchvision_fcn_resnet50": {}, "torchvision_fcn_resnet101": {}},
    marks=FCN.marks,
    renames=_OWN,
    classifier=FCN.classifier,
    sides=_SIDES,
)
OWN_DEEPLABV3 = Layout(
    source=_SOURCE,
    networks={"torchvision_deeplabv3_resnet50": {}, "torchvision_deeplabv3_resnet101": {}},
    marks=DEEPLABV3.marks,
    renames=_OWN,
    classifier=DEEPLABV3.classifier,
    sides=_SIDES,
)
OWN_MOBILENET = Layout(
    source=_SOURCE,
    networks={"torchvision_deeplabv3_mobilenet_v3_large": {}},
    marks=(r"^backbone\.0\.0\.weight$", r"^classifier\.0\.convs\.4\.1\.weight$"),
    renames=_OWN,
    classifier="classifier.4.weight",
    sides=_SIDES,
)
OWN_LRASPP = Layout(
    source=_SOURCE,
    networks={"torchvision_lraspp_mobilenet_v3_large": {}},
    marks=(r"^backbone\.0\.0\.weight$", r"^classifier\.low_classifier\.weight$"),
    renames=_OWN,
    classifier="classifier.low_classifier.weight",
)

LAYOUTS = (FCN, DEEPLABV3, OWN_FCN, OWN_DEEPLABV3, OWN_MOBILENET, OWN_LRASPP)
