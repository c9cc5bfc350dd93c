"""The registry of networks: finds a network by its name and builds it."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from geoseg.errors import ModelError
from geoseg.nn.zoo.entries import ENTRIES
from geoseg.nn.zoo.entry import NetworkEntry
from geoseg.nn.zoo.option_types import check_types

if TYPE_CHECKING:
    from torch import nn

    Builder = Callable[..., nn.Module]

NETWORKS: Mapping[str, NetworkEntry] = MappingProxyType({entry.name: entry for entry in ENTRIES})
"""The networks by their names."""


def network_entry(name: str) -> NetworkEntry:
    """Return the description of a network.

    Args:
        name: a key of ``NETWORKS``.

    Raises:
        ModelError: the name is unknown; the message names the nearest.
    """
    if name not in NETWORKS:
        raise ModelError(f"network {name!r} is unknown; {nearest(name)}")
    return NETWORKS[name]


def build(name: str, in_channels: int, classes: int, **options: object) -> nn.Module:
    """Build a network with random weights.

    A semantic network maps (B, in_channels, H, W) to logits (B, classes, H, W) for any H, W >= 1, and carries
    ``stride``, the multiple of pixels its body works in. ``geoseg.nn.parts.auxiliary.forward_all`` runs it with its
    auxiliary heads.

    Args:
        name: a key of ``NETWORKS``.
        in_channels: input bands, at least 1.
        classes: output channels, at least 1.
        options: the architecture's own options; see its module.

    Raises:
        ModelError: the name or an option is unknown, or an option has a value the architecture cannot take.

    Examples:
        >>> build("unet", in_channels=4, classes=6, width=8).stride
        16
    """
    entry = network_entry(name)
    if in_channels < 1 or classes < 1:
        raise ModelError(f"network {name!r} needs at least one band and one class, not {in_channels} and {classes}")
    builder = _builder(entry)
    chosen = {**entry.options, **options}
    try:
        inspect.signature(builder).bind(in_channels, classes, **chosen)
    except TypeError as error:
        raise ModelError(f"network {name!r}: {error}; its options are {', '.join(_defaults(builder))}") from error
    check_types(name, builder, chosen)
    return builder(in_channels, classes, **chosen)


def options(name: str) -> dict[str, object]:
    """Tell the options of a network and what they are unless they are given.

    Args:
        name: a key of ``NETWORKS``.

    Raises:
        ModelError: the name is unknown.
    """
    entry = network_entry(name)
    return {**_defaults(_builder(entry)), **entry.options}


def _builder(entry: NetworkEntry) -> Builder:
    module, function = entry.family.builder.split(":")
    builder: Builder = getattr(import_module(module), function)
    return builder


def _defaults(builder: Builder) -> dict[str, object]:
    parameters = inspect.signature(builder).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def nearest(name: str) -> str:
    """Say which names are like one that is unknown, or all of them."""
    near = difflib.get_close_matches(name, NETWORKS, n=3, cutoff=0.3)
    return f"nearest: {', '.join(near)}" if near else f"known: {', '.join(sorted(NETWORKS))}"
