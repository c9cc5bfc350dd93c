"""DUC-HDC, PSPNet, FCN on VGG16, SegNet and U-Net of https://github.com/zijundeng/pytorch-semantic-segmentation.

Its plain DUC has the tensors of its DUC-HDC at other rates: ``third_rates=(2,)``, ``fourth_rates=(4,)``. Its FCN-16s
and -32s start from the VGG16 of Caffe, whose bands are blue, green, red; its FCN-8s from that of torchvision, or of
Caffe where its training says so. Its SegNet unpools nothing, and applies some layers several
times, whose tensors it writes as often.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from geoseg.nn.checkpoints.layout import Blocks, Layout, Rename

_SOURCE = "zijundeng/pytorch-semantic-segmentation"
_BODY: tuple[Rename, ...] = (
    (r"^layer0\.0\.", "body.backbone.conv1."),
    (r"^layer0\.1\.", "body.backbone.bn1."),
    (r"^layer", "body.backbone.layer"),
)
DUC_HDC = Layout(
    source=_SOURCE,
    networks={"duc_hdc_r101": {}, "duc_hdc_r152": {}},
    required=(r"^layer4\.2\.", r"^duc\.conv\.weight$", r"^duc\.bn\.running_mean$"),
    renames=(*_BODY, (r"^duc\.conv\.", "body.head.0.0."), (r"^duc\.bn\.", "body.head.0.1.")),
    classifier="duc.bn.weight",
    cells=64,
    resnet="",
    undetectable=("third_rates", "fourth_rates"),
)
PSPNET = Layout(
    source=_SOURCE,
    networks={
        name: {"first_block": "same", "align_corners": False, "auxiliary": False}
        for name in ("pspnet_r50", "pspnet_r101")
    },
    required=(r"^layer0\.1\.running_mean$", r"^ppm\.features\.3\.1\.weight$", r"^final\.4\.weight$"),
    renames=(
        *_BODY,
        (r"^ppm\.features\.(\d)\.1\.", r"body.head.0.levels.\1.0."),
        (r"^ppm\.features\.(\d)\.2\.", r"body.head.0.levels.\1.1."),
        (r"^final\.([01])\.", r"body.head.1.0.\1."),
        (r"^final\.4\.", "body.head.1.2."),
    ),
    classifier="final.4.weight",
    unused=r"^aux_logits\.",
    resnet="",
    undetectable=("align_corners",),
)
_VGG16 = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Places of the convolutions of each block of torchvision's VGG16."""


def _vgg(*begins: int) -> tuple[Rename, ...]:
    """Rename the parts of a VGG16: the first place of each, named by the pool that ends it, the last by the fifth."""
    ends = (*begins[1:], 31)
    return tuple(
        (rf"^features{5 - len(begins) + part + 1}\.{place - begin}\.", rf"body.blocks.{block}.{2 * depth}.")
        for part, (begin, end) in enumerate(zip(begins, ends, strict=True))
        for block, places in enumerate(_VGG16)
        for depth, place in enumerate(places)
        if begin <= place < end
    )


_FCN: tuple[Rename, ...] = (
    (r"^score_fr\.0\.", "body.fc6."),
    (r"^score_fr\.3\.", "body.fc7."),
    (r"^score_fr\.6\.", "body.score."),
    (r"^upscore2\.", "body.rise_pool4."),
    (r"^upscore_pool4\.", "body.rise_pool3."),
    (r"^upscore(8|16|)\.", "body.rise."),
    (r"^(?=score_pool)", "body."),
)
FCN8S = Layout(
    source=_SOURCE,
    networks={"fcn8s": {"at_once": True}},
    required=(r"^features3\.14\.weight$", r"^score_fr\.6\.weight$", r"^upscore8\.weight$"),
    renames=(*_vgg(0, 17, 24), *_FCN),
    classifier="score_fr.6.weight",
    undetectable=("at_once",),
)
FCN16S = Layout(
    source=_SOURCE,
    networks={"fcn16s": {"at_once": True}},
    required=(r"^features4\.21\.weight$", r"^score_fr\.6\.weight$", r"^upscore16\.weight$"),
    renames=(*_vgg(0, 24), *_FCN),
    classifier="score_fr.6.weight",
    scaling="caffe",
    bgr=True,
)
FCN32S = Layout(
    source=_SOURCE,
    networks={"fcn32s": {}},
    required=(r"^features5\.28\.weight$", r"^score_fr\.6\.weight$", r"^upscore\.weight$"),
    renames=(*_vgg(0), *_FCN),
    classifier="score_fr.6.weight",
    scaling="caffe",
    bgr=True,
)


