"""The registry of networks: a name, and where its builder lives."""

from __future__ import annotations

import difflib
import inspect
from importlib import import_module
from types import MappingProxyType
from typing import Any

from torch import nn

from geoseg.errors import ModelError

NETWORKS = MappingProxyType(
    {
        "unet": "geoseg.nn.unet:build",
        "deeplabv3plus": "geoseg.nn.deeplabv3plus:build",
        "hrnet": "geoseg.nn.hrnet:build",
    }
)


def build(name: str, in_channels: int, classes: int, **options: Any) -> nn.Module:
    """Build a network with random weights.

    The network maps (B, in_channels, H, W) to logits (B, classes, H, W) for any H, W >= 1, and carries ``stride``,
    the multiple of pixels its body works in.

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
        near = difflib.get_close_matches(name, NETWORKS, n=3, cutoff=0.3)
        hint = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(sorted(NETWORKS))}"
        raise ModelError(f"network {name!r} is unknown; {hint}")
    if in_channels < 1 or classes < 1:
        raise ModelError(f"network {name!r} needs at least one band and one class, not {in_channels} and {classes}")
    module, function = NETWORKS[name].split(":")
    builder = getattr(import_module(module), function)
    try:
        inspect.signature(builder).bind(in_channels, classes, **options)
    except TypeError as error:
        known = [p for p in inspect.signature(builder).parameters if p not in ("in_channels", "classes")]
        raise ModelError(f"network {name!r}: {error}; its options are {', '.join(known)}") from error
    network: nn.Module = builder(in_channels, classes, **options)
    return network
