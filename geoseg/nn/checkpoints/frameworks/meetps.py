"""SegNet, FCN, U-Net and PSPNet of https://github.com/meetps/pytorch-semseg.

Its bands are those of guanfuchen/semseg; its PSPNet takes the Caffe weights of its authors. The logits of its U-Net are
smaller than the image, and its loss stretches them over it.
"""

from __future__ import annotations

from geoseg.nn.checkpoints.frameworks.guanfuchen import segnet
from geoseg.nn.checkpoints.layout import Layout, Rename

_SOURCE = "meetps/pytorch-semseg"
_POOL3, _POOL4, _LEARNT = r"^score_pool3\.", r"^score_pool4\.", r"^upscore8\.weight$"
_FORMS: dict[str, tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]] = {
    "fcn8s": ({}, (_POOL3, _LEARNT), ()),
    "fcn8s by nearest neighbour": ({"rise": "nearest"}, (_POOL3,), (_LEARNT,)),
    "fcn16s": ({"rise": "nearest"}, (_POOL4,), (_POOL3,)),
    "fcn32s": ({"rise": "nearest"}, (), (_POOL4,)),
}
"""Options of an FCN, the marks that it has, and those that it has not."""
SEGNET = segnet(_SOURCE, "cbr_unit")
FCNS = tuple(
    Layout(
        source=_SOURCE,
        networks={name.partition(" ")[0]: options},
        required=(r"^conv_block5\.4\.weight$", r"^classifier\.6\.weight$", *present),
        forbidden=absent,
        renames=(
            (r"^conv_block(\d)\.", r"body.blocks.<\1-1>."),
            (r"^classifier\.0\.", "body.fc6."),
            (r"^classifier\.3\.", "body.fc7."),
            (r"^classifier\.6\.", "body.score."),
            (r"^upscore2\.", "body.rise_pool4."),
            (r"^upscore4\.", "body.rise_pool3."),
            (r"^upscore8\.", "body.rise."),
            (r"^(?=score_pool)", "body."),
        ),
        classifier="classifier.6.weight",
        scaling="centred",
        bgr=True,
    )
    for name, (options, present, absent) in _FORMS.items()
)
_NORM = r"^conv1\.conv1\.1\.running_mean$"


def _unet(norm: str | None, second: int) -> Layout:
    """Describe a U-Net whose second convolution of a level has a place among ours."""
    return Layout(
        source=_SOURCE,
        networks={"unet": {"convolution": "valid", "norm": norm, "ragged": "stretch", "copies": "crop"}},
        required=(
            r"^conv4\.conv2\.0\.weight$", r"^center\.conv2\.0\.weight$", r"^up_concat1\.up\.weight$",
            *([_NORM] if norm else []),
        ),
        forbidden=() if norm else (_NORM,),
        renames=(
            (r"^center\.", "conv5."),
            (r"^conv(\d)\.conv1\.", r"down.<\1-1>."),
            (r"^conv(\d)\.conv2\.0\.", rf"down.<\1-1>.{second}."),
            (r"^conv(\d)\.conv2\.1\.", rf"down.<\1-1>.{second + 1}."),
            (r"^up_concat(\d)\.up\.", r"rise.<4-\1>."),
            (r"^up_concat(\d)\.conv\.conv1\.0\.", r"merge.<4-\1>.0."),
            (r"^up_concat(\d)\.conv\.conv2\.0\.", r"merge.<4-\1>.2."),
            (r"^final\.", "head."),
        ),
        classifier="final.weight",
        sizes={"width": "conv1.conv1.0.weight"},
        scaling="centred",
        bgr=True,
    )  # fmt: skip


UNET = _unet("down", 3)
UNET_PLAIN = _unet(None, 2)
_CAFFE: tuple[Rename, ...] = (
    (r"\.cbr?_unit\.(?=\d)", ".unit."),
    (r"^convbnrelu1_1\.unit\.", "body.backbone.conv1."),
    (r"^convbnrelu1_2\.unit\.0\.", "body.backbone.conv1.3."),
    (r"^convbnrelu1_2\.unit\.1\.", "body.backbone.conv1.4."),
    (r"^convbnrelu1_3\.unit\.0\.", "body.backbone.conv1.6."),
    (r"^convbnrelu1_3\.unit\.1\.", "body.backbone.bn1."),
    (r"^res_block(\d)\.layers\.(\d+)\.", r"body.backbone.layer<\1-1>.\2."),
    (r"\.cb4\.unit\.", ".downsample."),
    (r"\.cbr?(\d)\.unit\.0\.", r".conv\1."),
    (r"\.cbr?(\d)\.unit\.1\.", r".bn\1."),
    (r"^pyramid_pooling\.path_module_list\.(\d)\.unit\.", r"body.head.0.levels.\1."),
    (r"^cbr_final\.unit\.", "body.head.1.0."),
    (r"^classification\.", "body.head.1.2."),
    (r"^convbnrelu4_aux\.unit\.", "body.sides.0.0."),
    (r"^aux_cls\.", "body.sides.0.2."),
)
PSPNET = Layout(
    source=_SOURCE,
    networks={name: {"bins": (6, 3, 2, 1), "pooling": "strided"} for name in ("pspnet_r50", "pspnet_r101")},
    required=(
        r"^convbnrelu1_3\.cbr_unit\.0\.weight$",
        r"^pyramid_pooling\.path_module_list\.3\.cbr_unit\.0\.weight$",
        r"^classification\.weight$",
    ),
    renames=_CAFFE,
    classifier="classification.weight",
    auxiliary=r"^(convbnrelu4_aux|aux_cls)\.",
    scaling="caffe",
    bgr=True,
)

LAYOUTS = (SEGNET, *FCNS, UNET, UNET_PLAIN, PSPNET)