def _without_idle_biases(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take the biases of convolutions before a norm off the norm's mean."""
    changed = dict(tensors)
    for name, bias in tensors.items():
        match = re.fullmatch(r"(.+\.)(\d+)\.bias", name)
        mean = f"{match[1]}{int(match[2]) + 1}.running_mean" if match else ""
        if mean in tensors and tensors[mean].shape == bias.shape:
            changed[mean] = tensors[mean] - bias
            del changed[name]
    return changed


UNET = Layout(
    source=_SOURCE,
    networks={"unet": {"convolution": "valid", "ragged": "stretch", "copies": "pool", "align_corners": False}},
    required=(r"^enc4\.encode\.4\.running_mean$", r"^center\.decode\.6\.weight$", r"^dec1\.4\.running_mean$"),
    renames=(
        (r"^enc(\d)\.encode\.", r"down.<\1-1>."),
        (r"^center\.decode\.6\.", "rise.0."),
        (r"^center\.decode\.", "down.4."),
        (r"^dec(\d)\.decode\.6\.", r"rise.<5-\1>."),
        (r"^dec(\d)\.decode\.", r"merge.<4-\1>."),
        (r"^dec1\.", "merge.3."),
        (r"^final\.", "head."),
    ),
    classifier="final.weight",
    blocks=(Blocks(pattern=r"^merge\.\d\.0\.weight$", dim=1, order=(1, 0)),),
    sizes={"width": "enc1.encode.0.weight"},
    undetectable=("align_corners",),
    prepare=_without_idle_biases,
)
SEGNET = Layout(
    source=_SOURCE,
    networks={"segnet": {"form": "concat"}},
    required=(r"^enc5\.9\.weight$", r"^dec5\.10\.weight$", r"^dec1\.decode\.4\.weight$"),
    renames=(
        (r"^enc(\d)\.", r"body.down.<\1-1>."),
        (r"^dec5\.0\.", "body.up.0.0."),
        (r"^dec5\.10\.", "body.up.0.1.block.0."),
        (r"^dec5\.11\.", "body.up.0.1.block.1."),
        (r"^dec(\d)\.decode\.0\.", r"body.up.<5-\1>.0."),
        (r"^dec(\d)\.decode\.1\.", r"body.up.<5-\1>.1.0."),
        (r"^dec(\d)\.decode\.2\.", r"body.up.<5-\1>.1.1."),
        (r"^dec([34])\.decode\.7\.", r"body.up.<5-\1>.2.block.0."),
        (r"^dec([34])\.decode\.8\.", r"body.up.<5-\1>.2.block.1."),
        (r"^dec([34])\.decode\.10\.", r"body.up.<5-\1>.3.0."),
        (r"^dec([34])\.decode\.11\.", r"body.up.<5-\1>.3.1."),
        (r"^dec([12])\.decode\.4\.", r"body.up.<5-\1>.2.0."),
        (r"^dec([12])\.decode\.5\.", r"body.up.<5-\1>.2.1."),
    ),
    classifier="dec1.decode.4.weight",
    unused=r"^dec5\.[124578]\.|^dec[34]\.decode\.[45]\.",
)

LAYOUTS = (DUC_HDC, PSPNET, FCN8S, FCN16S, FCN32S, UNET, SEGNET)
