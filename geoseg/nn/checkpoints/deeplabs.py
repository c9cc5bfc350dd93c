"""DeepLab V3 and V3+ as VainF, jfzhang95 and kazuto1011 build them.

https://github.com/VainF/DeepLabV3Plus-Pytorch, https://github.com/jfzhang95/pytorch-deeplab-xception,
https://github.com/kazuto1011/deeplab-pytorch. The last two count the multi-grid as factors, and give all blocks of a
dilated stage its rate.
"""

from __future__ import annotations

from geoseg.nn.checkpoints.caffe import RESNET as CAFFE_RESNET
from geoseg.nn.checkpoints.layout import Layout, Rename
from geoseg.nn.checkpoints.mobilenets import jfzhang_names, vainf_names

_VAINF = "VainF/DeepLabV3Plus-Pytorch"
_KAZUTO = "kazuto1011/deeplab-pytorch"
_GRID = {"output_stride": 16, "first_block": "same", "multi_grid": (1, 2, 4)}
_V3_NAMES = ("deeplabv3_r50", "deeplabv3_r101")
_V3PLUS_NAMES = ("deeplabv3plus_r50", "deeplabv3plus_r101", "deeplabv3plus")
_VAINF_MOBILENET = {"backbone": "mobilenet_v2_vainf", "output_stride": 16, "width": 256}
_JFZHANG = {"form": "full", "width": 256, "align_corners": True}


def _vainf_aspp(source: str, ours: str) -> tuple[Rename, ...]:
    return (
        (rf"^{source}\.convs\.4\.1\.", f"{ours}.image_pool.0."),
        (rf"^{source}\.convs\.4\.2\.", f"{ours}.image_pool.1."),
        (rf"^{source}\.convs\.", f"{ours}.branches."),
        (rf"^{source}\.project\.", f"{ours}.merge."),
    )


