"""The authors' FastFCN (https://github.com/wuhuikai/FastFCN): ``pretrained``, ``jpu``, ``head``, ``auxlayer``."""

from __future__ import annotations

from geoseg.nn.checkpoints.layout import Layout, Rename

_SOURCE = "FastFCN"
_BODY: tuple[Rename, ...] = (
    (r"^pretrained\.", "body.backbone."),
    (r"^jpu\.conv(\d)\.", r"body.neck.narrow.<5-\1>."),
    (r"^jpu\.dilation(\d)\.1\.", r"body.neck.dilated.<\1-1>.1.1."),
    (r"^jpu\.dilation(\d)\.0\.conv1\.", r"body.neck.dilated.<\1-1>.0.0."),
    (r"^jpu\.dilation(\d)\.0\.bn\.", r"body.neck.dilated.<\1-1>.0.1."),
    (r"^jpu\.dilation(\d)\.0\.pointwise\.", r"body.neck.dilated.<\1-1>.1.0."),
    (r"^auxlayer\.conv5\.([01])\.", r"body.sides.0.0.\1."),
    (r"^auxlayer\.conv5\.4\.", "body.sides.0.2."),
)
_JPU = r"^jpu\.dilation4\."
_AUXILIARY = r"^auxlayer\."
_UNUSED = r"^pretrained\.fc\."

FCN = Layout(
    source=_SOURCE,
    networks={"fastfcn_fcn_r50": {}, "fastfcn_fcn_r101": {}},
    required=(_JPU, r"^head\.conv5\.0\.weight$", r"^head\.conv5\.4\.weight$"),
    renames=(*_BODY, (r"^head\.conv5\.([01])\.", r"body.head.0.\1."), (r"^head\.conv5\.4\.", "body.head.2.")),
    classifier="head.conv5.4.weight",
    auxiliary=_AUXILIARY,
    unused=_UNUSED,
)
PSP = Layout(
    source=_SOURCE,
    networks={"fastfcn_psp_r50": {}, "fastfcn_psp_r101": {}},
    required=(_JPU, r"^head\.conv5\.0\.conv4\.0\.weight$"),
    renames=(
        *_BODY,
        (r"^head\.conv5\.0\.conv(\d)\.", r"body.head.0.levels.<\1-1>."),
        (r"^head\.conv5\.1\.", "body.head.1.0.0."),
        (r"^head\.conv5\.2\.", "body.head.1.0.1."),
        (r"^head\.conv5\.5\.", "body.head.1.2."),
    ),
    classifier="head.conv5.5.weight",
    auxiliary=_AUXILIARY,
    unused=_UNUSED,
)
DEEPLABV3 = Layout(
    source=_SOURCE,
    networks={"fastfcn_deeplabv3_r50": {}, "fastfcn_deeplabv3_r101": {}},
    required=(_JPU, r"^head\.aspp\.b4\.gap\.1\.weight$"),
    renames=(
        *_BODY,
        (r"^head\.aspp\.b4\.gap\.(\d)\.", r"body.head.0.image_pool.<\1-1>."),
        (r"^head\.aspp\.b(\d)\.", r"body.head.0.branches.\1."),
        (r"^head\.aspp\.project\.", "body.head.0.merge."),
        (r"^head\.block\.([01])\.", r"body.head.2.\1."),
        (r"^head\.block\.4\.", "body.head.3."),
    ),
    classifier="head.block.4.weight",
    auxiliary=_AUXILIARY,
    unused=_UNUSED,
)
ENCNET = Layout(
    source=_SOURCE,
    networks={"fastfcn_encnet_r50": {}, "fastfcn_encnet_r101": {}},
    required=(_JPU, r"^head\.encmodule\.encoding\.3\.codewords$"),
    renames=(
        *_BODY,
        (r"^head\.conv5\.", "body.head.narrow."),
        (r"^head\.encmodule\.encoding\.([01])\.", r"body.head.prepare.\1."),
        (r"^head\.encmodule\.encoding\.3\.scale$", "body.head.encoding.smoothing"),
        (r"^head\.encmodule\.encoding\.3\.", "body.head.encoding."),
        (r"^head\.encmodule\.encoding\.4\.", "body.head.norm."),
        (r"^head\.encmodule\.fc\.0\.", "body.head.weigh.0."),
        (r"^head\.encmodule\.selayer\.", "body.head.presence."),
        (r"^head\.conv6\.1\.", "body.head.classify.1."),
    ),
    classifier="head.conv6.1.weight",
    auxiliary=_AUXILIARY,
    unused=_UNUSED,
)

LAYOUTS = (FCN, PSP, DEEPLABV3, ENCNET)
