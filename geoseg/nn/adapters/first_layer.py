"""Other numbers of input bands for networks that were written for three."""

from __future__ import annotations

from torch import nn


def widen_first_layer(network: nn.Module, in_channels: int) -> None:
    """Replace a network's first convolution by one of as many input bands, with weights of its own.

    Args:
        network: changed in place.
        in_channels: input bands.
    """
    name, first = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    if first.in_channels == in_channels:
        return
    parent, _, leaf = name.rpartition(".")
    layer = nn.Conv2d(
        in_channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        first.dilation,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    setattr(network.get_submodule(parent), leaf, layer)