_VAINF_V3_HEAD: tuple[Rename, ...] = (
    *_vainf_aspp(r"classifier\.classifier\.0", "body.head.0"),
    (r"^classifier\.classifier\.1\.", "body.head.2.0."),
    (r"^classifier\.classifier\.2\.", "body.head.2.1."),
    (r"^classifier\.classifier\.4\.", "body.head.3."),
)
_VAINF_V3PLUS_HEAD: tuple[Rename, ...] = (
    *_vainf_aspp(r"classifier\.aspp", "body.aspp"),
    (r"^classifier\.project\.", "body.low_level."),
    (r"^classifier\.classifier\.([01])\.", r"body.decoder.0.\1."),
    (r"^classifier\.classifier\.3\.", "body.head.1."),
)
_V3_REQUIRED_NAME, _V3PLUS_REQUIRED_NAME = (
    r"^classifier\.classifier\.0\.convs\.4\.1\.weight$",
    r"^classifier\.project\.0\.weight$",
)
VAINF_V3 = Layout(
    source=_VAINF,
    networks={name: {"output_stride": 16} for name in _V3_NAMES},
    required=(r"^backbone\.layer4\.", _V3_REQUIRED_NAME),
    renames=((r"^backbone\.", "body.backbone."), *_VAINF_V3_HEAD),
    classifier="classifier.classifier.4.weight",
    resnet="backbone.",
    undetectable=("output_stride",),
)
VAINF_V3PLUS = Layout(
    source=_VAINF,
    networks={name: {"output_stride": 16, "form": "single", "width": 256} for name in _V3PLUS_NAMES},
    required=(r"^backbone\.layer4\.", r"^classifier\.aspp\.convs\.4\.1\.weight$", _V3PLUS_REQUIRED_NAME),
    renames=((r"^backbone\.", "body.backbone."), *_VAINF_V3PLUS_HEAD),
    classifier="classifier.classifier.3.weight",
    resnet="backbone.",
    undetectable=("output_stride",),
)
VAINF_V3_MOBILENET = Layout(
    source=_VAINF,
    networks={"deeplabv3_mobilenetv2": {**_VAINF_MOBILENET, "form": "torchvision", "auxiliary": False}},
    required=(r"^backbone\.high_level_features\.4\.conv\.0\.0\.weight$", _V3_REQUIRED_NAME),
    renames=(*vainf_names("body.backbone"), *_VAINF_V3_HEAD),
    classifier="classifier.classifier.4.weight",
    undetectable=("output_stride",),
)
VAINF_V3PLUS_MOBILENET = Layout(
    source=_VAINF,
    networks={"deeplabv3plus_mobilenetv2": {**_VAINF_MOBILENET, "form": "single"}},
    required=(r"^backbone\.high_level_features\.4\.conv\.0\.0\.weight$", _V3PLUS_REQUIRED_NAME),
    renames=(*vainf_names("body.backbone"), *_VAINF_V3PLUS_HEAD),
    classifier="classifier.classifier.3.weight",
    undetectable=("output_stride",),
)
_JFZHANG_HEAD: tuple[Rename, ...] = (
    (r"^aspp\.aspp(\d)\.atrous_conv\.", r"body.aspp.branches.<\1-1>.0."),
    (r"^aspp\.aspp(\d)\.bn\.", r"body.aspp.branches.<\1-1>.1."),
    (r"^aspp\.global_avg_pool\.1\.", "body.aspp.image_pool.0."),
    (r"^aspp\.global_avg_pool\.2\.", "body.aspp.image_pool.1."),
    (r"^aspp\.conv1\.", "body.aspp.merge.0."),
    (r"^aspp\.bn1\.", "body.aspp.merge.1."),
    (r"^decoder\.conv1\.", "body.low_level.0."),
    (r"^decoder\.bn1\.", "body.low_level.1."),
    (r"^decoder\.last_conv\.([01])\.", r"body.decoder.0.\1."),
    (r"^decoder\.last_conv\.4\.", "body.decoder.1.0."),
    (r"^decoder\.last_conv\.5\.", "body.decoder.1.1."),
    (r"^decoder\.last_conv\.8\.", "body.head.1."),
)
_JFZHANG_REQUIRED = (r"^aspp\.aspp4\.atrous_conv\.weight$", r"^decoder\.last_conv\.8\.weight$")
_JFZHANG_SOURCE = "jfzhang95/pytorch-deeplab-xception"
JFZHANG_V3PLUS = Layout(
    source=_JFZHANG_SOURCE,
    networks={name: {**_GRID, **_JFZHANG} for name in _V3PLUS_NAMES},
    required=(r"^backbone\.layer4\.", *_JFZHANG_REQUIRED),
    forbidden=(r"^backbone\.layer8\.",),
    renames=((r"^backbone\.", "body.backbone."), *_JFZHANG_HEAD),
    classifier="decoder.last_conv.8.weight",
    resnet="backbone.",
    undetectable=("output_stride",),
)
JFZHANG_V3PLUS_MOBILENET = Layout(
    source=_JFZHANG_SOURCE,
    networks={
        "deeplabv3plus_mobilenetv2": {"backbone": "mobilenet_v2_jfzhang", "output_stride": 16, **_JFZHANG},
    },
    required=(r"^backbone\.high_level_features\.4\.conv\.0\.weight$", *_JFZHANG_REQUIRED),
    renames=(*jfzhang_names("body.backbone"), *_JFZHANG_HEAD),
    classifier="decoder.last_conv.8.weight",
    unused=r"^backbone\.features\.",
    undetectable=("output_stride",),
)
_SEPARABLE = (("conv1", 0), ("bn", 1), ("pointwise", 2))


def _xception_names() -> tuple[Rename, ...]:
    """Blocks whose first ReLU is left out count one place less."""
    blocks: list[Rename] = []
    for unit in range(3):
        for layer, place in _SEPARABLE:
            for at, blocks_of_it in ((3 * unit, "[12]"), (3 * unit + 1, r"(?:[3-9]|1\d|20)")):
                where = rf"^backbone\.block({blocks_of_it})\.rep\.{at}\.{layer}\."
                blocks.append((where, rf"body.backbone.blocks.<\1-1>.units.{unit}.{place}."))
        for at, blocks_of_it in ((3 * unit + 1, "[12]"), (3 * unit + 2, r"(?:[3-9]|1\d|20)")):
            where = rf"^backbone\.block({blocks_of_it})\.rep\.{at}\."
            blocks.append((where, rf"body.backbone.blocks.<\1-1>.units.{unit}.3."))
    return (
        (r"^backbone\.conv1\.(?=weight$)", "body.backbone.stem.0.0."),
        (r"^backbone\.bn1\.", "body.backbone.stem.0.1."),
        (r"^backbone\.conv2\.", "body.backbone.stem.1.1."),
        (r"^backbone\.bn2\.", "body.backbone.stem.1.2."),
        *blocks,
        (r"^backbone\.block(\d+)\.skip\.", r"body.backbone.blocks.<\1-1>.skip.0."),
        (r"^backbone\.block(\d+)\.skipbn\.", r"body.backbone.blocks.<\1-1>.skip.1."),
        *(
            (rf"^backbone\.conv([345])\.{layer}\.", rf"body.backbone.tail.<\1-3>.{place}.")
            for layer, place in _SEPARABLE
        ),
        (r"^backbone\.bn([345])\.", r"body.backbone.tail.<\1-3>.3."),
    )


