"""SETR of mmsegmentation and of its authors (https://github.com/fudan-zvg/SETR).

mmsegmentation names torch's attention in 1.x and late 0.x, timm's (``blocks``, ``qkv``) before, as the authors do. The
authors' convolutions have biases before their norms, which move into the norms' means; their auxiliary heads stay out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from geoseg.nn.checkpoints.layout import Blocks, Layout, Rename

_SOURCE = "mmsegmentation"
_POSITIONS = "backbone.pos_embed"
_SEG = "decode_head.conv_seg.weight"
_AUXILIARY = r"^auxiliary_head\."
_SINGLE = (
    _SEG,
    "decode_head.conv_seg.bias",
    *(f"auxiliary_head.{head}.conv_seg.{part}" for head in range(4) for part in ("weight", "bias")),
)
_UNDETECTABLE = ("align_corners",)
_UP_SIZE = {"width": "decode_head.up_convs.0.0.conv.weight"}
_VIT: tuple[Rename, ...] = (
    (r"\.conv\.(?=weight$|bias$)", ".0."),
    (r"\.bn\.(?=\w+$)", ".1."),
    (r"^backbone\.cls_token$", "body.backbone.class_token"),
    (r"^backbone\.pos_embed$", "body.backbone.positions"),
    (r"^backbone\.patch_embed\.proj(ection)?\.", "body.backbone.patches."),
    (r"^backbone\.layers\.(\d+)\.ln([12])\.", r"body.backbone.blocks.\1.norm\2."),
    (r"^backbone\.layers\.(\d+)\.attn\.attn\.in_proj_", r"body.backbone.blocks.\1.attn.qkv."),
    (r"^backbone\.layers\.(\d+)\.attn\.attn\.out_proj\.", r"body.backbone.blocks.\1.attn.proj."),
    (r"^backbone\.layers\.(\d+)\.ffn\.layers\.0\.0\.", r"body.backbone.blocks.\1.mlp.fc1."),
    (r"^backbone\.layers\.(\d+)\.ffn\.layers\.1\.", r"body.backbone.blocks.\1.mlp.fc2."),
    (r"^backbone\.blocks\.", "body.backbone.blocks."),
)


def _up_head(source: str, ours: str, convolutions: int) -> tuple[Rename, ...]:
    steps = ((rf"^{source}\.up_convs\.{i}\.0\.", rf"{ours}.{1 + 2 * i}.") for i in range(convolutions))
    return (
        (rf"^{source}\.norm\.", rf"{ours}.0."),
        *steps,
        (rf"^{source}\.conv_seg\.", rf"{ours}.{1 + 2 * convolutions}."),
    )


NAIVE = Layout(
    source=_SOURCE,
    networks={"setr_naive_b": {}, "setr_naive_l": {}},
    required=(r"^backbone\.pos_embed$", r"^decode_head\.norm\.", r"^decode_head\.up_convs\.0\.0\.conv\."),
    forbidden=(r"^decode_head\.up_convs\.1\.",),
    renames=(
        *_VIT,
        *_up_head("decode_head", "body.head", 1),
        *_up_head(r"auxiliary_head\.(\d)", r"body.sides.\1", 1),
    ),
    classifier=_SEG,
    auxiliary=_AUXILIARY,
    positions=_POSITIONS,
    single=_SINGLE,
    sizes=_UP_SIZE,
    undetectable=_UNDETECTABLE,
)
PUP = Layout(
    source=_SOURCE,
    networks={"setr_pup_b": {}, "setr_pup_l": {}},
    required=(r"^backbone\.pos_embed$", r"^decode_head\.norm\.", r"^decode_head\.up_convs\.3\.0\.conv\."),
    renames=(
        *_VIT,
        *_up_head("decode_head", "body.head", 4),
        *_up_head(r"auxiliary_head\.(\d)", r"body.sides.\1", 2),
    ),
    classifier=_SEG,
    auxiliary=_AUXILIARY,
    positions=_POSITIONS,
    single=_SINGLE,
    sizes=_UP_SIZE,
    undetectable=_UNDETECTABLE,
)
# its neck passes on the deepest map first, geoseg's the shallowest
MLA = Layout(
    source=_SOURCE,
    networks={"setr_mla_b": {}, "setr_mla_l": {}},
    required=(r"^backbone\.pos_embed$", r"^neck\.mla\.channel_proj\.", r"^decode_head\.up_convs\.3\.1\.conv\."),
    renames=(
        *_VIT,
        (r"^neck\.norm\.", "body.neck.norms."),
        (r"^neck\.mla\.channel_proj\.", "body.neck.narrow."),
        (r"^neck\.mla\.feat_extract\.(\d)\.", r"body.neck.refine.<3-\1>."),
        (r"^decode_head\.up_convs\.(\d)\.", r"body.neck.up.<3-\1>."),
        (r"^decode_head\.conv_seg\.", "body.head."),
        (r"^auxiliary_head\.(\d)\.conv_seg\.", r"body.sides.<3-\1>."),
    ),
    blocks=(Blocks(pattern=r"^body\.head\.weight$", dim=1, order=(3, 2, 1, 0)),),
    classifier=_SEG,
    auxiliary=_AUXILIARY,
    positions=_POSITIONS,
    single=_SINGLE,
    sizes={"width": "neck.mla.channel_proj.0.conv.weight"},
    undetectable=_UNDETECTABLE,
)

_AUTHORS_UNUSED = r"^auxiliary_head\.|^decode_head\.conv_seg\."


def _without_biases(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take the biases before norms off the norms' means."""
    state = dict(tensors)
    for name in tensors:
        found = re.fullmatch(r"decode_head\.conv_(\d)\.bias", name)
        mean = "" if found is None else f"decode_head.syncbn_fc_{found[1]}.running_mean"
        if mean in state and state[mean].shape == state[name].shape:
            state[mean] = state[mean] - state.pop(name)
    return state


