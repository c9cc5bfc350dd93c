"""torchgeo's segmentation networks (https://torchgeo.readthedocs.io)."""

from __future__ import annotations

from typing import Any

from geoseg.errors import ModelError
from geoseg.nn.adapters.first_layer import widen_first_layer
from geoseg.nn.padding import Padded


def build_fcn(in_channels: int, classes: int, *, filters: int = 64) -> Padded:
    """Build torchgeo's FCN: five convolutions at the full resolution.

    Args:
        in_channels: input bands.
        classes: output channels.
        filters: channels between them.
    """
    from torchgeo.models import FCN  # noqa: PLC0415 - slow to import

    return Padded(FCN(in_channels, classes, num_filters=filters), stride=1)


def build_farseg(in_channels: int, classes: int, *, backbone: str = "resnet50") -> Padded:
    """Build torchgeo's FarSeg.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: ``resnet18``, ``resnet34``, ``resnet50`` or ``resnet101``.

    Raises:
        ModelError: torchgeo has no such backbone.
    """
    if backbone not in ("resnet18", "resnet34", "resnet50", "resnet101"):
        raise ModelError(f"network 'torchgeo_farseg' takes resnet18, resnet34, resnet50 or resnet101, not {backbone!r}")
    from torchgeo.models import FarSeg  # noqa: PLC0415 - slow to import

    no_weights: Any = (
        None  # by place: it is backbone_pretrained, a truth value, before torchgeo 0.10, then backbone_weights
    )
    network = FarSeg(backbone, classes, no_weights)
    widen_first_layer(network, in_channels)
    return Padded(network, stride=32)
