"""torchvision's segmentation networks: ``backbone``, ``classifier``, ``aux_classifier``."""

from __future__ import annotations

from geoseg.nn.checkpoints.layout import Layout, Rename

_SOURCE = "torchvision"
_ASIDE: tuple[Rename, ...] = (
    (r"^backbone\.", "body.backbone."),
    (r"^aux_classifier\.([01])\.", r"body.sides.0.0.\1."),
    (r"^aux_classifier\.4\.", "body.sides.0.2."),
)
_AUXILIARY = r"^aux_classifier\."

FCN = Layout(
    source=_SOURCE,
    networks={"fcn_r50": {}, "fcn_r101": {}},
    required=(r"^backbone\.layer4\.", r"^classifier\.0\.weight$", r"^classifier\.4\.weight$"),
    renames=(*_ASIDE, (r"^classifier\.([01])\.", r"body.head.0.\1."), (r"^classifier\.4\.", "body.head.2.")),
    classifier="classifier.4.weight",
    auxiliary=_AUXILIARY,
)
DEEPLABV3 = Layout(
    source=_SOURCE,
    networks={"deeplabv3_r50": {}, "deeplabv3_r101": {}},
    required=(r"^backbone\.layer4\.", r"^classifier\.0\.convs\.4\.1\.weight$"),
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
    auxiliary=_AUXILIARY,
)
_OWN: tuple[Rename, ...] = ((r"^", "body.network."),)
OWN_FCN = Layout(
    source=_SOURCE,
    networks={"torchvision_fcn_resnet50": {}, "torchvision_fcn_resnet101": {}},
    required=FCN.required,
    renames=_OWN,
    classifier=FCN.classifier,
    auxiliary=_AUXILIARY,
)
OWN_DEEPLABV3 = Layout(
    source=_SOURCE,
    networks={"torchvision_deeplabv3_resnet50": {}, "torchvision_deeplabv3_resnet101": {}},
    required=DEEPLABV3.required,
    renames=_OWN,
    classifier=DEEPLABV3.classifier,
    auxiliary=_AUXILIARY,
)
OWN_MOBILENET = Layout(
    source=_SOURCE,
    networks={"torchvision_deeplabv3_mobilenet_v3_large": {}},
    required=(r"^backbone\.0\.0\.weight$", r"^classifier\.0\.convs\.4\.1\.weight$"),
    renames=_OWN,
    classifier="classifier.4.weight",
    auxiliary=_AUXILIARY,
)
OWN_LRASPP = Layout(
    source=_SOURCE,
    networks={"torchvision_lraspp_mobilenet_v3_large": {}},
    required=(r"^backbone\.0\.0\.weight$", r"^classifier\.low_classifier\.weight$"),
    renames=_OWN,
    classifier="classifier.low_classifier.weight",
)

LAYOUTS = (FCN, DEEPLABV3, OWN_FCN, OWN_DEEPLABV3, OWN_MOBILENET, OWN_LRASPP)