def _authors_up(kind: str, convolutions: int) -> Layout:
    last = convolutions - 1
    options = {"auxiliary": False, **({"form": "authors"} if kind == "naive" else {})}
    return Layout(
        source="fudan-zvg/SETR",
        networks={f"setr_{kind}_{size}": options for size in ("b", "l")},
        required=(r"^backbone\.pos_embed$", r"^decode_head\.norm\.", rf"^decode_head\.syncbn_fc_{last}\."),
        forbidden=(rf"^decode_head\.syncbn_fc_{last + 1}\.",),
        renames=(
            *_VIT,
            (r"^decode_head\.norm\.", "body.head.0."),
            (rf"^decode_head\.conv_{convolutions}\.", f"body.head.{1 + 2 * convolutions}."),
            *((rf"^decode_head\.conv_{i}\.", f"body.head.{1 + 2 * i}.0.") for i in range(convolutions)),
            *((rf"^decode_head\.syncbn_fc_{i}\.", f"body.head.{1 + 2 * i}.1.") for i in range(convolutions)),
        ),
        classifier=f"decode_head.conv_{convolutions}.weight",
        unused=_AUTHORS_UNUSED,
        positions=_POSITIONS,
        sizes={"width": "decode_head.conv_0.weight"},
        prepare=_without_biases,
        undetectable=_UNDETECTABLE,
    )


AUTHORS_NAIVE = _authors_up("naive", 1)
AUTHORS_PUP = _authors_up("pup", 4)
AUTHORS_MLA = Layout(
    source="fudan-zvg/SETR",
    networks={f"setr_mla_{size}": {"auxiliary": False, "form": "authors"} for size in ("b", "l")},
    required=(r"^backbone\.pos_embed$", r"^backbone\.mla\.mla_p5_1x1\.", r"^decode_head\.mlahead\.head5\.3\."),
    renames=(
        *_VIT,
        (r"^backbone\.norm_(\d)\.", r"body.neck.norms.\1."),
        (r"^backbone\.mla\.mla_p(\d)_1x1\.", r"body.neck.narrow.<\1-2>."),
        (r"^backbone\.mla\.mla_p(\d)\.", r"body.neck.refine.<\1-2>."),
        *(
            (rf"^decode_head\.mlahead\.head(\d)\.{theirs}\.", rf"body.neck.up.<\1-2>.{ours}.")
            for theirs, ours in ((0, "0.0"), (1, "0.1"), (3, "1.0"), (4, "1.1"))
        ),
        (r"^decode_head\.cls\.", "body.head."),
    ),
    classifier="decode_head.cls.weight",
    unused=_AUTHORS_UNUSED,
    positions=_POSITIONS,
    sizes={"width": "backbone.mla.mla_p2_1x1.0.weight"},
    undetectable=_UNDETECTABLE,
)

LAYOUTS = (NAIVE, PUP, MLA, AUTHORS_NAIVE, AUTHORS_PUP, AUTHORS_MLA)
