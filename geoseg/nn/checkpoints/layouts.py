"""The layouts that are known."""

from __future__ import annotations

from geoseg.nn.checkpoints import (
    caffe,
    deeplabs,
    fastfcn,
    hrnet,
    instance,
    interactive,
    libraries,
    matterport,
    panoptic,
    psanet,
    refinenet,
    setr,
    torchvision,
    unet,
)
from geoseg.nn.checkpoints.frameworks import guanfuchen, meetps, semseg, torchseg, vedaseg, zijundeng
from geoseg.nn.checkpoints.layout import Layout
from geoseg.nn.checkpoints.mmseg import decoders, layouts

LAYOUTS: tuple[Layout, ...] = tuple(
    layout
    for module in (
        torchvision,
        layouts,
        decoders,
        setr,
        hrnet,
        semseg,
        fastfcn,
        torchseg,
        refinenet,
        unet,
        libraries,
        caffe,
        deeplabs,
        zijundeng,
        guanfuchen,
        meetps,
        vedaseg,
        instance,
        matterport,
        interactive,
        panoptic,
        psanet,
    )
    for layout in module.LAYOUTS
)
