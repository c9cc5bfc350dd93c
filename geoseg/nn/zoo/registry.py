"""The registry of networks: a name, where its builder lives, and the options that the name stands for."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from geoseg.errors import ModelError
from geoseg.nn.zoo.option_types import check_types

if TYPE_CHECKING:
    from torch import nn

NETWORKS: MappingProxyType[str, tuple[str, dict[str, Any]]] = MappingProxyType(
    {
        "fcn32s": ("geoseg.nn.fcn:build", {"stride": 32}),
        "fcn16s": ("geoseg.nn.fcn:build", {"stride": 16}),
        "fcn8s": ("geoseg.nn.fcn:build", {"stride": 8}),
        "fcn_r18": ("geoseg.nn.fcn_resnet:build", {"backbone": "resnet18c", "head": "concat", "dilate_second": False}),
        "fcn_r50": ("geoseg.nn.fcn_resnet:build", {"backbone": "resnet50"}),
        "fcn_r101": ("geoseg.nn.fcn_resnet:build", {"backbone": "resnet101"}),
        "segnet": ("geoseg.nn.segnet:build", {}),
        "parsenet": ("geoseg.nn.parsenet:build", {}),
        "unet": ("geoseg.nn.unet:build", {}),
        "unet_s5_d16": ("geoseg.nn.unet_mmseg:build", {}),
        "timm_unet": ("geoseg.nn.timm_unet:build", {}),
        "unetplusplus": ("geoseg.nn.unetplusplus:build", {}),
        "deeplabv1": ("geoseg.nn.deeplabv1:build", {}),
        "deeplabv2_r101": ("geoseg.nn.deeplabv2:build", {"backbone": "resnet101"}),
        "deeplabv3_r18": (
            "geoseg.nn.deeplabv3:build",
            {"backbone": "resnet18c", "form": "mmseg", "width": 128, "dilate_second": False},
        ),
        "deeplabv3_r50": ("geoseg.nn.deeplabv3:build", {"backbone": "resnet50"}),
        "deeplabv3_r101": ("geoseg.nn.deeplabv3:build", {"backbone": "resnet101"}),
        "deeplabv3plus": ("geoseg.nn.deeplabv3plus:build", {}),
        "deeplabv3plus_r18": (
            "geoseg.nn.deeplabv3plus:build",
            {"backbone": "resnet18c", "output_stride": 8, "width": 128, "dilate_second": False},
        ),
        "deeplabv3plus_r50": ("geoseg.nn.deeplabv3plus:build", {"backbone": "resnet50c"}),
        "deeplabv3plus_r101": ("geoseg.nn.deeplabv3plus:build", {"backbone": "resnet101c"}),
        "deeplabv3plus_xception65": ("geoseg.nn.deeplabv3plus:build", {"backbone": "xception65", "width": 256}),
        "deeplabv3plus_mobilenetv2": ("geoseg.nn.deeplabv3plus:build", {"backbone": "mobilenetv2_100", "width": 256}),
        "pspnet_r18": (
            "geoseg.nn.pspnet:build",
            {"backbone": "resnet18c", "first_block": "prev", "align_corners": False, "dilate_second": False},
        ),
        "pspnet_r50": ("geoseg.nn.pspnet:build", {"backbone": "resnet50s"}),
        "pspnet_r101": ("geoseg.nn.pspnet:build", {"backbone": "resnet101s"}),
        "hrnet": ("geoseg.nn.hrnet:build", {}),
        "hrnet_w18s_v1": ("geoseg.nn.hrnet:build", {"width": "w18_small_v1"}),
        "hrnet_w18s_v2": ("geoseg.nn.hrnet:build", {"width": "w18_small_v2"}),
        "hrnet_w18": ("geoseg.nn.hrnet:build", {"width": "w18"}),
        "hrnet_w32": ("geoseg.nn.hrnet:build", {"width": "w32"}),
        "hrnet_w48": ("geoseg.nn.hrnet:build", {"width": "w48"}),
        "ocr_r101": ("geoseg.nn.ocr:build", {"backbone": "resnet101c"}),
        "hrnet_ocr_w18": ("geoseg.nn.ocr:build_hrnet", {"width": "w18"}),
        "hrnet_ocr_w32": ("geoseg.nn.ocr:build_hrnet", {"width": "w32"}),
        "hrnet_ocr_w48": ("geoseg.nn.ocr:build_hrnet", {"width": "w48"}),
        "duc_hdc_r101": ("geoseg.nn.duc_hdc:build", {"backbone": "resnet101"}),
        "duc_hdc_r152": ("geoseg.nn.duc_hdc:build", {"backbone": "resnet152"}),
        "refinenet_r101": ("geoseg.nn.refinenet:build", {"backbone": "resnet101"}),
        "refinenet_r152": ("geoseg.nn.refinenet:build", {"backbone": "resnet152"}),
        "refinenet_lw_r50": ("geoseg.nn.refinenet:build", {"backbone": "resnet50", "light": True}),
        "refinenet_lw_r101": ("geoseg.nn.refinenet:build", {"backbone": "resnet101", "light": True}),
        "refinenet_lw_r152": ("geoseg.nn.refinenet:build", {"backbone": "resnet152", "light": True}),
        "fastfcn_fcn_r50": ("geoseg.nn.fastfcn:build", {"head": "fcn", "backbone": "resnet50s"}),
        "fastfcn_fcn_r101": ("geoseg.nn.fastfcn:build", {"head": "fcn", "backbone": "resnet101s"}),
        "fastfcn_psp_r50": ("geoseg.nn.fastfcn:build", {"head": "psp", "backbone": "resnet50s"}),
        "fastfcn_psp_r101": ("geoseg.nn.fastfcn:build", {"head": "psp", "backbone": "resnet101s"}),
        "fastfcn_deeplabv3_r50": ("geoseg.nn.fastfcn:build", {"head": "deeplabv3", "backbone": "resnet50s"}),
        "fastfcn_deeplabv3_r101": ("geoseg.nn.fastfcn:build", {"head": "deeplabv3", "backbone": "resnet101s"}),
        "fastfcn_encnet_r50": ("geoseg.nn.fastfcn:build", {"head": "encnet", "backbone": "resnet50s"}),
        "fastfcn_encnet_r101": ("geoseg.nn.fastfcn:build", {"head": "encnet", "backbone": "resnet101s"}),
        "dfn_r101": ("geoseg.nn.dfn:build", {"backbone": "resnet101s"}),
        "setr_naive_b": (
            "geoseg.nn.setr:build_naive",
            {"vit": "vit_base_patch16_384", "depths": (0.25, 0.5, 0.75, 1.0)},
        ),
        "setr_naive_l": ("geoseg.nn.setr:build_naive", {"vit": "vit_large_patch16_384"}),
        "setr_pup_b": (
            "geoseg.nn.setr:build_pup",
            {"vit": "vit_base_patch16_384", "depths": (5 / 12, 8 / 12, 10 / 12, 1.0)},
        ),
        "setr_pup_l": ("geoseg.nn.setr:build_pup", {"vit": "vit_large_patch16_384"}),
        "setr_mla_b": ("geoseg.nn.setr:build_mla", {"vit": "vit_base_patch16_384"}),
        "setr_mla_l": ("geoseg.nn.setr:build_mla", {"vit": "vit_large_patch16_384"}),
        "smp_unet": ("geoseg.nn.adapters.smp_networks:build", {"architecture": "Unet"}),
        "smp_unetplusplus": ("geoseg.nn.adapters.smp_networks:build", {"architecture": "UnetPlusPlus"}),
        "smp_manet": ("geoseg.nn.adapters.smp_networks:build", {"architecture": "MAnet"}),
        "smp_linknet": ("geoseg.nn.adapters.smp_networks:build", {"architecture": "Linknet"}),
        "smp_fpn": ("geoseg.nn.adapters.smp_networks:build", {"architecture": "FPN"}),
        "smp_pspnet": ("geoseg.nn.adapters.smp_networks:build", {"architecture": "PSPNet"}),
        "smp_pan": ("geoseg.nn.adapters.smp_networks:build", {"architecture": "PAN"}),
        "smp_deeplabv3": ("geoseg.nn.adapters.smp_networks:build", {"architecture": "DeepLabV3"}),
        "smp_deeplabv3plus": ("geoseg.nn.adapters.smp_networks:build", {"architecture": "DeepLabV3Plus"}),
        "smp_upernet": ("geoseg.nn.adapters.smp_networks:build", {"architecture": "UPerNet"}),
        "smp_segformer": ("geoseg.nn.adapters.smp_networks:build", {"architecture": "Segformer"}),
        "torchvision_fcn_resnet50": ("geoseg.nn.adapters.torchvision_networks:build", {"architecture": "fcn_resnet50"}),
        "torchvision_fcn_resnet101": (
            "geoseg.nn.adapters.torchvision_networks:build",
            {"architecture": "fcn_resnet101"},
        ),
        "torchvision_deeplabv3_resnet50": (
            "geoseg.nn.adapters.torchvision_networks:build",
            {"architecture": "deeplabv3_resnet50"},
        ),
        "torchvision_deeplabv3_resnet101": (
            "geoseg.nn.adapters.torchvision_networks:build",
            {"architecture": "deeplabv3_resnet101"},
        ),
        "torchvision_deeplabv3_mobilenet_v3_large": (
            "geoseg.nn.adapters.torchvision_networks:build",
            {"architecture": "deeplabv3_mobilenet_v3_large"},
        ),
        "torchvision_lraspp_mobilenet_v3_large": (
            "geoseg.nn.adapters.torchvision_networks:build",
            {"architecture": "lraspp_mobilenet_v3_large"},
        ),
        "torchgeo_fcn": ("geoseg.nn.adapters.torchgeo_networks:build_fcn", {}),
        "torchgeo_farseg": ("geoseg.nn.adapters.torchgeo_networks:build_farseg", {}),
    }
)
"""Name to (module:builder, options that the name sets unless they are given)."""


def build(name: str, in_channels: int, classes: int, **options: Any) -> nn.Module:
    """Build a network with random weights.

    The network maps (B, in_channels, H, W) to logits (B, classes, H, W) for any H, W >= 1, and carries ``stride``,
    the multiple of pixels its body works in. ``geoseg.nn.parts.auxiliary.forward_all`` runs it with its side heads.

    Args:
        name: a key of ``NETWORKS``.
        in_channels: input bands, at least 1.
        classes: output channels, at least 1.
        options: the architecture's own options; see its module.

    Raises:
        ModelError: the name or an option is unknown, or an option has a value the architecture cannot take.

    Example:
        >>> build("unet", in_channels=4, classes=6, width=8).stride
        16
    """
    if name not in NETWORKS:
        raise ModelError(f"network {name!r} is unknown; {nearest(name)}")
    if in_channels < 1 or classes < 1:
        raise ModelError(f"network {name!r} needs at least one band and one class, not {in_channels} and {classes}")
    place, preset = NETWORKS[name]
    builder = _builder(place)
    chosen = {**preset, **options}
    try:
        inspect.signature(builder).bind(in_channels, classes, **chosen)
    except TypeError as error:
        raise ModelError(f"network {name!r}: {error}; its options are {', '.join(_defaults(builder))}") from error
    check_types(name, builder, chosen)
    network: nn.Module = builder(in_channels, classes, **chosen)
    return network


def options(name: str) -> dict[str, Any]:
    """Tell the options of a network and what they are unless they are given.

    Args:
        name: a key of ``NETWORKS``.

    Raises:
        ModelError: the name is unknown.
    """
    if name not in NETWORKS:
        raise ModelError(f"network {name!r} is unknown; {nearest(name)}")
    place, preset = NETWORKS[name]
    return {**_defaults(_builder(place)), **preset}


def _builder(place: str) -> Callable[..., Any]:
    module, function = place.split(":")
    builder: Callable[..., Any] = getattr(import_module(module), function)
    return builder


def _defaults(builder: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(builder).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def nearest(name: str) -> str:
    """Say which names are like one that is unknown, or all of them."""
    near = difflib.get_close_matches(name, NETWORKS, n=3, cutoff=0.3)
    return f"nearest: {', '.join(near)}" if near else f"known: {', '.join(sorted(NETWORKS))}"