JFZHANG_V3PLUS_XCEPTION = Layout(
    source=_JFZHANG_SOURCE,
    networks={"deeplabv3plus_xception65": {"backbone": "xception_jfzhang", "output_stride": 16, **_JFZHANG}},
    required=(r"^backbone\.block20\.rep\.1\.conv1\.weight$", *_JFZHANG_REQUIRED),
    renames=(*_xception_names(), *_JFZHANG_HEAD),
    classifier="decoder.last_conv.8.weight",
    undetectable=("output_stride",),
)
JFZHANG_V3PLUS_DRN = Layout(
    source=_JFZHANG_SOURCE,
    networks={"deeplabv3plus": {"backbone": "drn_d_54", "output_stride": 8, **_JFZHANG}},
    required=(r"^backbone\.layer0\.0\.weight$", r"^backbone\.layer8\.0\.weight$", *_JFZHANG_REQUIRED),
    renames=((r"^backbone\.layer(\d)\.", r"body.backbone.stages.\1."), *_JFZHANG_HEAD),
    classifier="decoder.last_conv.8.weight",
)
_STAGES: tuple[Rename, ...] = ((r"\.conv\.(?=weight$|bias$)", ".0."), (r"\.bn\.(?=\w+$)", ".1."))


def _kazuto_aspp(ours: str) -> tuple[Rename, ...]:
    return (
        *CAFFE_RESNET,
        *_STAGES,
        (r"^aspp\.stages\.c(\d)\.", rf"{ours}.branches.\1."),
        (r"^aspp\.stages\.imagepool\.conv\.", f"{ours}.image_pool."),
        (r"^fc1\.", f"{ours}.merge."),
    )


KAZUTO_V3 = Layout(
    source=_KAZUTO,
    networks={name: {**_GRID, "form": "kazuto", "caffe": True, "auxiliary": False} for name in _V3_NAMES},
    required=(r"^layer5\.block3\.increase\.conv\.", r"^aspp\.stages\.imagepool\.conv\.conv\.", r"^fc2\.weight$"),
    renames=(*_kazuto_aspp("body.head.0"), (r"^fc2\.", "body.head.1.")),
    classifier="fc2.weight",
    scaling="caffe",
    bgr=True,
    undetectable=("output_stride",),
)
KAZUTO_V3PLUS = Layout(
    source=_KAZUTO,
    networks={
        name: {**_GRID, "backbone": backbone, "form": "full", "width": 256, "caffe": True}
        for name, backbone in zip(_V3PLUS_NAMES, ("resnet50", "resnet101", "resnet101"), strict=True)
    },
    required=(r"^layer5\.block3\.increase\.conv\.", r"^aspp\.stages\.imagepool\.conv\.conv\.", r"^fc2\.conv3\.weight$"),
    renames=(
        *_kazuto_aspp("body.aspp"),
        (r"^reduce\.", "body.low_level."),
        (r"^fc2\.conv1\.", "body.decoder.0."),
        (r"^fc2\.conv2\.", "body.decoder.1."),
        (r"^fc2\.conv3\.", "body.head.1."),
    ),
    classifier="fc2.conv3.weight",
    scaling="caffe",
    bgr=True,
    undetectable=("output_stride",),
)

LAYOUTS = (
    VAINF_V3,
    VAINF_V3PLUS,
    VAINF_V3_MOBILENET,
    VAINF_V3PLUS_MOBILENET,
    JFZHANG_V3PLUS_DRN,
    JFZHANG_V3PLUS,
    JFZHANG_V3PLUS_MOBILENET,
    JFZHANG_V3PLUS_XCEPTION,
    KAZUTO_V3,
    KAZUTO_V3PLUS,
)
