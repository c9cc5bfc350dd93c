"""The layouts that are known."""

from __future__ import annotations

from geoseg.nn.checkpoints import (
    caffe,
    fastfcn,
    hrnet,
    libraries,
    mmsegmentation,
    refinenet,
    semseg,
    setr,
    torchseg,
    torchvision,
    unet,
)
from geoseg.nn.checkpoints.layout import Layout

LAYOUTS: tuple[Layout, ...] = tuple(
    layout
    for module in (
        torchvision,
        mmsegmentation,
        setr,
        hrnet,
        semseg,
        fastfcn,
        torchseg,
        refinenet,
        unet,
        libraries,
        caffe,
    )
    for layout in module.LAYOUTS
)
