"""PyTorch weights that come from Caffe: bands in the order blue, green, red, with ImageNet's mean taken off.

kazuto1011/deeplab-pytorch (DeepLab V2) and wkentaro/pytorch-fcn (FCN on VGG16).
"""

from __future__ import annotations

from geoseg.nn.checkpoints.layout import Layout, Rename

_LAYERS = (("reduce", "1"), ("conv3x3", "2"), ("increase", "3"))
RESNET: tuple[Rename, ...] = (
    (r"^layer1\.conv1\.conv\.", "body.backbone.conv1."),
    (r"^layer1\.conv1\.bn\.", "body.backbone.bn1."),
    (r"^layer(\d)\.block(\d+)\.", r"body.backbone.layer<\1-1>.<\2-1>."),
    *((rf"\.{name}\.conv\.", rf".conv{place}.") for name, place in _LAYERS),
    *((rf"\.{name}\.bn\.", rf".bn{place}.") for name, place in _LAYERS),
    (r"\.shortcut\.conv\.", ".downsample.0."),
    (r"\.shortcut\.bn\.", ".downsample.1."),
)
DEEPLABV2 = Layout(
    source="kazuto1011/deeplab-pytorch",
    networks={"deeplabv2_r101": {}},
    required=(r"^layer5\.block3\.increase\.conv\.weight$", r"^aspp\.c3\.weight$"),
    renames=(
        *RESNET,
        (r"^aspp\.c(\d)\.", r"body.head.branches.\1."),
    ),
    classifier="aspp.c0.weight",
    scaling="caffe",
    bgr=True,
)
_FCN = (
    *(
        (rf"^conv{block + 1}_{depth + 1}\.", rf"body.blocks.{block}.{2 * depth}.")
        for block, depths in enumerate((2, 2, 3, 3, 3))
        for depth in range(depths)
    ),
    (r"^score_fr\.", "body.score."),
    (r"^upscore2\.", "body.rise_pool4."),
    (r"^upscore_pool4\.", "body.rise_pool3."),
    (r"^upscore(8|16|32|)\.", "body.rise."),
    (r"^(?=fc6\.|fc7\.|score_pool)", "body."),
)
_LAST = "score_fr.weight"
_WKENTARO = "wkentaro/pytorch-fcn"
FCN32S = Layout(
    source=_WKENTARO,
    networks={"fcn32s": {}},
    required=(r"^conv5_3\.weight$", r"^score_fr\."),
    forbidden=(r"^score_pool4\.",),
    renames=_FCN,
    classifier=_LAST,
    scaling="caffe",
    bgr=True,
)
FCN16S = Layout(
    source=_WKENTARO,
    networks={"fcn16s": {}},
    required=(r"^conv5_3\.weight$", r"^score_fr\.", r"^score_pool4\."),
    forbidden=(r"^score_pool3\.",),
    renames=_FCN,
    classifier=_LAST,
    scaling="caffe",
    bgr=True,
)
FCN8S = Layout(
    source=_WKENTARO,
    networks={"fcn8s": {}},
    required=(r"^conv5_3\.weight$", r"^score_fr\.", r"^score_pool3\."),
    renames=_FCN,
    classifier=_LAST,
    scaling="caffe",
    bgr=True,
)

LAYOUTS = (DEEPLABV2, FCN32S, FCN16S, FCN8S)
