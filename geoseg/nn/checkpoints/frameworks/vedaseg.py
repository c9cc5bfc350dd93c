"""U-Net, FPN, PSPNet, DeepLab V3 and V3+ of https://github.com/Media-Smart/vedaseg, as its configurations are.

Its networks are sequences, so that their names begin with numbers: 0 is the encoder, 1 the decoder, 2 the head.
"""

from __future__ import annotations

from geoseg.nn.checkpoints.layout import Layout, Rename

_SOURCE = "Media-Smart/vedaseg"
_NORMED: tuple[Rename, ...] = ((r"\.conv\.(?=weight$|bias$)", ".0."), (r"\.bn\.(?=\w+$)", ".1."))
_LAST = "2.block.1.weight"


def _resnet(prefix: str) -> tuple[Rename, ...]:
    return (
        (rf"^{prefix}stem\.7\.", "body.backbone.bn1."),
        (rf"^{prefix}stem\.", "body.backbone.conv1."),
        (rf"^{prefix}(?=conv1\.|bn1\.|layer)", "body.backbone."),
    )


def _head(classifier: str, *convolutions: str) -> tuple[Rename, ...]:
    return (
        *_NORMED,
        *((rf"^2\.block\.0\.block\.{i}\.", f"{place}.") for i, place in enumerate(convolutions)),
        (r"^2\.block\.1\.", f"{classifier}."),
    )


_ASPP: tuple[Rename, ...] = (
    (r"^0\.1\.convs\.4\.1\.", "aspp.image_pool.0."),
    (r"^0\.1\.convs\.4\.2\.", "aspp.image_pool.1."),
    (r"^0\.1\.convs\.", "aspp.branches."),
    (r"^0\.1\.project\.", "aspp.merge."),
)
_PPM_NAME, _ASPP_NAME = r"^0\.1\.blocks\.3\.1\.weight$", r"^0\.1\.convs\.4\.1\.weight$"
_DILATED = {"first_block": "same", "align_corners": True}
_GRID = {**_DILATED, "output_stride": 16, "multi_grid": (1, 2, 4)}

UNET = Layout(
    source=_SOURCE,
    networks={"unet_r50": {}, "unet_r101": {}},
    required=(r"^0\.layer4\.", r"^1\.neck\.9\.lateral_blocks\.0\.block\.1\.conv\.weight$", r"^2\.block\.0\.weight$"),
    renames=(
        *_resnet(r"0\."),
        *_NORMED,
        *((rf"^1\.neck\.{2 * i + 1}\.lateral_blocks\.0\.block\.", f"body.merge.{i}.") for i in range(5)),
        (r"^2\.block\.0\.", "body.head."),
    ),
    classifier="2.block.0.weight",
    resnet="0.",
)
FPN = Layout(
    source=_SOURCE,
    networks={name: {"form": "vedaseg", "align_corners": True} for name in ("fpn_r50", "fpn_r101")},
    required=(r"^0\.layer4\.", r"^1\.neck\.7\.lateral_blocks\.0\.conv\.weight$", r"^1\.fusion\.blocks\.3\.4\."),
    renames=(
        *_resnet(r"0\."),
        (r"^1\.neck\.([0-3])\.lateral_blocks\.0\.conv\.", r"body.neck.0.narrow.<3-\1>."),
        (r"^1\.neck\.([4-7])\.lateral_blocks\.0\.conv\.", r"body.neck.0.smooth.<7-\1>."),
        *((rf"^1\.fusion\.blocks\.(\d)\.{2 * i}\.", rf"body.neck.1.paths.\1.{i}.") for i in range(3)),
        *_head("body.head.3", "body.head.0", "body.head.1", "body.head.2"),
    ),
    classifier=_LAST,
    resnet="0.",
    sizes={"pyramid_width": "1.neck.0.lateral_blocks.0.conv.weight", "width": "1.fusion.blocks.0.0.conv.weight"},
)
PSPNET = Layout(
    source=_SOURCE,
    networks={name: {**_DILATED, "auxiliary": False} for name in ("pspnet_r50", "pspnet_r101")},
    required=(r"^0\.0\.layer4\.", _PPM_NAME, r"^2\.block\.0\.block\.0\.conv\.weight$"),
    renames=(
        *_resnet(r"0\.0\."),
        (r"^0\.1\.blocks\.(\d)\.1\.", r"body.head.0.levels.\1.0."),
        (r"^0\.1\.blocks\.(\d)\.2\.", r"body.head.0.levels.\1.1."),
        *_head("body.head.1.2", "body.head.1.0"),
    ),
    classifier=_LAST,
    resnet="0.0.",
    sizes={"width": "0.1.blocks.0.1.weight"},
)
DEEPLABV3 = Layout(
    source=_SOURCE,
    networks={name: {**_GRID, "auxiliary": False} for name in ("deeplabv3_r50", "deeplabv3_r101")},
    required=(r"^0\.0\.layer4\.", _ASPP_NAME, r"^2\.block\.0\.block\.0\.conv\.weight$"),
    forbidden=(r"^1\.",),
    renames=(
        *_resnet(r"0\.0\."),
        *_ASPP,
        (r"^aspp\.", "body.head.0."),
        *_head("body.head.3", "body.head.2"),
    ),
    classifier=_LAST,
    resnet="0.0.",
    undetectable=("output_stride",),
)
DEEPLABV3PLUS = Layout(
    source=_SOURCE,
    networks={
        name: {**_GRID, "form": "full", "width": 256}
        for name in ("deeplabv3plus_r50", "deeplabv3plus_r101", "deeplabv3plus")
    },
    required=(r"^0\.0\.layer4\.", _ASPP_NAME, r"^1\.neck\.0\.lateral_blocks\.0\.conv\.weight$"),
    renames=(
        *_resnet(r"0\.0\."),
        *_ASPP,
        (r"^aspp\.", "body.aspp."),
        *_head("body.head.1", "body.decoder.0", "body.decoder.1"),
        (r"^1\.neck\.0\.lateral_blocks\.0\.", "body.low_level."),
    ),
    classifier=_LAST,
    resnet="0.0.",
    undetectable=("output_stride",),
)

LAYOUTS = (UNET, FPN, PSPNET, DEEPLABV3, DEEPLABV3PLUS)
