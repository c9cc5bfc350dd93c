"""PSANet of its authors (https://github.com/hszhao/semseg), of ycszen/TorchSeg and of mmsegmentation.

The tensors show how many weights a pixel predicts; their rows and columns are taken to be as many (pass the option
``mask`` where they are not). Whether they are compact, and the direction where there is one, stand in the authors'
configuration alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt

from torch import Tensor

from geoseg.nn.checkpoints.layout import Kinds, Layout, Rename
from geoseg.nn.checkpoints.mmseg.layouts import AUXILIARY, MERGED, RESNET, SEG, SIDE_SIZE, SINGLE, SOURCE, STEM

_NAMES = ("psanet_r50", "psanet_r101")


def _window(attention: str, classifier: str) -> Kinds:
    def kinds(tensors: Mapping[str, Tensor]) -> tuple[int, dict[str, object]]:
        cells = tensors[attention].shape[0] if attention in tensors and tensors[attention].ndim else 0
        side = isqrt(cells)
        return tensors[classifier].shape[0], {"mask": (side, side)} if side and side * side == cells else {}

    return kinds


_AUTHORS: tuple[Rename, ...] = (
    (r"^layer0\.7\.", "body.backbone.bn1."),
    (r"^layer0\.", "body.backbone.conv1."),
    (r"^layer", "body.backbone.layer"),
    (r"^psa\.reduce\.", "body.head.0.branches.0.reduce."),
    (r"^psa\.reduce_p\.", "body.head.0.branches.1.reduce."),
    (r"^psa\.attention\.([01])\.", r"body.head.0.branches.0.attention.0.\1."),
    (r"^psa\.attention\.3\.", "body.head.0.branches.0.attention.1."),
    (r"^psa\.attention_p\.([01])\.", r"body.head.0.branches.1.attention.0.\1."),
    (r"^psa\.attention_p\.3\.", "body.head.0.branches.1.attention.1."),
    (r"^psa\.proj\.", "body.head.0.proj."),
    (r"^cls\.([01])\.", r"body.head.1.0.\1."),
    (r"^cls\.4\.", "body.head.1.2."),
    (r"^aux\.([01])\.", r"body.sides.0.0.\1."),
    (r"^aux\.4\.", "body.sides.0.2."),
)


def _authors(required: tuple[str, ...], forbidden: tuple[str, ...], *, direction: str) -> Layout:
    alone = ("direction",) if forbidden else ()
    return Layout(
        source="hszhao/semseg",
        networks={name: {"direction": direction} for name in _NAMES},
        required=(r"^layer0\.6\.weight$", r"^psa\.attention\.3\.weight$", *required),
        forbidden=forbidden,
        renames=_AUTHORS,
        classifier="cls.4.weight",
        auxiliary=r"^aux\.",
        kinds=_window("psa.attention.3.weight", "cls.4.weight"),
        undetectable=(*alone, "compact", "shrink"),
    )


_BOTH_NAME = r"^psa\.reduce_p\.0\.weight$"
AUTHORS = _authors((_BOTH_NAME,), (), direction="both")
AUTHORS_ONE_WAY = _authors((), (_BOTH_NAME,), direction="collect")
TORCHSEG = Layout(
    source="ycszen/TorchSeg",
    networks={name: {"form": "torchseg", "compact": True, "first_block": "prev"} for name in _NAMES},
    required=(r"^psa_layer\.distribute_attention\.1\.conv\.weight$", r"^psa_layer\.conv6\.2\.weight$"),
    renames=(
        (r"^psa_layer\.(collect|distribute)_attention\.1\.conv\.", r"psa_layer.\1_attention.1."),
        (r"\.conv\.(?=weight$|bias$)", ".0."),
        (r"\.bn\.(?=\w+$)", ".1."),
        (r"^backbone\.", "body.backbone."),
        (r"^psa_layer\.collect_reduction\.", "body.head.0.branches.0.reduce."),
        (r"^psa_layer\.collect_attention\.", "body.head.0.branches.0.attention."),
        (r"^psa_layer\.distribute_reduction\.", "body.head.0.branches.1.reduce."),
        (r"^psa_layer\.distribute_attention\.", "body.head.0.branches.1.attention."),
        (r"^psa_layer\.proj\.", "body.head.0.proj."),
        (r"^psa_layer\.conv6\.", "body.head.1."),
        (r"^aux_layer\.", "body.sides.0."),
    ),
    classifier="psa_layer.conv6.2.weight",
    auxiliary=r"^aux_layer\.",
    resnet="backbone.",
    sizes={"auxiliary_width": "aux_layer.0.conv.weight"},
    kinds=_window("psa_layer.collect_attention.1.conv.weight", "psa_layer.conv6.2.weight"),
)


def _mmseg(required: tuple[str, ...], forbidden: tuple[str, ...], *, direction: str) -> Layout:
    options = {"form": "mmseg", "first_block": "prev", "align_corners": False, "direction": direction}
    alone = ("direction",) if forbidden else ()
    return Layout(
        source=SOURCE,
        networks={
            name: {**options, "backbone": backbone}
            for name, backbone in zip(_NAMES, ("resnet50c", "resnet101c"), strict=True)
        },
        required=(STEM, r"^decode_head\.attention\.1\.weight$", r"^decode_head\.proj\.conv\.", *required),
        forbidden=forbidden,
        renames=(
            *RESNET,
            (r"^decode_head\.reduce\.", "body.head.0.branches.0.reduce."),
            (r"^decode_head\.reduce_p\.", "body.head.0.branches.1.reduce."),
            (r"^decode_head\.attention\.", "body.head.0.branches.0.attention."),
            (r"^decode_head\.attention_p\.", "body.head.0.branches.1.attention."),
            (r"^decode_head\.proj\.", "body.head.0.proj."),
            (r"^decode_head\.bottleneck\.", "body.head.1.0."),
            (r"^decode_head\.conv_seg\.", "body.head.1.2."),
        ),
        classifier=SEG,
        auxiliary=AUXILIARY,
        resnet="backbone.",
        single=SINGLE,
        sizes={"width": MERGED, **SIDE_SIZE},
        kinds=_window("decode_head.attention.1.weight", SEG),
        undetectable=(*alone, "output_stride", "align_corners", "compact", "shrink"),
    )


_MMSEG_BOTH_NAME = r"^decode_head\.reduce_p\.conv\.weight$"
MMSEG = _mmseg((_MMSEG_BOTH_NAME,), (), direction="both")
MMSEG_ONE_WAY = _mmseg((), (_MMSEG_BOTH_NAME,), direction="collect")

LAYOUTS = (AUTHORS, AUTHORS_ONE_WAY, TORCHSEG, MMSEG, MMSEG_ONE_WAY)
