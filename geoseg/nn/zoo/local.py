"""Networks whose answer at a pixel depends on a neighbourhood of it alone, whatever the size of the tile.

Pooling over the whole tile, attention and position embeddings tie a network to the tile size that it was trained on.
Loads no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

_USUAL_BYTES = 1024

ACTIVATION_BYTES: MappingProxyType[str, int] = MappingProxyType(
    {
        "fcn32s": _USUAL_BYTES,
        "fcn16s": _USUAL_BYTES,
        "fcn8s": _USUAL_BYTES,
        "fcn_r18": _USUAL_BYTES,
        "fcn_r50": _USUAL_BYTES,
        "fcn_r101": _USUAL_BYTES,
        "segnet": _USUAL_BYTES,
        "unet": _USUAL_BYTES,
        "unet_s5_d16": _USUAL_BYTES,
        "timm_unet": 256,  # 244 in OpenVINO with mobilenetv2_100, from 1152 to 4256 px a side
        "unetplusplus": 2 * _USUAL_BYTES,
        "deeplabv1": _USUAL_BYTES,
        "deeplabv2_r101": _USUAL_BYTES,
        "hrnet": _USUAL_BYTES,
        "hrnet_w18s_v1": _USUAL_BYTES,
        "hrnet_w18s_v2": _USUAL_BYTES,
        "hrnet_w18": _USUAL_BYTES,
        "hrnet_w32": _USUAL_BYTES,
        "hrnet_w48": _USUAL_BYTES,
        "smp_unet": _USUAL_BYTES,
    }
)
"""Local networks, with the memory of their activations in bytes per pixel of a tile: rounded up, mostly estimated."""

_LOCAL_ENCODER = re.compile(r"(tu-)?(mobilenetv2_\w+|mobilenet_v2|resnet(18|26|34|50|101|152)d?|vgg\d+(_bn)?)(\.\w+)?")
"""Encoders without squeeze-and-excitation, which pools over the whole tile."""
_STRETCHED: Mapping[str, tuple[str, ...]] = {"ragged": ("stretch",), "rise": ("bilinear", "nearest")}
"""Options with which a U-Net or an FCN stretches the answer over the tile, so that it moves with the tile's size."""


def activation_bytes(name: str, options: Mapping[str, object]) -> int | None:
    """Estimate the memory of a local network per pixel of a tile, bytes; None for other networks.

    Args:
        name: name of the network in the registry.
        options: its options, as in a model's card.
    """
    if any(options.get(option) in values for option, values in _STRETCHED.items()):
        return None
    encoder = options.get("encoder")
    if encoder is not None and not _LOCAL_ENCODER.fullmatch(str(encoder)):
        return None
    return None if options.get("decoder_attention_type") else ACTIVATION_BYTES.get(name)
